package storagetest

import (
	"time"

	"countersign.dev/internal/authz/contract"
)

// guesses ends the test unless the subjects have these failures.
func (f *fixture) guesses(subjects []string, window time.Time, want []int) {
	f.Helper()
	got, err := f.store.Guesses(f.Context(), subjects, window)
	f.ok(err)
	f.same(got, want)
}

var guardCases = []testCase{
	{"a key is used once until its time, and again afterwards", func(f *fixture) {
		key := f.hash()
		f.ok(f.store.UseOnce(f.Context(), key, at(0), at(60)))
		f.refused(f.store.UseOnce(f.Context(), key, at(1), at(600)), contract.ErrExists)
		f.refused(f.store.UseOnce(f.Context(), key, at(60).Add(-time.Millisecond), at(600)), contract.ErrExists)
		f.ok(f.store.UseOnce(f.Context(), key, at(60), at(120)))
		f.refused(f.store.UseOnce(f.Context(), key, at(119), at(600)), contract.ErrExists)
		f.ok(f.store.UseOnce(f.Context(), f.hash(), at(1), at(60)))
	}},
	{"of 64 concurrent uses of a key one succeeds", func(f *fixture) {
		key := f.hash()
		errs := race(64, func(int) error { return f.store.UseOnce(f.Context(), key, at(0), at(60)) })
		f.count(errs, 1, is(contract.ErrExists))
	}},
	{"of concurrent uses of an expired key one succeeds, on two servers too", func(f *fixture) {
		key := f.hash()
		f.ok(f.store.UseOnce(f.Context(), key, at(0), at(60)))
		stores := []contract.Store{f.store, f.connect()}
		errs := race(32, func(i int) error { return stores[i%2].UseOnce(f.Context(), key, at(60), at(120)) })
		f.count(errs, 1, is(contract.ErrExists))
	}},
	{"failures are counted by subject and window", func(f *fixture) {
		first, second := at(0), at(3600)
		f.guesses([]string{"a", "b"}, first, []int{0, 0})
		f.ok(f.store.CountGuesses(f.Context(), []string{"a", "b"}, first))
		f.ok(f.store.CountGuesses(f.Context(), []string{"a"}, first))
		f.ok(f.store.CountGuesses(f.Context(), []string{"a"}, second))
		f.guesses([]string{"c", "b", "a", "A"}, first, []int{0, 1, 2, 0})
		f.guesses([]string{"a", "b"}, second, []int{1, 0})
		f.ok(f.store.CountGuesses(f.Context(), nil, first))
		f.guesses(nil, first, []int{})
	}},
	{"no failure is lost under concurrency", func(f *fixture) {
		stores := []contract.Store{f.store, f.connect()}
		errs := race(64, func(i int) error { return stores[i%2].CountGuesses(f.Context(), []string{"a", "b"}, at(0)) })
		f.count(errs, len(errs), func(error) bool { return false })
		f.guesses([]string{"a", "b"}, at(0), []int{64, 64})
	}},
	{"subjects are kept byte for byte", func(f *fixture) {
		want := make([]int, len(awkward))
		for i := range awkward {
			want[i] = 1
		}
		f.ok(f.store.CountGuesses(f.Context(), awkward, at(0)))
		f.guesses(awkward, at(0), want)
	}},
}
