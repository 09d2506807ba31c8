package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// removal makes the removal of an identity by another.
func (f *fixture) removal(gone, signer authz.Identity) contract.IdentityRemoval {
	return contract.IdentityRemoval{
		AccountID: signer.AccountID, BAPID: gone.BAPID, Signer: signer.BAPID, At: at(30), Since: at(0), Event: f.event(signer.AccountID),
		Keep: plenty,
	}
}

// linked adds an identity to an account.
func (f *fixture) linked(voucher authz.Identity) authz.Identity {
	f.Helper()
	i := f.newIdentity(voucher.AccountID)
	f.ok(f.store.LinkIdentity(f.Context(), i, voucher.BAPID, many, f.event(i.AccountID)))
	return i
}

var removalCases = []testCase{
	{"with an identity goes what it alone carried, and nothing else", func(f *fixture) {
		a, first := f.account()
		_, stranger := f.account()
		second := f.linked(first)
		mine, stays, theirs := f.load(second), f.load(first), f.load(stranger)
		over := f.approval(f.pending(), second)
		over.Grant.ExpiresAt = at(30) // when the identity is removed
		f.ok(f.store.ApproveDeviceRequest(f.Context(), over))
		revoked := f.approval(f.pending(), second)
		f.ok(f.store.ApproveDeviceRequest(f.Context(), revoked))
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: revoked.Grant.ID, At: at(22), Event: anyEvent}))
		for _, x := range []cargo{mine, stays, theirs} {
			f.same(f.alive(x), allOfIt)
		}

		r := f.removal(second, first)
		r.Event.At = at(9999)
		f.ok(f.store.RemoveIdentity(f.Context(), r))
		f.same(f.alive(mine), []string(nil))
		f.same(f.alive(stays), allOfIt)
		f.same(f.alive(theirs), allOfIt)
		latest, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 1)
		f.ok(err)
		f.same(latest, events(r.Event))

		// What is over keeps its time, receipts stay, and no token is renewed.
		over.Grant.RevokedAt, revoked.Grant.RevokedAt = authz.Grant{}.RevokedAt, at(22)
		mine.signed.RevokedAt, mine.signed.LastUsedAt, mine.touched.RevokedAt = at(30), at(20), at(30)
		for _, want := range []authz.Grant{over.Grant, revoked.Grant, mine.signed, mine.touched} {
			got, err := f.store.Grant(f.Context(), want.ID)
			f.ok(err)
			f.same(got, want)
			_, err = f.store.Receipt(f.Context(), want.ID)
			f.ok(err)
		}
		f.refused(f.store.RotateRefreshToken(f.Context(), f.rotation(mine.token, at(31))), contract.ErrNotFound)

		f.refused(f.store.RemoveIdentity(f.Context(), f.removal(second, first)), contract.ErrNotFound)
		again := authz.Account{ID: f.word("account"), CreatedAt: at(40)}
		second.AccountID = again.ID
		f.ok(f.store.CreateAccount(f.Context(), again, second)) // its key begins anew, with nothing
		f.same(f.alive(cargo{identity: second, reviews: mine.reviews, signed: mine.signed, touched: mine.touched}), []string{"identity"})
	}},
	{"what an identity allowed in an account that it left is not alive, and stays as it was, whatever the clocks say", func(f *fixture) {
		_, first := f.account()
		second := f.linked(first)
		left := f.approval(f.pending(), second)
		left.Grant.ExpiresAt, left.Grant.ACR = at(30), authz.ACRPasskey
		f.ok(f.store.ApproveDeviceRequest(f.Context(), left))
		f.ok(f.store.RemoveIdentity(f.Context(), f.removal(second, first)))
		second.AccountID = f.word("account")
		f.ok(f.store.CreateAccount(f.Context(), authz.Account{ID: second.AccountID, CreatedAt: at(40)}, second))
		_, _, err := f.living(left.Grant.ID, at(20))
		f.refused(err, contract.ErrNotFound)
		p := f.added(second)
		f.ok(f.store.RemovePasskey(f.Context(), second.AccountID, p.ID, at(20), f.event(second.AccountID)))
		r := f.removal(second, f.linked(second))
		r.At = at(20)
		f.ok(f.store.RemoveIdentity(f.Context(), r))
		got, err := f.store.Grant(f.Context(), left.Grant.ID)
		f.ok(err)
		f.same(got, left.Grant)
	}},
	{"an identity is removed by another of its account, not by itself, and never the last", func(f *fixture) {
		a, first := f.account()
		_, stranger := f.account()
		second := f.linked(first)
		mine := f.load(second)
		before, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
		f.ok(err)
		foreign := stranger
		foreign.AccountID = a.ID
		for _, r := range []contract.IdentityRemoval{
			f.removal(second, second), f.removal(second, stranger), f.removal(second, foreign), f.removal(stranger, first),
			f.removal(second, authz.Identity{AccountID: a.ID}), f.removal(authz.Identity{BAPID: "nobody"}, first),
			f.removal(second, authz.Identity{AccountID: "nobody", BAPID: first.BAPID}),
		} {
			f.refused(f.store.RemoveIdentity(f.Context(), r), contract.ErrNotFound)
		}
		f.same(f.alive(mine), allOfIt)
		after, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
		f.ok(err)
		f.same(after, before)
		f.ok(f.store.RemoveIdentity(f.Context(), f.removal(second, first)))
		f.refused(f.store.RemoveIdentity(f.Context(), f.removal(first, second)), contract.ErrNotFound)
		f.refused(f.store.RemoveIdentity(f.Context(), f.removal(first, first)), contract.ErrNotFound)
		left, err := f.store.Identities(f.Context(), a.ID, many)
		f.ok(err)
		f.same(left, []authz.Identity{first})
	}},
	{"an identity that is removed leaves its departure, which goes with no new link and is older for no later one", func(f *fixture) {
		a, first := f.account()
		second := f.linked(first)
		far, third := f.account()
		want := func(i authz.Identity, all ...authz.Departure) {
			f.Helper()
			for _, s := range []contract.Store{f.store, f.connect()} {
				got, err := s.Departures(f.Context(), i.BAPID, many)
				f.ok(err)
				if len(got) != 0 || len(all) != 0 {
					f.same(got, all)
				}
			}
		}
		leave := func(i, by authz.Identity, since, left int) authz.Departure {
			f.Helper()
			r := f.removal(i, by)
			r.Since, r.At, r.Network = at(since), at(left), f.word("network")
			f.ok(f.store.RemoveIdentity(f.Context(), r))
			return authz.Departure{BAPID: i.BAPID, AccountID: by.AccountID, Since: at(since), LeftAt: at(left), By: by.BAPID, Network: r.Network}
		}
		refused := f.removal(second, second)
		f.refused(f.store.RemoveIdentity(f.Context(), refused), contract.ErrNotFound)
		want(second)
		here := leave(second, first, 3, 30)
		want(second, here)
		want(first)

		second.Since, second.AccountID = at(3), a.ID
		f.ok(f.store.LinkIdentity(f.Context(), second, first.BAPID, many, f.event(a.ID)))
		got, err := f.store.Identity(f.Context(), second.BAPID)
		f.ok(err)
		f.same(got, second)
		want(second, here)
		again := leave(second, first, 25, 40) // as who does not know when it first came
		again.Since = at(3)
		want(second, again)
		f.ok(f.store.LinkIdentity(f.Context(), second, first.BAPID, many, f.event(a.ID)))
		again = leave(second, first, 2, 50)
		want(second, again)

		second.AccountID, second.Since = far.ID, at(0).Add(-time.Millisecond)
		f.ok(f.store.LinkIdentity(f.Context(), second, third.BAPID, many, f.event(far.ID)))
		there := leave(second, third, 1, 60) // the account that it came into first is first
		want(second, there, again)
		second.AccountID, second.Since = f.word("account"), at(-70)
		f.ok(f.store.CreateAccount(f.Context(), authz.Account{ID: second.AccountID, CreatedAt: at(70)}, second))
		got, err = f.store.Identity(f.Context(), second.BAPID)
		f.ok(err)
		f.same(got, second)
		want(second, there, again)

		// They go with the events of their time.
		for _, sweep := range []struct {
			before int
			left   []authz.Departure
		}{{50, []authz.Departure{there, again}}, {51, []authz.Departure{there}}, {60, []authz.Departure{there}}, {61, nil}} {
			_, err := f.store.Sweep(f.Context(), contract.SweepTimes{Events: at(sweep.before)}, 100)
			f.ok(err)
			want(second, sweep.left...)
		}
	}},
	{"of identities that remove each other at once one stays, on two servers too", func(f *fixture) {
		stores := []contract.Store{f.store, f.connect()}
		for range 5 {
			a, first := f.account()
			all := []authz.Identity{first, f.linked(first), f.linked(first)}
			errs := race(2*len(all), func(n int) error { // each removes both others
				gone, signer := all[n%3], all[(n+1+n/3)%3]
				return stores[n%2].RemoveIdentity(f.Context(), contract.IdentityRemoval{AccountID: a.ID, BAPID: gone.BAPID, Signer: signer.BAPID, At: at(30), Event: anyEvent, Keep: plenty})
			})
			f.count(errs, 2, is(contract.ErrNotFound))
			left, err := f.store.Identities(f.Context(), a.ID, many)
			f.ok(err)
			f.same(len(left), 1)
		}
	}},
	{"what is done as an identity while it is removed is done before, or not at all, on two servers too", func(f *fixture) {
		stores := []contract.Store{f.store, f.connect()}
		for range 3 {
			a, first := f.account()
			gone := f.linked(first)
			there := f.added(gone, func(p *authz.Passkey) { p.SignCount = 0 })
			byKey, byTouch := contract.NewSession{Session: f.session(gone), SignedInBefore: at(1), Event: anyEvent, Keep: plenty}, f.signIn(there, 0)
			passkey, backup, linked := f.passkey(gone), f.backup(gone), f.newIdentity(a.ID)
			signed, touched := f.approval(f.pending(), gone), f.approval(f.pending(), gone)
			touched.Grant.Passkey = there.ID
			doings := []func(s contract.Store) error{
				func(s contract.Store) error {
					return s.RemoveIdentity(f.Context(), contract.IdentityRemoval{AccountID: a.ID, BAPID: gone.BAPID, Signer: first.BAPID, At: at(30), Event: anyEvent, Keep: plenty})
				},
				func(s contract.Store) error { return s.CreateSession(f.Context(), byKey) },
				func(s contract.Store) error { return s.CreateSession(f.Context(), byTouch) },
				func(s contract.Store) error { return s.AddPasskey(f.Context(), passkey, 100, anyEvent) },
				func(s contract.Store) error { return s.SaveBackup(f.Context(), backup, first.BAPID, anyEvent) },
				func(s contract.Store) error { return s.LinkIdentity(f.Context(), linked, gone.BAPID, many, anyEvent) },
				func(s contract.Store) error { return s.ApproveDeviceRequest(f.Context(), signed) },
				func(s contract.Store) error { return s.ApproveDeviceRequest(f.Context(), touched) },
			}
			errs := race(len(doings), func(n int) error { return doings[n](stores[n%2]) })
			f.ok(errs[0])
			for _, err := range errs[1:] {
				if err != nil {
					f.same(contract.Promised(err), true)
				}
			}
			f.same(f.alive(cargo{
				identity: gone, byKey: byKey.Session, byTouch: byTouch.Session, passkey: passkey,
				reviews: []authz.Review{f.review(), f.review()}, signed: signed.Grant, touched: touched.Grant,
			}), []string(nil))
			_, err := f.store.Identity(f.Context(), linked.BAPID)
			f.refused(err, errs[5])
		}
	}},
	{"with a passkey go its sessions and what they allowed, and nothing else", func(f *fixture) {
		a, i := f.account()
		second := f.linked(i)
		mine, other, stays := f.load(i), f.load(second), f.added(i)
		kept := f.signIn(stays, stays.SignCount+1)
		f.ok(f.store.CreateSession(f.Context(), kept))
		allowed, over, revoked := f.approval(f.pending(), i), f.approval(f.pending(), i), f.approval(f.pending(), i)
		allowed.Grant.Passkey, allowed.Grant.ACR = stays.ID, authz.ACRPasskey
		over.Grant.Passkey, over.Grant.ExpiresAt = mine.passkey.ID, at(30) // when the passkey is removed
		revoked.Grant.Passkey, revoked.Grant.RevokedAt = mine.passkey.ID, at(22)
		for _, a := range []contract.Approval{allowed, over, revoked} {
			f.ok(f.store.ApproveDeviceRequest(f.Context(), a))
		}
		e := f.event(a.ID)
		e.At = at(9999)
		f.ok(f.store.RemovePasskey(f.Context(), a.ID, mine.passkey.ID, at(30), e))
		f.same(f.alive(mine), []string{"backup", "grant by key", "identity", "review by key", "session by key"})
		f.same(f.alive(other), allOfIt)
		_, err := f.store.Session(f.Context(), kept.Session.Token, at(0))
		f.ok(err)
		latest, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 1)
		f.ok(err)
		f.same(latest, events(e))
		mine.touched.RevokedAt = at(30)
		for _, want := range []authz.Grant{mine.touched, allowed.Grant, over.Grant, revoked.Grant} {
			got, err := f.store.Grant(f.Context(), want.ID)
			f.ok(err)
			f.same(got, want)
		}
	}},
	{"with a passkey go sessions and grants of which nobody noted which passkey it was", func(f *fixture) {
		a, i := f.account()
		second := f.linked(i)
		p := f.added(i)
		old, others := f.session(i), f.session(second)
		old.Passkey, others.Passkey = "", ""
		unknown, foreign := f.approval(f.pending(), i), f.approval(f.pending(), second)
		unknown.Grant.ACR, foreign.Grant.ACR = authz.ACRPasskey, authz.ACRPasskey
		for _, s := range []authz.Session{old, others} {
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		}
		for _, approval := range []contract.Approval{unknown, foreign} {
			f.ok(f.store.ApproveDeviceRequest(f.Context(), approval))
		}
		f.ok(f.store.RemovePasskey(f.Context(), a.ID, p.ID, at(30), f.event(a.ID)))
		for _, x := range []struct {
			s    authz.Session
			g    authz.Grant
			want error
		}{{old, unknown.Grant, contract.ErrNotFound}, {others, foreign.Grant, nil}} {
			_, err := f.store.Session(f.Context(), x.s.Token, at(0))
			f.refused(err, x.want)
			_, _, err = f.living(x.g.ID, at(40))
			f.refused(err, x.want)
		}
	}},
	{"what is done with a passkey while it is removed is done before, or not at all, on two servers too", func(f *fixture) {
		stores := []contract.Store{f.store, f.connect()}
		for range 5 {
			a, i := f.account()
			p := f.added(i, func(p *authz.Passkey) { p.SignCount = 0 })
			approvals, sessions := make([]contract.Approval, 6), make([]contract.NewSession, 6)
			for n := range approvals {
				approvals[n], sessions[n] = f.approval(f.pending(), i), f.signIn(p, 0)
				approvals[n].Grant.Passkey = p.ID
			}
			errs := race(13, func(n int) error {
				switch s := stores[n/2%2]; {
				case n == 12:
					return s.RemovePasskey(f.Context(), a.ID, p.ID, at(30), anyEvent)
				case n%2 == 0:
					return s.ApproveDeviceRequest(f.Context(), approvals[n/2])
				default:
					return s.CreateSession(f.Context(), sessions[n/2])
				}
			})
			f.ok(errs[12])
			for n := range approvals {
				if errs[2*n] != nil {
					f.refused(errs[2*n], contract.ErrGone)
				}
				_, _, err := f.living(approvals[n].Grant.ID, at(40))
				f.refused(err, contract.ErrNotFound)
				_, err = f.store.Session(f.Context(), sessions[n].Session.Token, at(0))
				f.refused(err, contract.ErrNotFound)
			}
		}
	}},
}
