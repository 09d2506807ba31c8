package storagetest

import (
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// session makes a session of an identity's account.
func (f *fixture) session(i authz.Identity) authz.Session {
	return authz.Session{
		ID: f.word("session"), Token: f.hash(), AccountID: i.AccountID, BAPID: i.BAPID, MemberKey: i.MemberKey,
		Method: authz.MethodPasskey, Passkey: f.word("passkey"), NewsSince: at(-9), Network: "192.0.2.0/24", UserAgent: f.word("agent"),
		CreatedAt: at(0), ExpiresAt: at(600),
	}
}

func (f *fixture) review() authz.Review {
	return authz.Review{
		ID: f.hash(), Session: f.hash(), RequestID: f.word("request"), UserCode: "BCDF-GHJK", Facts: f.hash(), ExpiresAt: at(600),
	}
}

var sessionCases = []testCase{
	{"a session is kept with every member", func(f *fixture) {
		_, i := f.account()
		for _, s := range []authz.Session{f.session(i), f.session(i)} {
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
			got, err := f.store.Session(f.Context(), s.Token, at(0))
			f.ok(err)
			f.same(got, s)
		}
	}},
	{"a session that is not there or has expired is not found", func(f *fixture) {
		_, i := f.account()
		s := f.session(i)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		_, err := f.store.Session(f.Context(), f.hash(), at(0))
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Session(f.Context(), s.Token, s.ExpiresAt)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Session(f.Context(), s.Token, s.ExpiresAt.Add(-time.Millisecond))
		f.ok(err)
	}},
	{"a session of a disabled account is not found", func(f *fixture) {
		_, i := f.accountWith(func(a *authz.Account) { a.Disabled = true })
		s := f.session(i)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		_, err := f.store.Session(f.Context(), s.Token, at(0))
		f.refused(err, contract.ErrNotFound)
	}},
	{"a session needs an identity of its account", func(f *fixture) {
		a, _ := f.account()
		_, foreign := f.account()
		for _, i := range []authz.Identity{{AccountID: "nobody"}, {AccountID: a.ID}, {AccountID: a.ID, BAPID: foreign.BAPID}} {
			n := contract.NewSession{Session: f.session(i), Event: f.event(a.ID), Keep: plenty}
			f.refused(f.store.CreateSession(f.Context(), n), contract.ErrNotFound)
			f.noSession(n)
		}
		f.told(a.ID)
	}},
	{"a sign-in with a key is noted at its identity, as often as was asked, and one with a passkey is not", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		p := f.added(i)
		for _, sign := range []struct{ at, before, want int }{{100, 90, 100}, {120, 90, 100}, {130, 100, 100}, {150, 101, 150}} {
			s := f.session(i)
			s.CreatedAt = at(sign.at)
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, SignedInBefore: at(sign.before), Event: anyEvent, Keep: plenty}))
			i.SignedInAt = at(sign.want)
			got, err := f.store.Identity(f.Context(), i.BAPID)
			f.ok(err)
			f.same(got, i)
		}
		passkey := f.signIn(p, p.SignCount+1)
		passkey.SignedInBefore = at(1000)
		f.ok(f.store.CreateSession(f.Context(), passkey))
		mixed := contract.NewSession{Session: f.session(authz.Identity{AccountID: i.AccountID, BAPID: other.BAPID}), SignedInBefore: at(99_999), Event: anyEvent, Keep: plenty}
		f.refused(f.store.CreateSession(f.Context(), mixed), contract.ErrNotFound)
		mixed = f.signIn(p, p.SignCount+9)
		mixed.Session.BAPID = other.BAPID
		if err := f.store.CreateSession(f.Context(), mixed); err == nil {
			f.Error("a passkey signed another account's identity in")
		}
		used, err := f.store.Passkey(f.Context(), p.ID)
		f.ok(err)
		f.same(used.SignCount, p.SignCount+1)
		for _, want := range []authz.Identity{i, other} {
			got, err := f.store.Identity(f.Context(), want.BAPID)
			f.ok(err)
			f.same(got, want)
		}
	}},
	{"a session ends once and for all, others go on", func(f *fixture) {
		_, i := f.account()
		s, other := f.session(i), f.session(i)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: other, Event: anyEvent, Keep: plenty}))
		f.ok(f.store.DeleteSession(f.Context(), s.Token, anyEvent))
		f.ok(f.store.DeleteSession(f.Context(), s.Token, anyEvent))
		_, err := f.store.Session(f.Context(), s.Token, at(0))
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.Session(f.Context(), other.Token, at(0))
		f.ok(err)
	}},
	{"the end of a session is told of when there was one", func(f *fixture) {
		a, i := f.account()
		s := f.session(i)
		began, ended := f.event(a.ID), f.event(a.ID)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: began, Keep: plenty}))
		f.ok(f.store.DeleteSession(f.Context(), s.Token, ended))
		f.ok(f.store.DeleteSession(f.Context(), s.Token, f.event(a.ID)))
		f.told(a.ID, ended, began)
	}},
	{"B-03 a sign-in ends the session that the browser had, whoever's it was", func(f *fixture) {
		_, i := f.account()
		_, other := f.account()
		planted, stays, mine := f.session(other), f.session(other), f.session(i)
		for _, s := range []authz.Session{planted, stays} {
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		}
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: mine, Replaces: planted.Token, Event: anyEvent, Keep: plenty}))
		_, err := f.store.Session(f.Context(), planted.Token, at(0))
		f.refused(err, contract.ErrNotFound)
		for _, s := range []authz.Session{stays, mine} {
			_, err := f.store.Session(f.Context(), s.Token, at(0))
			f.ok(err)
		}
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: f.session(i), Replaces: f.hash(), Event: anyEvent, Keep: plenty}))
	}},
	{"a refused sign-in ends no session", func(f *fixture) {
		_, i := f.account()
		s := f.session(i)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		nobody := f.session(authz.Identity{AccountID: "nobody"})
		f.refused(f.store.CreateSession(f.Context(), contract.NewSession{Session: nobody, Replaces: s.Token, Event: anyEvent, Keep: plenty}), contract.ErrNotFound)
		_, err := f.store.Session(f.Context(), s.Token, at(0))
		f.ok(err)
	}},
	{"an account's sessions that are not over are listed, newest first", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		var want []authz.Session
		for _, created := range []int{2, 1, 3} {
			s := f.session(i)
			s.CreatedAt = at(created)
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
			want = append(want, s)
		}
		over := f.session(i)
		over.ExpiresAt = at(10)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: over, Event: anyEvent, Keep: plenty}))
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: f.session(other), Event: anyEvent, Keep: plenty}))
		slices.SortFunc(want, func(x, y authz.Session) int { return y.CreatedAt.Compare(x.CreatedAt) })
		got, err := f.store.Sessions(f.Context(), a.ID, at(10), many)
		f.ok(err)
		f.same(got, want)
		none, err := f.store.Sessions(f.Context(), "nobody", at(10), many)
		f.ok(err)
		f.same(len(none), 0)
	}},
	{"an account ends a session of its own by its id, once", func(f *fixture) {
		a, i := f.account()
		other, _ := f.account()
		s, stays, over := f.session(i), f.session(i), f.session(i)
		over.ExpiresAt = at(10)
		for _, n := range []authz.Session{s, stays, over} {
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: n, Event: anyEvent, Keep: plenty}))
		}
		f.refused(f.store.EndSession(f.Context(), other.ID, s.ID, at(10), f.event(other.ID)), contract.ErrNotFound)
		f.refused(f.store.EndSession(f.Context(), a.ID, "none", at(10), f.event(a.ID)), contract.ErrNotFound)
		f.refused(f.store.EndSession(f.Context(), a.ID, over.ID, at(10), f.event(a.ID)), contract.ErrNotFound)
		ended := f.event(a.ID)
		errs := race(8, func(int) error { return f.store.EndSession(f.Context(), a.ID, s.ID, at(10), ended) })
		f.count(errs, 1, is(contract.ErrNotFound))
		got, err := f.store.Sessions(f.Context(), a.ID, at(10), many)
		f.ok(err)
		f.same(got, []authz.Session{stays})
		f.told(a.ID, ended)
		f.told(other.ID)
	}},
	{"an account ends all its sessions but one, or all", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		sessions := []authz.Session{f.session(i), f.session(i), f.session(i), f.session(other)}
		for _, s := range sessions {
			f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: s, Event: anyEvent, Keep: plenty}))
		}
		over := f.session(i)
		over.ExpiresAt = at(10)
		f.ok(f.store.CreateSession(f.Context(), contract.NewSession{Session: over, Event: anyEvent, Keep: plenty}))
		end := func(keep authz.Hash, e contract.NewEvent, want int) {
			f.Helper()
			n, err := f.store.EndOtherSessions(f.Context(), a.ID, keep, at(10), e)
			f.ok(err)
			f.same(n, want)
		}
		first, last := f.event(a.ID), f.event(a.ID)
		end(sessions[1].Token, first, 2)
		end(sessions[1].Token, f.event(a.ID), 0)
		got, err := f.store.Sessions(f.Context(), a.ID, at(10), many)
		f.ok(err)
		f.same(got, sessions[1:2])
		end(authz.Hash{}, last, 1)
		_, err = f.store.Session(f.Context(), sessions[3].Token, at(10))
		f.ok(err)
		f.told(a.ID, last, first)
	}},
	{"a review is taken once, with every member", func(f *fixture) {
		r := f.review()
		f.ok(f.store.CreateReview(f.Context(), r, plenty))
		got, err := f.store.TakeReview(f.Context(), r.ID, r.Session, at(0))
		f.ok(err)
		f.same(got, r)
		_, err = f.store.TakeReview(f.Context(), r.ID, r.Session, at(0))
		f.refused(err, contract.ErrNotFound)
	}},
	{"of 32 concurrent takings of a review one gets it", func(f *fixture) {
		r := f.review()
		f.ok(f.store.CreateReview(f.Context(), r, plenty))
		taken := make([]authz.Review, 32)
		errs := race(len(taken), func(i int) (err error) {
			taken[i], err = f.store.TakeReview(f.Context(), r.ID, r.Session, at(0))
			return err
		})
		f.count(errs, 1, is(contract.ErrNotFound))
		f.same(taken[slices.Index(errs, nil)], r)
	}},
	{"of a session's reviews the newest are kept, others' stay", func(f *fixture) {
		other := f.review()
		f.ok(f.store.CreateReview(f.Context(), other, plenty))
		mine := make([]authz.Review, 12)
		for i := range mine {
			mine[i] = f.review()
			mine[i].Session, mine[i].ExpiresAt = mine[0].Session, at(600+i)
			f.ok(f.store.CreateReview(f.Context(), mine[i], contract.KeepAtMost(8)))
		}
		for i, r := range mine {
			_, err := f.store.TakeReview(f.Context(), r.ID, r.Session, at(0))
			if i < 4 {
				f.refused(err, contract.ErrNotFound)
			} else {
				f.ok(err)
			}
		}
		_, err := f.store.TakeReview(f.Context(), other.ID, other.Session, at(0))
		f.ok(err)
	}},
	{"a review of another session or over is not found, and stays", func(f *fixture) {
		r := f.review()
		f.ok(f.store.CreateReview(f.Context(), r, plenty))
		_, err := f.store.TakeReview(f.Context(), r.ID, f.hash(), at(0))
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.TakeReview(f.Context(), f.hash(), r.Session, at(0))
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.TakeReview(f.Context(), r.ID, r.Session, r.ExpiresAt)
		f.refused(err, contract.ErrNotFound)
		_, err = f.store.TakeReview(f.Context(), r.ID, r.Session, r.ExpiresAt.Add(-time.Millisecond))
		f.ok(err)
	}},
}
