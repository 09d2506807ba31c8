// Package model is the closed formula of what a population of devices costs.
//
// Here belong the costs of each step, which bench/cost measures, and the
// arithmetic that turns them into servers, databases and memory. What cannot be
// written down in closed form (queues, failures) is bench/simulate's.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// The steps that cost something.
const (
	Code      = "code"       // a device authorization request
	FirstPoll = "first poll" // a poll that reads the database
	NextPoll  = "next poll"  // a poll that is answered from memory
	WaitPoll  = "wait poll"  // a poll that waits, and is answered authorization_pending in the end
	Open      = "open"       // the owner's look
	Approve   = "approve"    // the owner's approval
	TokenPoll = "token poll" // the poll that gets the tokens
	UserInfo  = "userinfo"
	Refresh   = "refresh"
)

// Steps are all of them, in the order of a flow.
var Steps = []string{Code, FirstPoll, NextPoll, WaitPoll, Open, Approve, TokenPoll, UserInfo, Refresh}

// Line is a line of a results file: what one step cost, each time on average.
type Line struct {
	Step     string `json:"step"`
	Database string `json:"database"` // postgres or sqlite
	Ops      int    `json:"ops"`
	// OpsPerSecond, P50 and P99 (in ms) are those of the run, for the reader: they
	// depend on the load and the machine's other work, the costs much less.
	OpsPerSecond float64 `json:"ops_per_s"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	// Server and DatabaseCPU are processor time, in µs.
	Server      float64 `json:"server_us"`
	DatabaseCPU float64 `json:"database_us"`
	// WAL is bytes written to the log, Flushes how often it was flushed to disk.
	WAL        float64     `json:"wal_bytes"`
	Flushes    float64     `json:"wal_flushes"`
	Statements []Statement `json:"statements,omitempty"`
}

// Statement is what one statement took of a step.
type Statement struct {
	Name  string  `json:"name"`
	Calls float64 `json:"calls"` // for each operation
	Each  float64 `json:"us"`    // µs of execution for each call, by pg_stat_statements
}

// Machine is the first line of a results file.
type Machine struct {
	When        string `json:"when"`
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	Go          string `json:"go"`
	PostgreSQL  string `json:"postgresql"`
	LoadAverage string `json:"load_average"` // before the run
	Settings    string `json:"settings"`
}

// Results are a results file.
type Results struct {
	Machine Machine
	Lines   []Line
}

// Read reads a results file.
func Read(path string) (r Results, err error) {
	file, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer file.Close()
	d := json.NewDecoder(file)
	if err := d.Decode(&r.Machine); err != nil {
		return r, fmt.Errorf("reading the machine: %w", err)
	}
	for {
		var l Line
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("reading a step: %w", err)
		}
		r.Lines = append(r.Lines, l)
	}
}

// Costs are the lines of one database, by step.
type Costs map[string]Line

// Of takes the costs with a database out of the results.
//
//	an error where a step was not measured
func (r Results) Of(database string) (Costs, error) {
	c := Costs{}
	for _, l := range r.Lines {
		if l.Database == database {
			c[l.Step] = l
		}
	}
	for _, step := range Steps {
		if _, ok := c[step]; !ok {
			return nil, fmt.Errorf("the results have no %q with %s", step, database)
		}
	}
	return c, nil
}

func micros(us float64) time.Duration { return time.Duration(us * float64(time.Microsecond)) }
