package storagetest

import (
	"slices"

	"countersign.dev/internal/authz"
)

// key makes a signing key whose sealed bytes are not text.
func (b *bench) key(algorithm string) authz.SigningKey {
	h := b.hash()
	return authz.SigningKey{ID: b.word("key"), Algorithm: algorithm, Sealed: append([]byte{0, 0xff, 0}, h[:]...), CreatedAt: at(0)}
}

var keyCases = []testCase{
	{"a new database has no keys", func(b *bench) {
		keys, err := b.store.SigningKeys(b.Context())
		b.ok(err)
		b.same(len(keys), 0)
	}},
	{"keys are kept with every byte, oldest first", func(b *bench) {
		young, old := b.key("ES256"), b.key("RS256")
		young.CreatedAt = at(1)
		added, err := b.store.AddSigningKeys(b.Context(), []authz.SigningKey{young, old})
		b.ok(err)
		b.same(added, []authz.SigningKey{old, young})
		kept, err := b.store.SigningKeys(b.Context())
		b.ok(err)
		b.same(kept, added)
	}},
	{"only algorithms without a key get one", func(b *bench) {
		first, err := b.store.AddSigningKeys(b.Context(), []authz.SigningKey{b.key("ES256")})
		b.ok(err)
		again, next := b.key("ES256"), b.key("EdDSA")
		next.CreatedAt = at(1)
		all, err := b.store.AddSigningKeys(b.Context(), []authz.SigningKey{again, next})
		b.ok(err)
		b.same(all, []authz.SigningKey{first[0], next})
		all, err = b.store.AddSigningKeys(b.Context(), nil)
		b.ok(err)
		b.same(all, []authz.SigningKey{first[0], next})
	}},
	{"servers that start together on an empty database end with the same keys", func(b *bench) {
		const calls = 12
		stores := []authz.Store{b.store, b.connect(), b.connect()}
		candidates, got := make([][]authz.SigningKey, calls), make([][]authz.SigningKey, calls)
		for i := range candidates {
			candidates[i] = []authz.SigningKey{b.key("ES256"), b.key("RS256"), b.key("EdDSA")}
		}
		errs := race(calls, func(i int) (err error) {
			got[i], err = stores[i%len(stores)].AddSigningKeys(b.Context(), candidates[i])
			return err
		})
		b.count(errs, calls, func(error) bool { return false })
		kept, err := b.store.SigningKeys(b.Context())
		b.ok(err)
		for _, keys := range got {
			b.same(keys, kept)
		}
		algorithms := make([]string, len(kept))
		for i, k := range kept {
			algorithms[i] = k.Algorithm
		}
		slices.Sort(algorithms)
		b.same(algorithms, []string{"ES256", "EdDSA", "RS256"})
	}},
}
