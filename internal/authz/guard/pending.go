package guard

import (
	"sync"

	"countersign.dev/internal/authz"
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

// pendingCount approximates the number of pending requests, in all and by
// client: raised and lowered by what happens here, set right by each recount (device.Flow.Recount).
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
