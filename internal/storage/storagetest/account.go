package storagetest

import (
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// newIdentity makes an identity with every member set.
func (f *fixture) newIdentity(accountID string) authz.Identity {
	return authz.Identity{
		BAPID: f.word("bap"), AccountID: accountID, MemberKey: f.word("02ab"), CreatedAt: at(0), Network: f.word("network"), SignedInAt: at(f.drawn),
		Profile: authz.Profile{
			Name: "Ada <&> Lovelace", GivenName: "Ada", FamilyName: "Lovelace",
			Picture: "https://a.example/?a=1&b=2", Description: f.word("description"),
		},
	}
}

// account stores an account with an identity.
func (f *fixture) account() (authz.Account, authz.Identity) {
	f.Helper()
	return f.accountWith(func(*authz.Account) {})
}

func (f *fixture) accountWith(edit func(*authz.Account)) (authz.Account, authz.Identity) {
	f.Helper()
	a := authz.Account{ID: f.word("account"), CreatedAt: at(0)}
	edit(&a)
	i := f.newIdentity(a.ID)
	f.ok(f.store.CreateAccount(f.Context(), a, i))
	return a, i
}

// memberOf is the first identity of an account, which is made where there is none.
func (f *fixture) memberOf(accountID string) authz.Identity {
	f.Helper()
	all, err := f.store.Identities(f.Context(), accountID, many)
	f.ok(err)
	if len(all) > 0 {
		return all[0]
	}
	_, i := f.accountWith(func(a *authz.Account) { a.ID = accountID })
	return i
}

var accountCases = []testCase{
	{"an account is kept with its first identity", func(f *fixture) {
		a, i := f.account()
		gotAccount, err := f.store.Account(f.Context(), a.ID)
		f.ok(err)
		f.same(gotAccount, a)
		gotIdentity, err := f.store.Identity(f.Context(), i.BAPID)
		f.ok(err)
		f.same(gotIdentity, i)
	}},
	{"a disabled account is kept as one", func(f *fixture) {
		a, _ := f.accountWith(func(a *authz.Account) { a.Disabled = true })
		got, err := f.store.Account(f.Context(), a.ID)
		f.ok(err)
		f.same(got, a)
	}},
	{"accounts and identities that are not there are not found", func(f *fixture) {
		a, i := f.account()
		_, err := f.store.Account(f.Context(), i.BAPID)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Identity(f.Context(), a.ID)
		f.refused(err, contract.ErrNotFound)
		none, err := f.store.Identities(f.Context(), "nobody", many)
		f.ok(err)
		f.same(len(none), 0)
	}},
	{"an identity makes one account, and the refused one leaves nothing", func(f *fixture) {
		_, first := f.account()
		second := authz.Account{ID: f.word("account"), CreatedAt: at(1)}
		thief := first
		thief.AccountID = second.ID
		f.refused(f.store.CreateAccount(f.Context(), second, thief), contract.ErrExists)
		_, err := f.store.Account(f.Context(), second.ID)
		f.refused(err, contract.ErrNotFound)
		got, err := f.store.Identity(f.Context(), first.BAPID)
		f.ok(err)
		f.same(got, first)
	}},
	{"of 16 concurrent first sign-ins of an identity one makes its account", func(f *fixture) {
		accounts := make([]authz.Account, 16)
		for i := range accounts {
			accounts[i] = authz.Account{ID: f.word("account"), CreatedAt: at(0)}
		}
		identity := f.newIdentity("")
		errs := race(len(accounts), func(i int) error {
			mine := identity
			mine.AccountID = accounts[i].ID
			return f.store.CreateAccount(f.Context(), accounts[i], mine)
		})
		f.count(errs, 1, is(contract.ErrExists))
		got, err := f.store.Identity(f.Context(), identity.BAPID)
		f.ok(err)
		for i, a := range accounts {
			_, err := f.store.Account(f.Context(), a.ID)
			if errs[i] == nil {
				f.ok(err)
				f.same(got.AccountID, a.ID)
			} else {
				f.refused(err, contract.ErrNotFound)
			}
		}
	}},
	{"an account's identities are listed, oldest first", func(f *fixture) {
		a, first := f.account()
		f.account()
		third, second := f.newIdentity(a.ID), f.newIdentity(a.ID)
		third.CreatedAt, second.CreatedAt = at(2), at(1)
		third.Profile = authz.Profile{}
		f.ok(f.store.LinkIdentity(f.Context(), third, first.BAPID, many, anyEvent))
		f.ok(f.store.LinkIdentity(f.Context(), second, first.BAPID, many, anyEvent))
		got, err := f.store.Identities(f.Context(), a.ID, many)
		f.ok(err)
		f.same(got, []authz.Identity{first, second, third})
	}},
	{"an identity is linked to one account at most", func(f *fixture) {
		a, first := f.account()
		_, foreign := f.account()
		linked := f.newIdentity(a.ID)
		f.ok(f.store.LinkIdentity(f.Context(), linked, first.BAPID, many, anyEvent))
		for _, i := range []authz.Identity{first, foreign, linked} {
			kept := i
			i.AccountID, i.MemberKey = a.ID, "another key"
			f.refused(f.store.LinkIdentity(f.Context(), i, first.BAPID, many, anyEvent), contract.ErrExists)
			got, err := f.store.Identity(f.Context(), i.BAPID)
			f.ok(err)
			f.same(got, kept)
		}
	}},
	{"of 16 concurrent links of an identity one succeeds", func(f *fixture) {
		a, one := f.account()
		other, another := f.account()
		identity := f.newIdentity("")
		errs := race(16, func(i int) error {
			mine := identity
			mine.AccountID = []string{a.ID, other.ID}[i%2]
			return f.store.LinkIdentity(f.Context(), mine, []string{one.BAPID, another.BAPID}[i%2], many, anyEvent)
		})
		f.count(errs, 1, is(contract.ErrExists))
	}},
	{"an identity is linked to an account only with the voucher of one that it has", func(f *fixture) {
		a, _ := f.account()
		_, foreign := f.account()
		for _, accountID := range []string{"nobody", a.ID} {
			i := f.newIdentity(accountID)
			for _, voucher := range []string{foreign.BAPID, i.BAPID, "nobody", ""} {
				f.refused(f.store.LinkIdentity(f.Context(), i, voucher, many, f.event(a.ID)), contract.ErrNotFound)
				_, err := f.store.Identity(f.Context(), i.BAPID)
				f.refused(err, contract.ErrNotFound)
			}
		}
		f.told(a.ID)
	}},
	{"a profile is replaced as a whole, and no other", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		for _, p := range []authz.Profile{{Name: "Only a name"}, {}, other.Profile} {
			f.ok(f.store.SetProfile(f.Context(), i.BAPID, p, anyEvent))
			i.Profile = p
			for _, want := range []authz.Identity{i, other} {
				got, err := f.store.Identity(f.Context(), want.BAPID)
				f.ok(err)
				f.same(got, want)
			}
		}
		f.refused(f.store.SetProfile(f.Context(), "nobody", authz.Profile{}, anyEvent), contract.ErrNotFound)
	}},
	{"ids, keys and profiles are kept byte for byte", func(f *fixture) {
		for _, s := range awkward {
			i := authz.Identity{
				BAPID: s, AccountID: s, MemberKey: s, CreatedAt: at(0), Network: s,
				Profile: authz.Profile{Name: s, GivenName: s, FamilyName: s, Picture: s, Description: s},
			}
			f.ok(f.store.CreateAccount(f.Context(), authz.Account{ID: s, CreatedAt: at(0)}, i))
			got, err := f.store.Identity(f.Context(), s)
			f.ok(err)
			f.same(got, i)
			all, err := f.store.Identities(f.Context(), s, many)
			f.ok(err)
			f.same(all, []authz.Identity{i})
		}
	}},
}
