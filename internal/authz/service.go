package authz

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Settings are the operator's decisions.
type Settings struct {
	// Issuer identifies this server, without a trailing slash. It comes from
	// configuration and never from a request (design D8).
	Issuer string
	// DeviceCodeLifetime and PollInterval are expires_in and interval of RFC 8628 §3.2.
	DeviceCodeLifetime time.Duration
	PollInterval       time.Duration
	// AccessTokenLifetime is also the ID token's.
	AccessTokenLifetime time.Duration
	// RefreshIdleLifetime ends a refresh token that is not used,
	// RefreshLifetime ends the grant however often it is.
	RefreshIdleLifetime time.Duration
	RefreshLifetime     time.Duration
	// RefreshGrace is how long a rotated refresh token still gives its successor.
	RefreshGrace    time.Duration
	SessionLifetime time.Duration
	// OpenClients admits client ids that nobody registered.
	OpenClients bool
	// SignatureRequired: a session alone approves nothing.
	SignatureRequired bool
	// SignUp lets the first sign-in of a key make its account.
	SignUp bool
	// PendingLimit is the most device requests that may be pending at once.
	PendingLimit int
	// DeviceRequestsPerNetwork is how many device requests an IPv4 address or IPv6
	// /64 may start a minute; 0: any number.
	DeviceRequestsPerNetwork int
	// Clients are registered by configuration.
	Clients []Client
}

// Service is the authorization server. Its methods may be called concurrently.
type Service struct {
	store    Store
	settings Settings
	now      func() time.Time
	rand     io.Reader
	log      *slog.Logger
	local    bool // the issuer is a loopback name: no proxy stands before it

	configured map[string]Client // never written after New
	secrets    serverSecrets     // never written after New
	keys       *keyring          // never written after New
	passkeys   *relyingParty     // never written after New

	pace    *pace
	waiting *waiting
	clients *remembered[string, Client]
	// tokens are access tokens whose signature is known to be ours; whether their
	// grant is alive is asked each time.
	tokens *remembered[Hash, accessClaims]

	pending  pendingCount
	creation *allowance
	// newcomers bounds the accounts that a network brings.
	newcomers *allowance
	// refreshes bounds how often one grant is refreshed, the others what a network does.
	refreshes, signIns, acts, networkActs, stops, signatures, forged, wrongSecrets *allowance
	// verifying has a place for each signature that is verified at once.
	verifying chan struct{}
	drawn     codesDrawn
	shunned   shunned
	turns     *turns
	owed      owed
	spentIn   atomic.Int64 // the window, in Unix seconds, whose spent budget is in the log
	sharedIn  atomic.Int64 // the same of a network's share of it

	noting    chan struct{} // has a place for each that keeps the use of a grant
	notedFrom atomic.Int64  // when that may be tried again, in Unix nanoseconds

	refusedSignIns, refusedClients, unnoted sparing
	fetched                                 *remembered[string, struct{}] // backups whose line is in the log

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
	secrets, err := deriveSecrets(o.Secret)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: o.Store, settings: o.Settings, now: o.Clock, rand: o.Rand, log: o.Log,
		configured: map[string]Client{},
		secrets:    secrets,
		pace:       newPace(0),
		waiting:    newWaiting(),
		clients:    newRemembered[string, Client](clientsRemembered),
		tokens:     newRemembered[Hash, accessClaims](tokensRemembered),
		creation:   newAllowance(o.Settings.DeviceRequestsPerNetwork),
		newcomers:  newAllowance(newcomersPerMinute),
		refreshes:  newAllowance(refreshesPerMinute),
		signIns:    newAllowance(signInsPerMinute),
		acts:       newAllowance(actsPerMinute),
		stops:      newAllowance(stopsPerMinute),
		signatures: newAllowance(signaturesPerMinute),
		forged:     newAllowance(forgedPerMinute),

		networkActs:  newAllowance(networkActsPerMinute),
		wrongSecrets: newAllowance(wrongSecretsPerMinute),
		verifying:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		noting:       make(chan struct{}, usesAtOnce),
		turns:        newTurns(),
		fetched:      newRemembered[string, struct{}](clientsRemembered),
	}
	// What was drawn before this start is not known: codes of any length may live.
	for length := range codeLengths {
		s.drawn.drew(length, s.now().Add(s.settings.DeviceCodeLifetime))
	}
	if u, err := url.Parse(o.Settings.Issuer); err == nil {
		addr, _ := netip.ParseAddr(u.Hostname())
		s.local = u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || addr.IsLoopback()
	}
	cli := CLIClient()
	s.configured[cli.ID] = cli
	for _, c := range o.Settings.Clients {
		c.Registered = true
		s.configured[c.ID] = c
	}
	if s.passkeys, err = newRelyingParty(o.Settings.Issuer, s.rand); err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if s.keys, err = openKeyring(ctx, o.Store, secrets, s.now(), s.rand); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if err := s.countPending(ctx); err != nil {
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
		s.pace = newPace(trustOthers)
		s.hear(ctx, o.Others)
	}
	s.behind.Go(func() { s.every(ctx, sweepEvery, "removing what is over failed", s.Sweep) })
	s.behind.Go(func() { s.every(ctx, sweepEvery, "counting what is pending failed", s.recount) })
	s.behind.Go(func() { s.every(ctx, clientsWatched, "looking for new clients failed", s.watchClients(registered)) })
	return s, nil
}

// Drain ends every waiting poll with an ordinary answer and makes later polls
// not wait: the server is about to stop.
func (s *Service) Drain() { s.waiting.drain() }

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

// Client returns a client as owners and endpoints see it.
//
//	NotFound: there is none with this id
func (s *Service) Client(ctx context.Context, id string) (Client, error) {
	c, err := s.client(ctx, id)
	if err != nil {
		return Client{}, notFound(err, "there is no such client")
	}
	return c, nil
}

// random reads n random bytes. The only failure is a broken source of
// randomness, after which nothing this server does is safe.
func (s *Service) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.rand, b); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	return b, nil
}
