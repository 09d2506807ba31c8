package storagetest

import (
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

var openDoor = contract.AskRoom{Pending: many, Daily: many, Since: begin.Add(-24 * time.Hour)}

// onTop makes the request of an agent for more.
func (f *fixture) onTop(above authz.Grant) authz.DeviceRequest {
	r := f.agentRequest(above.Delegated.Agent)
	r.ClientID, r.AccountID, r.Asked.Parent, r.Asked.Line = above.ClientID, above.AccountID, above.ID, above.Delegated.Line
	return r
}

// asked stores one.
func (f *fixture) asked(above authz.Grant) authz.DeviceRequest {
	f.Helper()
	r := f.onTop(above)
	f.ok(f.store.AskOnTop(f.Context(), r, openDoor))
	return r
}

// question makes one about a request.
func (f *fixture) question(r authz.DeviceRequest, when time.Time) authz.Question {
	return authz.Question{ID: f.word("question"), RequestID: r.ID, Question: f.word("what for"), AskedAt: when}
}

// inbox is what an account's agents ask, as another server sees it.
func (f *fixture) inbox(accountID string, now time.Time, limit int, want ...authz.DeviceRequest) {
	f.Helper()
	got, err := f.connect().Requests(f.Context(), accountID, now, limit)
	f.ok(err)
	f.same(append([]authz.DeviceRequest{}, got...), append([]authz.DeviceRequest{}, want...))
}

var askCases = []testCase{
	{"what an agent asks for is its owner's from the start, listed while it is pending", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		top := f.agent(i, f.agentKey(), nil)
		foreign := f.asked(f.agent(other, f.agentKey(), nil))
		opened := f.pending()
		f.ok(claim(f, f.store, opened.ID, a.ID, at(1)))
		var all []authz.DeviceRequest
		for n := range 3 {
			r := f.onTop(top)
			r.CreatedAt, r.ExpiresAt = at(10-n), at(100+n)
			f.ok(f.store.AskOnTop(f.Context(), r, openDoor))
			all = append([]authz.DeviceRequest{r}, all...)
			f.kept(r)
		}
		f.inbox(a.ID, at(50), many, all...)
		f.inbox(a.ID, at(50), 2, all[:2]...)
		f.inbox(a.ID, all[2].ExpiresAt, many, all[:2]...)
		f.inbox(other.AccountID, at(50), many, foreign)
		f.inbox("nobody", at(50), many)
		f.ok(deny(f, all[0], a.ID, false, at(20)))
		f.inbox(a.ID, at(50), many, all[1:]...)
	}},
	{"a code or an id of what an agent asks is in use once", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		there := f.asked(top)
		for _, edit := range []func(r *authz.DeviceRequest){
			func(r *authz.DeviceRequest) { r.ID = there.ID },
			func(r *authz.DeviceRequest) { r.UserCode = there.UserCode },
			func(r *authz.DeviceRequest) { r.DeviceCode = there.DeviceCode },
		} {
			r := f.onTop(top)
			edit(&r)
			f.refused(f.store.AskOnTop(f.Context(), r, openDoor), contract.ErrExists)
		}
		f.inbox(i.AccountID, at(1), many, there)
	}},
	{"a line has so many pending requests, and so many in a day", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		sub := f.delegated(top)
		elsewhere := f.agent(i, f.agentKey(), nil)
		f.asked(elsewhere)
		stores := []contract.Store{f.store, f.connect()}
		room := contract.AskRoom{Pending: 3, Daily: 5, Since: at(-1)}
		made := make([]authz.DeviceRequest, 12)
		for n := range made {
			made[n] = f.onTop([]authz.Grant{top, sub}[n%2])
		}
		errs := race(len(made), func(n int) error { return stores[n%2].AskOnTop(f.Context(), made[n], room) })
		f.count(errs, 3, is(contract.ErrFull))
		for n, err := range errs {
			if err == nil {
				f.ok(deny(f, made[n], i.AccountID, false, at(20)))
			}
		}
		for range 2 {
			f.ok(f.store.AskOnTop(f.Context(), f.onTop(top), room))
		}
		f.refused(f.store.AskOnTop(f.Context(), f.onTop(sub), room), contract.ErrFull) // of the day
		f.ok(f.store.AskOnTop(f.Context(), f.onTop(elsewhere), room))
		room.Since = at(0) // on which they came
		f.ok(f.store.AskOnTop(f.Context(), f.onTop(sub), room))
		late := f.onTop(sub)
		late.CreatedAt, late.ExpiresAt = at(900), at(1800) // when the others are over
		f.ok(f.store.AskOnTop(f.Context(), late, room))
	}},
	{"an owner asks about a pending request of theirs, one question after the other", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		r := f.asked(f.agent(i, f.agentKey(), nil))
		q := f.question(r, at(20))
		f.ok(f.store.AskQuestion(f.Context(), a.ID, q, 2))
		list := func(want ...authz.Question) {
			f.Helper()
			got, err := f.connect().Questions(f.Context(), r.ID)
			f.ok(err)
			f.same(append([]authz.Question{}, got...), append([]authz.Question{}, want...))
		}
		list(q)
		f.refused(f.store.AskQuestion(f.Context(), a.ID, f.question(r, at(21)), 2), contract.ErrExists)
		answer := q
		answer.Answer, answer.AnsweredAt = "for \x27this\x27", at(30)
		for _, edit := range []func(q *authz.Question){
			func(q *authz.Question) { q.RequestID = "another" },
			func(q *authz.Question) { q.ID = "none" },
		} {
			wrong := answer
			edit(&wrong)
			f.refused(f.store.AnswerQuestion(f.Context(), wrong), contract.ErrNotFound)
		}
		f.count(race(8, func(int) error { return f.store.AnswerQuestion(f.Context(), answer) }), 1, is(contract.ErrExists))
		list(answer)
		second := f.question(r, at(31))
		f.ok(f.store.AskQuestion(f.Context(), a.ID, second, 2))
		list(answer, second)
		second.Answer, second.AnsweredAt = "é", at(32)
		f.ok(f.store.AnswerQuestion(f.Context(), second))
		f.refused(f.store.AskQuestion(f.Context(), a.ID, f.question(r, at(33)), 2), contract.ErrFull)
		f.wrongState(f.store.AskQuestion(f.Context(), other.AccountID, f.question(r, at(33)), many), r)
		f.wrongState(f.store.AskQuestion(f.Context(), a.ID, f.question(r, r.ExpiresAt), many), r)
		none := f.question(r, at(33))
		none.RequestID = "none"
		f.refused(f.store.AskQuestion(f.Context(), a.ID, none, many), contract.ErrNotFound)
		f.ok(deny(f, r, a.ID, false, at(34)))
		r.State = authz.Denied
		f.wrongState(f.store.AskQuestion(f.Context(), a.ID, f.question(r, at(35)), many), r)
		list(answer, second)
	}},
	{"of questions asked at once at two servers one is", func(f *fixture) {
		a, i := f.account()
		r := f.asked(f.agent(i, f.agentKey(), nil))
		stores := []contract.Store{f.store, f.connect()}
		made := make([]authz.Question, 12)
		for n := range made {
			made[n] = f.question(r, at(20))
		}
		f.count(race(len(made), func(n int) error { return stores[n%2].AskQuestion(f.Context(), a.ID, made[n], many) }), 1, is(contract.ErrExists))
	}},
	{"what was asked is swept with its request, and counts for a day", func(f *fixture) {
		a, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		r, live := f.onTop(top), f.asked(top)
		r.ExpiresAt = at(60)
		f.ok(f.store.AskOnTop(f.Context(), r, openDoor))
		for _, one := range []authz.DeviceRequest{r, live} {
			f.ok(f.store.AskQuestion(f.Context(), a.ID, f.question(one, at(20)), many))
		}
		f.same(f.sweep(at(61), many), 1)
		for id, want := range map[string]int{r.ID: 0, live.ID: 1} {
			left, err := f.store.Questions(f.Context(), id)
			f.ok(err)
			f.same(len(left), want)
		}
		full := contract.AskRoom{Pending: many, Daily: 2, Since: at(-1)}
		f.refused(f.store.AskOnTop(f.Context(), f.onTop(top), full), contract.ErrFull)
		n, err := f.store.Sweep(f.Context(), contract.SweepTimes{Counted: at(1)}, many)
		f.ok(err)
		f.same(n, 2)
		f.ok(f.store.AskOnTop(f.Context(), f.onTop(top), full))
	}},
}

// askDeeds are those about what agents ask.
func (f *fixture) askDeeds() map[string]func(o belongings) error {
	return map[string]func(o belongings) error{
		"asking for more": func(o belongings) error { return f.store.AskOnTop(f.Context(), f.onTop(o.agent), openDoor) },
		"asking an agent": func(o belongings) error {
			return f.store.AskQuestion(f.Context(), o.identity.AccountID, f.question(o.opened, at(20)), 1)
		},
	}
}

// askWays are those that need a question, and the reads.
func (f *fixture) askWays() map[string]way {
	var q authz.Question
	return map[string]way{
		"answering an owner": {
			before: func(o belongings) {
				q = f.question(f.asked(o.agent), at(20))
				f.ok(f.store.AskQuestion(f.Context(), o.identity.AccountID, q, 1))
				q.Answer, q.AnsweredAt = "answer", at(21)
			},
			do: func(belongings) error { return f.store.AnswerQuestion(f.Context(), q) },
		},
		"reading questions": {do: func(o belongings) error { _, err := f.store.Questions(f.Context(), o.opened.ID); return err }},
		"listing requests": {do: func(o belongings) error {
			_, err := f.store.Requests(f.Context(), o.identity.AccountID, at(20), many)
			return err
		}},
		"answering what nobody asked": {
			do: func(o belongings) error {
				err := f.store.AnswerQuestion(f.Context(), f.question(o.opened, at(20)))
				if errors.Is(err, contract.ErrNotFound) {
					return nil
				}
				return err
			},
		},
	}
}
