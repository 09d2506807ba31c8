// Capacity computes what devices cost from what each step costs: it reads a results
// file of bench/cost and prints Markdown tables of how many cores, connections and
// databases so many devices take, with and without `Prefer: wait`.
//
//	capacity -costs bench/results/example.jsonl
//
// The arithmetic is bench/internal/model; docs/scaling.md says what it assumes.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	"countersign.dev/bench/internal/model"
)

func main() {
	p := model.Typical()
	costs := flag.String("costs", "bench/results/example.jsonl", "results of bench/cost")
	flag.DurationVar(&p.Interval, "interval", p.Interval, "time between two polls of a device")
	flag.Float64Var(&p.Abandoned, "abandoned", p.Abandoned, "share of the codes that no owner decides about")
	flag.DurationVar(&p.Median, "median", p.Median, "how long half of the other owners need at most")
	flag.DurationVar(&p.Lifetime, "lifetime", p.Lifetime, "how long a code is valid")
	flag.BoolVar(&p.Sticky, "sticky", p.Sticky, "the polls of a code come to the same node")
	flag.Parse()
	if err := run(p, *costs); err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

func run(p model.Population, costs string) error {
	results, err := model.Read(costs)
	if err != nil {
		return err
	}
	c, err := results.Of("postgres")
	if err != nil {
		return err
	}
	m := results.Machine
	fmt.Printf("Costs of %s: %s, %d cores, %s, PostgreSQL %s, load average %s.\n", m.When, m.CPU, m.Cores, m.Go, m.PostgreSQL, m.LoadAverage)
	printCosts(results)
	printStatements(c)
	fmt.Printf("\nOf a hundred codes %.0f are approved; a device waits %.0f s on average, and %.0f devices that wait mean one code a second.\n",
		100*p.Decided(), p.Waiting(), p.Waiting())
	printUse(p, c)
	printSaturation(p, c)
	return nil
}

func printCosts(r model.Results) {
	fmt.Println("\n| step | server µs, SQLite | server µs, PostgreSQL | database µs | log bytes | flushes |\n|---|---|---|---|---|---|")
	own, _ := r.Of("sqlite") // it need not have been measured
	shared, _ := r.Of("postgres")
	for _, step := range model.Steps {
		o, s := own[step], shared[step]
		fmt.Printf("| %s | %.0f | %.0f | %.0f | %.0f | %.2f |\n", step, o.Server, s.Server, s.DatabaseCPU, s.WAL, s.Flushes)
	}
}

// printStatements prints what the statements of one flow take, the dearest first.
func printStatements(c model.Costs) {
	flow := []string{model.Code, model.FirstPoll, model.Open, model.Approve, model.TokenPoll, model.UserInfo}
	fmt.Println("\n| statement | in the step | µs | of the flow |\n|---|---|---|---|")
	type taken struct {
		step, name string
		us         float64
	}
	var all []taken
	sum := 0.0
	for _, step := range flow {
		for _, s := range c[step].Statements {
			all = append(all, taken{step, s.Name, s.Calls * s.Each})
			sum += s.Calls * s.Each
		}
	}
	for range 6 {
		most := 0
		for i := range all {
			if all[i].us > all[most].us {
				most = i
			}
		}
		fmt.Printf("| %s | %s | %.0f | %.0f %% |\n", all[most].name, all[most].step, all[most].us, 100*all[most].us/sum)
		all[most].us = 0
	}
}

// busiest is how much of its cores a node or database should use.
const busiest = 0.6

// enough sets as many nodes and shards as keep them below busiest.
func enough(p model.Population, c model.Costs) (model.Population, model.Use) {
	p.Nodes, p.Shards = 1, 1
	for {
		u := p.Use(c)
		nodes := max(1, int(math.Ceil(u.ServerCores/busiest/float64(p.NodeCores))))
		shards := max(1, int(math.Ceil(u.DatabaseCores/busiest/float64(p.DatabaseCores))))
		shards = max(shards, int(math.Ceil(p.Arrivals()/sweepLimit/busiest)))
		if nodes <= p.Nodes && shards <= p.Shards {
			return p, u
		}
		p.Nodes, p.Shards = max(p.Nodes, nodes), max(p.Shards, shards)
	}
}

// sweepLimit is how many rows a second one database gets rid of: a batch of 500 in
// 5 ms, then a pause as long (internal/issuer/sweep.go). More codes a second than
// that would never be removed.
const sweepLimit = 500 / 0.010

func printUse(p model.Population, c model.Costs) {
	fmt.Printf("\n| devices that wait | polls | codes/s | polls/s | server cores | nodes of %d | database cores | databases of %d | log MB/s | connections |\n|---|---|---|---|---|---|---|---|---|---|\n",
		p.NodeCores, p.DatabaseCores)
	for _, n := range []float64{10e3, 100e3, 1e6, 10e6} {
		for _, waits := range []bool{false, true} {
			p.Pending, p.Waits = n, waits
			q, u := enough(p, c)
			how := fmt.Sprintf("every %s", p.Interval)
			if waits {
				how = fmt.Sprintf("wait %s", p.Hold)
			}
			polls := u.Rates[model.FirstPoll] + u.Rates[model.NextPoll] + u.Rates[model.WaitPoll]
			fmt.Printf("| %.0f | %s | %.0f | %.0f | %.2f | %d | %.2f | %d | %.1f | %.0f |\n",
				n, how, u.Rates[model.Code], polls, u.ServerCores, q.Nodes, u.DatabaseCores, q.Shards, u.WAL/1e6, p.Connections())
		}
	}
}

// printSaturation prints how many devices one database takes, by what gives out
// first, with polls that come to one node and polls that come to any.
func printSaturation(p model.Population, c model.Costs) {
	fmt.Printf("\n| one database of %d cores, full at | devices that wait | codes/s |\n|---|---|---|\n", p.DatabaseCores)
	p.Pending, p.Shards = 1e6, 1
	row := func(name string, scale float64) {
		fmt.Printf("| %s | %.1f million | %.0f |\n", name, scale, scale*p.Arrivals())
	}
	cores := busiest * float64(p.DatabaseCores)
	for _, v := range []struct {
		name   string
		waits  bool
		sticky bool
	}{
		{"60 % of its cores, polls that wait", true, true},
		{"60 % of its cores, polls every " + p.Interval.Truncate(time.Second).String() + " to the same node", false, true},
		{"60 % of its cores, polls every " + p.Interval.Truncate(time.Second).String() + " to any of 12 nodes", false, false},
	} {
		p.Waits, p.Sticky, p.Nodes = v.waits, v.sticky, 12
		row(v.name, cores/p.Use(c).DatabaseCores)
	}
	row(fmt.Sprintf("%.0f rows a second removed", sweepLimit), sweepLimit/p.Arrivals())
}
