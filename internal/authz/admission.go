package authz

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// AdmitDeviceRequest is asked before anything else is done for a device request:
// before its client is looked up and its signature checked (attack B-10). It asks
// no database.
//
//	Unavailable: too many come from this network, or too many of them were reported
func (s *Service) AdmitDeviceRequest(from Source) error {
	if !from.own() {
		return nil
	}
	if s.shunned.has(CoarseNetwork(from.Address)) {
		return refuse(Unavailable, "what devices in this network asked for was reported by several people today: ask the operator, or try again tomorrow")
	}
	if !s.creation.allow(from, s.now()) {
		return refuse(Unavailable, "too many device requests come from this network: try again in a minute")
	}
	return nil
}

// newcomersPerMinute is how many accounts an address may bring: a key costs
// nothing, and each account may keep a backup here for good. A classroom that
// signs up together is served by the burst.
const newcomersPerMinute = 10

const (
	// creationBurst is how many minutes' worth may come at once: a classroom or a
	// build farm that starts together, not a flood.
	creationBurst = 2
	// creationWide is how much more a /24 or /48 may start than one address of it.
	creationWide = 4
	// creationRemembered bounds each of the two generations of networks, to some
	// megabytes in all.
	creationRemembered = 1 << 15
)

// creationLimit bounds how much a network creates, in memory and per node: losing it costs a guess at most a minute's worth. It keeps one time
// for each block, the one at which its allowance is whole again (a leaky bucket
// written as GCRA).
type creationLimit struct {
	every time.Duration // one request of a narrow block; 0: no limit

	mu     sync.Mutex
	recent map[netip.Prefix]time.Time // guarded by mu
	older  map[netip.Prefix]time.Time // guarded by mu; read only
}

func newCreationLimit(perMinute int) *creationLimit {
	l := &creationLimit{recent: map[netip.Prefix]time.Time{}}
	if perMinute > 0 {
		l.every = time.Minute / time.Duration(perMinute)
	}
	return l
}

// allow takes one request out of the allowance of both blocks of a source, or
// reports that one of them has none left and takes nothing.
func (l *creationLimit) allow(from Source, now time.Time) bool {
	if l.every == 0 {
		return true
	}
	narrow, wide := from.blocks()
	every, everyWide := l.every, l.every/creationWide
	l.mu.Lock()
	defer l.mu.Unlock()
	narrowWhole, wideWhole := l.whole(narrow, now), l.whole(wide, now)
	const holds = creationBurst * time.Minute
	allowed := narrowWhole.Sub(now)+every <= holds && wideWhole.Sub(now)+everyWide <= holds
	if allowed {
		narrowWhole, wideWhole = narrowWhole.Add(every), wideWhole.Add(everyWide)
	}
	l.keep(narrow, narrowWhole)
	l.keep(wide, wideWhole)
	return allowed
}

func (l *creationLimit) whole(block netip.Prefix, now time.Time) time.Time {
	at, ok := l.recent[block]
	if !ok {
		at = l.older[block]
	}
	if at.Before(now) {
		return now
	}
	return at
}

// keep remembers a block. When a generation is full the one before it is
// forgotten; blocks in use move on to the new one.
func (l *creationLimit) keep(block netip.Prefix, at time.Time) {
	if len(l.recent) >= creationRemembered {
		l.older, l.recent = l.recent, make(map[netip.Prefix]time.Time, creationRemembered)
	}
	l.recent[block] = at
}

// pendingCount approximates the number of pending requests, in all and by
// client: raised and lowered by what happens here, set right by each sweep.
type pendingCount struct {
	mu           sync.Mutex
	total        int            // guarded by mu
	unregistered int            // of clients that nobody registered; guarded by mu
	of           map[string]int // by registered client; guarded by mu
}

// Shares of PendingLimit (attack B-10): what strangers or one application do
// must leave room for everybody else.
const (
	unregisteredShare = 10 // a tenth, for all of them together
	clientShare       = 2  // half
)

// enter counts one more request of a client.
//
//	Unavailable: there is no room for it
func (p *pendingCount) enter(c Client, limit int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.total >= limit:
		return refuse(Unavailable, "too many device requests are pending here: try again in a minute")
	case !c.Registered && p.unregistered >= max(1, limit/unregisteredShare):
		return refuse(Unavailable, "too many device requests of unregistered clients are pending here: try again in a minute, or have the client registered")
	case c.Registered && p.of[c.ID] >= max(1, limit/clientShare):
		return refuse(Unavailable, "too many device requests of this client are pending here: try again in a minute")
	}
	p.add(c.ID, c.Registered, 1)
	return nil
}

// leave counts one request less.
func (p *pendingCount) leave(clientID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(clientID, p.of[clientID] > 0, -1)
}

func (p *pendingCount) add(clientID string, registered bool, n int) {
	p.total = max(0, p.total+n)
	if !registered {
		p.unregistered = max(0, p.unregistered+n)
		return
	}
	if p.of[clientID] += n; p.of[clientID] <= 0 {
		delete(p.of, clientID)
	}
}

func (p *pendingCount) all() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// set replaces the count by what the store has.
func (p *pendingCount) set(total int, of map[string]int) {
	unregistered := total
	for _, n := range of {
		unregistered -= n
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.unregistered, p.of = total, unregistered, of
}

// countPending sets the count right.
func (s *Service) countPending(ctx context.Context) error {
	registered, err := s.store.Clients(ctx)
	if err != nil {
		return fmt.Errorf("counting pending device requests: %w", err)
	}
	ids := slices.Collect(maps.Keys(s.configured))
	for _, c := range registered {
		ids = append(ids, c.ID)
	}
	total, of, err := s.store.PendingDeviceRequests(ctx, ids, s.now())
	if err != nil {
		return fmt.Errorf("counting pending device requests: %w", err)
	}
	s.pending.set(total, of)
	return nil
}

// codesDrawn remembers until when codes of each length may be live, because the
// site's budget of wrong codes depends on the shortest.
type codesDrawn struct {
	until [len(codeLengths)]atomic.Int64 // Unix milliseconds
}

// drew notes a code of a length that lives until a time.
func (d *codesDrawn) drew(length int, until time.Time) { d.until[length].Store(until.UnixMilli()) }

// shortest is the index of the shortest length that a code pending now may have.
func (d *codesDrawn) shortest(now time.Time) int {
	for i := range d.until {
		if d.until[i].Load() > now.UnixMilli() {
			return i
		}
	}
	return len(d.until) - 1
}

// siteBudget is how many failures all askers together may have in the window.
func (s *Service) siteBudget(now time.Time) int {
	pending := s.pending.all()
	return siteGuesses(pending, min(s.drawn.shortest(now), lengthFor(pending)))
}
