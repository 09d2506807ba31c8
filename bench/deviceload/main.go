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
//	deviceload -base http://127.0.0.1:8628 -work wait -conns 200 -rate 100   # approval to token, see wait.go
//
// Owners of its own approve, by turns, each signed in as Countersign wants it; at
// another server one that is signed in there approves everything (-cookie).
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/bench/internal/trial"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// target says where a server's endpoints are and how it wants to be asked.
type target struct {
	base, code, token, userinfo, approve string
	tokenForm, codeForm                  bool
	client, scope                        string
	cookie, bearer, origin               string
	owners                               *trial.Owners // instead of a cookie
	userCodeField                        string
	pollSpread                           time.Duration
	pollCodes                            int
	approveAt                            string
	approvals                            float64
	wait                                 time.Duration
}

type device struct {
	DeviceCode, UserCode string
	cookie               string // of the owner who approves it
}

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
	work := flag.String("work", "code", "what to measure: code, poll, flow, userinfo, wait, get")
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
	flag.StringVar(&t.bearer, "token", "", "access token, for -work userinfo")
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
	run(measured, *conns, *warmup) // warm-up, not counted
	var results []result
	for range *runs {
		results = append(results, run(measured, *conns, *duration))
	}
	if failed := report(*work, results, *asJSON); failed {
		os.Exit(1)
	}
}

// newClient returns a client that keeps so many connections and opens no more.
func newClient(conns int, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxIdleConns: conns, MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableCompression: true},
		Timeout:   timeout,
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
		codes, err := t.requestCodes(c, conns, t.pollCodes)
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

func (t target) requestCodes(c *http.Client, conns, n int) ([]device, error) {
	codes := make([]device, n)
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
				d, err := t.requestCode(context.Background(), c)
				if err != nil {
					failure.Store(&err)
					return
				}
				codes[i] = d
			}
		})
	}
	wg.Wait()
	if p := failure.Load(); p != nil {
		return nil, *p
	}
	return codes, nil
}

func (t target) body(form bool, fields map[string]string) (string, []byte) {
	if form {
		v := url.Values{}
		for k, s := range fields {
			v.Set(k, s)
		}
		return "application/x-www-form-urlencoded", []byte(v.Encode())
	}
	b, _ := json.Marshal(fields)
	return "application/json", b
}

func (t target) do(ctx context.Context, c *http.Client, method, path, contentType string, body []byte, header map[string]string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return b, resp.StatusCode, err
}

func (t target) requestCode(ctx context.Context, c *http.Client) (device, error) {
	ct, b := t.body(t.codeForm, map[string]string{"client_id": t.client, "scope": t.scope})
	got, status, err := t.do(ctx, c, http.MethodPost, t.code, ct, b, nil)
	if err != nil {
		return device{}, err
	}
	var d struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &d) != nil || d.DeviceCode == "" || d.UserCode == "" {
		return device{}, fmt.Errorf("device code: status %d: %.200s", status, got)
	}
	return device{DeviceCode: d.DeviceCode, UserCode: d.UserCode}, nil
}

func (t target) poll(ctx context.Context, c *http.Client, d device, header map[string]string) ([]byte, int, error) {
	ct, b := t.body(t.tokenForm, map[string]string{"grant_type": deviceGrant, "device_code": d.DeviceCode, "client_id": t.client})
	return t.do(ctx, c, http.MethodPost, t.token, ct, b, header)
}

func (t target) expectPending(ctx context.Context, c *http.Client, d device) error {
	got, status, err := t.poll(ctx, c, d, nil)
	if err != nil {
		return err
	}
	var e struct {
		Error string `json:"error"`
	}
	if status != http.StatusBadRequest || json.Unmarshal(got, &e) != nil || e.Error != "authorization_pending" {
		return fmt.Errorf("poll: status %d: %.200s", status, got)
	}
	return nil
}

func (t target) getUserinfo(ctx context.Context, c *http.Client, token string) error {
	got, status, err := t.do(ctx, c, http.MethodGet, t.userinfo, "", nil, map[string]string{"Authorization": "Bearer " + token})
	if err != nil {
		return err
	}
	var u struct {
		Sub string `json:"sub"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &u) != nil || u.Sub == "" {
		return fmt.Errorf("userinfo: status %d: %.200s", status, got)
	}
	return nil
}

// owner is the Cookie header of who approves the next request.
func (t target) owner(ctx context.Context) (string, error) {
	if t.cookie != "" {
		return t.cookie, nil
	}
	session, err := t.owners.Next(ctx)
	return trial.SessionCookie + "=" + session, err
}

// flow is the whole of RFC 8628 for one device, the user's approval included.
func (t target) flow(ctx context.Context, c *http.Client, cookie string) error {
	d, err := t.requestCode(ctx, c)
	if err != nil {
		return err
	}
	d.cookie = cookie
	if err := t.open(ctx, c, d); err != nil {
		return err
	}
	if err := t.approves(ctx, c, d); err != nil {
		return err
	}
	got, status, err := t.poll(ctx, c, d, nil)
	if err != nil {
		return err
	}
	token, err := accessToken(got, status)
	if err != nil {
		return err
	}
	if t.userinfo == "" {
		return nil
	}
	return t.getUserinfo(ctx, c, token)
}

// open is the user's look at a request: servers bind it to the session there.
func (t target) open(ctx context.Context, c *http.Client, d device) error {
	q := "?user_code=" + url.QueryEscape(d.UserCode)
	got, status, err := t.do(ctx, c, http.MethodGet, strings.TrimSuffix(t.approve, "/approve")+q, "", nil, t.as(d))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("open request: status %d: %.200s", status, got)
	}
	return err
}

// approves is the user's approval of a request that is open.
func (t target) approves(ctx context.Context, c *http.Client, d device) error {
	ct, b := t.body(false, map[string]string{t.userCodeField: d.UserCode})
	got, status, err := t.do(ctx, c, http.MethodPost, t.approve, ct, b, t.as(d))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("approve: status %d: %.200s", status, got)
	}
	return err
}

// as are the headers of the owner who approves a device.
func (t target) as(d device) map[string]string {
	return map[string]string{"Cookie": d.cookie, "Origin": t.origin}
}

// accessToken takes the token out of a token response.
func accessToken(got []byte, status int) (string, error) {
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	if status != http.StatusOK || json.Unmarshal(got, &tok) != nil || tok.AccessToken == "" {
		return "", fmt.Errorf("token: status %d: %.200s", status, got)
	}
	return tok.AccessToken, nil
}

type result struct {
	ops       int
	errors    int
	firstErr  error
	seconds   float64
	latencies []time.Duration
}

// run repeats work on every connection until the time is up.
func run(work op, conns int, d time.Duration) result {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var mu sync.Mutex
	var total result
	start := time.Now()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			var mine result
			for ctx.Err() == nil {
				// The request itself is not cut off: one in flight at the end completes uncounted.
				took, err := work(context.WithoutCancel(ctx))
				if ctx.Err() != nil {
					break
				}
				if err != nil {
					mine.errors++
					mine.firstErr = errors.Join(mine.firstErr, err)
					if mine.errors > 3 {
						break
					}
					continue
				}
				mine.ops++
				mine.latencies = append(mine.latencies, took)
			}
			mu.Lock()
			defer mu.Unlock()
			total.ops += mine.ops
			total.errors += mine.errors
			if total.firstErr == nil {
				total.firstErr = mine.firstErr
			}
			total.latencies = append(total.latencies, mine.latencies...)
		})
	}
	wg.Wait()
	total.seconds = min(time.Since(start).Seconds(), d.Seconds())
	slices.Sort(total.latencies)
	return total
}

func (r result) rate() float64 { return float64(r.ops) / r.seconds }

func (r result) percentile(p float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(p*float64(len(r.latencies))))]
}

func report(work string, results []result, asJSON bool) (failed bool) {
	slices.SortFunc(results, func(a, b result) int { return int(a.rate() - b.rate()) })
	errs := 0
	for _, r := range results {
		errs += r.errors
	}
	mid := results[len(results)/2]
	low, high := results[0].rate(), results[len(results)-1].rate()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	if asJSON {
		line, err := json.Marshal(map[string]any{
			"work": work, "ops_per_s": mid.rate(), "min": low, "max": high,
			"p50_ms": ms(mid.percentile(.50)), "p99_ms": ms(mid.percentile(.99)), "errors": errs,
		})
		if err != nil {
			panic(err) // it is made of texts and numbers
		}
		fmt.Println(string(line))
	} else {
		fmt.Printf("%-9s %9.0f ops/s  (min %.0f, max %.0f)  p50 %.2f ms  p99 %.2f ms  errors %d\n",
			work, mid.rate(), low, high, ms(mid.percentile(.50)), ms(mid.percentile(.99)), errs)
	}
	for _, r := range results {
		if r.firstErr != nil {
			fmt.Fprintln(os.Stderr, "deviceload: first error:", r.firstErr)
			break
		}
	}
	if low == 0 {
		fmt.Fprintln(os.Stderr, "deviceload: nothing was done in a run")
	}
	return errs > 0 || low == 0
}
