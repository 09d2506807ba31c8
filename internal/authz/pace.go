package authz

import (
	"sync"
	"time"
)

const (
	// slowDownStep is what each slow_down adds to the interval (RFC 8628 §3.5).
	slowDownStep = 5 * time.Second
	// slowestInterval bounds it, so that a client that ignores slow_down still
	// gets through.
	slowestInterval = 60 * time.Second
	// tolerance is for clients whose timers are a little fast: at most this, and
	// at most a fifth of the interval.
	tolerance = time.Second
)

// pace remembers when each device code was last polled. It is in memory and per
// node: losing it harms nobody (design D6).
type pace struct {
	mu    sync.Mutex
	codes map[Hash]paced // guarded by mu
}

type paced struct {
	last     time.Time // of the last poll that was accepted; early ones do not move it
	interval time.Duration
	expires  time.Time
}

func newPace() *pace { return &pace{codes: map[Hash]paced{}} }

// early reports whether a code that was polled before is polled too soon, and
// if so lengthens its interval and returns the new one. A code not seen yet is
// never early: the first poll is not punished.
func (p *pace) early(code Hash, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, seen := p.codes[code]
	if !seen || now.Sub(c.last) >= c.interval-min(tolerance, c.interval/5) {
		return 0, false
	}
	c.interval = min(c.interval+slowDownStep, max(slowestInterval, c.interval))
	p.codes[code] = c
	return c.interval, true
}

// accept marks a poll of a known code as the last one accepted.
func (p *pace) accept(code Hash, now time.Time, interval time.Duration, expires time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, seen := p.codes[code]
	if !seen {
		c = paced{interval: interval, expires: expires}
	}
	c.last = now
	p.codes[code] = c
}

// forget drops the codes that have expired.
func (p *pace) forget(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for code, c := range p.codes {
		if now.After(c.expires) {
			delete(p.codes, code)
		}
	}
}

// drop forgets one code: its device has its tokens.
func (p *pace) drop(code Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.codes, code)
}
