package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
)

// session makes a session of an identity's account.
func (b *bench) session(i authz.Identity) authz.Session {
	return authz.Session{
		ID: b.word("session"), Token: b.hash(), AccountID: i.AccountID, BAPID: i.BAPID, MemberKey: i.MemberKey,
		CreatedAt: at(0), ExpiresAt: at(600),
	}
}

func (b *bench) review() authz.Review {
	return authz.Review{
		ID: b.hash(), Session: b.hash(), RequestID: b.word("request"), UserCode: "BCDF-GHJK", Facts: b.hash(), ExpiresAt: at(600),
	}
}

var sessionCases = []testCase{
	{"a session is kept with every member", func(b *bench) {
		_, i := b.account()
		for _, s := range []authz.Session{b.session(i), b.session(i)} {
			b.ok(b.store.CreateSession(b.Context(), s))
			got, err := b.store.Session(b.Context(), s.Token, at(0))
			b.ok(err)
			b.same(got, s)
		}
	}},
	{"a session that is not there or has expired is not found", func(b *bench) {
		_, i := b.account()
		s := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), s))
		_, err := b.store.Session(b.Context(), b.hash(), at(0))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Session(b.Context(), s.Token, s.ExpiresAt)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Session(b.Context(), s.Token, s.ExpiresAt.Add(-time.Millisecond))
		b.ok(err)
	}},
	{"a session of a disabled account is not found", func(b *bench) {
		_, i := b.accountWith(func(a *authz.Account) { a.Disabled = true })
		s := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), s))
		_, err := b.store.Session(b.Context(), s.Token, at(0))
		b.refused(err, authz.ErrNotFound)
	}},
	{"a session needs an account", func(b *bench) {
		s := b.session(authz.Identity{AccountID: "nobody"})
		b.refused(b.store.CreateSession(b.Context(), s), authz.ErrNotFound)
		_, err := b.store.Session(b.Context(), s.Token, at(0))
		b.refused(err, authz.ErrNotFound)
	}},
	{"a session ends once and for all, others go on", func(b *bench) {
		_, i := b.account()
		s, other := b.session(i), b.session(i)
		b.ok(b.store.CreateSession(b.Context(), s))
		b.ok(b.store.CreateSession(b.Context(), other))
		b.ok(b.store.DeleteSession(b.Context(), s.Token))
		b.ok(b.store.DeleteSession(b.Context(), s.Token))
		_, err := b.store.Session(b.Context(), s.Token, at(0))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Session(b.Context(), other.Token, at(0))
		b.ok(err)
	}},
	{"a review is taken once, with every member", func(b *bench) {
		r := b.review()
		b.ok(b.store.CreateReview(b.Context(), r))
		got, err := b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
		b.ok(err)
		b.same(got, r)
		_, err = b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
		b.refused(err, authz.ErrNotFound)
	}},
	{"of 32 concurrent takings of a review one gets it", func(b *bench) {
		r := b.review()
		b.ok(b.store.CreateReview(b.Context(), r))
		taken := make([]authz.Review, 32)
		errs := race(len(taken), func(i int) (err error) {
			taken[i], err = b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
			return err
		})
		b.count(errs, 1, is(authz.ErrNotFound))
		b.same(taken[slices.Index(errs, nil)], r)
	}},
	{"a review of another session or over is not found, and stays", func(b *bench) {
		r := b.review()
		b.ok(b.store.CreateReview(b.Context(), r))
		_, err := b.store.TakeReview(b.Context(), r.ID, b.hash(), at(0))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.TakeReview(b.Context(), b.hash(), r.Session, at(0))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.TakeReview(b.Context(), r.ID, r.Session, r.ExpiresAt)
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.TakeReview(b.Context(), r.ID, r.Session, r.ExpiresAt.Add(-time.Millisecond))
		b.ok(err)
	}},
}
