package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// key makes a signing key whose bytes are not text.
func (f *fixture) key(algorithm string) authz.SigningKey {
	sealed, public := f.hash(), f.hash()
	return authz.SigningKey{
		ID: f.word("key"), Algorithm: algorithm, Sealed: append([]byte{0, 0xff, 0}, sealed[:]...), Public: append([]byte{0xff, 0}, public[:]...),
		CreatedAt: at(0), SignsFrom: at(0),
	}
}

// changeKeys changes keys as somebody who has just seen those there are, and returns
// those there are then.
func (f *fixture) changeKeys(keys ...authz.SigningKey) []authz.SigningKey {
	f.Helper()
	f.ok(f.store.ChangeSigningKeys(f.Context(), contract.KeyChange{Seen: f.keysAt(time.Time{}), Keys: keys}))
	return f.keysAt(time.Time{})
}

func (f *fixture) keysAt(now time.Time) []authz.SigningKey {
	f.Helper()
	keys, err := f.store.SigningKeys(f.Context(), now)
	f.ok(err)
	return keys
}

var keyCases = []testCase{
	{"a new database has no keys", func(f *fixture) {
		f.same(len(f.keysAt(time.Time{})), 0)
	}},
	{"keys are kept with every byte and time, oldest first", func(f *fixture) {
		young, old := f.key("ES256"), f.key("RS256")
		young.CreatedAt, young.SignsFrom, young.SignsUntil, young.LeavesAt, young.WithdrawnAt = at(1), at(2), at(3), at(4), at(5)
		f.same(f.changeKeys(young, old), []authz.SigningKey{old, young})
	}},
	{"a key that is stored again is as it is stored then, and a private half may go", func(f *fixture) {
		k, other := f.key("ES256"), f.key("ES256")
		other.CreatedAt = at(1)
		f.changeKeys(k, other)
		k.Sealed, k.Public, k.SignsFrom, k.SignsUntil, k.LeavesAt, k.WithdrawnAt = nil, []byte{1}, at(1), at(2), at(3), at(4)
		kept := f.changeKeys(k)
		f.same(len(kept), 2)
		f.same(len(kept[0].Sealed), 0)
		k.Sealed = kept[0].Sealed
		f.same(kept, []authz.SigningKey{k, other})
	}},
	{"keys that left and keys that were withdrawn are among all keys only", func(f *fixture) {
		stays, leaves, withdrawn := f.key("ES256"), f.key("ES256"), f.key("ES256")
		leaves.CreatedAt, leaves.SignsUntil, leaves.LeavesAt = at(1), at(5), at(10)
		withdrawn.CreatedAt, withdrawn.WithdrawnAt = at(2), at(20)
		f.same(f.changeKeys(stays, leaves, withdrawn), []authz.SigningKey{stays, leaves, withdrawn})
		f.same(f.keysAt(at(10).Add(-time.Millisecond)), []authz.SigningKey{stays, leaves})
		f.same(f.keysAt(at(10)), []authz.SigningKey{stays})
	}},
	{"who has not seen the keys as they are changes none", func(f *fixture) {
		first, second := f.key("ES256"), f.key("ES256")
		second.CreatedAt = at(1)
		f.changeKeys(first)
		changed := first
		changed.SignsUntil = at(5)
		for _, seen := range [][]authz.SigningKey{nil, {second}, {first, second}, {changed}} {
			f.refused(f.store.ChangeSigningKeys(f.Context(), contract.KeyChange{Seen: seen, Keys: []authz.SigningKey{second}}), contract.ErrChanged)
		}
		f.same(f.keysAt(time.Time{}), []authz.SigningKey{first})
		for n, change := range []func(k *authz.SigningKey){
			func(k *authz.SigningKey) { k.Sealed = nil }, func(k *authz.SigningKey) { k.Public = nil }, func(k *authz.SigningKey) { k.SignsFrom = at(9) },
			func(k *authz.SigningKey) { k.LeavesAt = at(9) }, func(k *authz.SigningKey) { k.WithdrawnAt = at(9) },
		} {
			was := f.keysAt(time.Time{})
			is := was[0]
			change(&is)
			f.changeKeys(is)
			if err := f.store.ChangeSigningKeys(f.Context(), contract.KeyChange{Seen: was, Keys: []authz.SigningKey{second}}); err == nil {
				f.Errorf("change %d was not noticed", n)
			}
		}
	}},
	{"what is seen and what is there are compared at one time", func(f *fixture) {
		stays, gone := f.key("ES256"), f.key("ES256")
		gone.CreatedAt, gone.SignsUntil, gone.LeavesAt = at(1), at(5), at(10)
		f.changeKeys(stays, gone)
		next := f.key("RS256")
		f.refused(f.store.ChangeSigningKeys(f.Context(), contract.KeyChange{Seen: f.keysAt(at(10)), At: at(9), Keys: []authz.SigningKey{next}}), contract.ErrChanged)
		f.ok(f.store.ChangeSigningKeys(f.Context(), contract.KeyChange{Seen: f.keysAt(at(10)), At: at(10), Keys: []authz.SigningKey{next}}))
	}},
	{"of servers that see the same keys one changes them, on an empty database too", func(f *fixture) {
		const calls = 12
		stores := []contract.Store{f.store, f.connect(), f.connect()}
		for range 2 {
			seen := f.keysAt(at(0))
			candidates := make([][]authz.SigningKey, calls)
			for i := range candidates {
				candidates[i] = []authz.SigningKey{f.key("ES256"), f.key("RS256"), f.key("EdDSA")}
			}
			errs := race(calls, func(i int) error {
				return stores[i%len(stores)].ChangeSigningKeys(f.Context(), contract.KeyChange{Seen: seen, At: at(0), Keys: candidates[i]})
			})
			f.count(errs, 1, is(contract.ErrChanged))
			kept := f.keysAt(at(0))
			f.same(len(kept), len(seen)+3)
			for i, err := range errs {
				for _, k := range candidates[i] {
					f.same(has(kept, k.ID), err == nil)
				}
			}
		}
	}},
}

func has(keys []authz.SigningKey, id string) bool {
	for _, k := range keys {
		if k.ID == id {
			return true
		}
	}
	return false
}
