package storagetest

import (
	"errors"
	"slices"
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

// fewOf makes events of which few are kept.
func (b *bench) fewOf(n int, accountID string, edit func(i int, e *authz.NewEvent)) []authz.NewEvent {
	made := make([]authz.NewEvent, n)
	for i := range made {
		made[i] = b.event(accountID)
		made[i].Keep = few
		edit(i, &made[i])
	}
	return made
}

// happen stores events, one after the other.
func (b *bench) happen(i authz.Identity, all []authz.NewEvent) []authz.NewEvent {
	b.Helper()
	for _, e := range all {
		b.happening(i, e)
	}
	return all
}

var boundCases = []testCase{
	{"of an account's events the newest are kept, others' stay", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		foreign := b.event(other.ID)
		b.happening(j, foreign)
		made := b.happen(i, b.fewOf(few.Most+6, a.ID, func(n int, e *authz.NewEvent) { e.At = at(n) }))
		slices.Reverse(made)
		b.told(a.ID, made[:few.Most]...)
		b.told(other.ID, foreign)
	}},
	{"events of ways are forgotten for events of ways alone, of their account", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		foreign := b.event(other.ID)
		foreign.Kind, foreign.At = authz.EventBackupSaved, at(-1000)
		b.happening(j, foreign)
		happen := func(n int, kind authz.EventKind, from int) []authz.NewEvent {
			return b.happen(i, b.fewOf(n, a.ID, func(k int, e *authz.NewEvent) { e.Kind, e.At = kind, at(from+k) }))
		}
		want := func(kept ...[]authz.NewEvent) {
			b.Helper()
			want := slices.Concat(kept...)
			slices.Reverse(want)
			b.told(a.ID, want...)
		}
		var ways []authz.NewEvent
		for k, kind := range authz.WayEvents {
			ways = append(ways, happen(1, kind, k)...)
		}
		cheap := happen(few.Most+6, authz.EventSignedIn, 100)
		want(ways, cheap[6:])
		more := happen(few.Most+6, authz.EventBackupSaved, 5000)
		want(more[6:])
		never := b.event(a.ID)
		never.Kind, never.At = authz.EventBackupSaved, at(9000)
		b.refused(b.store.SetProfile(b.Context(), "nobody", i.Profile, never), authz.ErrNotFound)
		want(more[6:])
		b.told(other.ID, foreign)
		cheap = happen(10, authz.EventSignedIn, 10000)
		want(more[6:], cheap)
	}},
	{"events of ways by who came later push out none by who was there before", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		foreign := b.event(other.ID)
		foreign.Kind, foreign.At, foreign.Standing = authz.EventIdentityLinked, at(0), at(1)
		b.happening(j, foreign)
		happen := func(n int, kind authz.EventKind, from, standing int) []authz.NewEvent {
			return b.happen(i, b.fewOf(n, a.ID, func(k int, e *authz.NewEvent) { e.Kind, e.At, e.Standing = kind, at(from+k), at(standing) }))
		}
		want := func(kept ...[]authz.NewEvent) {
			b.Helper()
			want := slices.Concat(kept...)
			slices.Reverse(want)
			b.told(a.ID, want...)
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
	{"what did not happen forgets no event", func(b *bench) {
		a, i := b.account()
		made := b.fewOf(few.Most+1, a.ID, func(int, *authz.NewEvent) {})
		never := made[few.Most]
		made = b.happen(i, made[:few.Most])
		b.refused(b.store.SetProfile(b.Context(), "nobody", i.Profile, never), authz.ErrNotFound)
		b.refused(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: "none", At: at(1), Event: never}), authz.ErrNotFound)
		slices.Reverse(made)
		b.told(a.ID, made...)
	}},
	{"a sign-in beyond the limit ends the oldest session, whatever the clock of the new one", func(b *bench) {
		a, i := b.account()
		other, j := b.account()
		foreign := b.session(j)
		foreign.CreatedAt = at(-100)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: foreign, Event: anyEvent, Keep: plenty}))
		var made []authz.Session
		for n := range few.Most {
			s := b.session(i)
			s.CreatedAt = at(n)
			made = append(made, s)
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: few}))
		}
		slow := b.session(i)
		slow.CreatedAt = at(-5)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: slow, Event: anyEvent, Keep: few}))
		got, err := b.store.Sessions(b.Context(), a.ID, at(0), many)
		b.ok(err)
		slices.Reverse(made)
		b.same(got, append(made[:few.Most-1:few.Most-1], slow))
		unknown := b.session(i)
		unknown.BAPID = "nobody"
		for _, replaces := range []authz.Hash{{}, slow.Token} {
			b.refused(b.store.CreateSession(b.Context(), authz.NewSession{Session: unknown, Replaces: replaces, Event: anyEvent, Keep: few}), authz.ErrNotFound)
		}
		again, err := b.store.Sessions(b.Context(), a.ID, at(0), many)
		b.ok(err)
		b.same(again, got) // what was refused ends nothing
		after := b.session(i)
		after.CreatedAt = at(9000)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: after, Replaces: got[5].Token, Event: anyEvent, Keep: few}))
		again, err = b.store.Sessions(b.Context(), a.ID, at(0), many)
		b.ok(err)
		b.same(again, slices.Concat([]authz.Session{after}, got[:5], got[6:])) // nor does what takes another's place end more
		got, err = b.store.Sessions(b.Context(), other.ID, at(0), many)
		b.ok(err)
		b.same(got, []authz.Session{foreign})
	}},
	{"of concurrent sign-ins at two servers the newest stay", func(b *bench) {
		a, i := b.account()
		second := b.connect()
		sessions := make([]authz.Session, few.Most+30)
		for n := range sessions {
			sessions[n] = b.session(i)
		}
		errs := race(len(sessions), func(n int) error {
			return []authz.Store{b.store, second}[n%2].CreateSession(b.Context(), authz.NewSession{Session: sessions[n], Event: anyEvent, Keep: few})
		})
		b.ok(errors.Join(errs...))
		last := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: last, Event: anyEvent, Keep: few}))
		got, err := b.store.Sessions(b.Context(), a.ID, at(0), many)
		b.ok(err)
		b.same(len(got), few.Most)
		_, err = b.store.Session(b.Context(), last.Token, at(0))
		b.ok(err)
	}},
	{"of an account's departures those of who came first are kept", func(b *bench) {
		_, first := b.account()
		_, stranger := b.account()
		takenOut := func(i, by authz.Identity, since int) authz.Identity {
			b.Helper()
			r := b.removal(i, by)
			r.Since, r.Keep = at(since), few
			b.ok(b.store.RemoveIdentity(b.Context(), r))
			return i
		}
		leave := func(by authz.Identity, since int) authz.Identity {
			b.Helper()
			return takenOut(b.linked(by), by, since)
		}
		known := func(i authz.Identity, n int) {
			b.Helper()
			got, err := b.store.Departures(b.Context(), i.BAPID, many)
			b.ok(err)
			b.same(len(got), n)
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
		b.ok(b.store.LinkIdentity(b.Context(), foreign, first.BAPID, many, b.event(first.AccountID)))
		takenOut(foreign, first, 9000) // which is forgotten at once, where it came last
		for _, i := range []authz.Identity{earlier, early, after[0], foreign, strangers} {
			known(i, 1)
		}
	}},
	{"of 40 identities that are linked at once, as many as an account may have are", func(b *bench) {
		const limit = 20
		a, first := b.account()
		identities := make([]authz.Identity, 40)
		events := make([]authz.NewEvent, len(identities))
		for n := range identities {
			identities[n], events[n] = b.newIdentity(a.ID), b.event(a.ID)
		}
		errs := race(len(identities), func(n int) error {
			return b.store.LinkIdentity(b.Context(), identities[n], first.BAPID, limit, events[n])
		})
		b.count(errs, limit-1, is(authz.ErrFull))
		there, err := b.store.Identities(b.Context(), a.ID, many)
		b.ok(err)
		b.same(len(there), limit)
		told, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		b.same(len(told), limit-1)
		b.refused(b.store.LinkIdentity(b.Context(), identities[slices.Index(errs, nil)], first.BAPID, limit, b.event(a.ID)), authz.ErrExists)
		b.refused(b.connect().LinkIdentity(b.Context(), b.newIdentity(a.ID), first.BAPID, limit, b.event(a.ID)), authz.ErrFull)
		other, foreign := b.account()
		b.ok(b.store.LinkIdentity(b.Context(), b.newIdentity(other.ID), foreign.BAPID, limit, b.event(other.ID)))
	}},
	{"an account with as many living grants as it may have gets no other, until one is over", func(b *bench) {
		const living = 20
		approvals := func(n int, i authz.Identity) []authz.Approval {
			made := b.approvals(n, i)
			for k := range made {
				made[k].Living = living
			}
			return made
		}
		_, i := b.account()
		_, j := b.account()
		made := approvals(living-1, i)
		b.all(len(made), func(n int) error { return b.store.ApproveDeviceRequest(b.Context(), made[n]) })
		late := approvals(8, i)
		errs := race(len(late), func(n int) error { return b.store.ApproveDeviceRequest(b.Context(), late[n]) })
		b.count(errs, 1, is(authz.ErrFull))
		told, err := b.store.Events(b.Context(), i.AccountID, authz.Position{}, 1000)
		b.ok(err)
		b.same(len(told), living)
		lost := slices.IndexFunc(errs, is(authz.ErrFull))
		pending, err := b.store.DeviceRequestByID(b.Context(), late[lost].RequestID)
		b.ok(err)
		b.same(pending.StateAt(at(10)), authz.Pending)
		b.noGrant(pending)

		foreign := approvals(1, j)[0]
		b.ok(b.store.ApproveDeviceRequest(b.Context(), foreign))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: made[0].Grant.ID, At: at(9), Event: anyEvent}))
		b.ok(b.store.ApproveDeviceRequest(b.Context(), late[lost]))
		again := approvals(1, i)[0]
		b.refused(b.store.ApproveDeviceRequest(b.Context(), again), authz.ErrFull)
		again.At, again.Grant.CreatedAt = made[1].Grant.ExpiresAt, made[1].Grant.ExpiresAt // all of them are over
		again.RequestID = b.longPending().ID
		again.Grant.ID = again.RequestID
		b.ok(b.store.ApproveDeviceRequest(b.Context(), again))
	}},
	{"of an account's grants the newest are kept, and those alive, and the tokens of others go", func(b *bench) {
		_, i := b.account()
		other, foreign := b.issuedWith(func(_ *authz.DeviceRequest, g *authz.Grant) { g.CreatedAt, g.ExpiresAt = at(-9000), at(5) })
		made := b.approvals(few.Most+4, i)
		for n := range made {
			made[n].Grant.CreatedAt, made[n].Grant.ExpiresAt, made[n].Keep = at(n-5000), at(5), few
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
		for _, a := range rest {
			b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
		}
		got, err := b.store.Grants(b.Context(), i.AccountID, authz.GrantList{Limit: many})
		b.ok(err)
		var kept []authz.Grant
		for n, a := range slices.Backward(made) {
			if len(kept) < few.Most || n == 3 {
				kept = append(kept, a.Grant)
			}
		}
		b.same(got, kept)
		again := rest[len(rest)-1]
		again.Grant.ID = b.word("grant")
		b.refusedState(b.store.ApproveDeviceRequest(b.Context(), again))
		got, err = b.store.Grants(b.Context(), i.AccountID, authz.GrantList{Limit: many})
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
		denials := b.approvals(few.Most/2+5, i)
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
				Keep:     few,
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
			Keep:     few,
		}))
		got, err = b.store.Reported(b.Context(), "", 1, at(-100))
		b.ok(err)
		b.same(got, want)                                            // what was refused reports nothing, and forgets nothing
		for n, d := range []authz.Approval{denials[5], denials[7]} { // the oldest, and one in the middle
			b.reportKeeping(few, i.AccountID, at(50+n), "client:"+d.RequestID, "network:"+d.RequestID)
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
