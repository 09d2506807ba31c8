package guard

import (
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/usercode"
)

// Enter counts one more pending request of a client.
//
//	Unavailable: there is no room for it
func (s *Guard) Enter(c authz.Client) error { return s.pending.enter(c, s.settings.PendingLimit) }

// Leave counts one pending request of a client less.
func (s *Guard) Leave(clientID string) { s.pending.leave(clientID) }

// Pending is about how many requests are pending.
func (s *Guard) Pending() int { return s.pending.all() }

// SetPending sets the count of pending requests right: in all, and by registered client.
func (s *Guard) SetPending(total int, of map[string]int) { s.pending.set(total, of) }

// Drew notes that a code of a length, by its index, lives until a time.
func (s *Guard) Drew(length int, until time.Time) { s.drawn.drew(length, until) }

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
func (p *pendingCount) enter(c authz.Client, limit int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.total >= limit:
		return authz.Refuse(authz.Unavailable, "too many device requests are pending here: try again in a minute")
	case !c.Registered && p.unregistered >= max(1, limit/unregisteredShare):
		return authz.Refuse(authz.Unavailable, "too many device requests of unregistered clients are pending here: try again in a minute, or have the client registered")
	case c.Registered && p.of[c.ID] >= max(1, limit/clientShare):
		return authz.Refuse(authz.Unavailable, "too many device requests of this client are pending here: try again in a minute")
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

// codesDrawn remembers until when codes of each length may be live, because the
// site's budget of wrong codes depends on the shortest.
type codesDrawn struct {
	until [len(usercode.Lengths)]atomic.Int64 // Unix milliseconds
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
func (s *Guard) siteBudget(now time.Time) int {
	pending := s.pending.all()
	return siteGuesses(pending, min(s.drawn.shortest(now), usercode.LengthFor(pending)))
}

// The site's budget keeps the expected number of hits by everybody together at
// hitsAYear or less, however many accounts and networks they have. With M codes
// pending among N possible ones a failure was a try that would have hit with
// probability M/N, and a year has windowsAYear windows, so a budget of B failures
// a window means B·windowsAYear·M/N hits a year. Solved for B:
//
//	B = hitsAYear · N / (windowsAYear · M)
//
// which for eight letters is 730 a window (48.7 a minute) at M = 100, 73 at
// 1 000 and 7.3 at 10 000.
const (
	hitsAYear    = 0.1
	windowsAYear = 365 * 24 * 4
	// mostSiteGuesses bounds it where few codes are pending: a hundred failures a
	// minute are no longer people who mistype, and each costs a write.
	mostSiteGuesses = 1500
	// leastSiteGuesses: the first failure of a window is free, or nobody could ever
	// type a code without a key at hand. At the densest that codes can lie (see
	// Lengths) that alone is 0.14 hits a year.
	leastSiteGuesses = 1
)

// siteGuesses is how many failures of all together a window may have, when so
// many requests are pending and the shortest of their codes have the length with
// this index in Lengths.
func siteGuesses(pending, shortest int) int {
	density := 0.0
	for i := shortest; i <= usercode.LengthFor(pending); i++ {
		density = max(density, float64(min(pending, usercode.Lengths[i].Most))/usercode.Lengths[i].Space())
	}
	budget := hitsAYear / (windowsAYear * density) // without end where nothing is pending
	return int(min(max(budget, leastSiteGuesses), mostSiteGuesses))
}

// shares are how many of the site's budget of failures one address and one wide block
// may have. Who has had them is looked up only with a proof, as everybody is when the
// whole budget is spent, and takes nothing more out of it.
func shares(budget int) (narrow, wide int) {
	wide = min(wideGuesses, max(1, budget/wideShares))
	return min(narrowGuesses, max(1, wide/narrowShares)), wide
}
