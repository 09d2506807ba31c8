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

// pace remembers when each device code was last polled, and which requests are
// known to be pending, so that the next poll of those need not ask the store. It
// is in memory and per node: losing it harms nobody (design D6).
//
// What is known must not outlive a decision. Every decision calls decided, which
// forgets the request and raises the epoch; what was read from the store is
// remembered only if the epoch is still the one from before the reading. So a
// decision in between is never slept through.
type pace struct {
	mu    sync.Mutex
	codes map[Hash]paced // guarded by mu
	epoch uint64         // guarded by mu
}

type paced struct {
	last     time.Time // of the last poll that was accepted; early ones do not move it
	interval time.Duration
	expires  time.Time
	// pendingFor is the client whose request is known to be pending, or empty.
	pendingFor string
}

// known reports whether a client's request is pending, as far as is known without
// asking the store, and the epoch to remember with.
func (p *pace) known(code Hash, clientID string, now time.Time) (pending bool, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.codes[code]
	return c.pendingFor == clientID && now.Before(c.expires), p.epoch
}

// remember notes that a request was read as pending in an epoch.
func (p *pace) remember(r DeviceRequest, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.codes[r.DeviceCode]; ok && p.epoch == epoch {
		c.pendingFor = r.ClientID
		p.codes[r.DeviceCode] = c
	}
}

// decided forgets that a request is pending.
func (p *pace) decided(code Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	if c, ok := p.codes[code]; ok {
		c.pendingFor = ""
		p.codes[code] = c
	}
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
