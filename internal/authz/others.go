package authz

import (
	"context"
	"fmt"
	"time"
)

// Others are the servers that share the database: what they decide must reach
// the polls that wait here.
type Others interface {
	// Watch calls heard for each device request that any server, this one too,
	// moves out of pending, soon after it did; the same one again does no harm. It
	// calls deaf(false) when from now on nothing is missed, and deaf(true) when
	// something may be; until the first call nothing is heard. It returns when ctx
	// ends. A server that fails between deciding and telling may leave a decision
	// unheard: who relies on silence does so for a while only.
	Watch(ctx context.Context, heard func(Decided), deaf func(bool))
}

// Decided names a device request that is no longer pending.
type Decided struct{ DeviceCode Hash }

// trustOthers is for how long silence means that a request is still pending. It
// is as long as a waiting poll sleeps at most, so neither is later than the other.
const trustOthers = MaxWait

// hear follows what other servers decide until ctx ends.
func (s *flow) hear(ctx context.Context, others Others) {
	others.Watch(ctx, s.heard, func(deaf bool) {
		s.pace.setDeaf(deaf)
		if !deaf {
			s.waiting.all() // to look at what was missed
		}
	})
}

// heard is called after each decision on a device request, here or elsewhere.
func (s *flow) heard(d Decided) {
	s.pace.decided(d.DeviceCode)
	s.waiting.decided(d.DeviceCode)
}

// drain ends every waiting poll with an ordinary answer and lets no later one wait.
func (s *flow) drain() { s.waiting.drain() }

// recountDevices sets right what this server counts and remembers of device requests by
// itself.
func (s *flow) recountDevices(ctx context.Context) error {
	s.pace.forget(s.now())
	return s.countPending(ctx)
}

// recountEvery is how often a server does that.
const recountEvery = 30 * time.Second

// countPending sets the count right.
func (s *flow) countPending(ctx context.Context) error {
	ids, err := s.clients.registered(ctx)
	if err != nil {
		return fmt.Errorf("counting pending device requests: %w", err)
	}
	total, of, err := s.store.PendingDeviceRequests(ctx, ids, s.now())
	if err != nil {
		return fmt.Errorf("counting pending device requests: %w", err)
	}
	s.guard.SetPending(total, of)
	return nil
}
