package storagetest

import (
	"countersign.dev/internal/authz"
)

// newIdentity makes an identity with every member set.
func (b *bench) newIdentity(accountID string) authz.Identity {
	return authz.Identity{
		BAPID: b.word("bap"), AccountID: accountID, MemberKey: b.word("02ab"), CreatedAt: at(0), Network: b.word("network"), SignedInAt: at(b.drawn),
		Profile: authz.Profile{
			Name: "Ada <&> Lovelace", GivenName: "Ada", FamilyName: "Lovelace",
			Picture: "https://a.example/?a=1&b=2", Description: b.word("description"),
		},
	}
}

// account stores an account with an identity.
func (b *bench) account() (authz.Account, authz.Identity) {
	b.Helper()
	return b.accountWith(func(*authz.Account) {})
}

func (b *bench) accountWith(edit func(*authz.Account)) (authz.Account, authz.Identity) {
	b.Helper()
	a := authz.Account{ID: b.word("account"), CreatedAt: at(0)}
	edit(&a)
	i := b.newIdentity(a.ID)
	b.ok(b.store.CreateAccount(b.Context(), a, i))
	return a, i
}

// memberOf is the first identity of an account, which is made where there is none.
func (b *bench) memberOf(accountID string) authz.Identity {
	b.Helper()
	all, err := b.store.Identities(b.Context(), accountID, many)
	b.ok(err)
	if len(all) > 0 {
		return all[0]
	}
	_, i := b.accountWith(func(a *authz.Account) { a.ID = accountID })
	return i
}

var accountCases = []testCase{
	{"an account is kept with its first identity", func(b *bench) {
		a, i := b.account()
		gotAccount, err := b.store.Account(b.Context(), a.ID)
		b.ok(err)
		b.same(gotAccount, a)
		gotIdentity, err := b.store.Identity(b.Context(), i.BAPID)
		b.ok(err)
		b.same(gotIdentity, i)
	}},
	{"a disabled account is kept as one", func(b *bench) {
		a, _ := b.accountWith(func(a *authz.Account) { a.Disabled = true })
		got, err := b.store.Account(b.Context(), a.ID)
		b.ok(err)
		b.same(got, a)
	}},
	{"accounts and identities that are not there are not found", func(b *bench) {
		a, i := b.account()
		_, err := b.store.Account(b.Context(), i.BAPID)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Identity(b.Context(), a.ID)
		b.refused(err, authz.ErrNotFound)
		none, err := b.store.Identities(b.Context(), "nobody", many)
		b.ok(err)
		b.same(len(none), 0)
	}},
	{"an identity makes one account, and the refused one leaves nothing", func(b *bench) {
		_, first := b.account()
		second := authz.Account{ID: b.word("account"), CreatedAt: at(1)}
		thief := first
		thief.AccountID = second.ID
		b.refused(b.store.CreateAccount(b.Context(), second, thief), authz.ErrExists)
		_, err := b.store.Account(b.Context(), second.ID)
		b.refused(err, authz.ErrNotFound)
		got, err := b.store.Identity(b.Context(), first.BAPID)
		b.ok(err)
		b.same(got, first)
	}},
	{"of 16 concurrent first sign-ins of an identity one makes its account", func(b *bench) {
		accounts := make([]authz.Account, 16)
		for i := range accounts {
			accounts[i] = authz.Account{ID: b.word("account"), CreatedAt: at(0)}
		}
		identity := b.newIdentity("")
		errs := race(len(accounts), func(i int) error {
			mine := identity
			mine.AccountID = accounts[i].ID
			return b.store.CreateAccount(b.Context(), accounts[i], mine)
		})
		b.count(errs, 1, is(authz.ErrExists))
		got, err := b.store.Identity(b.Context(), identity.BAPID)
		b.ok(err)
		for i, a := range accounts {
			_, err := b.store.Account(b.Context(), a.ID)
			if errs[i] == nil {
				b.ok(err)
				b.same(got.AccountID, a.ID)
			} else {
				b.refused(err, authz.ErrNotFound)
			}
		}
	}},
	{"an account's identities are listed, oldest first", func(b *bench) {
		a, first := b.account()
		b.account()
		third, second := b.newIdentity(a.ID), b.newIdentity(a.ID)
		third.CreatedAt, second.CreatedAt = at(2), at(1)
		third.Profile = authz.Profile{}
		b.ok(b.store.LinkIdentity(b.Context(), third, first.BAPID, many, anyEvent))
		b.ok(b.store.LinkIdentity(b.Context(), second, first.BAPID, many, anyEvent))
		got, err := b.store.Identities(b.Context(), a.ID, many)
		b.ok(err)
		b.same(got, []authz.Identity{first, second, third})
	}},
	{"an identity is linked to one account at most", func(b *bench) {
		a, first := b.account()
		_, foreign := b.account()
		linked := b.newIdentity(a.ID)
		b.ok(b.store.LinkIdentity(b.Context(), linked, first.BAPID, many, anyEvent))
		for _, i := range []authz.Identity{first, foreign, linked} {
			kept := i
			i.AccountID, i.MemberKey = a.ID, "another key"
			b.refused(b.store.LinkIdentity(b.Context(), i, first.BAPID, many, anyEvent), authz.ErrExists)
			got, err := b.store.Identity(b.Context(), i.BAPID)
			b.ok(err)
			b.same(got, kept)
		}
	}},
	{"of 16 concurrent links of an identity one succeeds", func(b *bench) {
		a, one := b.account()
		other, another := b.account()
		identity := b.newIdentity("")
		errs := race(16, func(i int) error {
			mine := identity
			mine.AccountID = []string{a.ID, other.ID}[i%2]
			return b.store.LinkIdentity(b.Context(), mine, []string{one.BAPID, another.BAPID}[i%2], many, anyEvent)
		})
		b.count(errs, 1, is(authz.ErrExists))
	}},
	{"an identity is linked to an account only with the voucher of one that it has", func(b *bench) {
		a, _ := b.account()
		_, foreign := b.account()
		for _, accountID := range []string{"nobody", a.ID} {
			i := b.newIdentity(accountID)
			for _, voucher := range []string{foreign.BAPID, i.BAPID, "nobody", ""} {
				b.refused(b.store.LinkIdentity(b.Context(), i, voucher, many, b.event(a.ID)), authz.ErrNotFound)
				_, err := b.store.Identity(b.Context(), i.BAPID)
				b.refused(err, authz.ErrNotFound)
			}
		}
		b.told(a.ID)
	}},
	{"a profile is replaced as a whole, and no other", func(b *bench) {
		_, i := b.account()
		_, other := b.account()
		for _, p := range []authz.Profile{{Name: "Only a name"}, {}, other.Profile} {
			b.ok(b.store.SetProfile(b.Context(), i.BAPID, p, anyEvent))
			i.Profile = p
			for _, want := range []authz.Identity{i, other} {
				got, err := b.store.Identity(b.Context(), want.BAPID)
				b.ok(err)
				b.same(got, want)
			}
		}
		b.refused(b.store.SetProfile(b.Context(), "nobody", authz.Profile{}, anyEvent), authz.ErrNotFound)
	}},
	{"ids, keys and profiles are kept byte for byte", func(b *bench) {
		for _, s := range awkward {
			i := authz.Identity{
				BAPID: s, AccountID: s, MemberKey: s, CreatedAt: at(0), Network: s,
				Profile: authz.Profile{Name: s, GivenName: s, FamilyName: s, Picture: s, Description: s},
			}
			b.ok(b.store.CreateAccount(b.Context(), authz.Account{ID: s, CreatedAt: at(0)}, i))
			got, err := b.store.Identity(b.Context(), s)
			b.ok(err)
			b.same(got, i)
			all, err := b.store.Identities(b.Context(), s, many)
			b.ok(err)
			b.same(all, []authz.Identity{i})
		}
	}},
}
