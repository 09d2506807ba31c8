package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"countersign.dev/bench/internal/model"
)

// costs are round figures of the right size.
func costs() model.Costs {
	one := func(server, database float64, writes ...string) model.Line {
		l := model.Line{Server: server, DatabaseCPU: database}
		for _, name := range writes {
			l.Statements = append(l.Statements, model.Statement{Name: name, Calls: 1, Each: 30})
		}
		return l
	}
	return model.Costs{
		model.Code: one(60, 40, "store a request"), model.FirstPoll: one(50, 15), model.NextPoll: one(30, 0), model.WaitPoll: one(100, 35),
		model.Open: one(250, 180, "claim a request"), model.Approve: one(300, 220, "approve: request, grant, event"),
		model.TokenPoll: one(240, 110, "redeem: request, grant, refresh token"), model.UserInfo: one(160, 30),
	}
}

func small() model.Population {
	p := model.Typical()
	p.Pending, p.Nodes, p.Shards = 20_000, 3, 2
	return p
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within*math.Abs(want) {
		t.Errorf("%s is %.4g, want %.4g within %.0f %%", what, got, want, 100*within)
	}
}

func TestEveryDeviceEndsInExactlyOneState(t *testing.T) {
	for _, waits := range []bool{false, true} {
		p := small()
		p.Waits = waits
		s := newSim(p, costs(), 1)
		s.run(30 * time.Second)
		if !waits {
			s.dead[0] = true
			s.run(20 * time.Second)
			s.dead[0], s.away[1] = false, s.now+5_000_000
			s.run(20 * time.Second)
			if s.failed == 0 {
				t.Error("neither a dead node nor a database that is away refused anything")
			}
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		s.stopped = true
		s.run(p.Lifetime + 2*time.Minute)
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		if s.sum[redeemed]+s.sum[expired] != s.begun {
			t.Errorf("waits %v: of %d devices %d have tokens and %d have expired", waits, s.begun, s.sum[redeemed], s.sum[expired])
		}
		if s.holding != 0 {
			t.Errorf("waits %v: %d polls still wait", waits, s.holding)
		}
		near(t, "the share that has tokens", float64(s.sum[redeemed])/float64(s.begun), shareOfAll(p, s), 0.1)
	}
}

// shareOfAll is how many devices get a token: those who came, by the formula, and
// of those who were there already, who had waited the longer the less likely.
func shareOfAll(p model.Population, s *sim) float64 {
	came := float64(s.begun) - p.Pending
	// Of those there, the ones whose owner will decide wait (mean − abandoned·life).
	there := p.Pending * (1 - p.Abandoned*p.Lifetime.Seconds()/p.Waiting()) * 0.97
	return (came*p.Decided() + there) / float64(s.begun)
}

func TestAtLowLoadTheSimulationIsTheFormula(t *testing.T) {
	for _, v := range []struct {
		name   string
		change func(p *model.Population)
	}{
		{"polls to the same node", func(*model.Population) {}},
		{"polls to any node", func(p *model.Population) { p.Sticky = false }},
		{"polls that wait", func(p *model.Population) { p.Waits = true }},
		{"one database", func(p *model.Population) { p.Shards = 1 }},
	} {
		t.Run(v.name, func(t *testing.T) {
			p := small()
			v.change(&p)
			s, u := newSim(p, costs(), 2), p.Use(costs())
			s.run(40 * time.Second) // nodes learn what they remember
			w := s.measure(func() { s.run(60 * time.Second) })
			near(t, "waiting devices", float64(w.waiting), p.Pending, 0.03)
			near(t, "codes", w.rate(code), u.Rates[model.Code], 0.05)
			near(t, "polls", w.rate(firstPoll, nextPoll, waitPoll), u.Rates[model.FirstPoll]+u.Rates[model.NextPoll]+u.Rates[model.WaitPoll], 0.03)
			near(t, "reading polls", w.rate(firstPoll), u.Rates[model.FirstPoll], 0.05)
			near(t, "server cores", w.servers, u.ServerCores, 0.04)
			near(t, "database cores", w.database, u.DatabaseCores, 0.05)
			near(t, "waiting polls", float64(w.holding), p.Connections(), 0.03)
		})
	}
}

func TestTheHeapGivesTheEarliestFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	var h heap
	var want, got []int64
	for range 1000 {
		at := r.Int64N(500)
		want = append(want, at)
		h.push(task{at: at})
	}
	for len(h) > 0 {
		got = append(got, h.pop().at)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Error("tasks came out in another order than that of their times")
	}
}

func TestTheWheelGivesEachDeviceInItsSlotOnce(t *testing.T) {
	w := newWheel(10 * slotWidth)
	w.links = make([]link, 100)
	for d := range uint32(100) {
		w.add(d, int64(d)*5)
	}
	seen := 0
	for begin := int64(0); begin < 500; begin += slotWidth {
		w.take(begin, func(d uint32, at int64) {
			seen++
			if at != int64(d)*5 || at < begin || at >= begin+slotWidth {
				t.Errorf("device %d, due at %d, came in the slot from %d", d, at, begin)
			}
			if begin == 64 { // what is due at once comes in the next slot
				w.add(d, at)
			}
		})
		if begin == 64 {
			w.take(128, func(d uint32, at int64) {
				seen++
				if want := max(int64(d)*5, 128); at != want {
					t.Errorf("device %d came at %d, want %d", d, at, want)
				}
			})
			begin += slotWidth
		}
	}
	if seen != 100+13 {
		t.Errorf("%d devices came, want 113", seen)
	}
}

func TestWorkWaitsForTheFirstCoreThatIsFree(t *testing.T) {
	c := newCores(2)
	for i, want := range []int64{10, 10, 20, 20, 30} {
		if got := c.do(0, 10_000); got != want {
			t.Errorf("the work number %d is done at %d, want %d", i, got, want)
		}
	}
	if got := c.do(100, 500); got != 101 {
		t.Errorf("half a µs of work at 100 is done at %d", got)
	}
}

func TestHistogramsKnowTimesWithinASixteenth(t *testing.T) {
	var h histogram
	for us := int64(1); us <= 100_000; us++ {
		h.add(us)
	}
	near(t, "the median", h.percentile(.5), 50, 0.07)
	near(t, "p99", h.percentile(.99), 99, 0.07)
	before := h
	h.add(1_000_000)
	later := h.since(&before)
	near(t, "what came since", later.percentile(.5), 1000, 0.07)
}
