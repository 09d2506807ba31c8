// Simulate runs a population of devices, event by event, on servers and databases
// that do not exist: as many as ten million devices that poll, owners who decide,
// nodes and databases with queues, a node that dies and a database that is away
// for a while. What each step costs is measured (bench/cost); what comes out is
// compared with the closed formula of bench/capacity, which knows no queues.
//
//	simulate -costs bench/results/example.jsonl
//
// What is simulated and what is left out stands in sim.go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"countersign.dev/bench/internal/model"
)

func main() {
	p := model.Typical()
	costs := flag.String("costs", "bench/results/example.jsonl", "results of bench/cost")
	flag.Float64Var(&p.Pending, "pending", p.Pending, "devices that wait for their owners")
	flag.DurationVar(&p.Interval, "interval", p.Interval, "time between two polls of a device")
	flag.BoolVar(&p.Waits, "wait", false, "polls ask the server to wait (Prefer: wait)")
	flag.IntVar(&p.Nodes, "nodes", p.Nodes, "servers")
	flag.IntVar(&p.Shards, "shards", p.Shards, "databases")
	flag.BoolVar(&p.Sticky, "sticky", p.Sticky, "the polls of a code come to the same node")
	run := flag.Duration("for", 20*time.Second, "how long is simulated, after the first seconds")
	failures := flag.Bool("failures", true, "then a node dies and a database fails over")
	seed := flag.Uint64("seed", 1, "of the random numbers")
	flag.Parse()
	if err := simulate(p, *costs, *run, *failures, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func simulate(p model.Population, costs string, run time.Duration, failures bool, seed uint64) error {
	if p.Nodes > 250 || p.Shards > 250 || p.Window() > remembered {
		return errors.New("at most 250 nodes and shards, and an interval of 4 s or more")
	}
	results, err := model.Read(costs)
	if err != nil {
		return err
	}
	c, err := results.Of("postgres")
	if err != nil {
		return err
	}
	began := time.Now()
	s := newSim(p, c, seed)
	s.run(max(warmup, heldBefore(p)))
	steady := s.measure(func() { s.run(run) })
	printComparison(p, p.Use(c), steady)
	if failures && !p.Waits {
		s.lapses()
	}
	if err := s.check(); err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("\n%d events, %.0f s of the real clock, %.0f MiB of memory\n", s.events, time.Since(began).Seconds(), float64(m.Sys)/(1<<20))
	return nil
}

// heldBefore is how long it takes until as many polls wait as will.
func heldBefore(p model.Population) time.Duration {
	if p.Waits {
		return p.Hold + time.Second
	}
	return 0
}

// warmup is how long queues have to fill before anything is counted, and nodes to
// learn what they will remember.
const warmup = 10 * time.Second
