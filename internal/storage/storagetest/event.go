package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// event makes an event with every member set.
func (f *fixture) event(accountID string) contract.NewEvent {
	return happened(authz.Event{
		ID: f.word("event"), AccountID: accountID, At: at(f.drawn), Kind: authz.EventApproved, BAPID: f.word("bap"),
		ClientID: f.word("client"), GrantID: f.word("grant"), ACR: authz.ACRPasskey,
		Network: "2001:db8::/48", UserAgent: f.word("agent"), Subject: f.word("subject"), Standing: at(1),
	})
}

// happened is an event to be stored.
func happened(e authz.Event) contract.NewEvent { return contract.NewEvent{Event: e, Keep: plenty} }

// anyEvent is one that nobody looks at.
var anyEvent = happened(authz.Event{})

// events are what is kept of new ones.
func events(stored ...contract.NewEvent) []authz.Event {
	all := make([]authz.Event, len(stored))
	for i, e := range stored {
		all[i] = e.Event
	}
	return all
}

// told ends the test unless these, newest first, are an account's events.
func (f *fixture) told(accountID string, want ...contract.NewEvent) {
	f.Helper()
	got, err := f.store.Events(f.Context(), accountID, contract.Position{}, 100)
	f.ok(err)
	if len(got) != 0 || len(want) != 0 {
		f.same(got, events(want...))
	}
}

// happening stores one event, with an operation that stands for all.
func (f *fixture) happening(i authz.Identity, e contract.NewEvent) {
	f.Helper()
	f.ok(f.store.SetProfile(f.Context(), i.BAPID, i.Profile, e))
}

var eventCases = []testCase{
	{"an account's events are listed, newest first, at most the limit", func(f *fixture) {
		a, i := f.account()
		other, _ := f.account()
		f.told(a.ID)
		middle, oldest, newest := f.event(a.ID), f.event(a.ID), f.event(a.ID)
		middle.At, oldest.At, newest.At = at(2), at(1), at(3)
		for _, e := range []contract.NewEvent{middle, oldest, newest} {
			f.happening(i, e)
		}
		f.told(a.ID, newest, middle, oldest)
		f.told(other.ID)
		two, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 2)
		f.ok(err)
		f.same(two, events(newest, middle))
		none, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 0)
		f.ok(err)
		f.same(len(none), 0)
	}},
	{"of events of one time the one stored last is the newest", func(f *fixture) {
		a, i := f.account()
		first, second := f.event(a.ID), f.event(a.ID)
		first.At, second.At = at(1), at(1)
		f.happening(i, first)
		f.happening(i, second)
		f.told(a.ID, second, first)
	}},
	{"a page of events begins behind any of them, and behind one that is gone", func(f *fixture) {
		a, i := f.account()
		other, j := f.account()
		var want, foreign []contract.NewEvent
		for k, n := range []int{1, 2, 2, 2, 3} {
			want, foreign = append([]contract.NewEvent{f.event(a.ID)}, want...), append(foreign, f.event(other.ID))
			want[0].At, foreign[k].At = at(n), at(n)
			f.happening(i, want[0])
			f.happening(j, foreign[k])
		}
		late := f.event(a.ID) // a clock was wrong
		late.At = at(0)
		f.happening(i, late)
		want = append(want, late)
		for n, e := range want {
			got, err := f.store.Events(f.Context(), a.ID, contract.Position{At: e.At, ID: e.ID}, 2)
			f.ok(err)
			f.same(append([]authz.Event{}, got...), events(want[n+1:min(n+3, len(want))]...))
		}
		for _, id := range []string{"gone", foreign[1].ID, foreign[3].ID, want[4].ID} {
			got, err := f.store.Events(f.Context(), a.ID, contract.Position{At: at(2), ID: id}, 10)
			f.ok(err)
			f.same(got, events(want[1:]...))
		}
	}},
	{"events are kept byte for byte, and survive a restart", func(f *fixture) {
		a, i := f.account()
		var want []contract.NewEvent
		for n, s := range awkward {
			e := happened(authz.Event{
				ID: s, AccountID: a.ID, At: at(-n), Kind: authz.EventKind(s), BAPID: s, ClientID: s, GrantID: s, ACR: s,
				Network: s, UserAgent: s, Subject: s,
			})
			f.happening(i, e)
			want = append(want, e)
		}
		f.reopen()
		f.told(a.ID, want...)
	}},
	{"an approval or a denial stores its event, a refused one does not", func(f *fixture) {
		_, i := f.account()
		r := f.pending()
		a := f.approval(r, i)
		a.Event = f.event(i.AccountID)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		again := a
		again.Event = f.event(i.AccountID)
		f.refusedState(f.store.ApproveDeviceRequest(f.Context(), again))
		f.told(i.AccountID, a.Event)

		d := contract.Denial{RequestID: f.pending().ID, AccountID: i.AccountID, Unclaimed: true, At: at(10), Event: f.event(i.AccountID), Keep: plenty}
		f.ok(f.store.DenyDeviceRequest(f.Context(), d))
		late := d
		late.Event = f.event(i.AccountID)
		f.refusedState(f.store.DenyDeviceRequest(f.Context(), late))
		f.told(i.AccountID, d.Event, a.Event)
	}},
	{"of 16 concurrent approvals one tells of itself", func(f *fixture) {
		_, i := f.account()
		r := f.pending()
		approvals := make([]contract.Approval, 16)
		for n := range approvals {
			approvals[n] = f.approval(r, i)
			approvals[n].Event = f.event(i.AccountID)
		}
		errs := race(len(approvals), func(n int) error { return f.store.ApproveDeviceRequest(f.Context(), approvals[n]) })
		f.count(errs, 1, isState)
		f.told(i.AccountID, approvals[slices.Index(errs, nil)].Event)
	}},
	{"linking an identity and setting a profile store their events, refused ones do not", func(f *fixture) {
		a, i := f.account()
		linked, set := f.event(a.ID), f.event(a.ID)
		second := f.newIdentity(a.ID)
		f.ok(f.store.LinkIdentity(f.Context(), second, i.BAPID, many, linked))
		f.refused(f.store.LinkIdentity(f.Context(), second, i.BAPID, many, f.event(a.ID)), contract.ErrExists)
		f.ok(f.store.SetProfile(f.Context(), i.BAPID, authz.Profile{}, set))
		f.refused(f.store.SetProfile(f.Context(), "nobody", authz.Profile{}, f.event(a.ID)), contract.ErrNotFound)
		f.told(a.ID, set, linked)
	}},
	{"a grant's end is told of once", func(f *fixture) {
		a := f.approved()
		account := a.identity.AccountID
		first := f.event(account)
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: a.grant.ID, At: at(30), Event: first}))
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: a.grant.ID, At: at(40), Event: f.event(account)}))
		f.refused(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: "none", At: at(40), Event: f.event(account)}), contract.ErrNotFound)
		f.told(account, first)
	}},
	{"R-02 the reuse of a refresh token is told of, a rotation and its repetition are not", func(f *fixture) {
		a, t := f.issued()
		r := f.rotation(t, at(100))
		r.Reuse = f.event(a.identity.AccountID)
		f.ok(f.store.RotateRefreshToken(f.Context(), r))
		f.ok(f.store.RotateRefreshToken(f.Context(), r))
		f.told(a.identity.AccountID)
		r.At = r.At.Add(grace + time.Millisecond)
		f.refused(f.store.RotateRefreshToken(f.Context(), r), contract.ErrReused)
		f.told(a.identity.AccountID, r.Reuse)
		f.refused(f.store.RotateRefreshToken(f.Context(), r), contract.ErrNotFound)
		f.told(a.identity.AccountID, r.Reuse)
	}},
	{"events from before are swept, and no others", func(f *fixture) {
		a, i := f.account()
		old, edge, young := f.event(a.ID), f.event(a.ID), f.event(a.ID)
		old.At, edge.At, young.At = at(60), at(61), at(62)
		for _, e := range []contract.NewEvent{young, old, edge} {
			f.happening(i, e)
		}
		n, err := f.store.Sweep(f.Context(), contract.SweepTimes{Events: at(61)}, 100)
		f.ok(err)
		f.same(n, 1)
		f.told(a.ID, young, edge)
	}},
	{"a sweep of events takes at most its limit", func(f *fixture) {
		a, i := f.account()
		for range 5 {
			f.happening(i, f.event(a.ID))
		}
		for _, want := range []int{2, 2, 1, 0} {
			n, err := f.store.Sweep(f.Context(), contract.SweepTimes{Events: at(9999)}, 2)
			f.ok(err)
			f.same(n, want)
		}
	}},
}

// refusedState ends the test unless a decision came too late.
func (f *fixture) refusedState(err error) {
	f.Helper()
	if !isState(err) {
		f.Fatalf("got error %v, want a *authz.StateError", err)
	}
}
