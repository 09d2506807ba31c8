// Cost measures what each step costs in processor time: of the server, of the
// database, and of each statement there. It prints a results file for
// bench/capacity and bench/simulate: JSON lines, the machine first.
//
//	cost -server bin/countersign > bench/results/mine.jsonl
//
// It takes many devices through the flow together, one step at a time: all ask for
// a code, all poll once, and so on. What the processes have used is read before
// and after each step, so that a step's cost is that of nothing else but the
// little that runs behind. Costs are in µs of processor time, for the rate depends
// on who else is at work and the time in the processor much less.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"countersign.dev/bench/internal/model"
	"countersign.dev/bench/internal/trial"
)

type options struct {
	server  string
	devices int
	waiting int
	conns   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	databases := flag.String("databases", "sqlite,postgres", "which databases")
	flag.StringVar(&o.server, "server", "bin/countersign", "the server's binary")
	flag.IntVar(&o.devices, "devices", 10000, "how many devices go through the flow")
	flag.IntVar(&o.waiting, "waiting", 2000, "how many polls wait, a second each")
	flag.IntVar(&o.conns, "conns", 32, "connections")
	flag.Parse()
	if err := run(ctx, o, strings.Split(*databases, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// settings of PostgreSQL; the extension counts statements.
var settings = map[string]string{
	"shared_buffers": "512MB", "max_wal_size": "4GB", "shared_preload_libraries": "pg_stat_statements", "track_wal_io_timing": "on",
}

func run(ctx context.Context, o options, databases []string) error {
	out := json.NewEncoder(os.Stdout)
	machine := model.Machine{
		When: time.Now().UTC().Format(time.DateTime), CPU: processor(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		PostgreSQL: "none", LoadAverage: trial.LoadAverage(),
		Settings: fmt.Sprintf("%d devices over %d connections; server and load not pinned; PostgreSQL: shared_buffers 512MB, durable, pg_stat_statements", o.devices, o.conns),
	}
	var m *meter
	for _, database := range databases {
		if database != "postgres" {
			continue
		}
		p, err := trial.StartPostgres(ctx, settings)
		if err != nil {
			return err
		}
		defer p.Cluster.Close()
		if m, err = newMeter(ctx, p); err != nil {
			return err
		}
		machine.PostgreSQL = m.version
	}
	if err := out.Encode(machine); err != nil {
		return err
	}
	for _, database := range databases {
		with := m
		if database != "postgres" {
			with = nil
		}
		if err := through(ctx, o, database, with, out.Encode); err != nil {
			return fmt.Errorf("%s: %w", database, err)
		}
	}
	return nil
}

var modelName = regexp.MustCompile(`model name\s*:\s*(.*)`)

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	if name := modelName.FindSubmatch(text); name != nil {
		return string(name[1])
	}
	return "unknown"
}

// through takes the devices through the flow with one database.
func through(ctx context.Context, o options, database string, m *meter, print func(any) error) (err error) {
	dir, err := os.MkdirTemp("", "cost-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var flags []string
	if m != nil {
		flags = []string{"--database", m.postgres.URL}
	}
	s, err := trial.Start(ctx, o.server, dir, flags...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	st, err := newStage(ctx, s, m, database, o)
	if err != nil {
		return err
	}
	for _, step := range st.steps() {
		line, err := st.measure(ctx, step)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if step.name == "" {
			continue
		}
		if err := print(line); err != nil {
			return err
		}
	}
	return nil
}
