// Deviceload measures an RFC 8628 authorization server from the outside.
//
// It drives one kind of work at a time over a fixed number of keep-alive
// connections and reports operations per second and latency percentiles. Every
// response is checked: a wrong status or body counts as an error, and a run with
// errors exits 1, so that a figure is never quoted for work that was not done.
//
//	deviceload -base http://127.0.0.1:8628 -work code      # device authorization requests
//	deviceload -base http://127.0.0.1:8628 -work poll      # polls answered authorization_pending
//	deviceload -base http://127.0.0.1:8628 -work flow      # code, approve, token, userinfo
//	deviceload -base http://127.0.0.1:8628 -work userinfo -token "$TOKEN"
//	deviceload -base http://127.0.0.1:8628 -work introspect -token "$TOKEN" -client my-api -secret "$SECRET"
//	deviceload -base http://127.0.0.1:8628 -work credentials -token-path /api/auth/oauth2/token -client my-api -secret "$SECRET"
//	deviceload -base http://127.0.0.1:8628 -work refresh -token-path /api/auth/oauth2/token -client my-api -secret "$SECRET"
//	deviceload -base http://127.0.0.1:8628 -work exchange -token-path /api/auth/oauth2/token -client my-web -secret "$SECRET"   # see code.go
//	deviceload -base http://127.0.0.1:8628 -work wait -conns 200 -rate 100   # approval to token, see wait.go
//
// Owners of its own approve, by turns, each signed in as Countersign wants it; at
// another server one that is signed in there approves everything (-cookie).
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/bench/internal/trial"
)

// op is one measured unit of work; it says how long it took.
type op func(ctx context.Context) (time.Duration, error)

// timed is work that is measured from beginning to end.
func timed(work func(ctx context.Context) error) op {
	return func(ctx context.Context) (time.Duration, error) {
		began := time.Now()
		err := work(ctx)
		return time.Since(began), err
	}
}

func main() {
	var t target
	work := flag.String("work", "code", "what to measure: code, poll, flow, userinfo, introspect, credentials, refresh, exchange, wait, get")
	conns := flag.Int("conns", 32, "concurrent keep-alive connections")
	warmup := flag.Duration("warmup", 2*time.Second, "time before counting starts")
	duration := flag.Duration("duration", 8*time.Second, "time counted in each run")
	runs := flag.Int("runs", 5, "runs; the median is reported with the minimum and maximum")
	asJSON := flag.Bool("json", false, "print one JSON object instead of a table row")
	flag.StringVar(&t.base, "base", "http://127.0.0.1:8628", "server origin")
	flag.StringVar(&t.code, "code-path", "/api/auth/device/code", "device authorization endpoint")
	flag.StringVar(&t.token, "token-path", "/api/auth/device/token", "token endpoint")
	flag.StringVar(&t.userinfo, "userinfo-path", "/api/auth/oauth2/userinfo", "userinfo endpoint (flow skips it if empty)")
	flag.StringVar(&t.approve, "approve-path", "/api/auth/device/approve", "approval endpoint, called with -cookie")
	flag.StringVar(&t.userCodeField, "user-code-field", "userCode", "name of the user code in the approval's JSON body")
	flag.BoolVar(&t.codeForm, "code-form", false, "ask for a code with a form body instead of JSON")
	flag.BoolVar(&t.tokenForm, "token-form", false, "poll with a form body instead of JSON")
	flag.StringVar(&t.client, "client", "my-app", "client_id")
	flag.StringVar(&t.scope, "scope", "openid profile", "scope")
	flag.StringVar(&t.cookie, "cookie", "", "Cookie header of a user who approves everything (default: owners of our own, by turns)")
	flag.StringVar(&t.bearer, "token", "", "access token, for -work userinfo and introspect")
	flag.StringVar(&t.secret, "secret", "", "the client's secret, for -work introspect, credentials, refresh and exchange")
	flag.StringVar(&t.refreshTokens, "refresh-tokens", "", "file with a refresh token a line, for -work refresh at another server (default: tokens of grants that owners of our own approve)")
	flag.IntVar(&t.batch, "batch", 6000, "how many authorization codes a run of -work exchange trades, and how many grants -work refresh goes round")
	flag.StringVar(&t.introspection, "introspection-path", "/api/auth/oauth2/introspect", "introspection endpoint")
	flag.DurationVar(&t.pollSpread, "interval", 5*time.Second, "the server's polling interval: no code is polled twice within it")
	flag.IntVar(&t.pollCodes, "codes", 40000, "how many device codes the polls are spread over")
	flag.StringVar(&t.origin, "origin", "", "Origin header of approvals: the issuer's, if that is not where they go")
	flag.StringVar(&t.approveAt, "approve-at", "", "for -work wait: origin of the server that approvals go to, if not -base")
	flag.Float64Var(&t.approvals, "rate", 100, "for -work wait: approvals per second")
	flag.DurationVar(&t.wait, "wait", 20*time.Second, "for -work wait: how long a device asks the server to wait (Prefer: wait=N)")
	flag.Parse()
	if t.origin == "" {
		t.origin = cmp.Or(t.approveAt, t.base)
	}

	client := newClient(*conns, 30*time.Second)
	t.owners = &trial.Owners{Device: trial.Device{Base: cmp.Or(t.approveAt, t.base), HTTP: client}}
	measured, err := t.prepare(client, *work, *conns)
	if err != nil {
		fmt.Fprintln(os.Stderr, "deviceload:", err)
		os.Exit(1)
	}
	var results []result
	for i := range *runs + 1 {
		if *work == "exchange" { // each run needs codes of its own
			measured, err = t.exchange(client, *conns)
			if err != nil {
				fmt.Fprintln(os.Stderr, "deviceload:", err)
				os.Exit(1)
			}
		}
		if i == 0 {
			run(measured, *conns, *warmup) // not counted
			continue
		}
		results = append(results, run(measured, *conns, *duration))
	}
	if failed := report(*work, results, *asJSON); failed {
		os.Exit(1)
	}
}

// prepare returns the work to measure, with whatever it consumes made beforehand.
func (t target) prepare(c *http.Client, work string, conns int) (op, error) {
	switch work {
	case "code":
		return timed(func(ctx context.Context) error { _, err := t.requestCode(ctx, c); return err }), nil
	case "poll":
		// A code may be polled once per interval, so a ring of codes is shared
		// out; a code comes round again only after its interval has passed.
		codes, err := made(conns, t.pollCodes, func() (device, error) { return t.requestCode(context.Background(), c) })
		if err != nil {
			return nil, err
		}
		var next atomic.Int64
		last := make([]atomic.Int64, len(codes))
		return timed(func(ctx context.Context) error {
			i := int(next.Add(1)) % len(codes)
			now := time.Now().UnixNano()
			if prev := last[i].Swap(now); prev != 0 {
				if wait := t.pollSpread + 50*time.Millisecond - time.Duration(now-prev); wait > 0 {
					time.Sleep(wait)
				}
				last[i].Store(time.Now().UnixNano())
			}
			return t.expectPending(ctx, c, codes[i])
		}), nil
	case "flow":
		return func(ctx context.Context) (time.Duration, error) {
			cookie, err := t.owner(ctx) // who signs in now and then, which is not measured
			if err != nil {
				return 0, err
			}
			return timed(func(ctx context.Context) error { return t.flow(ctx, c, cookie) })(ctx)
		}, nil
	case "userinfo":
		return timed(func(ctx context.Context) error { return t.getUserinfo(ctx, c, t.bearer) }), nil
	case "introspect":
		return timed(func(ctx context.Context) error { return t.introspect(ctx, c) }), nil
	case "credentials":
		return timed(func(ctx context.Context) error { return t.credentials(ctx, c) }), nil
	case "refresh":
		return t.refreshing(c, conns)
	case "exchange":
		return nil, nil // made before each run
	case "wait":
		return t.waiting(conns)
	case "get":
		return timed(func(ctx context.Context) error {
			_, status, err := t.do(ctx, c, http.MethodGet, t.code, "", nil, nil)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("status %d", status)
			}
			return err
		}), nil
	}
	return nil, fmt.Errorf("unknown -work %q", work)
}

// made returns n things, made over so many connections at once.
func made[T any](conns, n int, one func() (T, error)) ([]T, error) {
	all := make([]T, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	var failure atomic.Pointer[error]
	for range conns {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failure.Load() != nil {
					return
				}
				thing, err := one()
				if err != nil {
					failure.Store(&err)
					return
				}
				all[i] = thing
			}
		})
	}
	wg.Wait()
	if p := failure.Load(); p != nil {
		return nil, *p
	}
	return all, nil
}
