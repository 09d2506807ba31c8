package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
)

// event makes an event with every member set.
func (b *bench) event(accountID string) authz.NewEvent {
	return happened(authz.Event{
		ID: b.word("event"), AccountID: accountID, At: at(b.drawn), Kind: authz.EventApproved, BAPID: b.word("bap"),
		ClientID: b.word("client"), GrantID: b.word("grant"), ACR: authz.ACRPasskey,
		Network: "2001:db8::/48", UserAgent: b.word("agent"), Subject: b.word("subject"), Standing: at(1),
	})
}

// happened is an event to be stored.
func happened(e authz.Event) authz.NewEvent { return authz.NewEvent{Event: e, Keep: plenty} }

// anyEvent is one that nobody looks at.
var anyEvent = happened(authz.Event{})

// events are what is kept of new ones.
func events(stored ...authz.NewEvent) []authz.Event {
	all := make([]authz.Event, len(stored))
	for i, e := range stored {
		all[i] = e.Event
	}
	return all
}

// told ends the test unless these, newest first, are an account's events.
func (b *bench) told(accountID string, want ...authz.NewEvent) {
	b.Helper()
	got, err := b.store.Events(b.Context(), accountID, authz.Position{}, 100)
	b.ok(err)
	if len(got) != 0 || len(want) != 0 {
		b.same(got, events(want...))
	}
}

// happening stores one event, with an operation that stands for all.
func (b *bench) happening(i authz.Identity, e authz.NewEvent) {
	b.Helper()
	b.ok(b.store.SetProfile(b.Context(), i.BAPID, i.Profile, e))
}

var eventCases = []testCase{
	{"an account's events are listed, newest first, at most the limit", func(b *bench) {
		a, i := b.account()
		other, _ := b.account()
		b.told(a.ID)
		middle, oldest, newest := b.event(a.ID), b.event(a.ID), b.event(a.ID)
		middle.At, oldest.At, newest.At = at(2), at(1), at(3)
		for _, e := range []authz.NewEvent{middle, oldest, newest} {
			b.happening(i, e)
		}
		b.told(a.ID, newest, middle, oldest)
		b.told(other.ID)
		two, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 2)
		b.ok(err)
		b.same(two, events(newest, middle))
		none, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 0)
		b.ok(err)
		b.same(len(none), 0)
	}},
	{"of events of one time the one stored last is the newest", func(b *bench) {
		a, i := b.account()
		first, second := b.event(a.ID), b.event(a.ID)
		first.At, second.At = at(1), at(1)
		b.happening(i, first)
		b.happening(i, second)
		b.told(a.ID, second, first)
	}},
	{"a page of events begins behind any of them, and behind one that is gone", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		var want, foreign []authz.NewEvent
		for k, n := range []int{1, 2, 2, 2, 3} {
			want, foreign = append([]authz.NewEvent{b.event(a.ID)}, want...), append(foreign, b.event(other.ID))
			want[0].At, foreign[k].At = at(n), at(n)
			b.happening(i, want[0])
			b.happening(j, foreign[k])
		}
		late := b.event(a.ID) // a clock was wrong
		late.At = at(0)
		b.happening(i, late)
		want = append(want, late)
		for n, e := range want {
			got, err := b.store.Events(b.Context(), a.ID, authz.Position{At: e.At, ID: e.ID}, 2)
			b.ok(err)
			b.same(append([]authz.Event{}, got...), events(want[n+1:min(n+3, len(want))]...))
		}
		for _, id := range []string{"gone", foreign[1].ID, foreign[3].ID, want[4].ID} {
			got, err := b.store.Events(b.Context(), a.ID, authz.Position{At: at(2), ID: id}, 10)
			b.ok(err)
			b.same(got, events(want[1:]...))
		}
	}},
	{"events are kept byte for byte, and survive a restart", func(b *bench) {
		a, i := b.account()
		var want []authz.NewEvent
		for n, s := range awkward {
			e := happened(authz.Event{
				ID: s, AccountID: a.ID, At: at(-n), Kind: authz.EventKind(s), BAPID: s, ClientID: s, GrantID: s, ACR: s,
				Network: s, UserAgent: s, Subject: s,
			})
			b.happening(i, e)
			want = append(want, e)
		}
		b.reopen()
		b.told(a.ID, want...)
	}},
	{"an approval or a denial stores its event, a refused one does not", func(b *bench) {
		_, i := b.account()
		r := b.pending()
		a := b.approval(r, i)
		a.Event = b.event(i.AccountID)
		b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
		again := a
		again.Event = b.event(i.AccountID)
		b.refusedState(b.store.ApproveDeviceRequest(b.Context(), again))
		b.told(i.AccountID, a.Event)

		d := authz.Denial{RequestID: b.pending().ID, AccountID: i.AccountID, Unclaimed: true, At: at(10), Event: b.event(i.AccountID), Keep: plenty}
		b.ok(b.store.DenyDeviceRequest(b.Context(), d))
		late := d
		late.Event = b.event(i.AccountID)
		b.refusedState(b.store.DenyDeviceRequest(b.Context(), late))
		b.told(i.AccountID, d.Event, a.Event)
	}},
	{"of 16 concurrent approvals one tells of itself", func(b *bench) {
		_, i := b.account()
		r := b.pending()
		approvals := make([]authz.Approval, 16)
		for n := range approvals {
			approvals[n] = b.approval(r, i)
			approvals[n].Event = b.event(i.AccountID)
		}
		errs := race(len(approvals), func(n int) error { return b.store.ApproveDeviceRequest(b.Context(), approvals[n]) })
		b.count(errs, 1, isState)
		b.told(i.AccountID, approvals[slices.Index(errs, nil)].Event)
	}},
	{"linking an identity and setting a profile store their events, refused ones do not", func(b *bench) {
		a, i := b.account()
		linked, set := b.event(a.ID), b.event(a.ID)
		second := b.newIdentity(a.ID)
		b.ok(b.store.LinkIdentity(b.Context(), second, i.BAPID, many, linked))
		b.refused(b.store.LinkIdentity(b.Context(), second, i.BAPID, many, b.event(a.ID)), authz.ErrExists)
		b.ok(b.store.SetProfile(b.Context(), i.BAPID, authz.Profile{}, set))
		b.refused(b.store.SetProfile(b.Context(), "nobody", authz.Profile{}, b.event(a.ID)), authz.ErrNotFound)
		b.told(a.ID, set, linked)
	}},
	{"a grant's end is told of once", func(b *bench) {
		a := b.approved()
		account := a.identity.AccountID
		first := b.event(account)
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: a.grant.ID, At: at(30), Event: first}))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: a.grant.ID, At: at(40), Event: b.event(account)}))
		b.refused(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: "none", At: at(40), Event: b.event(account)}), authz.ErrNotFound)
		b.told(account, first)
	}},
	{"R-02 the reuse of a refresh token is told of, a rotation and its repetition are not", func(b *bench) {
		a, t := b.issued()
		r := b.rotation(t, at(100))
		r.Reuse = b.event(a.identity.AccountID)
		b.ok(b.store.RotateRefreshToken(b.Context(), r))
		b.ok(b.store.RotateRefreshToken(b.Context(), r))
		b.told(a.identity.AccountID)
		r.At = r.At.Add(grace + time.Millisecond)
		b.refused(b.store.RotateRefreshToken(b.Context(), r), authz.ErrReused)
		b.told(a.identity.AccountID, r.Reuse)
		b.refused(b.store.RotateRefreshToken(b.Context(), r), authz.ErrNotFound)
		b.told(a.identity.AccountID, r.Reuse)
	}},
	{"events from before are swept, and no others", func(b *bench) {
		a, i := b.account()
		old, edge, young := b.event(a.ID), b.event(a.ID), b.event(a.ID)
		old.At, edge.At, young.At = at(60), at(61), at(62)
		for _, e := range []authz.NewEvent{young, old, edge} {
			b.happening(i, e)
		}
		n, err := b.store.Sweep(b.Context(), authz.SweepTimes{Events: at(61)}, 100)
		b.ok(err)
		b.same(n, 1)
		b.told(a.ID, young, edge)
	}},
	{"a sweep of events takes at most its limit", func(b *bench) {
		a, i := b.account()
		for range 5 {
			b.happening(i, b.event(a.ID))
		}
		for _, want := range []int{2, 2, 1, 0} {
			n, err := b.store.Sweep(b.Context(), authz.SweepTimes{Events: at(9999)}, 2)
			b.ok(err)
			b.same(n, want)
		}
	}},
}

// refusedState ends the test unless a decision came too late.
func (b *bench) refusedState(err error) {
	b.Helper()
	if !isState(err) {
		b.Fatalf("got error %v, want a *authz.StateError", err)
	}
}
