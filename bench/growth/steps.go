package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

// steps are what is measured, in the order of a flow. A flow is about one stored
// request that is pending and one stored session, both drawn from all over the
// tables; besides, it asks for a new code, and refreshes a stored grant.
var steps = []string{"code", "first poll", "next poll", "open", "approve", "token poll", "userinfo", "refresh"}

// pollPause keeps a flow's polls of one code a little more than the interval apart.
const pollPause = 1100 * time.Millisecond

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// driver begins flows and gathers what their steps take.
type driver struct {
	base   string
	client *http.Client
	rows   *stored

	mu      sync.Mutex
	took    map[string][]time.Duration // guarded by mu
	slowest string                     // guarded by mu: which answer, and when
	longest time.Duration              // guarded by mu
	errs    []error                    // guarded by mu
}

// drive begins flows at a steady rate, whatever those before do, and waits for all.
func (m *measured) drive(ctx context.Context, s *server, rows *stored, o options) error {
	flows := int(o.rate * o.window.Seconds())
	requests, grants := rows.pending(flows+1), rows.living(flows)
	if len(requests) < flows+1 || len(grants) < flows {
		return fmt.Errorf("%d stored rows give %d flows, not %d: lower -rate or -window", rows.n, min(len(requests)-1, len(grants)), flows)
	}
	if left := time.Until(rows.now.Add(5 * time.Minute)); left < o.window {
		return errors.New("filling took so long that the stored requests expire: raise perRow")
	}
	d := &driver{base: s.base, rows: rows, took: map[string][]time.Duration{}, client: &http.Client{
		Timeout: readyWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}}
	began := time.Now()
	if err := d.poll(ctx, requests[flows], false); err != nil {
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
		running.Go(func() { d.flow(ctx, s.started, requests[k], k%rows.accounts(), grants[k]) })
	}
	running.Wait()
	m.steps = d.took
	fmt.Fprintf(os.Stderr, "measured from %.0f s to %.0f s after the start (each 30 s the server removes and counts); the slowest answer was %s\n",
		began.Sub(s.started).Seconds(), time.Since(s.started).Seconds(), d.slowest)
	return errors.Join(d.errs...)
}

// flow goes through the steps; the first that fails ends it and the measurement.
func (d *driver) flow(ctx context.Context, started time.Time, request, account, grant int) {
	account = below(ofFate, account, d.rows.accounts())
	userCode, _ := d.rows.userCode(request)
	session, _ := sessionToken(account)
	refresh, _ := refreshToken(grant)
	var access string
	pause := func() error { return sleep(ctx, pollPause) }
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"code", func() error {
			return d.send(ctx, http.MethodPost, "/api/auth/device/code", map[string]string{"client_id": client, "scope": scope}, "", http.StatusOK, nil)
		}},
		{"first poll", func() error { return d.poll(ctx, request, false) }},
		{"", pause},
		{"next poll", func() error { return d.poll(ctx, request, false) }},
		{"open", func() error {
			return d.send(ctx, http.MethodGet, "/api/auth/device?user_code="+url.QueryEscape(userCode), nil, session, http.StatusOK, nil)
		}},
		{"approve", func() error {
			return d.send(ctx, http.MethodPost, "/api/auth/device/approve", map[string]string{"userCode": userCode}, session, http.StatusOK, nil)
		}},
		{"", pause},
		{"token poll", func() error { return d.poll(ctx, request, true) }},
		{"refresh", func() error {
			var tokens struct {
				AccessToken string `json:"access_token"`
			}
			err := d.send(ctx, http.MethodPost, "/api/auth/oauth2/token",
				map[string]string{"grant_type": "refresh_token", "refresh_token": refresh, "client_id": client}, "", http.StatusOK, &tokens)
			access = tokens.AccessToken
			return err
		}},
		{"userinfo", func() error { return d.userInfo(ctx, access) }},
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

// poll polls a stored request, which must be pending or give a token.
func (d *driver) poll(ctx context.Context, request int, token bool) error {
	code, _ := deviceCode(request)
	status := http.StatusBadRequest
	if token {
		status = http.StatusOK
	}
	var answer struct {
		Error       string `json:"error"`
		AccessToken string `json:"access_token"`
	}
	err := d.send(ctx, http.MethodPost, "/api/auth/device/token",
		map[string]string{"grant_type": deviceGrant, "device_code": code, "client_id": client}, "", status, &answer)
	if err == nil && (token != (answer.AccessToken != "") || token != (answer.Error != "authorization_pending")) {
		err = fmt.Errorf("the answer is %q", answer.Error)
	}
	return err
}

func (d *driver) userInfo(ctx context.Context, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/api/auth/oauth2/userinfo", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return d.answer(req, http.StatusOK, nil)
}

// send sends JSON, as whose session it is if any, and decodes the answer.
func (d *driver) send(ctx context.Context, method, path string, body map[string]string, session string, status int, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if session != "" {
		req.Header.Set("Cookie", "better-auth.session_token="+session)
		req.Header.Set("Origin", d.base)
	}
	return d.answer(req, status, into)
}

func (d *driver) answer(req *http.Request, status int, into any) error {
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != status:
		return fmt.Errorf("status %d: %.200s", resp.StatusCode, text)
	case into == nil:
		return nil
	default:
		return json.Unmarshal(text, into)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// percentile of what a step took.
func (m *measured) percentile(step string, p float64) time.Duration {
	took := slices.Sorted(slices.Values(m.steps[step]))
	return took[min(len(took)-1, int(p*float64(len(took))))]
}
