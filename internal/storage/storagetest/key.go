package storagetest

import (
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// key makes a signing key whose sealed bytes are not text.
func (f *fixture) key(algorithm string) authz.SigningKey {
	h := f.hash()
	return authz.SigningKey{ID: f.word("key"), Algorithm: algorithm, Sealed: append([]byte{0, 0xff, 0}, h[:]...), CreatedAt: at(0)}
}

var keyCases = []testCase{
	{"a new database has no keys", func(f *fixture) {
		keys, err := f.store.SigningKeys(f.Context())
		f.ok(err)
		f.same(len(keys), 0)
	}},
	{"keys are kept with every byte, oldest first", func(f *fixture) {
		young, old := f.key("ES256"), f.key("RS256")
		young.CreatedAt = at(1)
		added, err := f.store.AddSigningKeys(f.Context(), []authz.SigningKey{young, old})
		f.ok(err)
		f.same(added, []authz.SigningKey{old, young})
		kept, err := f.store.SigningKeys(f.Context())
		f.ok(err)
		f.same(kept, added)
	}},
	{"only algorithms without a key get one", func(f *fixture) {
		first, err := f.store.AddSigningKeys(f.Context(), []authz.SigningKey{f.key("ES256")})
		f.ok(err)
		again, next := f.key("ES256"), f.key("EdDSA")
		next.CreatedAt = at(1)
		all, err := f.store.AddSigningKeys(f.Context(), []authz.SigningKey{again, next})
		f.ok(err)
		f.same(all, []authz.SigningKey{first[0], next})
		all, err = f.store.AddSigningKeys(f.Context(), nil)
		f.ok(err)
		f.same(all, []authz.SigningKey{first[0], next})
	}},
	{"servers that start together on an empty database end with the same keys", func(f *fixture) {
		const calls = 12
		stores := []contract.Store{f.store, f.connect(), f.connect()}
		candidates, got := make([][]authz.SigningKey, calls), make([][]authz.SigningKey, calls)
		for i := range candidates {
			candidates[i] = []authz.SigningKey{f.key("ES256"), f.key("RS256"), f.key("EdDSA")}
		}
		errs := race(calls, func(i int) (err error) {
			got[i], err = stores[i%len(stores)].AddSigningKeys(f.Context(), candidates[i])
			return err
		})
		f.count(errs, calls, func(error) bool { return false })
		kept, err := f.store.SigningKeys(f.Context())
		f.ok(err)
		for _, keys := range got {
			f.same(keys, kept)
		}
		algorithms := make([]string, len(kept))
		for i, k := range kept {
			algorithms[i] = k.Algorithm
		}
		slices.Sort(algorithms)
		f.same(algorithms, []string{"ES256", "EdDSA", "RS256"})
	}},
}
