package storagetest

import (
	"errors"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// all makes n calls, some at once, and ends the test unless all succeed.
func (f *fixture) all(n int, call func(i int) error) {
	f.Helper()
	const atOnce = 50
	for from := 0; from < n; from += atOnce {
		f.ok(errors.Join(race(min(atOnce, n-from), func(i int) error { return call(from + i) })...))
	}
}

// approvals makes so many approvals of requests that are pending.
func (f *fixture) approvals(n int, i authz.Identity) []contract.Approval {
	f.Helper()
	requests, made := make([]authz.DeviceRequest, n), make([]contract.Approval, n)
	for k := range requests {
		requests[k] = f.request()
		made[k] = f.approval(requests[k], i)
		made[k].Event = f.event(i.AccountID)
	}
	f.all(n, func(k int) error { return f.store.CreateDeviceRequest(f.Context(), requests[k]) })
	return made
}

// fewOf makes events of which few are kept.
func (f *fixture) fewOf(n int, accountID string, edit func(i int, e *contract.NewEvent)) []contract.NewEvent {
	made := make([]contract.NewEvent, n)
	for i := range made {
		made[i] = f.event(accountID)
		made[i].Keep = few
		edit(i, &made[i])
	}
	return made
}

// happen stores events, one after the other.
func (f *fixture) happen(i authz.Identity, all []contract.NewEvent) []contract.NewEvent {
	f.Helper()
	for _, e := range all {
		f.happening(i, e)
	}
	return all
}

var boundCases = []testCase{
	{"of an account's events the newest are kept, others' stay", func(f *fixture) {
		a, i := f.account()
		other, j := f.account()
		foreign := f.event(other.ID)
		f.happening(j, foreign)
		made := f.happen(i, f.fewOf(few.Most+6, a.ID, func(n int, e *contract.NewEvent) { e.At = at(n) }))
		slices.Reverse(made)
		f.told(a.ID, made[:few.Most]...)
		f.told(other.ID, foreign)
	}},
	{"events of ways are forgotten for events of ways alone, of their account", func(f *fixture) {
		a, i := f.account()
		other, j := f.account()
		foreign := f.event(other.ID)
		foreign.Kind, foreign.At = authz.EventBackupSaved, at(-1000)
		f.happening(j, foreign)
		happen := func(n int, kind authz.EventKind, from int) []contract.NewEvent {
			return f.happen(i, f.fewOf(n, a.ID, func(k int, e *contract.NewEvent) { e.Kind, e.At = kind, at(from+k) }))
		}
		want := func(kept ...[]contract.NewEvent) {
			f.Helper()
			want := slices.Concat(kept...)
			slices.Reverse(want)
			f.told(a.ID, want...)
		}
		var ways []contract.NewEvent
		for k, kind := range authz.WayEvents {
			ways = append(ways, happen(1, kind, k)...)
		}
		cheap := happen(few.Most+6, authz.EventSignedIn, 100)
		want(ways, cheap[6:])
		more := happen(few.Most+6, authz.EventBackupSaved, 5000)
		want(more[6:])
		never := f.event(a.ID)
		never.Kind, never.At = authz.EventBackupSaved, at(9000)
		f.refused(f.store.SetProfile(f.Context(), "nobody", i.Profile, never), contract.ErrNotFound)
		want(more[6:])
		f.told(other.ID, foreign)
		cheap = happen(10, authz.EventSignedIn, 10000)
		want(more[6:], cheap)
	}},
	{"events of ways by who came later push out none by who was there before", func(f *fixture) {
		a, i := f.account()
		other, j := f.account()
		foreign := f.event(other.ID)
		foreign.Kind, foreign.At, foreign.Standing = authz.EventIdentityLinked, at(0), at(1)
		f.happening(j, foreign)
		happen := func(n int, kind authz.EventKind, from, standing int) []contract.NewEvent {
			return f.happen(i, f.fewOf(n, a.ID, func(k int, e *contract.NewEvent) { e.Kind, e.At, e.Standing = kind, at(from+k), at(standing) }))
		}
		want := func(kept ...[]contract.NewEvent) {
			f.Helper()
			want := slices.Concat(kept...)
			slices.Reverse(want)
			f.told(a.ID, want...)
		}
		most := few.Most
		before := happen(3, authz.EventIdentityLinked, 0, 5)
		later := happen(2*most+5, authz.EventBackupSaved, 10, 6)
		want(before, later[most+5:])
		// Those by who was there before push out each other, and the others.
		owners := happen(most-1, authz.EventPasskeyAdded, 5000, 5)
		want(before[2:], later[len(later)-1:], owners)
		latest := happen(1, authz.EventIdentityRemoved, 9000, 5)
		want(owners, latest)
		latest = append(latest, happen(2, authz.EventIdentityRemoved, 9001, 7)...)
		want(owners, latest)
	}},
	{"what did not happen forgets no event", func(f *fixture) {
		a, i := f.account()
		made := f.fewOf(few.Most+1, a.ID, func(int, *contract.NewEvent) {})
		never := made[few.Most]
		made = f.happen(i, made[:few.Most])
		f.refused(f.store.SetProfile(f.Context(), "nobody", i.Profile, never), contract.ErrNotFound)
		f.refused(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: "none", At: at(1), Event: never}), contract.ErrNotFound)
		slices.Reverse(made)
		f.told(a.ID, made...)
	}},
	{"a sign-in beyond the limit ends the oldest session, whatever the clock of the new one", func(f *fixture) {
		a, i := f.account()
		other, j := f.account()
		foreign := f.session(j)
		foreign.CreatedAt = at(-100)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: foreign, Event: anyEvent, Keep: plenty}))
		var made []authz.Session
		for n := range few.Most {
			s := f.session(i)
			s.CreatedAt = at(n)
			made = append(made, s)
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: few}))
		}
		slow := f.session(i)
		slow.CreatedAt = at(-5)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: slow, Event: anyEvent, Keep: few}))
		got, err := f.store.Sessions(f.Context(), a.ID, at(0), many)
		f.ok(err)
		slices.Reverse(made)
		f.same(got, append(made[:few.Most-1:few.Most-1], slow))
		unknown := f.session(i)
		unknown.BAPID = "nobody"
		for _, replaces := range []authz.Hash{{}, slow.Token} {
			f.refused(f.store.CreateSession(f.Context(), contract.NewSession{Session: unknown, Replaces: replaces, Event: anyEvent, Keep: few}), contract.ErrNotFound)
		}
		again, err := f.store.Sessions(f.Context(), a.ID, at(0), many)
		f.ok(err)
		f.same(again, got) // what was refused ends nothing
		after := f.session(i)
		after.CreatedAt = at(9000)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: after, Replaces: got[5].Token, Event: anyEvent, Keep: few}))
		again, err = f.store.Sessions(f.Context(), a.ID, at(0), many)
		f.ok(err)
		f.same(again, slices.Concat([]authz.Session{after}, got[:5], got[6:])) // nor does what takes another's place end more
		got, err = f.store.Sessions(f.Context(), other.ID, at(0), many)
		f.ok(err)
		f.same(got, []authz.Session{foreign})
	}},
	{"of concurrent sign-ins at two servers the newest stay", func(f *fixture) {
		a, i := f.account()
		second := f.connect()
		sessions := make([]authz.Session, few.Most+30)
		for n := range sessions {
			sessions[n] = f.session(i)
		}
		errs := race(len(sessions), func(n int) error {
			return []contract.Store{f.store, second}[n%2].CreateSession(f.Context(), contract.NewSession{Session: sessions[n], Event: anyEvent, Keep: few})
		})
		f.ok(errors.Join(errs...))
		last := f.session(i)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: last, Event: anyEvent, Keep: few}))
		got, err := f.store.Sessions(f.Context(), a.ID, at(0), many)
		f.ok(err)
		f.same(len(got), few.Most)
		_, err = f.store.Session(f.Context(), last.Token, at(0))
		f.ok(err)
	}},
	{"of an account's departures those of who came first are kept", func(f *fixture) {
		_, first := f.account()
		_, stranger := f.account()
		takenOut := func(i, by authz.Identity, since int) authz.Identity {
			f.Helper()
			r := f.removal(i, by)
			r.Since, r.Keep = at(since), few
			f.ok(f.store.RemoveIdentity(f.Context(), r))
			return i
		}
		leave := func(by authz.Identity, since int) authz.Identity {
			f.Helper()
			return takenOut(f.linked(by), by, since)
		}
		known := func(i authz.Identity, n int) {
			f.Helper()
			got, err := f.store.Departures(f.Context(), i.BAPID, many)
			f.ok(err)
			f.same(len(got), n)
		}
		early, foreign, strangers := leave(first, 50), leave(stranger, 9000), leave(stranger, 10)
		var after []authz.Identity
		for n := range few.Most {
			after = append(after, leave(first, 100+n))
		}
		known(after[len(after)-1], 0)
		known(after[len(after)-2], 1)
		earlier := leave(first, 49)
		known(after[len(after)-2], 0)
		foreign.AccountID = first.AccountID
		f.ok(f.store.LinkIdentity(f.Context(), foreign, first.BAPID, many, f.event(first.AccountID)))
		takenOut(foreign, first, 9000) // which is forgotten at once, where it came last
		for _, i := range []authz.Identity{earlier, early, after[0], foreign, strangers} {
			known(i, 1)
		}
	}},
	{"of 40 identities that are linked at once, as many as an account may have are", func(f *fixture) {
		const limit = 20
		a, first := f.account()
		identities := make([]authz.Identity, 40)
		events := make([]contract.NewEvent, len(identities))
		for n := range identities {
			identities[n], events[n] = f.newIdentity(a.ID), f.event(a.ID)
		}
		errs := race(len(identities), func(n int) error {
			return f.store.LinkIdentity(f.Context(), identities[n], first.BAPID, limit, events[n])
		})
		f.count(errs, limit-1, is(contract.ErrFull))
		there, err := f.store.Identities(f.Context(), a.ID, many)
		f.ok(err)
		f.same(len(there), limit)
		told, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
		f.ok(err)
		f.same(len(told), limit-1)
		f.refused(f.store.LinkIdentity(f.Context(), identities[slices.Index(errs, nil)], first.BAPID, limit, f.event(a.ID)), contract.ErrExists)
		f.refused(f.connect().LinkIdentity(f.Context(), f.newIdentity(a.ID), first.BAPID, limit, f.event(a.ID)), contract.ErrFull)
		other, foreign := f.account()
		f.ok(f.store.LinkIdentity(f.Context(), f.newIdentity(other.ID), foreign.BAPID, limit, f.event(other.ID)))
	}},
	{"an account with as many living grants as it may have gets no other, until one is over", func(f *fixture) {
		const living = 20
		approvals := func(n int, i authz.Identity) []contract.Approval {
			made := f.approvals(n, i)
			for k := range made {
				made[k].Living = living
			}
			return made
		}
		_, i := f.account()
		_, j := f.account()
		made := approvals(living-1, i)
		f.all(len(made), func(n int) error { return f.store.ApproveDeviceRequest(f.Context(), made[n]) })
		late := approvals(8, i)
		errs := race(len(late), func(n int) error { return f.store.ApproveDeviceRequest(f.Context(), late[n]) })
		f.count(errs, 1, is(contract.ErrFull))
		told, err := f.store.Events(f.Context(), i.AccountID, contract.Position{}, 1000)
		f.ok(err)
		f.same(len(told), living)
		lost := slices.IndexFunc(errs, is(contract.ErrFull))
		pending, err := f.store.DeviceRequestByID(f.Context(), late[lost].RequestID)
		f.ok(err)
		f.same(pending.StateAt(at(10)), authz.Pending)
		f.noGrant(pending)

		foreign := approvals(1, j)[0]
		f.ok(f.store.ApproveDeviceRequest(f.Context(), foreign))
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: made[0].Grant.ID, At: at(9), Event: anyEvent}))
		f.ok(f.store.ApproveDeviceRequest(f.Context(), late[lost]))
		again := approvals(1, i)[0]
		f.refused(f.store.ApproveDeviceRequest(f.Context(), again), contract.ErrFull)
		again.At, again.Grant.CreatedAt = made[1].Grant.ExpiresAt, made[1].Grant.ExpiresAt // all of them are over
		again.RequestID = f.longPending().ID
		again.Grant.ID = again.RequestID
		f.ok(f.store.ApproveDeviceRequest(f.Context(), again))
	}},
	{"of an account's grants the newest are kept, and those alive, and the tokens of others go", func(f *fixture) {
		_, i := f.account()
		other, foreign := f.issuedWith(func(_ *authz.DeviceRequest, g *authz.Grant) { g.CreatedAt, g.ExpiresAt = at(-9000), at(5) })
		made := f.approvals(few.Most+4, i)
		for n := range made {
			made[n].Grant.CreatedAt, made[n].Grant.ExpiresAt, made[n].Keep = at(n-5000), at(5), few
		}
		made[1].Grant.ExpiresAt = at(10) // when the others are approved
		made[2].Grant.ExpiresAt, made[2].Grant.RevokedAt = at(5000), at(5)
		made[3].Grant.ExpiresAt = at(5000)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), made[0]))
		redeemed, err := f.store.DeviceRequestByID(f.Context(), made[0].RequestID)
		f.ok(err)
		token := authz.RefreshToken{Token: f.hash(), GrantID: redeemed.ID, ExpiresAt: at(5000)}
		f.ok(f.store.RedeemDeviceRequest(f.Context(), contract.Redemption{
			DeviceCode: redeemed.DeviceCode, ClientID: redeemed.ClientID, At: at(10), RefreshToken: &token,
		}))
		rest := made[1:]
		for _, a := range rest {
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		}
		got, err := f.store.Grants(f.Context(), i.AccountID, contract.GrantList{Limit: many})
		f.ok(err)
		var kept []authz.Grant
		for n, a := range slices.Backward(made) {
			if len(kept) < few.Most || n == 3 {
				kept = append(kept, a.Grant)
			}
		}
		f.same(got, kept)
		again := rest[len(rest)-1]
		again.Grant.ID = f.word("grant")
		f.refusedState(f.store.ApproveDeviceRequest(f.Context(), again))
		got, err = f.store.Grants(f.Context(), i.AccountID, contract.GrantList{Limit: many})
		f.ok(err)
		f.same(got, kept) // what was refused makes no room
		_, err = f.store.RefreshToken(f.Context(), token.Token, at(10))
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Grant(f.Context(), other.grant.ID)
		f.ok(err)
		_, err = f.store.RefreshToken(f.Context(), foreign.Token, at(10))
		f.ok(err)
	}},
	{"of an account's reports the newest are kept, others' stay", func(f *fixture) {
		_, i := f.account()
		_, j := f.account()
		denials := f.approvals(few.Most/2+5, i)
		foreign := map[time.Time][]string{
			at(-50): {"client:" + denials[0].RequestID},
			at(800): {"client:w", "client:x", "client:y", "client:z"},
		}
		for when, subjects := range foreign {
			f.report(j.AccountID, when, subjects...)
		}
		for n, d := range denials {
			f.ok(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
				RequestID: d.RequestID, AccountID: i.AccountID, Unclaimed: true, At: at(n), Event: d.Event,
				Reported: []string{"client:" + d.RequestID, "network:" + d.RequestID},
				Keep:     few,
			}))
		}
		got, err := f.store.Reported(f.Context(), "", 1, at(-100))
		f.ok(err)
		var want []string
		for _, d := range denials[5:] {
			want = append(want, "client:"+d.RequestID, "network:"+d.RequestID)
		}
		for _, subjects := range foreign {
			want = append(want, subjects...)
		}
		slices.Sort(want)
		f.same(got, want)
		again := denials[len(denials)-1]
		f.refusedState(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
			RequestID: again.RequestID, AccountID: i.AccountID, Unclaimed: true, At: at(60), Event: f.event(i.AccountID),
			Reported: []string{"client:refused", "network:refused"},
			Keep:     few,
		}))
		got, err = f.store.Reported(f.Context(), "", 1, at(-100))
		f.ok(err)
		f.same(got, want)                                               // what was refused reports nothing, and forgets nothing
		for n, d := range []contract.Approval{denials[5], denials[7]} { // the oldest, and one in the middle
			f.reportKeeping(few, i.AccountID, at(50+n), "client:"+d.RequestID, "network:"+d.RequestID)
			got, err = f.store.Reported(f.Context(), "", 1, at(-100))
			f.ok(err)
			f.same(got, want) // what is reported again takes no more room
		}
	}},
}

// longPending stores a request that is pending for long.
func (f *fixture) longPending() authz.DeviceRequest {
	f.Helper()
	r := f.request()
	r.ExpiresAt = at(1_000_000)
	f.ok(f.store.CreateDeviceRequest(f.Context(), r))
	return r
}
