package device

import (
	"context"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// trustOthers is for how long silence means that a request is still pending. It
// is as long as a waiting poll sleeps at most, so neither is later than the other.
const trustOthers = authz.MaxWait

// Follow hears what other servers decide until ctx ends.
func (s *Flow) Follow(ctx context.Context, others contract.Others) {
	others.Watch(ctx, s.wake, func(disconnected bool) {
		s.pace.setDisconnected(disconnected)
		if !disconnected {
			s.waiting.all() // to look at what was missed
		}
	})
}

// wake is called after each decision on a device request, here or elsewhere.
func (s *Flow) wake(d contract.Decided) {
	s.pace.decided(d.DeviceCode)
	s.waiting.decided(d.DeviceCode)
}
