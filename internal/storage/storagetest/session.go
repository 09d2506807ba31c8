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
		Method: authz.MethodPasskey, Passkey: b.word("passkey"), NewsSince: at(-9), Network: "192.0.2.0/24", UserAgent: b.word("agent"),
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
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
			got, err := b.store.Session(b.Context(), s.Token, at(0))
			b.ok(err)
			b.same(got, s)
		}
	}},
	{"a session that is not there or has expired is not found", func(b *bench) {
		_, i := b.account()
		s := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
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
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		_, err := b.store.Session(b.Context(), s.Token, at(0))
		b.refused(err, authz.ErrNotFound)
	}},
	{"a session needs an identity of its account", func(b *bench) {
		a, _ := b.account()
		_, foreign := b.account()
		for _, i := range []authz.Identity{{AccountID: "nobody"}, {AccountID: a.ID}, {AccountID: a.ID, BAPID: foreign.BAPID}} {
			n := authz.NewSession{Session: b.session(i), Event: b.event(a.ID), Keep: plenty}
			b.refused(b.store.CreateSession(b.Context(), n), authz.ErrNotFound)
			b.noSession(n)
		}
		b.told(a.ID)
	}},
	{"a sign-in with a key is noted at its identity, as often as was asked, and one with a passkey is not", func(b *bench) {
		_, i := b.account()
		_, other := b.account()
		p := b.added(i)
		for _, sign := range []struct{ at, before, want int }{{100, 90, 100}, {120, 90, 100}, {130, 100, 100}, {150, 101, 150}} {
			s := b.session(i)
			s.CreatedAt = at(sign.at)
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, SignedInBefore: at(sign.before), Event: anyEvent, Keep: plenty}))
			i.SignedInAt = at(sign.want)
			got, err := b.store.Identity(b.Context(), i.BAPID)
			b.ok(err)
			b.same(got, i)
		}
		passkey := b.signIn(p, p.SignCount+1)
		passkey.SignedInBefore = at(1000)
		b.ok(b.store.CreateSession(b.Context(), passkey))
		mixed := authz.NewSession{Session: b.session(authz.Identity{AccountID: i.AccountID, BAPID: other.BAPID}), SignedInBefore: at(99_999), Event: anyEvent, Keep: plenty}
		b.refused(b.store.CreateSession(b.Context(), mixed), authz.ErrNotFound)
		mixed = b.signIn(p, p.SignCount+9)
		mixed.Session.BAPID = other.BAPID
		if err := b.store.CreateSession(b.Context(), mixed); err == nil {
			b.Error("a passkey signed another account's identity in")
		}
		used, err := b.store.Passkey(b.Context(), p.ID)
		b.ok(err)
		b.same(used.SignCount, p.SignCount+1)
		for _, want := range []authz.Identity{i, other} {
			got, err := b.store.Identity(b.Context(), want.BAPID)
			b.ok(err)
			b.same(got, want)
		}
	}},
	{"a session ends once and for all, others go on", func(b *bench) {
		_, i := b.account()
		s, other := b.session(i), b.session(i)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: other, Event: anyEvent, Keep: plenty}))
		b.ok(b.store.DeleteSession(b.Context(), s.Token, anyEvent))
		b.ok(b.store.DeleteSession(b.Context(), s.Token, anyEvent))
		_, err := b.store.Session(b.Context(), s.Token, at(0))
		b.refused(err, authz.ErrNotFound)
		_, err = b.store.Session(b.Context(), other.Token, at(0))
		b.ok(err)
	}},
	{"the end of a session is told of when there was one", func(b *bench) {
		a, i := b.account()
		s := b.session(i)
		began, ended := b.event(a.ID), b.event(a.ID)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: began, Keep: plenty}))
		b.ok(b.store.DeleteSession(b.Context(), s.Token, ended))
		b.ok(b.store.DeleteSession(b.Context(), s.Token, b.event(a.ID)))
		b.told(a.ID, ended, began)
	}},
	{"B-03 a sign-in ends the session that the browser had, whoever's it was", func(b *bench) {
		_, i := b.account()
		_, other := b.account()
		planted, stays, mine := b.session(other), b.session(other), b.session(i)
		for _, s := range []authz.Session{planted, stays} {
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		}
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: mine, Replaces: planted.Token, Event: anyEvent, Keep: plenty}))
		_, err := b.store.Session(b.Context(), planted.Token, at(0))
		b.refused(err, authz.ErrNotFound)
		for _, s := range []authz.Session{stays, mine} {
			_, err := b.store.Session(b.Context(), s.Token, at(0))
			b.ok(err)
		}
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: b.session(i), Replaces: b.hash(), Event: anyEvent, Keep: plenty}))
	}},
	{"a refused sign-in ends no session", func(b *bench) {
		_, i := b.account()
		s := b.session(i)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		nobody := b.session(authz.Identity{AccountID: "nobody"})
		b.refused(b.store.CreateSession(b.Context(), authz.NewSession{Session: nobody, Replaces: s.Token, Event: anyEvent, Keep: plenty}), authz.ErrNotFound)
		_, err := b.store.Session(b.Context(), s.Token, at(0))
		b.ok(err)
	}},
	{"an account's sessions that are not over are listed, newest first", func(b *bench) {
		a, i := b.account()
		_, other := b.account()
		var want []authz.Session
		for _, created := range []int{2, 1, 3} {
			s := b.session(i)
			s.CreatedAt = at(created)
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
			want = append(want, s)
		}
		over := b.session(i)
		over.ExpiresAt = at(10)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: over, Event: anyEvent, Keep: plenty}))
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: b.session(other), Event: anyEvent, Keep: plenty}))
		slices.SortFunc(want, func(x, y authz.Session) int { return y.CreatedAt.Compare(x.CreatedAt) })
		got, err := b.store.Sessions(b.Context(), a.ID, at(10), many)
		b.ok(err)
		b.same(got, want)
		none, err := b.store.Sessions(b.Context(), "nobody", at(10), many)
		b.ok(err)
		b.same(len(none), 0)
	}},
	{"an account ends a session of its own by its id, once", func(b *bench) {
		a, i := b.account()
		other, _ := b.account()
		s, stays, over := b.session(i), b.session(i), b.session(i)
		over.ExpiresAt = at(10)
		for _, n := range []authz.Session{s, stays, over} {
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: n, Event: anyEvent, Keep: plenty}))
		}
		b.refused(b.store.EndSession(b.Context(), other.ID, s.ID, at(10), b.event(other.ID)), authz.ErrNotFound)
		b.refused(b.store.EndSession(b.Context(), a.ID, "none", at(10), b.event(a.ID)), authz.ErrNotFound)
		b.refused(b.store.EndSession(b.Context(), a.ID, over.ID, at(10), b.event(a.ID)), authz.ErrNotFound)
		ended := b.event(a.ID)
		errs := race(8, func(int) error { return b.store.EndSession(b.Context(), a.ID, s.ID, at(10), ended) })
		b.count(errs, 1, is(authz.ErrNotFound))
		got, err := b.store.Sessions(b.Context(), a.ID, at(10), many)
		b.ok(err)
		b.same(got, []authz.Session{stays})
		b.told(a.ID, ended)
		b.told(other.ID)
	}},
	{"an account ends all its sessions but one, or all", func(b *bench) {
		a, i := b.account()
		_, other := b.account()
		sessions := []authz.Session{b.session(i), b.session(i), b.session(i), b.session(other)}
		for _, s := range sessions {
			b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		}
		over := b.session(i)
		over.ExpiresAt = at(10)
		b.ok(b.store.CreateSession(b.Context(), authz.NewSession{Session: over, Event: anyEvent, Keep: plenty}))
		end := func(keep authz.Hash, e authz.NewEvent, want int) {
			b.Helper()
			n, err := b.store.EndOtherSessions(b.Context(), a.ID, keep, at(10), e)
			b.ok(err)
			b.same(n, want)
		}
		first, last := b.event(a.ID), b.event(a.ID)
		end(sessions[1].Token, first, 2)
		end(sessions[1].Token, b.event(a.ID), 0)
		got, err := b.store.Sessions(b.Context(), a.ID, at(10), many)
		b.ok(err)
		b.same(got, sessions[1:2])
		end(authz.Hash{}, last, 1)
		_, err = b.store.Session(b.Context(), sessions[3].Token, at(10))
		b.ok(err)
		b.told(a.ID, last, first)
	}},
	{"a review is taken once, with every member", func(b *bench) {
		r := b.review()
		b.ok(b.store.CreateReview(b.Context(), r, plenty))
		got, err := b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
		b.ok(err)
		b.same(got, r)
		_, err = b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
		b.refused(err, authz.ErrNotFound)
	}},
	{"of 32 concurrent takings of a review one gets it", func(b *bench) {
		r := b.review()
		b.ok(b.store.CreateReview(b.Context(), r, plenty))
		taken := make([]authz.Review, 32)
		errs := race(len(taken), func(i int) (err error) {
			taken[i], err = b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
			return err
		})
		b.count(errs, 1, is(authz.ErrNotFound))
		b.same(taken[slices.Index(errs, nil)], r)
	}},
	{"of a session's reviews the newest are kept, others' stay", func(b *bench) {
		other := b.review()
		b.ok(b.store.CreateReview(b.Context(), other, plenty))
		mine := make([]authz.Review, 12)
		for i := range mine {
			mine[i] = b.review()
			mine[i].Session, mine[i].ExpiresAt = mine[0].Session, at(600+i)
			b.ok(b.store.CreateReview(b.Context(), mine[i], authz.KeepAtMost(8)))
		}
		for i, r := range mine {
			_, err := b.store.TakeReview(b.Context(), r.ID, r.Session, at(0))
			if i < 4 {
				b.refused(err, authz.ErrNotFound)
			} else {
				b.ok(err)
			}
		}
		_, err := b.store.TakeReview(b.Context(), other.ID, other.Session, at(0))
		b.ok(err)
	}},
	{"a review of another session or over is not found, and stays", func(b *bench) {
		r := b.review()
		b.ok(b.store.CreateReview(b.Context(), r, plenty))
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
