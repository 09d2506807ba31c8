package device

import (
	"sync"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/guard"
)

const (
	// slowDownStep is what each slow_down adds to the interval (RFC 8628 §3.5,
	// requirement D-26).
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
// forgets the request and begins a new generation; what was read from the store is
// remembered only if the generation is still the one from before the reading. So a
// decision in between is never slept through. Where other servers decide too,
// what is known holds for as long as trust says, and while their decisions may be
// missed nothing is known.
type pace struct {
	trust time.Duration // 0: what is known holds until the code expires

	mu           sync.Mutex
	codes        map[authz.Hash]paced // guarded by mu
	generation   uint64               // guarded by mu
	disconnected bool                 // decisions of other servers may be missed; guarded by mu
	connection   uint32               // counts the connections to the others; guarded by mu
}

// paced is what is known of a code; a server with a million devices has a million
// of them. Times are Unix milliseconds.
type paced struct {
	last       int64 // of the last poll that was accepted; early ones do not move it
	expires    int64
	knownUntil int64
	interval   uint32 // in milliseconds
	// connection is the one during which the request was read as pending, for the client
	// pendingFor; empty: it is not known.
	connection uint32
	pendingFor string
	// thumbprint is of the key that the code is bound to.
	thumbprint string
}

// known reports whether a client's request is pending, as far as is known without
// asking the store, and the generation to remember with.
func (p *pace) known(code authz.Hash, clientID string, now time.Time) (pending bool, generation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.codes[code]
	left := time.Duration(c.knownUntil-now.UnixMilli()) * time.Millisecond
	trusted := left > 0 && (p.trust == 0 || left <= p.trust+guard.ReadingsApart)
	return c.pendingFor == clientID && !p.disconnected && c.connection == p.connection && trusted, p.generation
}

// remember notes that a request was read at now as pending, in a generation.
func (p *pace) remember(r authz.DeviceRequest, now time.Time, generation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.codes[r.DeviceCode]
	if !ok || p.generation != generation {
		return
	}
	c.pendingFor, c.connection, c.knownUntil = r.ClientID, p.connection, c.expires
	if p.trust > 0 {
		c.knownUntil = min(c.expires, now.Add(p.trust).UnixMilli())
	}
	p.codes[r.DeviceCode] = c
}

// decided forgets that a request is pending.
func (p *pace) decided(code authz.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	if c, ok := p.codes[code]; ok {
		c.pendingFor = ""
		p.codes[code] = c
	}
}

// setDisconnected says whether decisions of other servers may be missed from now on.
func (p *pace) setDisconnected(disconnected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disconnected = disconnected
	p.generation++ // what is being read may be older than what was missed
	p.connection++
}

func newPace(trust time.Duration) *pace { return &pace{trust: trust, codes: map[authz.Hash]paced{}} }

// early reports whether a code that was polled before is polled too soon, and
// if so lengthens its interval and returns the new one. Who waits it out is never told
// to slow down (requirement D-27). A code not seen yet has no interval and is never early:
// the first poll is not punished. Nor is one whose last poll is still to come: somebody
// has set the clock back.
func (p *pace) early(code authz.Hash, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.codes[code]
	interval := time.Duration(c.interval) * time.Millisecond
	since := time.Duration(now.UnixMilli()-c.last) * time.Millisecond
	if since >= interval-min(tolerance, interval/5) || since < -guard.ReadingsApart {
		return 0, false
	}
	interval = min(interval+slowDownStep, max(slowestInterval, interval))
	c.interval = uint32(interval.Milliseconds()) //nolint:gosec // at most the operator's interval or a minute
	p.codes[code] = c
	return interval, true
}

// accept marks a poll of a request that exists as the last one accepted. Of one that was
// polled before the code will do.
func (p *pace) accept(r authz.DeviceRequest, now time.Time, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, seen := p.codes[r.DeviceCode]
	if !seen {
		c = paced{interval: uint32(interval.Milliseconds()), expires: r.ExpiresAt.UnixMilli(), thumbprint: r.Thumbprint} //nolint:gosec // as above
	}
	c.last = now.UnixMilli()
	p.codes[r.DeviceCode] = c
}

// boundTo is the key that a code is bound to, if it was polled before.
func (p *pace) boundTo(code authz.Hash) (thumbprint string, seen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, seen := p.codes[code]
	return c.thumbprint, seen
}

// dropExpired forgets the codes that have expired.
func (p *pace) dropExpired(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for code, c := range p.codes {
		if now.UnixMilli() > c.expires {
			delete(p.codes, code)
		}
	}
}

// drop forgets one code: its device has its tokens.
func (p *pace) drop(code authz.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.codes, code)
}
