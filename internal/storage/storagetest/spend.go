package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// spending makes a spend with every member set, which one counter of each grant counts.
func (f *fixture) spending(amount, most int64, line ...authz.Grant) contract.Spending {
	n := contract.Spending{Most: many, Spend: authz.Spend{
		ID: f.word("spend"), GrantID: line[0].ID, Caller: f.word("client"), Key: f.word("key"), Body: f.hash(), Currency: "USD", Amount: amount,
		Payee: "https://shop.example", Resource: f.word("resource"), Action: f.word("action"), Count: 3, Reason: f.word("reason"), Permit: true,
		State: authz.SpendHeld, CreatedAt: at(30), ExpiresAt: at(930),
	}}
	for _, g := range line {
		n.Counters = append(n.Counters, contract.Counter{GrantID: g.ID, Name: "per_day 1", Add: amount, Most: most, Until: at(80000)})
	}
	return n
}

// spent ends the test unless counters have counted so much.
func (f *fixture) spent(n contract.Spending, want ...int64) {
	f.Helper()
	got, err := f.connect().Counted(f.Context(), n.Counters)
	f.ok(err)
	f.same(got, want)
}

func (f *fixture) closed(id string, state authz.SpendState, amount int64, when time.Time) (authz.Spend, error) {
	return f.store.CloseSpend(f.Context(), contract.Closing{ID: id, State: state, Amount: amount, At: when})
}

var spendCases = []testCase{
	{"a spend is kept with every member, counted once for its key, and listed newest first", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		n := f.spending(350, 1000, top)
		got, err := f.store.Spend(f.Context(), n)
		f.ok(err)
		f.same(got, n.Spend)
		f.reopen()
		again := n
		again.Spend.ID, again.Spend.Body, again.Spend.Amount = f.word("spend"), f.hash(), 1
		got, err = f.store.Spend(f.Context(), again)
		f.refused(err, contract.ErrExists)
		f.same(got, n.Spend)
		f.spent(n, 350)
		got, err = f.store.SpendByID(f.Context(), n.Spend.ID)
		f.ok(err)
		f.same(got, n.Spend)
		_, err = f.store.SpendByID(f.Context(), again.Spend.ID)
		f.refused(err, contract.ErrNotFound)
		later, other := f.spending(1, 1000, top), f.spending(1, 1000, f.agent(i, f.agentKey(), nil))
		later.Spend.CreatedAt = at(31)
		for _, n := range []contract.Spending{later, other} {
			_, err := f.store.Spend(f.Context(), n)
			f.ok(err)
		}
		all, err := f.store.Spends(f.Context(), top.ID, contract.Position{}, many)
		f.ok(err)
		f.same(all, []authz.Spend{later.Spend, n.Spend})
		all, err = f.store.Spends(f.Context(), top.ID, contract.Position{At: later.Spend.CreatedAt, ID: later.Spend.ID}, 1)
		f.ok(err)
		f.same(all, []authz.Spend{n.Spend})
	}},
	{"a spend over any counter of the line is refused, counts nowhere, and is told which", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		sub := f.delegated(top)
		n := f.spending(60, 100, sub, top)
		_, err := f.store.Spend(f.Context(), n)
		f.ok(err)
		for first, edit := range []func(n *contract.Spending){
			func(*contract.Spending) {},
			func(n *contract.Spending) { n.Counters[0].Most = 120 },
			func(n *contract.Spending) { n.Counters[0].Name, n.Counters[0].Most = "other", 59 },
		} {
			over := f.spending(60, 100, sub, top)
			edit(&over)
			var limit *contract.LimitError
			if _, err := f.store.Spend(f.Context(), over); !errors.As(err, &limit) {
				f.Fatalf("got error %v", err)
			}
			f.same(*limit, []contract.LimitError{{Index: 0, Counted: 60}, {Index: 1, Counted: 60}, {}}[first])
		}
		f.spent(n, 60, 60)
		full := f.spending(1, 100, sub)
		full.Most = 1
		_, err = f.store.Spend(f.Context(), full)
		f.refused(err, contract.ErrFull)
		exact := f.spending(40, 100, sub, top)
		_, err = f.store.Spend(f.Context(), exact)
		f.ok(err)
		f.spent(n, 100, 100)
	}},
	{"nothing is spent by what is paused or over", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		sub := f.delegated(top)
		_, err := f.store.PauseAgents(f.Context(), f.pausing(top, at(20)))
		f.ok(err)
		_, err = f.store.Spend(f.Context(), f.spending(1, 100, sub))
		f.refused(err, contract.ErrPaused)
		f.revoked(top, at(21))
		n := f.spending(1, 100, sub)
		_, err = f.store.Spend(f.Context(), n)
		f.refused(err, contract.ErrNotFound)
		f.same(errors.Is(err, contract.ErrPaused), false)
		f.spent(n, 0)
	}},
	{"a spend is settled or released once, and gives back what it does not take", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		made := make([]contract.Spending, 4)
		for k := range made {
			made[k] = f.spending(100, 1000, top)
			made[k].Counters = append(made[k].Counters, contract.Counter{GrantID: top.ID, Name: "payments", Add: 1, Most: 10})
			_, err := f.store.Spend(f.Context(), made[k])
			f.ok(err)
		}
		f.spent(made[0], 400, 4)
		got, err := f.closed(made[0].Spend.ID, authz.SpendSettled, 30, at(40))
		f.ok(err)
		want := made[0].Spend
		want.State, want.Settled = authz.SpendSettled, 30
		f.same(got, want)
		f.spent(made[0], 330, 4)
		got, err = f.closed(made[1].Spend.ID, authz.SpendReleased, 0, at(40))
		f.ok(err)
		f.same(got.State, authz.SpendReleased)
		f.spent(made[0], 230, 3)
		errs := race(8, func(k int) error {
			_, err := f.closed(made[2].Spend.ID, []authz.SpendState{authz.SpendReleased, authz.SpendSettled}[k%2], 100, at(40))
			return err
		})
		var closed *contract.SpendError
		f.count(errs, 1, func(err error) bool { return errors.As(err, &closed) })
		_, err = f.closed(made[0].Spend.ID, authz.SpendReleased, 0, at(41))
		if !errors.As(err, &closed) {
			f.Fatalf("closed twice: %v", err)
		}
		f.same(closed.Spend, want)
		_, err = f.closed(made[3].Spend.ID, authz.SpendReleased, 0, made[3].Spend.ExpiresAt)
		if !errors.As(err, &closed) {
			f.Fatalf("released when it was settled: %v", err)
		}
		_, err = f.closed("none", authz.SpendReleased, 0, at(41))
		f.refused(err, contract.ErrNotFound)
	}},
	{"of 64 spends at once at two servers as many are taken as the line has room for", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		subs := []authz.Grant{f.delegated(top), f.delegated(top)}
		stores := []contract.Store{f.store, f.connect()}
		made := make([]contract.Spending, 64)
		for k := range made {
			made[k] = f.spending(10, 155, subs[k%2], top)
		}
		errs := race(len(made), func(k int) error {
			_, err := stores[k/2%2].Spend(f.Context(), made[k])
			return err
		})
		var limit *contract.LimitError
		f.count(errs, 15, func(err error) bool { return errors.As(err, &limit) })
		got, err := f.store.Counted(f.Context(), []contract.Counter{made[0].Counters[0], made[1].Counters[0], made[0].Counters[1]})
		f.ok(err)
		f.same(got[0]+got[1], got[2])
		f.same(got[2], int64(150))
	}},
	{"of 16 spends with one key at once one is taken, and all are told of it", func(f *fixture) {
		_, i := f.account()
		n := f.spending(10, 155, f.agent(i, f.agentKey(), nil))
		stores := []contract.Store{f.store, f.connect()}
		errs := race(16, func(k int) error {
			mine := n
			mine.Spend.ID = fmt.Sprint("spend ", k)
			_, err := stores[k%2].Spend(f.Context(), mine)
			return err
		})
		f.count(errs, 1, is(contract.ErrExists))
		f.spent(n, 10)
	}},
	{"whatever is spent, settled and released, what is counted is what is held and settled", spendModel},
	{"spends and what they counted are swept when nobody asks any more", func(f *fixture) {
		_, i := f.account()
		top := f.agent(i, f.agentKey(), nil)
		n := f.spending(10, 155, top)
		n.Counters[0].Until = at(60)
		n.Counters = append(n.Counters, contract.Counter{GrantID: top.ID, Name: "total", Add: 10, Most: 100})
		_, err := f.store.Spend(f.Context(), n)
		f.ok(err)
		sweep := func(before time.Time) int {
			n, err := f.store.Sweep(f.Context(), contract.SweepTimes{Grants: before, Rest: before}, many)
			f.ok(err)
			return n
		}
		f.same(sweep(at(61)), 1)
		f.spent(n, 0, 10)
		f.same(sweep(top.ExpiresAt), 0)
		f.same(sweep(top.ExpiresAt.Add(time.Second)), 4) // the grant, the spend, two counters
	}},
}

// spendModel compares random steps with a sum.
func spendModel(f *fixture) {
	_, i := f.account()
	top := f.agent(i, f.agentKey(), nil)
	line := []authz.Grant{f.delegated(top), top}
	random := rand.New(rand.NewPCG(13, 6))
	most := []int64{70, 100}
	var held []authz.Spend
	used := []int64{0, 0}
	for range 120 {
		if len(held) > 0 && random.IntN(2) == 0 {
			p := held[0]
			held = held[1:]
			state, kept := authz.SpendSettled, 1+random.Int64N(p.Amount)
			if random.IntN(2) == 0 {
				state, kept = authz.SpendReleased, 0
			}
			_, err := f.closed(p.ID, state, kept, at(40))
			f.ok(err)
			for k, g := range line {
				if k == 1 || p.GrantID == g.ID {
					used[k] -= p.Amount - kept
				}
			}
			if used[1] > 80 { // begin anew
				most[0], most[1] = most[0]+50, most[1]+90
			}
		} else {
			from := random.IntN(2)
			n := f.spending(2+random.Int64N(30), 0, line[from:]...)
			fits := true
			for k := range n.Counters {
				n.Counters[k].Most = most[from+k]
				fits = fits && used[from+k]+n.Spend.Amount <= most[from+k]
			}
			_, err := f.store.Spend(f.Context(), n)
			if fits {
				f.ok(err)
				held = append(held, n.Spend)
				for k := range n.Counters {
					used[from+k] += n.Spend.Amount
				}
			} else if err == nil {
				f.Fatal("more was spent than there was")
			}
		}
		f.counts(line, used)
	}
}

// counts ends the test unless the counters of two grants have counted so much.
func (f *fixture) counts(line []authz.Grant, want []int64) {
	f.Helper()
	got, err := f.store.Counted(f.Context(), []contract.Counter{{GrantID: line[0].ID, Name: "per_day 1"}, {GrantID: line[1].ID, Name: "per_day 1"}})
	f.ok(err)
	f.same(got, want)
}

// spendWays are those of spending, and the reads.
func (f *fixture) spendWays() map[string]way {
	ctx := f.Context()
	var n contract.Spending
	return map[string]way{
		"spending": {do: func(o belongings) error { _, err := f.store.Spend(ctx, f.spending(1, 1000, o.agent)); return err }},
		"settling for less": {
			before: func(o belongings) {
				n = f.spending(10, 1000, o.agent)
				_, err := f.store.Spend(ctx, n)
				f.ok(err)
			},
			do: func(belongings) error { _, err := f.closed(n.Spend.ID, authz.SpendSettled, 1, at(31)); return err },
		},
		"listing spends": {do: func(o belongings) error {
			_, err := f.store.Spends(ctx, o.agent.ID, contract.Position{}, 1)
			return err
		}},
		"reading what was counted": {do: func(o belongings) error {
			_, err := f.store.Counted(ctx, f.spending(1, 1, o.agent).Counters)
			return err
		}},
	}
}
