package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
)

// passkey makes a passkey of an identity with every member set but the last use.
func (b *bench) passkey(i authz.Identity) authz.Passkey {
	return authz.Passkey{
		ID: b.word("credential"), AccountID: i.AccountID, BAPID: i.BAPID, MemberKey: i.MemberKey, Name: b.word("name"),
		CreatedAt: at(b.drawn), SignCount: 7, Credential: []byte(b.word(`{"id":`)), Network: b.word("network"),
	}
}

// added stores a passkey.
func (b *bench) added(i authz.Identity, edit ...func(*authz.Passkey)) authz.Passkey {
	b.Helper()
	p := b.passkey(i)
	for _, e := range edit {
		e(&p)
	}
	b.ok(b.store.AddPasskey(b.Context(), p, 100, b.event(p.AccountID)))
	return p
}

// signIn makes a sign-in with a passkey.
func (b *bench) signIn(p authz.Passkey, count uint32) authz.NewSession {
	s := b.session(authz.Identity{AccountID: p.AccountID, BAPID: p.BAPID, MemberKey: p.MemberKey})
	s.Passkey = p.ID
	return authz.NewSession{
		Session: s, Event: b.event(p.AccountID),
		Passkey: &authz.PasskeyUse{ID: p.ID, SignCount: count, Credential: []byte(b.word("record"))},
		Keep:    plenty,
	}
}

// keptPasskey ends the test unless a passkey is kept as wanted.
func (b *bench) keptPasskey(want authz.Passkey) {
	b.Helper()
	got, err := b.store.Passkey(b.Context(), want.ID)
	b.ok(err)
	b.same(got, want)
}

// noSession ends the test if a refused sign-in left anything behind.
func (b *bench) noSession(n authz.NewSession) {
	b.Helper()
	_, err := b.store.Session(b.Context(), n.Session.Token, at(0))
	b.refused(err, authz.ErrNotFound)
	events, err := b.store.Events(b.Context(), n.Session.AccountID, authz.Position{}, 100)
	b.ok(err)
	for _, e := range events {
		if e.ID == n.Event.ID {
			b.Fatal("a refused sign-in is told of")
		}
	}
}

var passkeyCases = []testCase{
	{"passkeys are kept with every member, and listed, oldest first", func(b *bench) {
		a, i := b.account()
		_, other := b.account()
		b.added(other)
		second, first := b.passkey(i), b.passkey(i)
		second.CreatedAt, first.CreatedAt, first.LastUsedAt, first.SignCount = at(2), at(1), at(3), 1<<32-1
		for _, p := range []authz.Passkey{second, first} {
			e := b.event(a.ID)
			b.ok(b.store.AddPasskey(b.Context(), p, 2, e))
			b.keptPasskey(p)
			latest, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 1)
			b.ok(err)
			b.same(latest, events(e))
		}
		got, err := b.store.Passkeys(b.Context(), a.ID, many)
		b.ok(err)
		b.same(got, []authz.Passkey{first, second})
		none, err := b.store.Passkeys(b.Context(), "nobody", many)
		b.ok(err)
		b.same(len(none), 0)
	}},
	{"passkeys are kept byte for byte, and survive a restart", func(b *bench) {
		a, first := b.account()
		var want []authz.Passkey
		for _, s := range awkward {
			i := b.newIdentity(a.ID)
			i.BAPID = s
			b.ok(b.store.LinkIdentity(b.Context(), i, first.BAPID, many, anyEvent))
			want = append(want, b.added(i, func(p *authz.Passkey) {
				p.ID, p.MemberKey, p.Name, p.Network, p.Credential = s, s, s, s, []byte("\x00\xff"+s)
			}))
		}
		b.reopen()
		for _, p := range want {
			b.keptPasskey(p)
		}
	}},
	{"a passkey that is not there is not found", func(b *bench) {
		a, i := b.account()
		_, err := b.store.Passkey(b.Context(), "none")
		b.refused(err, authz.ErrNotFound)
		b.refused(b.store.RemovePasskey(b.Context(), a.ID, "none", at(30), b.event(a.ID)), authz.ErrNotFound)
		n := b.signIn(b.passkey(i), 8)
		b.refused(b.store.CreateSession(b.Context(), n), authz.ErrNotFound)
		b.noSession(n)
	}},
	{"a credential id is one account's, and the first passkey stays", func(b *bench) {
		_, i := b.account()
		a, thief := b.account()
		first := b.added(i)
		for _, who := range []authz.Identity{i, thief} {
			second := b.passkey(who)
			second.ID = first.ID
			b.refused(b.store.AddPasskey(b.Context(), second, 1, b.event(who.AccountID)), authz.ErrExists)
			b.keptPasskey(first)
		}
		b.told(a.ID)
	}},
	{"of 16 concurrent additions of one credential id one succeeds, on two servers too", func(b *bench) {
		_, i := b.account()
		_, other := b.account()
		stores := []authz.Store{b.store, b.connect()}
		passkeys := make([]authz.Passkey, 16)
		for n := range passkeys {
			passkeys[n] = b.passkey([]authz.Identity{i, other}[n/2%2])
			passkeys[n].ID = passkeys[0].ID
		}
		errs := race(len(passkeys), func(n int) error { return stores[n%2].AddPasskey(b.Context(), passkeys[n], 100, anyEvent) })
		b.count(errs, 1, is(authz.ErrExists))
		for n, p := range passkeys {
			if errs[n] == nil {
				b.keptPasskey(p)
			}
		}
	}},
	{"an account has no more passkeys than the limit, whoever adds at once", func(b *bench) {
		a, i := b.account()
		passkeys := make([]authz.Passkey, 16)
		for n := range passkeys {
			passkeys[n] = b.passkey(i)
		}
		errs := race(len(passkeys), func(n int) error { return b.store.AddPasskey(b.Context(), passkeys[n], 5, anyEvent) })
		b.count(errs, 5, is(authz.ErrFull))
		got, err := b.store.Passkeys(b.Context(), a.ID, many)
		b.ok(err)
		b.same(len(got), 5)
		b.refused(b.store.AddPasskey(b.Context(), b.passkey(i), 5, b.event(a.ID)), authz.ErrFull)
		b.told(a.ID)
		_, elsewhere := b.account()
		b.ok(b.store.AddPasskey(b.Context(), b.passkey(elsewhere), 5, anyEvent))
	}},
	{"a passkey needs an account, and an identity of it", func(b *bench) {
		a, _ := b.account()
		_, foreign := b.account()
		for _, i := range []authz.Identity{{AccountID: "nobody"}, {AccountID: "nobody", BAPID: foreign.BAPID}, {AccountID: a.ID, BAPID: foreign.BAPID}} {
			p := b.passkey(i)
			b.refused(b.store.AddPasskey(b.Context(), p, 5, b.event(i.AccountID)), authz.ErrNotFound)
			_, err := b.store.Passkey(b.Context(), p.ID)
			b.refused(err, authz.ErrNotFound)
			b.told(i.AccountID)
		}
	}},
	{"a passkey is removed once, by its account, and told of", func(b *bench) {
		a, i := b.account()
		other, _ := b.account()
		p, stays := b.added(i), b.added(i)
		b.refused(b.store.RemovePasskey(b.Context(), other.ID, p.ID, at(30), b.event(other.ID)), authz.ErrNotFound)
		b.keptPasskey(p)
		b.told(other.ID)
		errs := race(8, func(int) error {
			return b.store.RemovePasskey(b.Context(), a.ID, p.ID, at(30), happened(authz.Event{ID: "removed", AccountID: a.ID, At: at(9999)}))
		})
		b.count(errs, 1, is(authz.ErrNotFound))
		_, err := b.store.Passkey(b.Context(), p.ID)
		b.refused(err, authz.ErrNotFound)
		b.keptPasskey(stays)
		events, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 2)
		b.ok(err)
		b.same(events[0].ID, "removed")
		b.same(events[1].ID == "removed", false)
		b.added(i, func(again *authz.Passkey) { again.ID = p.ID })
	}},
	{"a sign-in notes the passkey's counter, record and use", func(b *bench) {
		_, i := b.account()
		p, other := b.added(i), b.added(i)
		n := b.signIn(p, p.SignCount+1)
		b.ok(b.store.CreateSession(b.Context(), n))
		got, err := b.store.Session(b.Context(), n.Session.Token, at(0))
		b.ok(err)
		b.same(got, n.Session)
		p.SignCount, p.Credential, p.LastUsedAt = p.SignCount+1, n.Passkey.Credential, n.Session.CreatedAt
		b.keptPasskey(p)
		b.keptPasskey(other)
		latest, err := b.store.Events(b.Context(), p.AccountID, authz.Position{}, 100)
		b.ok(err)
		b.same(latest[0], n.Event.Event)
	}},
	{"a counter that does not grow signs nobody in and ends no session", func(b *bench) {
		_, i := b.account()
		p := b.added(i)
		old := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: old, Event: b.event(i.AccountID), Keep: plenty}))
		for _, count := range []uint32{p.SignCount, p.SignCount - 1, 0} {
			n := b.signIn(p, count)
			n.Replaces = old.Token
			b.refused(b.store.CreateSession(b.Context(), n), authz.ErrCounter)
			b.noSession(n)
		}
		b.keptPasskey(p)
		_, err := b.store.Session(b.Context(), old.Token, at(0))
		b.ok(err)
	}},
	{"nobody signs in with another's passkey, whatever its counter", func(b *bench) {
		_, i := b.account()
		p := b.added(i)
		_, j := b.account()
		for _, count := range []uint32{p.SignCount + 1, p.SignCount} {
			n := b.signIn(p, count)
			n.Session.AccountID, n.Session.BAPID = j.AccountID, j.BAPID
			b.refused(b.store.CreateSession(b.Context(), n), authz.ErrNotFound)
			b.noSession(n)
		}
		b.keptPasskey(p)
	}},
	{"an authenticator without a counter signs in again and again, until it has one", func(b *bench) {
		_, i := b.account()
		p := b.added(i, func(p *authz.Passkey) { p.SignCount = 0 })
		for _, count := range []uint32{0, 0, 1} {
			b.ok(b.store.CreateSession(b.Context(), b.signIn(p, count)))
		}
		b.refused(b.store.CreateSession(b.Context(), b.signIn(p, 0)), authz.ErrCounter)
	}},
	{"of 16 concurrent sign-ins with one counter one succeeds, on two servers too", func(b *bench) {
		_, i := b.account()
		p := b.added(i)
		stores := []authz.Store{b.store, b.connect()}
		signIns := make([]authz.NewSession, 16)
		for n := range signIns {
			signIns[n] = b.signIn(p, p.SignCount+1)
		}
		errs := race(len(signIns), func(n int) error { return stores[n%2].CreateSession(b.Context(), signIns[n]) })
		b.count(errs, 1, is(authz.ErrCounter))
		for n, err := range errs {
			if err != nil {
				b.noSession(signIns[n])
			}
		}
	}},
	{"a passkey that is removed during sign-ins signs in before or not at all", func(b *bench) {
		a, i := b.account()
		p := b.added(i, func(p *authz.Passkey) { p.SignCount = 0 })
		signIns := make([]authz.NewSession, 16)
		for n := range signIns {
			signIns[n] = b.signIn(p, 0)
		}
		removal := b.event(a.ID)
		errs := race(len(signIns)+1, func(n int) error {
			if n == len(signIns) {
				return b.store.RemovePasskey(b.Context(), a.ID, p.ID, at(30), removal)
			}
			return b.store.CreateSession(b.Context(), signIns[n])
		})
		b.ok(errs[len(signIns)])
		for n, s := range signIns {
			if errs[n] != nil {
				b.refused(errs[n], authz.ErrNotFound)
				b.noSession(s)
			}
		}
		b.refused(b.store.CreateSession(b.Context(), b.signIn(p, 0)), authz.ErrNotFound)
	}},
	{"a passkey signs in to its own account only", func(b *bench) {
		_, i := b.account()
		_, other := b.account()
		p := b.added(i)
		stolen := p
		stolen.AccountID = other.AccountID
		n := b.signIn(stolen, p.SignCount+1)
		b.refused(b.store.CreateSession(b.Context(), n), authz.ErrNotFound)
		b.noSession(n)
		b.keptPasskey(p)
	}},
	{"passkeys are not swept", func(b *bench) {
		_, i := b.account()
		p := b.added(i)
		later := at(0).Add(1000 * 24 * time.Hour)
		_, err := b.store.Sweep(b.Context(), authz.SweepTimes{DeviceRequests: later, Grants: later, Events: later, Rest: later}, 100)
		b.ok(err)
		b.keptPasskey(p)
	}},
}
