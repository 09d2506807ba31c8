package device

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
)

// Flow is RFC 8628 as devices see it: they ask, and poll.
type Flow struct {
	store    contract.Store
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	guard    *guard.Guard
	clients  *client.Registry
	grants   *grant.Grants
	tokens   *token.Signer
	proofs   *proof.Verifier
	pace     *pace
	waiting  *waiting
}

// New makes the flow of a server; others says that more servers share its database, whose
// decisions Follow hears.
func New(store contract.Store, settings authz.Settings, trail audit.Trail, guard *guard.Guard, clients *client.Registry, grants *grant.Grants, tokens *token.Signer, proofs *proof.Verifier, others bool) *Flow {
	s := &Flow{
		store: store, settings: settings, now: trail.Now, log: trail.Log, secrets: trail.Secrets,
		guard: guard, clients: clients, grants: grants, tokens: tokens, proofs: proofs, pace: newPace(0), waiting: newWaiting(),
	}
	if others {
		s.pace = newPace(trustOthers)
		s.pace.setDisconnected(true)
	}
	return s
}

// Drain ends every waiting poll with an ordinary answer and lets no later one wait.
func (s *Flow) Drain() { s.waiting.drain() }

// Recount sets right what this server counts and remembers of device requests by
// itself.
func (s *Flow) Recount(ctx context.Context) error {
	s.pace.dropExpired(s.now())
	return s.countPending(ctx)
}

// countPending sets the count of pending requests right.
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

// RecountEvery is how often a server calls Recount.
const RecountEvery = 30 * time.Second

// Decided lets polls know, those that wait and those to come, how a decision was
// stored. A failure may mean that only the answer was lost, so they look.
func (s *Flow) Decided(r authz.DeviceRequest, failed error) {
	if failed == nil {
		s.guard.Leave(r.ClientID)
	}
	s.wake(contract.Decided{DeviceCode: r.DeviceCode})
}
