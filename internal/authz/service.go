package authz

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Service is the authorization server: the rules of each noun, and what runs behind the
// requests. Its methods may be called concurrently.
type Service struct {
	*guard
	*verifier
	*tokenSigner
	*registry
	*accounts
	*passkeys
	*grants
	*flow
	*approvals

	settings Settings
	store    Store
	now      func() time.Time
	log      *slog.Logger

	ready   sync.Mutex
	readyAt time.Time // when the database could last be written; guarded by ready

	stop   context.CancelFunc // of what runs behind the requests
	behind sync.WaitGroup
}

// Options are what a Service is made of. Secret, Clock and Rand are passed in so
// that tests own them.
type Options struct {
	Store Store
	// Others is nil for a server that has its database to itself.
	Others   Others
	Settings Settings
	// Secret is the operator's secret, at least 32 bytes: everything the server
	// seals or derives comes from it.
	Secret []byte
	Clock  func() time.Time
	Rand   io.Reader
	Log    *slog.Logger
}

// New makes a Service: it opens (or, the first time, makes) the signing keys and
// starts removing what is over and hearing of other servers. Close stops that.
func New(ctx context.Context, o Options) (*Service, error) {
	secrets, err := deriveSecrets(o.Secret, o.Rand)
	if err != nil {
		return nil, err
	}
	s := &Service{settings: o.Settings, store: o.Store, now: o.Clock, log: o.Log}
	party, err := newRelyingParty(o.Settings.Issuer, o.Rand)
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if s.tokenSigner, err = newTokenSigner(ctx, o.Store, o.Settings, o.Clock, secrets); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	trail := newTrail(secrets, o.Clock, o.Log)
	s.guard = newGuard(o.Store, o.Settings, o.Clock, o.Log)
	s.verifier = newVerifier(o.Store, o.Clock, runtime.GOMAXPROCS(0))
	s.registry = newRegistry(o.Store, o.Settings, trail, s.verifier)
	s.accounts = newAccounts(o.Store, o.Settings, trail, s.guard, s.verifier)
	s.passkeys = newPasskeys(o.Store, trail, s.guard, s.accounts, party)
	s.grants = newGrants(o.Store, o.Settings, trail, s.guard, s.registry, s.tokenSigner)
	s.flow = newFlow(o.Store, o.Settings, trail, s.guard, s.registry, s.grants, s.tokenSigner, o.Others != nil)
	s.approvals = newApprovals(o.Store, o.Settings, trail, s.guard, s.registry, s.grants, s.flow)
	if err := s.recountDevices(ctx); err != nil {
		return nil, err
	}
	if err := s.readShunned(ctx); err != nil {
		return nil, err
	}
	registered, err := o.Store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if o.Others != nil {
		s.behind.Go(func() { s.hear(ctx, o.Others) })
	}
	s.behind.Go(func() { s.every(ctx, sweepEvery, "removing what is over failed", s.Sweep) })
	s.behind.Go(func() { s.every(ctx, recountEvery, "counting what is pending failed", s.recount) })
	s.behind.Go(func() { s.every(ctx, clientsWatched, "looking for new clients failed", s.watchClients(registered)) })
	return s, nil
}

// Drain ends every waiting poll with an ordinary answer and makes later polls
// not wait: the server is about to stop.
func (s *Service) Drain() { s.flow.drain() }

// Close drains and stops what New started. The store stays open: it is the caller's.
func (s *Service) Close() {
	s.Drain()
	s.stop()
	s.behind.Wait()
}

// Ready reports whether the server can do its work now, or could within the last
// second: anybody may ask, and the answer costs a write.
func (s *Service) Ready(ctx context.Context) error {
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

// Issuer is the configured issuer identifier.
func (s *Service) Issuer() string { return s.settings.Issuer }

// Now is the server's clock.
func (s *Service) Now() time.Time { return s.now() }
