package deviceflow

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
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
	// waitMargin is what a client's own timeout must leave beyond the wait.
	waitMargin = 5 * time.Second
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
	interval, failures := cmp.Or(a.Interval, defaultInterval), 0
	patient := true  // the server may be asked to wait
	next := interval // the device has just asked: nothing can be decided yet
	for {
		if err := pause(ctx, a, next); err != nil {
			return nil, err
		}
		began := time.Now()
		token, honoured, err := c.poll(ctx, a, patient)
		if err == nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var refused *Error
		switch isRefusal := errors.As(err, &refused); {
		case isRefusal && errors.Is(refused, ErrSlowDown):
			// At least five seconds more (RFC 8628 §3.5), unless the server names an
			// interval that is longer than the last one.
			last := interval
			if interval, failures = last+slowDownStep, 0; refused.Interval > last {
				interval = refused.Interval
			}
			next = interval
		case isRefusal && errors.Is(refused, ErrPending):
			failures, next = 0, interval
			if took := time.Since(began); honoured {
				next = max(0, interval-took) // it has waited already, at the server
			}
		case isRefusal && final(refused):
			return nil, refused
		default:
			failures++
			next = backOff(interval, failures) // after a time-out too (RFC 8628 §3.5)
			patient = patient && !cutOff(err)
		}
		next = max(next, retryAfter(err))
		if c.Progress != nil {
			c.Progress(Poll{Err: err, Next: next})
		}
	}
}

// final reports whether a refusal ends the wait: all do, but for those that say
// that the server cannot answer now.
func final(refused *Error) bool {
	return refused.Status < 500 && refused.Status != http.StatusTooManyRequests && refused.Status != http.StatusRequestTimeout &&
		refused.Code != "server_error" && refused.Code != "temporarily_unavailable"
}

// cutOff reports whether a poll ended because nobody waited for its answer any
// longer. What lies between may not bear a poll that waits, or the server holds it
// for ever: the next ones do not ask it to.
func cutOff(err error) bool {
	lost, ok := errors.AsType[*TransportError](err)
	return errors.Is(err, errSilent) || (ok && lost.Status == http.StatusGatewayTimeout)
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
func (c *Config) poll(ctx context.Context, a *Authorization, patient bool) (token *oauth2.Token, honoured bool, err error) {
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {string(a.DeviceCode)}, "client_id": {c.ClientID}}
	var wait time.Duration
	if patient {
		wait = min(preferredWait, time.Until(a.Expires).Round(time.Second))
		if timeout := c.client().Timeout; timeout > 0 {
			wait = min(wait, (timeout - waitMargin).Truncate(time.Second))
		}
	}
	answer, err := c.post(ctx, c.Endpoint.TokenURL, form, max(0, wait))
	if err != nil {
		return nil, false, err
	}
	honoured = strings.Contains(answer.header.Get("Preference-Applied"), "wait")
	if err := answer.failure("access_token"); err != nil {
		return nil, honoured, err
	}
	token, err = answer.token(time.Now())
	return token, honoured, err
}
