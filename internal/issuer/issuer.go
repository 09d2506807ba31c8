package issuer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/authz/agent"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/code"
	"countersign.dev/internal/authz/consent"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/passkey"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
)

// Issuer is one running authorization server: its rooms, which say what each noun may do,
// and what runs behind the requests. Its methods, and theirs, may be called concurrently.
type Issuer struct {
	Guard     *guard.Guard
	Clients   *client.Registry
	Accounts  *account.Accounts
	Passkeys  *passkey.Passkeys
	Consents  *consent.Consents
	Grants    *grant.Grants
	Tokens    *token.Signer
	Proofs    *proof.Verifier
	Device    *device.Flow
	Approvals *approval.Approvals
	Codes     *code.Codes
	Agents    *agent.Agents

	settings authz.Settings
	store    contract.Store
	now      func() time.Time
	log      *slog.Logger

	ready   sync.Mutex
	readyAt time.Time // when the database could last be written; guarded by ready

	stop   context.CancelFunc // of what runs behind the requests
	behind sync.WaitGroup
}

// Options are what an Issuer is made of. Secret, Clock and Rand are passed in so
// that tests own them.
type Options struct {
	Store contract.Store
	// Others is nil for a server that has its database to itself.
	Others   contract.Others
	Settings authz.Settings
	// Secret is the operator's secret, at least 32 bytes: everything the server
	// seals or derives comes from it.
	Secret []byte
	Clock  func() time.Time
	Rand   io.Reader
	Log    *slog.Logger
}

// New makes an Issuer: it opens (or, the first time, makes) the signing keys and
// starts removing what is over and hearing of other servers. Close stops that.
func New(ctx context.Context, o Options) (*Issuer, error) {
	secrets, err := secret.Derive(o.Secret, o.Rand)
	if err != nil {
		return nil, err
	}
	s := &Issuer{settings: o.Settings, store: o.Store, now: o.Clock, log: o.Log}
	trail := audit.New(secrets, o.Clock, o.Log)
	s.Proofs = proof.New(o.Store, o.Settings, o.Clock, secrets, runtime.GOMAXPROCS(0))
	s.Guard = guard.New(o.Store, o.Settings, o.Clock, o.Log)
	s.Clients = client.New(o.Store, o.Settings, trail, s.Proofs)
	s.Accounts = account.New(o.Store, o.Settings, trail, s.Guard, s.Proofs)
	if s.Passkeys, err = passkey.New(o.Store, o.Settings, trail, s.Guard, s.Accounts); err != nil {
		return nil, err
	}
	if s.Tokens, err = token.New(ctx, o.Store, o.Settings, o.Clock, secrets, o.Log); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	s.Grants = grant.New(o.Store, o.Settings, trail, s.Guard, s.Clients, s.Tokens, s.Proofs)
	s.Device = device.New(o.Store, o.Settings, trail, s.Guard, s.Clients, s.Grants, s.Tokens, s.Proofs, o.Others != nil)
	s.Consents = consent.New(o.Store, o.Settings, trail, s.Clients)
	s.Approvals = approval.New(o.Store, o.Settings, trail, s.Guard, s.Clients, s.Consents, s.Grants, s.Device, s.Passkeys)
	s.Codes = code.New(o.Store, o.Settings, trail, s.Clients, s.Grants, s.Tokens, s.Proofs, s.Device, s.Approvals)
	s.Agents = agent.New(o.Store, o.Settings, trail, s.Guard, s.Clients, s.Tokens, s.Proofs, s.Grants)
	if err := s.Device.Recount(ctx); err != nil {
		return nil, err
	}
	if err := s.Guard.ReadShunned(ctx); err != nil {
		return nil, err
	}
	registered, err := o.Store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if o.Others != nil {
		s.behind.Go(func() { s.Device.Follow(ctx, o.Others) })
	}
	s.behind.Go(func() { s.every(ctx, sweepEvery, "removing what is over failed", s.Sweep) })
	s.behind.Go(func() { s.every(ctx, device.RecountEvery, "counting what is pending failed", s.recount) })
	s.behind.Go(func() { s.every(ctx, client.WatchEvery, "looking for new clients failed", s.Clients.Watch(registered)) })
	s.behind.Go(func() {
		s.every(ctx, token.FollowEvery, "the signing keys could not be read or replaced; those there are sign on", s.Tokens.Follow)
	})
	return s, nil
}

// Drain ends every waiting poll with an ordinary answer and makes later polls
// not wait: the server is about to stop.
func (s *Issuer) Drain() { s.Device.Drain() }

// Close drains and stops what New started. The store stays open: it is the caller's.
func (s *Issuer) Close() {
	s.Drain()
	s.stop()
	s.behind.Wait()
}

// Ready reports whether the server can do its work now, or could within the last
// second: anybody may ask, and the answer costs a write.
func (s *Issuer) Ready(ctx context.Context) error {
	s.ready.Lock()
	defer s.ready.Unlock()
	if now := s.now(); now.Before(s.readyAt) || now.Sub(s.readyAt) >= readyKnown {
		if err := s.store.Ping(ctx); err != nil {
			return err
		}
		s.readyAt = now
	}
	return nil
}

// readyKnown is how long a good answer is used again.
const readyKnown = time.Second

// Identifier is the configured issuer identifier.
func (s *Issuer) Identifier() string { return s.settings.Issuer }

// Origin is where its endpoints and pages are.
func (s *Issuer) Origin() string { return s.settings.Origin() }

// Now is the server's clock.
func (s *Issuer) Now() time.Time { return s.now() }
