package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// passkey makes a passkey of an identity with every member set but the last use.
func (f *fixture) passkey(i authz.Identity) authz.Passkey {
	return authz.Passkey{
		ID: f.word("credential"), AccountID: i.AccountID, BAPID: i.BAPID, MemberKey: i.MemberKey, Name: f.word("name"),
		CreatedAt: at(f.drawn), SignCount: 7, Credential: []byte(f.word(`{"id":`)), Network: f.word("network"),
		Vouch: authz.Vouch{Path: f.word("/path"), Body: f.word(`{"body":`), Token: f.word("token")},
	}
}

// added stores a passkey.
func (f *fixture) added(i authz.Identity, edit ...func(*authz.Passkey)) authz.Passkey {
	f.Helper()
	p := f.passkey(i)
	for _, e := range edit {
		e(&p)
	}
	f.ok(f.store.AddPasskey(f.Context(), p, 100, f.event(p.AccountID)))
	return p
}

// signIn makes a sign-in with a passkey.
func (f *fixture) signIn(p authz.Passkey, count uint32) contract.NewSession {
	s := f.session(authz.Identity{AccountID: p.AccountID, BAPID: p.BAPID, MemberKey: p.MemberKey})
	s.Passkey = p.ID
	return contract.NewSession{
		Session: s, Event: f.event(p.AccountID),
		Passkey: &contract.PasskeyUse{ID: p.ID, SignCount: count, Credential: []byte(f.word("record"))},
		Keep:    plenty,
	}
}

// keptPasskey ends the test unless a passkey is kept as wanted.
func (f *fixture) keptPasskey(want authz.Passkey) {
	f.Helper()
	got, err := f.store.Passkey(f.Context(), want.ID)
	f.ok(err)
	f.same(got, want)
}

// noSession ends the test if a refused sign-in left anything behind.
func (f *fixture) noSession(n contract.NewSession) {
	f.Helper()
	_, err := f.store.Session(f.Context(), n.Session.Token, at(0))
	f.refused(err, contract.ErrNotFound)
	events, err := f.store.Events(f.Context(), n.Session.AccountID, contract.Position{}, 100)
	f.ok(err)
	for _, e := range events {
		if e.ID == n.Event.ID {
			f.Fatal("a refused sign-in is told of")
		}
	}
}

var passkeyCases = []testCase{
	{"passkeys are kept with every member, and listed, oldest first", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		f.added(other)
		second, first := f.passkey(i), f.passkey(i)
		second.CreatedAt, first.CreatedAt, first.LastUsedAt, first.SignCount = at(2), at(1), at(3), 1<<32-1
		for _, p := range []authz.Passkey{second, first} {
			e := f.event(a.ID)
			f.ok(f.store.AddPasskey(f.Context(), p, 2, e))
			f.keptPasskey(p)
			latest, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 1)
			f.ok(err)
			f.same(latest, events(e))
		}
		got, err := f.store.Passkeys(f.Context(), a.ID, many)
		f.ok(err)
		f.same(got, []authz.Passkey{first, second})
		none, err := f.store.Passkeys(f.Context(), "nobody", many)
		f.ok(err)
		f.same(len(none), 0)
	}},
	{"passkeys are kept byte for byte, and survive a restart", func(f *fixture) {
		a, first := f.account()
		var want []authz.Passkey
		for _, s := range awkward {
			i := f.newIdentity(a.ID)
			i.BAPID = s
			f.ok(f.store.LinkIdentity(f.Context(), i, first.BAPID, many, anyEvent))
			want = append(want, f.added(i, func(p *authz.Passkey) {
				p.ID, p.MemberKey, p.Name, p.Network, p.Credential = s, s, s, s, []byte("\x00\xff"+s)
			}))
		}
		f.reopen()
		for _, p := range want {
			f.keptPasskey(p)
		}
	}},
	{"a passkey that is not there is not found", func(f *fixture) {
		a, i := f.account()
		_, err := f.store.Passkey(f.Context(), "none")
		f.refused(err, contract.ErrNotFound)
		f.refused(f.store.RemovePasskey(f.Context(), a.ID, "none", at(30), f.event(a.ID)), contract.ErrNotFound)
		n := f.signIn(f.passkey(i), 8)
		f.refused(f.store.CreateSession(f.Context(), n), contract.ErrNotFound)
		f.noSession(n)
	}},
	{"a credential id is one account's, and the first passkey stays", func(f *fixture) {
		_, i := f.account()
		a, thief := f.account()
		first := f.added(i)
		for _, who := range []authz.Identity{i, thief} {
			second := f.passkey(who)
			second.ID = first.ID
			f.refused(f.store.AddPasskey(f.Context(), second, 1, f.event(who.AccountID)), contract.ErrExists)
			f.keptPasskey(first)
		}
		f.told(a.ID)
	}},
	{"of 16 concurrent additions of one credential id one succeeds, on two servers too", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		stores := []contract.Store{f.store, f.connect()}
		passkeys := make([]authz.Passkey, 16)
		for n := range passkeys {
			passkeys[n] = f.passkey([]authz.Identity{i, other}[n/2%2])
			passkeys[n].ID = passkeys[0].ID
		}
		errs := race(len(passkeys), func(n int) error { return stores[n%2].AddPasskey(f.Context(), passkeys[n], 100, anyEvent) })
		f.count(errs, 1, is(contract.ErrExists))
		for n, p := range passkeys {
			if errs[n] == nil {
				f.keptPasskey(p)
			}
		}
	}},
	{"an account has no more passkeys than the limit, whoever adds at once", func(f *fixture) {
		a, i := f.account()
		passkeys := make([]authz.Passkey, 16)
		for n := range passkeys {
			passkeys[n] = f.passkey(i)
		}
		errs := race(len(passkeys), func(n int) error { return f.store.AddPasskey(f.Context(), passkeys[n], 5, anyEvent) })
		f.count(errs, 5, is(contract.ErrFull))
		got, err := f.store.Passkeys(f.Context(), a.ID, many)
		f.ok(err)
		f.same(len(got), 5)
		f.refused(f.store.AddPasskey(f.Context(), f.passkey(i), 5, f.event(a.ID)), contract.ErrFull)
		f.told(a.ID)
		_, elsewhere := f.account()
		f.ok(f.store.AddPasskey(f.Context(), f.passkey(elsewhere), 5, anyEvent))
	}},
	{"a passkey needs an account, and an identity of it", func(f *fixture) {
		a, _ := f.account()
		_, foreign := f.account()
		for _, i := range []authz.Identity{{AccountID: "nobody"}, {AccountID: "nobody", BAPID: foreign.BAPID}, {AccountID: a.ID, BAPID: foreign.BAPID}} {
			p := f.passkey(i)
			f.refused(f.store.AddPasskey(f.Context(), p, 5, f.event(i.AccountID)), contract.ErrNotFound)
			_, err := f.store.Passkey(f.Context(), p.ID)
			f.refused(err, contract.ErrNotFound)
			f.told(i.AccountID)
		}
	}},
	{"a passkey is removed once, by its account, and told of", func(f *fixture) {
		a, i := f.account()
		other, _ := f.account()
		p, stays := f.added(i), f.added(i)
		f.refused(f.store.RemovePasskey(f.Context(), other.ID, p.ID, at(30), f.event(other.ID)), contract.ErrNotFound)
		f.keptPasskey(p)
		f.told(other.ID)
		errs := race(8, func(int) error {
			return f.store.RemovePasskey(f.Context(), a.ID, p.ID, at(30), happened(authz.Event{ID: "removed", AccountID: a.ID, At: at(9999)}))
		})
		f.count(errs, 1, is(contract.ErrNotFound))
		_, err := f.store.Passkey(f.Context(), p.ID)
		f.refused(err, contract.ErrNotFound)
		f.keptPasskey(stays)
		events, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 2)
		f.ok(err)
		f.same(events[0].ID, "removed")
		f.same(events[1].ID == "removed", false)
		f.added(i, func(again *authz.Passkey) { again.ID = p.ID })
	}},
	{"a sign-in notes the passkey's counter, record and use", func(f *fixture) {
		_, i := f.account()
		p, other := f.added(i), f.added(i)
		n := f.signIn(p, p.SignCount+1)
		f.ok(f.store.CreateSession(f.Context(), n))
		got, err := f.store.Session(f.Context(), n.Session.Token, at(0))
		f.ok(err)
		f.same(got, n.Session)
		p.SignCount, p.Credential, p.LastUsedAt = p.SignCount+1, n.Passkey.Credential, n.Session.CreatedAt
		f.keptPasskey(p)
		f.keptPasskey(other)
		latest, err := f.store.Events(f.Context(), p.AccountID, contract.Position{}, 100)
		f.ok(err)
		f.same(latest[0], n.Event.Event)
	}},
	{"a counter that does not grow signs nobody in and ends no session", func(f *fixture) {
		_, i := f.account()
		p := f.added(i)
		old := f.session(i)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: old, Event: f.event(i.AccountID), Keep: plenty}))
		for _, count := range []uint32{p.SignCount, p.SignCount - 1, 0} {
			n := f.signIn(p, count)
			n.Replaces = old.Token
			f.refused(f.store.CreateSession(f.Context(), n), contract.ErrCounter)
			f.noSession(n)
		}
		f.keptPasskey(p)
		_, err := f.store.Session(f.Context(), old.Token, at(0))
		f.ok(err)
	}},
	{"nobody signs in with another's passkey, whatever its counter", func(f *fixture) {
		_, i := f.account()
		p := f.added(i)
		_, j := f.account()
		for _, count := range []uint32{p.SignCount + 1, p.SignCount} {
			n := f.signIn(p, count)
			n.Session.AccountID, n.Session.BAPID = j.AccountID, j.BAPID
			f.refused(f.store.CreateSession(f.Context(), n), contract.ErrNotFound)
			f.noSession(n)
		}
		f.keptPasskey(p)
	}},
	{"an authenticator without a counter signs in again and again, until it has one", func(f *fixture) {
		_, i := f.account()
		p := f.added(i, func(p *authz.Passkey) { p.SignCount = 0 })
		for _, count := range []uint32{0, 0, 1} {
			f.ok(f.store.CreateSession(f.Context(), f.signIn(p, count)))
		}
		f.refused(f.store.CreateSession(f.Context(), f.signIn(p, 0)), contract.ErrCounter)
	}},
	{"of 16 concurrent sign-ins with one counter one succeeds, on two servers too", func(f *fixture) {
		_, i := f.account()
		p := f.added(i)
		stores := []contract.Store{f.store, f.connect()}
		signIns := make([]contract.NewSession, 16)
		for n := range signIns {
			signIns[n] = f.signIn(p, p.SignCount+1)
		}
		errs := race(len(signIns), func(n int) error { return stores[n%2].CreateSession(f.Context(), signIns[n]) })
		f.count(errs, 1, is(contract.ErrCounter))
		for n, err := range errs {
			if err != nil {
				f.noSession(signIns[n])
			}
		}
	}},
	{"a passkey that is removed during sign-ins signs in before or not at all", func(f *fixture) {
		a, i := f.account()
		p := f.added(i, func(p *authz.Passkey) { p.SignCount = 0 })
		signIns := make([]contract.NewSession, 16)
		for n := range signIns {
			signIns[n] = f.signIn(p, 0)
		}
		removal := f.event(a.ID)
		errs := race(len(signIns)+1, func(n int) error {
			if n == len(signIns) {
				return f.store.RemovePasskey(f.Context(), a.ID, p.ID, at(30), removal)
			}
			return f.store.CreateSession(f.Context(), signIns[n])
		})
		f.ok(errs[len(signIns)])
		for n, s := range signIns {
			if errs[n] != nil {
				f.refused(errs[n], contract.ErrNotFound)
				f.noSession(s)
			}
		}
		f.refused(f.store.CreateSession(f.Context(), f.signIn(p, 0)), contract.ErrNotFound)
	}},
	{"a passkey signs in to its own account only", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		p := f.added(i)
		stolen := p
		stolen.AccountID = other.AccountID
		n := f.signIn(stolen, p.SignCount+1)
		f.refused(f.store.CreateSession(f.Context(), n), contract.ErrNotFound)
		f.noSession(n)
		f.keptPasskey(p)
	}},
	{"passkeys are not swept", func(f *fixture) {
		_, i := f.account()
		p := f.added(i)
		later := at(0).Add(1000 * 24 * time.Hour)
		_, err := f.store.Sweep(f.Context(), contract.SweepTimes{DeviceRequests: later, Grants: later, Events: later, Rest: later}, 100)
		f.ok(err)
		f.keptPasskey(p)
	}},
}
