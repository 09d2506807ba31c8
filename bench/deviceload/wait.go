package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"
)

// What -work wait measures: how long a device that waits at the token endpoint
// (Prefer: wait=N) waits for its token once the owner has decided.
//
// As many devices wait as there are connections. Their owners approve at a steady
// rate, whether or not earlier approvals have been answered, the one that has
// waited longest first. The clock of a device starts just before its approval
// request is sent and stops when the token response has been read whole: the
// approval's own way to the server and its commit are in it, the answer to the
// owner is not. With -approve-at the owner speaks to another server than the
// devices.

// inFlight is how long a poll has been on its way before its approval may follow: a
// poll that arrived after it would find a decided request and wait for nothing.
const inFlight = 100 * time.Millisecond

// waiter is a device with a poll that waits.
type waiter struct {
	device
	asked   time.Time     // when its poll was written to the connection
	decided chan decision // of one, so that the owner waits for nobody
	giveUp  func()        // ends the poll, when the approval has failed
}

// decision is what the owner did about a waiter.
type decision struct {
	began time.Time
	err   error
}

// waiting returns one device's part, and starts its owner, who lives as long as
// the program.
func (t target) waiting(conns int) (op, error) {
	if t.approvals <= 0 {
		return nil, errors.New("-rate must be positive")
	}
	// The longest wait is that of the last in a full line.
	if line := time.Duration(float64(conns) / t.approvals * float64(time.Second)); line+inFlight > t.wait*3/4 {
		return nil, fmt.Errorf("with -conns %d and -rate %g a device waits %s: too near to -wait %s", conns, t.approvals, line, t.wait)
	}
	owner := t
	if t.approveAt != "" {
		owner.base = t.approveAt
	}
	devices, browsers := newClient(conns, t.wait+10*time.Second), newClient(conns, 30*time.Second)
	line := make(chan *waiter, conns)
	pace := time.Duration(float64(time.Second) / t.approvals)
	go owner.approveEach(browsers, line, pace)
	// Devices come no faster than twice the pace, so that a run does not begin with
	// all of them at once.
	arrivals := time.NewTicker(pace / 2)
	return func(ctx context.Context) (time.Duration, error) {
		<-arrivals.C
		d, err := t.requestCode(ctx, devices)
		if err != nil {
			return 0, err
		}
		if d.cookie, err = t.owner(ctx); err != nil {
			return 0, err
		}
		if err := owner.open(ctx, browsers, d); err != nil {
			return 0, err
		}
		return t.waitForToken(ctx, devices, d, line)
	}, nil
}

// waitForToken polls once and returns the time from approval to token.
func (t target) waitForToken(ctx context.Context, c *http.Client, d device, line chan<- *waiter) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &waiter{device: d, decided: make(chan decision, 1), giveUp: cancel}
	polled := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			w.asked = time.Now()
			line <- w
		}
	}})
	got, status, err := t.poll(polled, c, d, map[string]string{"Prefer": "wait=" + strconv.Itoa(int(t.wait/time.Second))})
	received := time.Now()
	if err == nil {
		_, err = accessToken(got, status)
	}
	if err != nil {
		select {
		case decided := <-w.decided: // a failed approval is why
			return 0, errors.Join(decided.err, err)
		default:
			return 0, err
		}
	}
	decided := <-w.decided // a token was given, so the owner has been here
	return received.Sub(decided.began), decided.err
}

// approveEach approves those in line at a steady pace.
func (t target) approveEach(c *http.Client, line <-chan *waiter, pace time.Duration) {
	tick := time.NewTicker(pace)
	for range tick.C {
		w := <-line
		time.Sleep(time.Until(w.asked.Add(inFlight)))
		go func() {
			began := time.Now()
			err := t.approves(context.Background(), c, w.device)
			w.decided <- decision{began, err}
			if err != nil {
				w.giveUp()
			}
		}()
	}
}
