package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
)

// guesses ends the test unless the subjects have these failures.
func (b *bench) guesses(subjects []string, window time.Time, want []int) {
	b.Helper()
	got, err := b.store.Guesses(b.Context(), subjects, window)
	b.ok(err)
	b.same(got, want)
}

var guardCases = []testCase{
	{"a key is used once until its time, and again afterwards", func(b *bench) {
		key := b.hash()
		b.ok(b.store.UseOnce(b.Context(), key, at(0), at(60)))
		b.refused(b.store.UseOnce(b.Context(), key, at(1), at(600)), authz.ErrExists)
		b.refused(b.store.UseOnce(b.Context(), key, at(60).Add(-time.Millisecond), at(600)), authz.ErrExists)
		b.ok(b.store.UseOnce(b.Context(), key, at(60), at(120)))
		b.refused(b.store.UseOnce(b.Context(), key, at(119), at(600)), authz.ErrExists)
		b.ok(b.store.UseOnce(b.Context(), b.hash(), at(1), at(60)))
	}},
	{"of 64 concurrent uses of a key one succeeds", func(b *bench) {
		key := b.hash()
		errs := race(64, func(int) error { return b.store.UseOnce(b.Context(), key, at(0), at(60)) })
		b.count(errs, 1, is(authz.ErrExists))
	}},
	{"of concurrent uses of an expired key one succeeds, on two servers too", func(b *bench) {
		key := b.hash()
		b.ok(b.store.UseOnce(b.Context(), key, at(0), at(60)))
		stores := []authz.Store{b.store, b.connect()}
		errs := race(32, func(i int) error { return stores[i%2].UseOnce(b.Context(), key, at(60), at(120)) })
		b.count(errs, 1, is(authz.ErrExists))
	}},
	{"failures are counted by subject and window", func(b *bench) {
		first, second := at(0), at(3600)
		b.guesses([]string{"a", "b"}, first, []int{0, 0})
		b.ok(b.store.CountGuesses(b.Context(), []string{"a", "b"}, first))
		b.ok(b.store.CountGuesses(b.Context(), []string{"a"}, first))
		b.ok(b.store.CountGuesses(b.Context(), []string{"a"}, second))
		b.guesses([]string{"c", "b", "a", "A"}, first, []int{0, 1, 2, 0})
		b.guesses([]string{"a", "b"}, second, []int{1, 0})
		b.ok(b.store.CountGuesses(b.Context(), nil, first))
		b.guesses(nil, first, []int{})
	}},
	{"no failure is lost under concurrency", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		errs := race(64, func(i int) error { return stores[i%2].CountGuesses(b.Context(), []string{"a", "b"}, at(0)) })
		b.count(errs, len(errs), func(error) bool { return false })
		b.guesses([]string{"a", "b"}, at(0), []int{64, 64})
	}},
	{"subjects are kept byte for byte", func(b *bench) {
		want := make([]int, len(awkward))
		for i := range awkward {
			want[i] = 1
		}
		b.ok(b.store.CountGuesses(b.Context(), awkward, at(0)))
		b.guesses(awkward, at(0), want)
	}},
}
