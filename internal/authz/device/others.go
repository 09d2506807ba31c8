package device

import (
	"context"
	"fmt"
	"time"

	"countersign.dev/internal/authz"
)

// trustOthers is for how long silence means that a request is still pending. It
// is as long as a waiting poll sleeps at most, so neither is later than the other.
const trustOthers = authz.MaxWait

// hear follows what other servers decide until ctx ends.
func (s *Flow) Follow(ctx context.Context, others authz.Others) {
	others.Watch(ctx, s.wake, func(deaf bool) {
		s.pace.setDisconnected(deaf)
		if !deaf {
			s.waiting.all() // to look at what was missed
		}
	})
}

// heard is called after each decision on a device request, here or elsewhere.
func (s *Flow) wake(d authz.Decided) {
	s.pace.decided(d.DeviceCode)
	s.waiting.decided(d.DeviceCode)
}

// recountEvery is how often a server does that.
const RecountEvery = 30 * time.Second

// countPending sets the count right.
func (s *Flow) countPending(ctx context.Context) error {
	ids, err := s.clients.Registered(ctx)
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
