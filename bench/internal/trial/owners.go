package trial

import (
	"context"
	"sync"

	"countersign.dev/internal/authz"
)

// Owners take turns at approving, for an account may have so many grants at once.
// Without anything but a Device it is ready to use, from any goroutine.
type Owners struct {
	Device

	mu      sync.Mutex
	session string // whose turn it is; guarded by mu
	left    int    // approvals of this turn; guarded by mu
}

// Next returns the session of whose turn it is to approve one request.
func (o *Owners) Next(ctx context.Context) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left == 0 {
		session, err := o.SignIn(ctx)
		if err != nil {
			return "", err
		}
		o.session, o.left = session, authz.LivingGrants
	}
	o.left--
	return o.session, nil
}
