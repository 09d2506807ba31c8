package storagetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

// all makes n calls, some at once, and ends the test unless all succeed.
func (b *bench) all(n int, call func(i int) error) {
	b.Helper()
	const atOnce = 50
	for from := 0; from < n; from += atOnce {
		b.ok(errors.Join(race(min(atOnce, n-from), func(i int) error { return call(from + i) })...))
	}
}

// approvals makes so many approvals of requests that are pending.
func (b *bench) approvals(n int, i authz.Identity) []authz.Approval {
	b.Helper()
	requests, made := make([]authz.DeviceRequest, n), make([]authz.Approval, n)
	for k := range requests {
		requests[k] = b.request()
		made[k] = b.approval(requests[k], i)
		made[k].Event = b.event(i.AccountID)
	}
	b.all(n, func(k int) error { return b.store.CreateDeviceRequest(b.Context(), requests[k]) })
	return made
}

// inFull skips what writes thousands of rows, where tests are to be short, as under the
// race detector: what meets in it meets in the others too.
func (b *bench) inFull() {
	if testing.Short() {
		b.Skip("this takes long")
	}
}

var boundCases = []testCase{
	{"of an account's events the newest are kept, others' stay", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		foreign := b.event(other.ID)
		b.happening(j, foreign)
		events := make([]authz.Event, authz.EventsPerAccount+60)
		for n := range events {
			events[n] = b.event(a.ID)
			events[n].At = at(n)
		}
		b.all(len(events), func(n int) error { return b.store.SetProfile(b.Context(), i.BAPID, i.Profile, events[n]) })
		slices.Reverse(events)
		got, err := b.store.Events(b.Context(), a.ID, authz.Position{}, len(events))
		b.ok(err)
		b.same(got, events[:authz.EventsPerAccount])
		b.told(other.ID, foreign)
	}},
	{"events of ways are forgotten for events of ways alone, of their account", func(b *bench) {
		b.inFull()
		a, i := b.account()
		other, j := b.account()
		foreign := b.event(other.ID)
		foreign.Kind, foreign.At = authz.EventBackupSaved, at(-1000)
		b.happening(j, foreign)
		happen := func(n int, kind authz.EventKind, from int) (made []authz.Event) {
			made = make([]authz.Event, n)
			for k := range made {
				made[k] = b.event(a.ID)
				made[k].Kind, made[k].At = kind, at(from+k)
			}
			b.all(n, func(k int) error { return b.store.SetProfile(b.Context(), i.BAPID, i.Profile, made[k]) })
			return made
		}
		want := func(kept ...[]authz.Event) {
			b.Helper()
			got, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 3*authz.EventsPerAccount)
			b.ok(err)
			want := slices.Concat(kept...)
			slices.Reverse(want)
			b.same(got, want)
		}
		var ways []authz.Event
		for k, kind := range authz.WayEvents {
			ways = append(ways, happen(1, kind, k)...)
		}
		cheap := happen(authz.EventsPerAccount+60, authz.EventSignedIn, 100)
		want(ways, cheap[60:])
		more := happen(authz.EventsPerAccount+60, authz.EventBackupSaved, 5000)
		want(more[60:])
		never := b.event(a.ID)
		never.Kind, never.At = authz.EventBackupSaved, at(9000)
		b.refused(b.store.SetProfile(b.Context(), "nobody", i.Profile, never), authz.ErrNotFound)
		want(more[60:])
		b.told(other.ID, foreign)
		cheap = happen(10, authz.EventSignedIn, 10000)
		want(more[60:], cheap)
	}},
	{"events of ways by who came later push out none by who was there before", func(b *bench) {
		b.inFull()
		a, i := b.account()
		other, j := b.account()
		foreign := b.event(other.ID)
		foreign.Kind, foreign.At, foreign.Standing = authz.EventIdentityLinked, at(0), at(1)
		b.happening(j, foreign)
		happen := func(n int, kind authz.EventKind, from, standing int) (made []authz.Event) {
			made = make([]authz.Event, n)
			for k := range made {
				made[k] = b.event(a.ID)
				made[k].Kind, made[k].At, made[k].Standing = kind, at(from+k), at(standing)
			}
			for _, e := range made {
				b.ok(b.store.SetProfile(b.Context(), i.BAPID, i.Profile, e))
			}
			return made
		}
		want := func(kept ...[]authz.Event) {
			b.Helper()
			got, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 4*authz.EventsPerAccount)
			b.ok(err)
			want := slices.Concat(kept...)
			slices.Reverse(want)
			b.same(got, want)
		}
		const most = authz.EventsPerAccount
		before := happen(3, authz.EventIdentityLinked, 0, 5)
		later := happen(2*most+20, authz.EventBackupSaved, 10, 6)
		want(before, later[most+20:])
		// Those by who was there before push out each other, and the others.
		owners := happen(most-1, authz.EventPasskeyAdded, 5000, 5)
		want(before[2:], later[len(later)-1:], owners)
		latest := happen(1, authz.EventIdentityRemoved, 9000, 5)
		want(owners, latest)
		latest = append(latest, happen(2, authz.EventIdentityRemoved, 9001, 7)...)
		want(owners, latest)
	}},
	{"what did not happen forgets no event", func(b *bench) {
		a, i := b.account()
		events := make([]authz.Event, authz.EventsPerAccount)
		for n := range events {
			events[n] = b.event(a.ID)
		}
		b.all(len(events), func(n int) error { return b.store.SetProfile(b.Context(), i.BAPID, i.Profile, events[n]) })
		b.refused(b.store.SetProfile(b.Context(), "nobody", i.Profile, b.event(a.ID)), authz.ErrNotFound)
		b.refused(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: "none", At: at(1), Event: b.event(a.ID)}), authz.ErrNotFound)
		got, err := b.store.Events(b.Context(), a.ID, authz.Position{}, len(events)+1)
		b.ok(err)
		b.same(len(got), len(events))
	}},
	{"a sign-in beyond the limit ends the oldest session, whatever the clock of the new one", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		foreign := b.session(j)
		foreign.CreatedAt = at(-100)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: foreign}))
		var made []authz.Session
		for n := range authz.SessionsPerAccount {
			s := b.session(i)
			s.CreatedAt = at(n)
			made = append(made, s)
		}
		b.all(len(made), func(n int) error { return b.store.CreateSession(b.Context(), authz.NewSession{Session: made[n]}) })
		slow := b.session(i)
		slow.CreatedAt = at(-5)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: slow}))
		got, err := b.store.Sessions(b.Context(), a.ID, at(0))
		b.ok(err)
		slices.Reverse(made)
		b.same(got, append(made[:authz.SessionsPerAccount-1:authz.SessionsPerAccount-1], slow))
		unknown := b.session(i)
		unknown.BAPID = "nobody"
		for _, replaces := range []authz.Hash{{}, slow.Token} {
			b.refused(b.store.CreateSession(b.Context(), authz.NewSession{Session: unknown, Replaces: replaces}), authz.ErrNotFound)
		}
		again, err := b.store.Sessions(b.Context(), a.ID, at(0))
		b.ok(err)
		b.same(again, got) // what was refused ends nothing
		after := b.session(i)
		after.CreatedAt = at(9000)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: after, Replaces: got[10].Token}))
		again, err = b.store.Sessions(b.Context(), a.ID, at(0))
		b.ok(err)
		b.same(again, slices.Concat([]authz.Session{after}, got[:10], got[11:])) // nor does what takes another's place end more
		got, err = b.store.Sessions(b.Context(), other.ID, at(0))
		b.ok(err)
		b.same(got, []authz.Session{foreign})
	}},
	{"of concurrent sign-ins at two servers the newest stay", func(b *bench) {
		a, i := b.account()
		second := b.connect()
		sessions := make([]authz.Session, authz.SessionsPerAccount+60)
		for n := range sessions {
			sessions[n] = b.session(i)
		}
		errs := race(len(sessions), func(n int) error {
			return []authz.Store{b.store, second}[n%2].CreateSession(b.Context(), authz.NewSession{Session: sessions[n]})
		})
		b.ok(errors.Join(errs...))
		last := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: last}))
		got, err := b.store.Sessions(b.Context(), a.ID, at(0))
		b.ok(err)
		b.same(len(got), authz.SessionsPerAccount)
		_, err = b.store.Session(b.Context(), last.Token, at(0))
		b.ok(err)
	}},
	{"of an account's departures those of who came first are kept", func(b *bench) {
		_, first := b.account()
		_, stranger := b.account()
		takenOut := func(i, by authz.Identity, since int) authz.Identity {
			b.Helper()
			r := b.removal(i, by)
			r.Since = at(since)
			b.ok(b.store.RemoveIdentity(b.Context(), r))
			return i
		}
		leave := func(by authz.Identity, since int) authz.Identity {
			b.Helper()
			return takenOut(b.linked(by), by, since)
		}
		known := func(i authz.Identity, n int) {
			b.Helper()
			got, err := b.store.Departures(b.Context(), i.BAPID)
			b.ok(err)
			b.same(len(got), n)
		}
		early, foreign, strangers := leave(first, 50), leave(stranger, 9000), leave(stranger, 10)
		var after []authz.Identity
		for n := range authz.DeparturesPerAccount {
			after = append(after, leave(first, 100+n))
		}
		known(after[len(after)-1], 0)
		known(after[len(after)-2], 1)
		earlier := leave(first, 49)
		known(after[len(after)-2], 0)
		foreign.AccountID = first.AccountID
		b.ok(b.store.LinkIdentity(b.Context(), foreign, first.BAPID, b.event(first.AccountID)))
		takenOut(foreign, first, 9000) // which is forgotten at once, where it came last
		for _, i := range []authz.Identity{earlier, early, after[0], foreign, strangers} {
			known(i, 1)
		}
	}},
	{"of 40 identities that are linked at once, as many as an account may have are", func(b *bench) {
		a, first := b.account()
		identities := make([]authz.Identity, 40)
		events := make([]authz.Event, len(identities))
		for n := range identities {
			identities[n], events[n] = b.newIdentity(a.ID), b.event(a.ID)
		}
		errs := race(len(identities), func(n int) error { return b.store.LinkIdentity(b.Context(), identities[n], first.BAPID, events[n]) })
		b.count(errs, authz.IdentitiesPerAccount-1, is(authz.ErrFull))
		there, err := b.store.Identities(b.Context(), a.ID)
		b.ok(err)
		b.same(len(there), authz.IdentitiesPerAccount)
		told, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		b.same(len(told), authz.IdentitiesPerAccount-1)
		b.refused(b.store.LinkIdentity(b.Context(), identities[slices.Index(errs, nil)], first.BAPID, b.event(a.ID)), authz.ErrExists)
		b.refused(b.connect().LinkIdentity(b.Context(), b.newIdentity(a.ID), first.BAPID, b.event(a.ID)), authz.ErrFull)
		other, foreign := b.account()
		b.ok(b.store.LinkIdentity(b.Context(), b.newIdentity(other.ID), foreign.BAPID, b.event(other.ID)))
	}},
	{"an account with as many living grants as it may have gets no other, until one is over", func(b *bench) {
		_, i := b.account()
		_, j := b.account()
		made := b.approvals(authz.LivingGrants-1, i)
		b.all(len(made), func(n int) error { return b.store.ApproveDeviceRequest(b.Context(), made[n]) })
		late := b.approvals(8, i)
		errs := race(len(late), func(n int) error { return b.store.ApproveDeviceRequest(b.Context(), late[n]) })
		b.count(errs, 1, is(authz.ErrFull))
		told, err := b.store.Events(b.Context(), i.AccountID, authz.Position{}, 1000)
		b.ok(err)
		b.same(len(told), authz.LivingGrants)
		lost := slices.IndexFunc(errs, is(authz.ErrFull))
		pending, err := b.store.DeviceRequestByID(b.Context(), late[lost].RequestID)
		b.ok(err)
		b.same(pending.StateAt(at(10)), authz.Pending)
		b.noGrant(pending)

		foreign := b.approvals(1, j)[0]
		b.ok(b.store.ApproveDeviceRequest(b.Context(), foreign))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: made[0].Grant.ID, At: at(9)}))
		b.ok(b.store.ApproveDeviceRequest(b.Context(), late[lost]))
		again := b.approvals(1, i)[0]
		b.refused(b.store.ApproveDeviceRequest(b.Context(), again), authz.ErrFull)
		again.At, again.Grant.CreatedAt = made[1].Grant.ExpiresAt, made[1].Grant.ExpiresAt // all of them are over
		again.RequestID = b.longPending().ID
		again.Grant.ID = again.RequestID
		b.ok(b.store.ApproveDeviceRequest(b.Context(), again))
	}},
	{"of an account's grants the newest are kept, and those alive, and the tokens of others go", func(b *bench) {
		b.inFull()
		_, i := b.account()
		other, foreign := b.issuedWith(func(_ *authz.DeviceRequest, g *authz.Grant) { g.CreatedAt, g.ExpiresAt = at(-9000), at(5) })
		made := b.approvals(authz.GrantsPerAccount+40, i)
		for n := range made {
			made[n].Grant.CreatedAt, made[n].Grant.ExpiresAt = at(n-5000), at(5)
		}
		made[1].Grant.ExpiresAt = at(10) // when the others are approved
		made[2].Grant.ExpiresAt, made[2].Grant.RevokedAt = at(5000), at(5)
		made[3].Grant.ExpiresAt = at(5000)
		b.ok(b.store.ApproveDeviceRequest(b.Context(), made[0]))
		redeemed, err := b.store.DeviceRequestByID(b.Context(), made[0].RequestID)
		b.ok(err)
		token := authz.RefreshToken{Token: b.hash(), GrantID: redeemed.ID, ExpiresAt: at(5000)}
		b.ok(b.store.RedeemDeviceRequest(b.Context(), authz.Redemption{
			DeviceCode: redeemed.DeviceCode, ClientID: redeemed.ClientID, At: at(10), RefreshToken: &token,
		}))
		rest := made[1:]
		b.all(len(rest), func(n int) error { return b.store.ApproveDeviceRequest(b.Context(), rest[n]) })
		got, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{Limit: 2 * authz.GrantsPerAccount})
		b.ok(err)
		var kept []authz.Grant
		for n, a := range slices.Backward(made) {
			if len(kept) < authz.GrantsPerAccount || n == 3 {
				kept = append(kept, a.Grant)
			}
		}
		b.same(got, kept)
		again := rest[len(rest)-1]
		again.Grant.ID = b.word("grant")
		b.refusedState(b.store.ApproveDeviceRequest(b.Context(), again))
		got, err = b.store.Grants(b.Context(), i.AccountID, authz.GrantList{Limit: 2 * authz.GrantsPerAccount})
		b.ok(err)
		b.same(got, kept) // what was refused makes no room
		_, err = b.store.RefreshToken(b.Context(), token.Token, at(10))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Grant(b.Context(), other.grant.ID)
		b.ok(err)
		_, err = b.store.RefreshToken(b.Context(), foreign.Token, at(10))
		b.ok(err)
	}},
	{"of an account's reports the newest are kept, others' stay", func(b *bench) {
		_, i := b.account()
		_, j := b.account()
		denials := b.approvals(authz.ReportsPerAccount/2+5, i)
		foreign := map[time.Time][]string{
			at(-50): {"client:" + denials[0].RequestID},
			at(800): {"client:w", "client:x", "client:y", "client:z"},
		}
		for when, subjects := range foreign {
			b.report(j.AccountID, when, subjects...)
		}
		for n, d := range denials {
			b.ok(b.store.DenyDeviceRequest(b.Context(), authz.Denial{
				RequestID: d.RequestID, AccountID: i.AccountID, Unclaimed: true, At: at(n), Event: d.Event,
				Reported: []string{"client:" + d.RequestID, "network:" + d.RequestID},
			}))
		}
		got, err := b.store.Reported(b.Context(), "", 1, at(-100))
		b.ok(err)
		var want []string
		for _, d := range denials[5:] {
			want = append(want, "client:"+d.RequestID, "network:"+d.RequestID)
		}
		for _, subjects := range foreign {
			want = append(want, subjects...)
		}
		slices.Sort(want)
		b.same(got, want)
		again := denials[len(denials)-1]
		b.refusedState(b.store.DenyDeviceRequest(b.Context(), authz.Denial{
			RequestID: again.RequestID, AccountID: i.AccountID, Unclaimed: true, At: at(60), Event: b.event(i.AccountID),
			Reported: []string{"client:refused", "network:refused"},
		}))
		got, err = b.store.Reported(b.Context(), "", 1, at(-100))
		b.ok(err)
		b.same(got, want)                                             // what was refused reports nothing, and forgets nothing
		for n, d := range []authz.Approval{denials[5], denials[10]} { // the oldest, and one in the middle
			b.report(i.AccountID, at(50+n), "client:"+d.RequestID, "network:"+d.RequestID)
			got, err = b.store.Reported(b.Context(), "", 1, at(-100))
			b.ok(err)
			b.same(got, want) // what is reported again takes no more room
		}
	}},
}

// longPending stores a request that is pending for long.
func (b *bench) longPending() authz.DeviceRequest {
	b.Helper()
	r := b.request()
	r.ExpiresAt = at(1_000_000)
	b.ok(b.store.CreateDeviceRequest(b.Context(), r))
	return r
}
