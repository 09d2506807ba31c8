package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/bench/internal/model"
	"countersign.dev/bench/internal/trial"
	"countersign.dev/internal/authz"
)

// stage is where the devices are, one step at a time.
type stage struct {
	trial.Device
	server   *trial.Server
	meter    *meter // nil: no PostgreSQL
	database string
	options  options
	sessions []string
	codes    []trial.Codes
	tokens   []trial.Tokens
}

// owners is how many people approve by turns, each with a session: for what one
// account may have at once, there may have to be more than these.
const owners = 50

func newStage(ctx context.Context, s *trial.Server, m *meter, database string, o options) (*stage, error) {
	st := &stage{
		Device: trial.Device{Base: s.Base, HTTP: trial.NewHTTP(max(o.conns, o.waiting))},
		server: s, meter: m, database: database, options: o,
		codes: make([]trial.Codes, o.devices), tokens: make([]trial.Tokens, o.devices),
	}
	for range max(owners, (o.devices+authz.LivingGrants-1)/authz.LivingGrants) {
		session, err := st.SignIn(ctx)
		if err != nil {
			return nil, err
		}
		st.sessions = append(st.sessions, session)
	}
	return st, nil
}

// step is what all devices do together.
type step struct {
	name        string // empty for what is done between, unmeasured
	n           int
	concurrency int
	do          func(ctx context.Context, i int) error
}

func (st *stage) steps() []step {
	n, conns := st.options.devices, st.options.conns
	owner := func(i int) string { return st.sessions[i%len(st.sessions)] }
	pause := step{n: 1, concurrency: 1, do: func(ctx context.Context, _ int) error {
		select {
		case <-time.After(1100 * time.Millisecond): // the polling interval is a second
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	code := func(ctx context.Context, i int) (err error) {
		st.codes[i], err = st.Code(ctx)
		return err
	}
	poll := func(ctx context.Context, i int) error { return st.Pending(ctx, st.codes[i].DeviceCode, 0) }
	return []step{
		{"", min(n, 1000), conns, code}, // everything has run once
		{model.Code, n, conns, code},
		{model.FirstPoll, n, conns, poll},
		pause,
		{model.NextPoll, n, conns, poll},
		pause,
		{model.WaitPoll, st.options.waiting, st.options.waiting / 4, func(ctx context.Context, i int) error {
			return st.Pending(ctx, st.codes[i].DeviceCode, 1)
		}},
		{model.Open, n, conns, func(ctx context.Context, i int) error { return st.Open(ctx, st.codes[i].UserCode, owner(i)) }},
		{model.Approve, n, conns, func(ctx context.Context, i int) error { return st.Approve(ctx, st.codes[i].UserCode, owner(i)) }},
		pause,
		{model.TokenPoll, n, conns, func(ctx context.Context, i int) (err error) {
			st.tokens[i], err = st.Token(ctx, st.codes[i].DeviceCode, 0)
			return err
		}},
		{model.UserInfo, n, conns, func(ctx context.Context, i int) error { return st.UserInfo(ctx, st.tokens[i].AccessToken) }},
		{model.Refresh, n, conns, func(ctx context.Context, i int) (err error) {
			_, err = st.Refresh(ctx, st.tokens[i].RefreshToken)
			return err
		}},
	}
}

// measure lets all devices do a step, and says what it cost.
func (st *stage) measure(ctx context.Context, s step) (model.Line, error) {
	before, err := st.server.CPU()
	if err != nil {
		return model.Line{}, err
	}
	if err := st.meter.begin(ctx); err != nil {
		return model.Line{}, err
	}
	took := make([]time.Duration, s.n)
	began := time.Now()
	if err := each(ctx, s, took); err != nil {
		return model.Line{}, err
	}
	seconds := time.Since(began).Seconds()
	after, err := st.server.CPU()
	if err != nil {
		return model.Line{}, err
	}
	slices.Sort(took)
	l := model.Line{
		Step: s.name, Database: st.database, Ops: s.n, OpsPerSecond: float64(s.n) / seconds,
		P50: ms(took[s.n/2]), P99: ms(took[s.n*99/100]), Server: float64((after - before).Microseconds()) / float64(s.n),
	}
	return l, st.meter.end(ctx, &l)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// each does a step for every device, so many at a time.
func each(ctx context.Context, s step, took []time.Duration) error {
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var running sync.WaitGroup
	for range s.concurrency {
		running.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= s.n || failure.Load() != nil {
					return
				}
				began := time.Now()
				if err := s.do(ctx, i); err != nil {
					err = fmt.Errorf("device %d: %w", i, err)
					failure.Store(&err)
				}
				took[i] = time.Since(began)
			}
		})
	}
	running.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}
