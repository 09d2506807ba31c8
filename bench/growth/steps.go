package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"countersign.dev/bench/internal/trial"
)

// steps are what is measured, in the order of a flow. A flow is about one stored
// request that is pending and one stored session, both drawn from all over the
// tables; besides, it asks for a new code, and refreshes a stored grant.
var steps = []string{"code", "first poll", "next poll", "open", "approve", "token poll", "userinfo", "refresh"}

// pollPause keeps a flow's polls of one code a little more than the interval apart.
const pollPause = 1100 * time.Millisecond

// driver begins flows and gathers what their steps take.
type driver struct {
	trial.Device
	rows *stored

	mu      sync.Mutex
	took    map[string][]time.Duration // guarded by mu
	slowest string                     // guarded by mu: which answer, and when
	longest time.Duration              // guarded by mu
	errs    []error                    // guarded by mu
}

// drive begins flows at a steady rate, whatever those before do, and waits for all.
func (m *measured) drive(ctx context.Context, s *trial.Server, rows *stored, o options) error {
	flows := int(o.rate * o.window.Seconds())
	requests, grants := rows.pending(flows+1), rows.living(flows)
	if len(requests) < flows+1 || len(grants) < flows {
		return fmt.Errorf("%d stored rows give %d flows, not %d: lower -rate or -window", rows.n, min(len(requests)-1, len(grants)), flows)
	}
	if left := time.Until(rows.now.Add(5 * time.Minute)); left < o.window {
		return errors.New("filling took so long that the stored requests expire: raise perRow")
	}
	d := &driver{Device: trial.Device{Base: s.Base, HTTP: trial.NewHTTP(256)}, rows: rows, took: map[string][]time.Duration{}}
	began := time.Now()
	first, _ := deviceCode(requests[flows])
	if err := d.Pending(ctx, first, 0); err != nil {
		return err
	}
	m.firstAnswer = time.Since(began)
	began = time.Now()
	tick := time.NewTicker(time.Duration(float64(time.Second) / o.rate))
	defer tick.Stop()
	var running sync.WaitGroup
	for k := range flows {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		running.Go(func() { d.flow(ctx, s.Started, requests[k], k%rows.accounts(), grants[k]) })
	}
	running.Wait()
	m.steps = d.took
	fmt.Fprintf(os.Stderr, "measured from %.0f s to %.0f s after the start (each 30 s the server removes and counts); the slowest answer was %s\n",
		began.Sub(s.Started).Seconds(), time.Since(s.Started).Seconds(), d.slowest)
	return errors.Join(d.errs...)
}

// flow goes through the steps; the first that fails ends it and the measurement.
func (d *driver) flow(ctx context.Context, started time.Time, request, account, grant int) {
	account = below(ofFate, account, d.rows.accounts())
	code, _ := deviceCode(request)
	userCode, _ := d.rows.userCode(request)
	session, _ := sessionToken(account)
	refresh, _ := refreshToken(grant)
	var tokens trial.Tokens
	pause := func() error { return sleep(ctx, pollPause) }
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"code", func() error { _, err := d.Code(ctx); return err }},
		{"first poll", func() error { return d.Pending(ctx, code, 0) }},
		{"", pause},
		{"next poll", func() error { return d.Pending(ctx, code, 0) }},
		{"open", func() error { return d.Open(ctx, userCode, session) }},
		{"approve", func() error { return d.Approve(ctx, userCode, session) }},
		{"", pause},
		{"token poll", func() error { _, err := d.Token(ctx, code, 0); return err }},
		{"refresh", func() (err error) { tokens, err = d.Refresh(ctx, refresh); return err }},
		{"userinfo", func() error { return d.UserInfo(ctx, tokens.AccessToken) }},
	} {
		began := time.Now()
		err := s.do()
		if done := d.note(s.name, time.Since(began), began.Sub(started), err); done {
			return
		}
	}
}

// note keeps how long a step took and reports whether the flow is over.
func (d *driver) note(step string, took, since time.Duration, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %w", step, err))
		return true
	}
	if step == "" {
		return false
	}
	d.took[step] = append(d.took[step], took)
	if took > d.longest {
		d.longest, d.slowest = took, fmt.Sprintf("of %q: %.0f ms, %.0f s after the start", step, ms(took), since.Seconds())
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// percentile of what a step took.
func (m *measured) percentile(step string, p float64) time.Duration {
	took := slices.Sorted(slices.Values(m.steps[step]))
	return took[min(len(took)-1, int(p*float64(len(took))))]
}
