package deviceflow

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	// preferredWait is how long a poll asks the server to hold it (RFC 7240).
	preferredWait = 25 * time.Second
	// slowDownStep is what slow_down adds when the server names no interval
	// (RFC 8628 §3.5).
	slowDownStep = 5 * time.Second
	// longestBackOff bounds the time between polls that fail on the way, in
	// intervals.
	longestBackOff = 4
)

// Wait polls until the owner has decided (RFC 8628 §3.4, §3.5) and returns the
// token. It honours the interval and slow_down, asks the server to answer as soon
// as the owner decides, and takes network errors and failures of the server for
// what they usually are: it goes on, more slowly, until the code expires.
//
//	*Error: errors.Is ErrDenied, ErrExpired, or another refusal
//	ctx's error
func (c *Config) Wait(ctx context.Context, a *Authorization) (*oauth2.Token, error) {
	interval, failures := a.Interval, 0
	next := interval // the device has just asked: nothing can be decided yet
	for {
		if err := pause(ctx, a, next); err != nil {
			return nil, err
		}
		began := time.Now()
		token, honoured, err := c.poll(ctx, a)
		if err == nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var refused *Error
		switch isRefusal := errors.As(err, &refused); {
		case isRefusal && errors.Is(refused, ErrSlowDown):
			interval, failures = max(interval+slowDownStep, refused.Interval), 0
			if refused.Interval > 0 {
				interval = refused.Interval
			}
			next = interval
		case isRefusal && errors.Is(refused, ErrPending):
			failures, next = 0, interval
			if took := time.Since(began); honoured {
				next = max(0, interval-took) // it has waited already, at the server
			}
		case isRefusal && refused.Status < 500 && refused.Status != http.StatusTooManyRequests:
			return nil, refused
		default:
			failures++
			next = backOff(interval, failures)
		}
		if c.Progress != nil {
			c.Progress(Poll{Err: err, Next: next})
		}
	}
}

// pause waits before the next poll, at most until the code expires. The clock is
// the machine's monotonic one: setting the time does not end a wait.
func pause(ctx context.Context, a *Authorization, d time.Duration) error {
	left := time.Until(a.Expires)
	if left <= 0 {
		return &Error{Code: string(ErrExpired), Description: "nobody decided in time"}
	}
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// backOff doubles with each failure, with jitter so that the devices that lost
// one server do not return to it in step.
func backOff(interval time.Duration, failures int) time.Duration {
	d := interval
	for range failures - 1 {
		d = min(2*d, longestBackOff*interval)
	}
	return d/2 + rand.N(d/2+1)
}

// poll asks once. honoured says that the server held the answer as asked.
func (c *Config) poll(ctx context.Context, a *Authorization) (token *oauth2.Token, honoured bool, err error) {
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {string(a.DeviceCode)}, "client_id": {c.ClientID}}
	wait := min(preferredWait, time.Until(a.Expires)).Round(time.Second)
	header := http.Header{}
	if wait > 0 {
		header.Set("Prefer", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	answer, err := c.post(ctx, c.Endpoint.TokenURL, form, header)
	if err != nil {
		return nil, false, err
	}
	honoured = strings.Contains(answer.header.Get("Preference-Applied"), "wait")
	if err := answer.failure(); err != nil {
		return nil, honoured, err
	}
	token, err = answer.token(time.Now())
	return token, honoured, err
}
