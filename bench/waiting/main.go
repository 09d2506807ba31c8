// Waiting measures what polls that wait cost (`Prefer: wait=30`): so many devices
// wait at one server, each on a connection of its own; then one in the middle is
// approved, then all are woken to look again, and at last the server is stopped.
//
//	waiting -server bin/countersign -polls 100000
//
// A process may have so many open files (`ulimit -Hn`), each connection is one, and
// so there are at most that many polls; with -pipes the server runs in this process
// and its connections are pipes in memory, which are no files. Addresses of
// loopback have 28 000 ports each, so that several are used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"countersign.dev/bench/internal/trial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	binary := flag.String("server", "bin/countersign", "the server's binary")
	polls := flag.Int("polls", 100000, "how many devices wait")
	database := flag.String("database", "sqlite", "sqlite or postgres")
	pipes := flag.Bool("pipes", false, "run the server in this process, on pipes instead of sockets")
	flag.Parse()
	var err error
	if *pipes {
		err = inMemory(ctx, *polls)
	} else {
		err = onSockets(ctx, *binary, *database, *polls)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "waiting:", err)
		os.Exit(1)
	}
}

// spareFiles are for everything but the connections that wait.
const spareFiles = 300

// allowed is how many connections that wait a process may have, of those wanted.
func allowed(wanted int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if most := int(limit.Max) - spareFiles; most < wanted {
		fmt.Printf("a process may have %d open files here (ulimit -Hn): %d polls instead of %d\n", limit.Max, most, wanted)
		return most, nil
	}
	return wanted, nil
}

func onSockets(ctx context.Context, binary, database string, wanted int) (err error) {
	n, err := allowed(wanted)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "waiting-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var flags []string
	var p *trial.Postgres
	if database == "postgres" {
		if p, err = trial.StartPostgres(ctx, nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Cluster.Close()) }()
		flags = []string{"--database", p.URL}
	}
	fmt.Printf("load average %s\n", trial.LoadAverage())
	s, err := trial.Start(ctx, binary, dir, flags...)
	if err != nil {
		return err
	}
	c, err := measure(ctx, s, p, n)
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	began := time.Now()
	if err := s.Stop(); err != nil {
		return err
	}
	if err := c.answered(ctx); err != nil {
		return err
	}
	fmt.Printf("told to stop, the server had answered all and ended after %.2f s\n", time.Since(began).Seconds())
	return nil
}

// measure lets so many devices wait at a server, approves some of them, and returns
// those that wait on. p is the server's PostgreSQL, or nil.
func measure(ctx context.Context, s *trial.Server, p *trial.Postgres, n int) (*crowd, error) {
	c, err := newCrowd(ctx, s.Base, n)
	if err != nil {
		return nil, err
	}
	before, err := s.Memory()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := c.poll(ctx); err != nil {
		return nil, err
	}
	fmt.Printf("%d polls wait after %.1f s\n", n, time.Since(began).Seconds())
	after, err := s.Memory()
	if err != nil {
		return nil, err
	}
	fmt.Printf("server's memory: %.1f MiB with the codes, %.1f MiB with the polls: %.1f KiB each\n",
		float64(before)/(1<<20), float64(after)/(1<<20), float64(after-before)/1024/float64(n))
	if err := c.approveOne(ctx, n/2); err != nil {
		return nil, err
	}
	if p != nil {
		// A lost listener comes back and wakes all who wait, to look at what it missed.
		const deafen = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_is_in_recovery%'`
		if err := p.Cluster.Exec(ctx, deafen); err != nil {
			return nil, err
		}
		fmt.Print("while all look again: ")
		if err := c.approveOne(ctx, n/3); err != nil {
			return nil, err
		}
	}
	return c, nil
}
