package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
)

// removal makes the removal of an identity by another.
func (b *bench) removal(gone, signer authz.Identity) authz.IdentityRemoval {
	return authz.IdentityRemoval{
		AccountID: signer.AccountID, BAPID: gone.BAPID, Signer: signer.BAPID, At: at(30), Since: at(0), Event: b.event(signer.AccountID),
		Keep: plenty,
	}
}

// linked adds an identity to an account.
func (b *bench) linked(voucher authz.Identity) authz.Identity {
	b.Helper()
	i := b.newIdentity(voucher.AccountID)
	b.ok(b.store.LinkIdentity(b.Context(), i, voucher.BAPID, many, b.event(i.AccountID)))
	return i
}

var removalCases = []testCase{
	{"with an identity goes what it alone carried, and nothing else", func(b *bench) {
		a, first := b.account()
		_, stranger := b.account()
		second := b.linked(first)
		mine, stays, theirs := b.load(second), b.load(first), b.load(stranger)
		over := b.approval(b.pending(), second)
		over.Grant.ExpiresAt = at(30) // when the identity is removed
		b.ok(b.store.ApproveDeviceRequest(b.Context(), over))
		revoked := b.approval(b.pending(), second)
		b.ok(b.store.ApproveDeviceRequest(b.Context(), revoked))
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: revoked.Grant.ID, At: at(22), Event: anyEvent}))
		for _, x := range []cargo{mine, stays, theirs} {
			b.same(b.alive(x), allOfIt)
		}

		r := b.removal(second, first)
		r.Event.At = at(9999)
		b.ok(b.store.RemoveIdentity(b.Context(), r))
		b.same(b.alive(mine), []string(nil))
		b.same(b.alive(stays), allOfIt)
		b.same(b.alive(theirs), allOfIt)
		latest, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 1)
		b.ok(err)
		b.same(latest, events(r.Event))

		// What is over keeps its time, receipts stay, and no token is renewed.
		over.Grant.RevokedAt, revoked.Grant.RevokedAt = authz.Grant{}.RevokedAt, at(22)
		mine.signed.RevokedAt, mine.signed.LastUsedAt, mine.touched.RevokedAt = at(30), at(20), at(30)
		for _, want := range []authz.Grant{over.Grant, revoked.Grant, mine.signed, mine.touched} {
			got, err := b.store.Grant(b.Context(), want.ID)
			b.ok(err)
			b.same(got, want)
			_, err = b.store.Receipt(b.Context(), want.ID)
			b.ok(err)
		}
		b.refused(b.store.RotateRefreshToken(b.Context(), b.rotation(mine.token, at(31))), authz.ErrNotFound)

		b.refused(b.store.RemoveIdentity(b.Context(), b.removal(second, first)), authz.ErrNotFound)
		again := authz.Account{ID: b.word("account"), CreatedAt: at(40)}
		second.AccountID = again.ID
		b.ok(b.store.CreateAccount(b.Context(), again, second)) // its key begins anew, with nothing
		b.same(b.alive(cargo{identity: second, reviews: mine.reviews, signed: mine.signed, touched: mine.touched}), []string{"identity"})
	}},
	{"what an identity allowed in an account that it left is not alive, and stays as it was, whatever the clocks say", func(b *bench) {
		_, first := b.account()
		second := b.linked(first)
		left := b.approval(b.pending(), second)
		left.Grant.ExpiresAt, left.Grant.ACR = at(30), authz.ACRPasskey
		b.ok(b.store.ApproveDeviceRequest(b.Context(), left))
		b.ok(b.store.RemoveIdentity(b.Context(), b.removal(second, first)))
		second.AccountID = b.word("account")
		b.ok(b.store.CreateAccount(b.Context(), authz.Account{ID: second.AccountID, CreatedAt: at(40)}, second))
		_, _, err := b.store.LiveGrant(b.Context(), left.Grant.ID, at(20))
		b.refused(err, authz.ErrNotFound)
		p := b.added(second)
		b.ok(b.store.RemovePasskey(b.Context(), second.AccountID, p.ID, at(20), b.event(second.AccountID)))
		r := b.removal(second, b.linked(second))
		r.At = at(20)
		b.ok(b.store.RemoveIdentity(b.Context(), r))
		got, err := b.store.Grant(b.Context(), left.Grant.ID)
		b.ok(err)
		b.same(got, left.Grant)
	}},
	{"an identity is removed by another of its account, not by itself, and never the last", func(b *bench) {
		a, first := b.account()
		_, stranger := b.account()
		second := b.linked(first)
		mine := b.load(second)
		before, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		foreign := stranger
		foreign.AccountID = a.ID
		for _, r := range []authz.IdentityRemoval{
			b.removal(second, second), b.removal(second, stranger), b.removal(second, foreign), b.removal(stranger, first),
			b.removal(second, authz.Identity{AccountID: a.ID}), b.removal(authz.Identity{BAPID: "nobody"}, first),
			b.removal(second, authz.Identity{AccountID: "nobody", BAPID: first.BAPID}),
		} {
			b.refused(b.store.RemoveIdentity(b.Context(), r), authz.ErrNotFound)
		}
		b.same(b.alive(mine), allOfIt)
		after, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		b.same(after, before)
		b.ok(b.store.RemoveIdentity(b.Context(), b.removal(second, first)))
		b.refused(b.store.RemoveIdentity(b.Context(), b.removal(first, second)), authz.ErrNotFound)
		b.refused(b.store.RemoveIdentity(b.Context(), b.removal(first, first)), authz.ErrNotFound)
		left, err := b.store.Identities(b.Context(), a.ID, many)
		b.ok(err)
		b.same(left, []authz.Identity{first})
	}},
	{"an identity that is removed leaves its departure, which goes with no new link and is older for no later one", func(b *bench) {
		a, first := b.account()
		second := b.linked(first)
		far, third := b.account()
		want := func(i authz.Identity, all ...authz.Departure) {
			b.Helper()
			for _, s := range []authz.Store{b.store, b.connect()} {
				got, err := s.Departures(b.Context(), i.BAPID, many)
				b.ok(err)
				if len(got) != 0 || len(all) != 0 {
					b.same(got, all)
				}
			}
		}
		leave := func(i, by authz.Identity, since, left int) authz.Departure {
			b.Helper()
			r := b.removal(i, by)
			r.Since, r.At, r.Network = at(since), at(left), b.word("network")
			b.ok(b.store.RemoveIdentity(b.Context(), r))
			return authz.Departure{BAPID: i.BAPID, AccountID: by.AccountID, Since: at(since), LeftAt: at(left), By: by.BAPID, Network: r.Network}
		}
		refused := b.removal(second, second)
		b.refused(b.store.RemoveIdentity(b.Context(), refused), authz.ErrNotFound)
		want(second)
		here := leave(second, first, 3, 30)
		want(second, here)
		want(first)

		second.Since, second.AccountID = at(3), a.ID
		b.ok(b.store.LinkIdentity(b.Context(), second, first.BAPID, many, b.event(a.ID)))
		got, err := b.store.Identity(b.Context(), second.BAPID)
		b.ok(err)
		b.same(got, second)
		want(second, here)
		again := leave(second, first, 25, 40) // as who does not know when it first came
		again.Since = at(3)
		want(second, again)
		b.ok(b.store.LinkIdentity(b.Context(), second, first.BAPID, many, b.event(a.ID)))
		again = leave(second, first, 2, 50)
		want(second, again)

		second.AccountID, second.Since = far.ID, at(0).Add(-time.Millisecond)
		b.ok(b.store.LinkIdentity(b.Context(), second, third.BAPID, many, b.event(far.ID)))
		there := leave(second, third, 1, 60) // the account that it came into first is first
		want(second, there, again)
		second.AccountID, second.Since = b.word("account"), at(-70)
		b.ok(b.store.CreateAccount(b.Context(), authz.Account{ID: second.AccountID, CreatedAt: at(70)}, second))
		got, err = b.store.Identity(b.Context(), second.BAPID)
		b.ok(err)
		b.same(got, second)
		want(second, there, again)

		// They go with the events of their time.
		for _, sweep := range []struct {
			before int
			left   []authz.Departure
		}{{50, []authz.Departure{there, again}}, {51, []authz.Departure{there}}, {60, []authz.Departure{there}}, {61, nil}} {
			_, err := b.store.Sweep(b.Context(), authz.SweepTimes{Events: at(sweep.before)}, 100)
			b.ok(err)
			want(second, sweep.left...)
		}
	}},
	{"of identities that remove each other at once one stays, on two servers too", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		for range 5 {
			a, first := b.account()
			all := []authz.Identity{first, b.linked(first), b.linked(first)}
			errs := race(2*len(all), func(n int) error { // each removes both others
				gone, signer := all[n%3], all[(n+1+n/3)%3]
				return stores[n%2].RemoveIdentity(b.Context(), authz.IdentityRemoval{AccountID: a.ID, BAPID: gone.BAPID, Signer: signer.BAPID, At: at(30), Event: anyEvent, Keep: plenty})
			})
			b.count(errs, 2, is(authz.ErrNotFound))
			left, err := b.store.Identities(b.Context(), a.ID, many)
			b.ok(err)
			b.same(len(left), 1)
		}
	}},
	{"what is done as an identity while it is removed is done before, or not at all, on two servers too", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		for range 3 {
			a, first := b.account()
			gone := b.linked(first)
			there := b.added(gone, func(p *authz.Passkey) { p.SignCount = 0 })
			byKey, byTouch := authz.NewSession{Session: b.session(gone), SignedInBefore: at(1), Event: anyEvent, Keep: plenty}, b.signIn(there, 0)
			passkey, backup, linked := b.passkey(gone), b.backup(gone), b.newIdentity(a.ID)
			signed, touched := b.approval(b.pending(), gone), b.approval(b.pending(), gone)
			touched.Grant.Passkey = there.ID
			doings := []func(s authz.Store) error{
				func(s authz.Store) error {
					return s.RemoveIdentity(b.Context(), authz.IdentityRemoval{AccountID: a.ID, BAPID: gone.BAPID, Signer: first.BAPID, At: at(30), Event: anyEvent, Keep: plenty})
				},
				func(s authz.Store) error { return s.CreateSession(b.Context(), byKey) },
				func(s authz.Store) error { return s.CreateSession(b.Context(), byTouch) },
				func(s authz.Store) error { return s.AddPasskey(b.Context(), passkey, 100, anyEvent) },
				func(s authz.Store) error { return s.SaveBackup(b.Context(), backup, first.BAPID, anyEvent) },
				func(s authz.Store) error { return s.LinkIdentity(b.Context(), linked, gone.BAPID, many, anyEvent) },
				func(s authz.Store) error { return s.ApproveDeviceRequest(b.Context(), signed) },
				func(s authz.Store) error { return s.ApproveDeviceRequest(b.Context(), touched) },
			}
			errs := race(len(doings), func(n int) error { return doings[n](stores[n%2]) })
			b.ok(errs[0])
			for _, err := range errs[1:] {
				if err != nil {
					b.same(authz.Promised(err), true)
				}
			}
			b.same(b.alive(cargo{
				identity: gone, byKey: byKey.Session, byTouch: byTouch.Session, passkey: passkey,
				reviews: []authz.Review{b.review(), b.review()}, signed: signed.Grant, touched: touched.Grant,
			}), []string(nil))
			_, err := b.store.Identity(b.Context(), linked.BAPID)
			b.refused(err, errs[5])
		}
	}},
	{"with a passkey go its sessions and what they allowed, and nothing else", func(b *bench) {
		a, i := b.account()
		second := b.linked(i)
		mine, other, stays := b.load(i), b.load(second), b.added(i)
		kept := b.signIn(stays, stays.SignCount+1)
		b.ok(b.store.CreateSession(b.Context(), kept))
		allowed, over, revoked := b.approval(b.pending(), i), b.approval(b.pending(), i), b.approval(b.pending(), i)
		allowed.Grant.Passkey, allowed.Grant.ACR = stays.ID, authz.ACRPasskey
		over.Grant.Passkey, over.Grant.ExpiresAt = mine.passkey.ID, at(30) // when the passkey is removed
		revoked.Grant.Passkey, revoked.Grant.RevokedAt = mine.passkey.ID, at(22)
		for _, a := range []authz.Approval{allowed, over, revoked} {
			b.ok(b.store.ApproveDeviceRequest(b.Context(), a))
		}
		e := b.event(a.ID)
		e.At = at(9999)
		b.ok(b.store.RemovePasskey(b.Context(), a.ID, mine.passkey.ID, at(30), e))
		b.same(b.alive(mine), []string{"backup", "grant by key", "identity", "review by key", "session by key"})
		b.same(b.alive(other), allOfIt)
		_, err := b.store.Session(b.Context(), kept.Session.Token, at(0))
		b.ok(err)
		latest, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 1)
		b.ok(err)
		b.same(latest, events(e))
		mine.touched.RevokedAt = at(30)
		for _, want := range []authz.Grant{mine.touched, allowed.Grant, over.Grant, revoked.Grant} {
			got, err := b.store.Grant(b.Context(), want.ID)
			b.ok(err)
			b.same(got, want)
		}
	}},
	{"with a passkey go sessions and grants of which nobody noted which passkey it was", func(b *bench) {
		a, i := b.account()
		second := b.linked(i)
		p := b.added(i)
		old, others := b.session(i), b.session(second)
		old.Passkey, others.Passkey = "", ""
		unknown, foreign := b.approval(b.pending(), i), b.approval(b.pending(), second)
		unknown.Grant.ACR, foreign.Grant.ACR = authz.ACRPasskey, authz.ACRPasskey
		for _, s := range []authz.Session{old, others} {
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		}
		for _, approval := range []authz.Approval{unknown, foreign} {
			b.ok(b.store.ApproveDeviceRequest(b.Context(), approval))
		}
		b.ok(b.store.RemovePasskey(b.Context(), a.ID, p.ID, at(30), b.event(a.ID)))
		for _, x := range []struct {
			s    authz.Session
			g    authz.Grant
			want error
		}{{old, unknown.Grant, authz.ErrNotFound}, {others, foreign.Grant, nil}} {
			_, err := b.store.Session(b.Context(), x.s.Token, at(0))
			b.refused(err, x.want)
			_, _, err = b.store.LiveGrant(b.Context(), x.g.ID, at(40))
			b.refused(err, x.want)
		}
	}},
	{"what is done with a passkey while it is removed is done before, or not at all, on two servers too", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		for range 5 {
			a, i := b.account()
			p := b.added(i, func(p *authz.Passkey) { p.SignCount = 0 })
			approvals, sessions := make([]authz.Approval, 6), make([]authz.NewSession, 6)
			for n := range approvals {
				approvals[n], sessions[n] = b.approval(b.pending(), i), b.signIn(p, 0)
				approvals[n].Grant.Passkey = p.ID
			}
			errs := race(13, func(n int) error {
				switch s := stores[n/2%2]; {
				case n == 12:
					return s.RemovePasskey(b.Context(), a.ID, p.ID, at(30), anyEvent)
				case n%2 == 0:
					return s.ApproveDeviceRequest(b.Context(), approvals[n/2])
				default:
					return s.CreateSession(b.Context(), sessions[n/2])
				}
			})
			b.ok(errs[12])
			for n := range approvals {
				if errs[2*n] != nil {
					b.refused(errs[2*n], authz.ErrGone)
				}
				_, _, err := b.store.LiveGrant(b.Context(), approvals[n].Grant.ID, at(40))
				b.refused(err, authz.ErrNotFound)
				_, err = b.store.Session(b.Context(), sessions[n].Session.Token, at(0))
				b.refused(err, authz.ErrNotFound)
			}
		}
	}},
}
