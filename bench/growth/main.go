// Growth measures what a full database costs: it fills one with so many stored
// device requests and grants, and everything that belongs to them, straight into
// the tables, starts the real server on it, and measures each step of the flow
// with stored rows drawn from all over the tables. It does so for each size and
// each kind of database, and prints a Markdown table of the sizes side by side.
//
//	growth -server bin/countersign -rows 10000,1000000 -databases sqlite,postgres
//
// What the rows are is in rows.go, what a step is in steps.go. The background work
// of the server falls inside the time that is measured: it removes what is over
// and counts what is pending every 30 seconds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"countersign.dev/bench/internal/trial"
)

// options are what the flags say.
type options struct {
	server string
	rows   []int
	kinds  []string
	rate   float64
	window time.Duration
	memory string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	sizes := flag.String("rows", "10000,1000000", "how many stored device requests, and as many grants; several with commas")
	kinds := flag.String("databases", "sqlite,postgres", "which databases")
	flag.StringVar(&o.server, "server", "bin/countersign", "the server's binary")
	flag.Float64Var(&o.rate, "rate", 20, "flows begun each second")
	flag.DurationVar(&o.window, "window", time.Minute, "how long flows are begun")
	flag.StringVar(&o.memory, "shared-buffers", "1GB", "PostgreSQL's own cache")
	flag.Parse()
	o.kinds = strings.Split(*kinds, ",")
	for size := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return fmt.Errorf("-rows has %q", size)
		}
		o.rows = append(o.rows, n)
	}
	fmt.Printf("load average at the start: %s\n", trial.LoadAverage())
	for _, kind := range o.kinds {
		var all []*measured
		for _, n := range o.rows {
			m, err := measure(ctx, o, kind, n)
			if err != nil {
				return fmt.Errorf("%s with %d rows: %w", kind, n, err)
			}
			all = append(all, m)
		}
		printTable(kind, all)
	}
	fmt.Printf("\nload average at the end: %s\n", trial.LoadAverage())
	return nil
}

// measured is what came of one database.
type measured struct {
	rows        int
	filled      time.Duration
	ready       time.Duration // from exec to the first 200 of /readyz
	firstAnswer time.Duration // of the first poll of a stored code after that
	size        int64         // of the database, in bytes
	memory      int64         // resident in the server at the end, in bytes
	steps       map[string][]time.Duration
}

// measure fills a database and measures a server on it.
func measure(ctx context.Context, o options, kind string, n int) (m *measured, err error) {
	dir, err := os.MkdirTemp("", "growth-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := openDatabase(ctx, kind, dir, o.memory)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	// The server makes the schema, the keys and the secret.
	s, err := trial.Start(ctx, o.server, dir, db.flags...)
	if err != nil {
		return nil, err
	}
	if err := s.Stop(); err != nil {
		return nil, err
	}
	m = &measured{rows: n}
	rows, err := newStored(n, dir)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for _, of := range rows.tables() {
		began, t := time.Now(), of()
		if err := db.fill(ctx, t); err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%s: %d %s in %.1f s\n", kind, t.rows, t.name, time.Since(began).Seconds())
	}
	if err := db.vacuum(ctx); err != nil {
		return nil, err
	}
	m.filled = time.Since(began)
	if s, err = trial.Start(ctx, o.server, dir, db.flags...); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	m.ready = s.Ready
	if err := m.drive(ctx, s, rows, o); err != nil {
		return nil, err
	}
	if m.memory, err = s.Memory(); err != nil {
		return nil, err
	}
	m.size, err = db.size(ctx)
	return m, err
}
