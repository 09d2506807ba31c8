package main

import (
	"fmt"
	"time"

	"countersign.dev/bench/internal/model"
)

// window is what happened in a stretch of time.
type window struct {
	seconds  float64
	done     [stepKinds]int64
	took     [stepKinds]histogram
	failed   int64
	servers  float64 // cores busy, all nodes together
	database float64
	waiting  int64 // devices whose owners have not decided, at the end
	holding  int64
}

func (s *sim) busy() (servers, database int64) {
	for i := range s.nodes {
		servers += s.nodes[i].busy
	}
	for i := range s.shards {
		database += s.shards[i].busy
	}
	return servers, database
}

// measure runs something and says what happened.
func (s *sim) measure(run func()) window {
	began, done, failed := s.now, s.done, s.failed
	took := s.took
	servers, database := s.busy()
	run()
	w := window{seconds: float64(s.now-began) / 1e6, failed: s.failed - failed, holding: s.holding}
	for step := range s.done {
		w.done[step] = s.done[step] - done[step]
		w.took[step] = s.took[step].since(&took[step])
	}
	servers2, database2 := s.busy()
	w.servers, w.database = float64(servers2-servers)/1e9/w.seconds, float64(database2-database)/1e9/w.seconds
	for i := range s.devices {
		if st := s.devices[i].state; st == pending || st == approving {
			w.waiting++
		}
	}
	return w
}

// second runs a second and returns the load of the busiest shard in it.
func (s *sim) second() float64 {
	before := make([]int64, len(s.shards))
	for i := range s.shards {
		before[i] = s.shards[i].busy
	}
	s.run(time.Second)
	most := 0.0
	for i := range s.shards {
		most = max(most, float64(s.shards[i].busy-before[i])/1e9/float64(s.p.DatabaseCores))
	}
	return most
}

func (w window) rate(steps ...uint8) float64 {
	sum := int64(0)
	for _, step := range steps {
		sum += w.done[step]
	}
	return float64(sum) / w.seconds
}

func printComparison(p model.Population, u model.Use, w window) {
	fmt.Printf("%.0f devices wait; %d nodes of %d cores, %d databases of %d cores; %.0f s simulated\n\n", p.Pending, p.Nodes, p.NodeCores, p.Shards, p.DatabaseCores, w.seconds)
	fmt.Println("| | formula | simulation | difference |\n|---|---|---|---|")
	for _, r := range []struct {
		name      string
		formula   float64
		simulated float64
	}{
		{"devices whose owners have not decided", p.Pending, float64(w.waiting)},
		{"connections held by polls that wait", p.Connections(), float64(w.holding)},
		{"codes/s", u.Rates[model.Code], w.rate(code)},
		{"polls that read the database/s", u.Rates[model.FirstPoll], w.rate(firstPoll)},
		{"polls answered from memory/s", u.Rates[model.NextPoll], w.rate(nextPoll)},
		{"polls that wait/s", u.Rates[model.WaitPoll], w.rate(waitPoll)},
		{"approvals/s", u.Rates[model.Approve], w.rate(approve)},
		{"tokens/s", u.Rates[model.TokenPoll], w.rate(tokenPoll)},
		{"server cores busy", u.ServerCores, w.servers},
		{"database cores busy", u.DatabaseCores, w.database},
	} {
		if r.formula == 0 && r.simulated == 0 {
			continue
		}
		fmt.Printf("| %s | %.4g | %.4g | %+.1f %% |\n", r.name, r.formula, r.simulated, 100*(r.simulated/r.formula-1))
	}
	fmt.Printf("| load of a node | %.0f %% | %.0f %% | |\n| load of a database | %.0f %% | %.0f %% | |\n",
		100*u.ServerLoad, 100*w.servers/float64(p.Nodes*p.NodeCores), 100*u.DatabaseLoad, 100*w.database/float64(p.Shards*p.DatabaseCores))
	fmt.Println("\n| step, in the simulation | p50 ms | p99 ms | p99.9 ms |\n|---|---|---|---|")
	for step, name := range names {
		if h := &w.took[step]; h.n > 0 {
			fmt.Printf("| %s | %.2f | %.2f | %.2f |\n", name, h.percentile(.5), h.percentile(.99), h.percentile(.999))
		}
	}
}

// lapses are what goes wrong after the steady part.
func (s *sim) lapses() {
	fmt.Println("\n| | requests refused | busiest database, worst second | approve p99 ms | poll p99 ms |\n|---|---|---|---|---|")
	for _, l := range []struct {
		name string
		do   func()
	}{
		{"as before, 5 s", func() {}},
		{"a node dies: 5 s", func() { s.dead[0] = true }},
		{"it is back, and a database is away for 2 s: 5 s", func() { s.dead[0], s.away[0] = false, s.now+2_000_000 }},
		{"5 s later", func() {}},
		{"a database is away for 4 s: 5 s", func() { s.away[0] = s.now + 4_000_000 }},
		{"5 s later", func() {}},
		{"5 s more", func() {}},
	} {
		worst := 0.0
		w := s.measure(func() {
			l.do()
			for range 5 {
				worst = max(worst, s.second())
			}
		})
		fmt.Printf("| %s | %d | %.0f %% | %.2f | %.2f |\n", l.name, w.failed, 100*worst, w.took[approve].percentile(.99), w.took[firstPoll].percentile(.99))
	}
}
