package client

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
)

// Registry knows the clients: those of the configuration, those in the database and,
// where the operator admits them, any other.
type Registry struct {
	store      contract.ClientStore
	settings   authz.Settings
	now        func() time.Time
	log        *slog.Logger
	trail      audit.Trail
	proofs     *proof.Verifier
	configured map[string]authz.Client // never written after New
	known      *lru.Cache[string, *knownClient]
	// wrongSecrets bounds how many of a client a network tries, slowSecrets how many of
	// all clients it has hashed slowly.
	wrongSecrets, slowSecrets *guard.Allowance
	anyChosen                 atomic.Bool   // whether a client has a secret that a person chose
	hashing                   chan struct{} // has a place for the one that is hashed slowly
	proved                    *lru.Cache[string, *provedSecret]
	refusedClients            audit.Sparing
}

// knownClient is a client as it was in the database, or an open one, at a time.
type knownClient struct {
	authz.Client
	since time.Time
}

// New makes a registry, which has the clients of the settings from the start.
func New(store contract.ClientStore, settings authz.Settings, trail audit.Trail, proofs *proof.Verifier) *Registry {
	known, _ := lru.New[string, *knownClient](clientsRemembered) // which fails for a size below one
	proved, _ := lru.New[string, *provedSecret](clientsRemembered)
	s := &Registry{
		store: store, settings: settings, now: trail.Now, log: trail.Log, trail: trail, proofs: proofs,
		configured: map[string]authz.Client{}, known: known, wrongSecrets: guard.NewAllowance(wrongSecretsPerMinute),
		slowSecrets: guard.NewAllowance(slowSecretsPerMinute), hashing: make(chan struct{}, 1), proved: proved,
	}
	cli := CLI()
	s.configured[cli.ID] = cli
	for _, c := range settings.Clients {
		c.Registered = true
		s.configured[c.ID] = c
	}
	return s
}

// CLI is always registered: what `countersign login` uses.
func CLI() authz.Client {
	return authz.Client{
		ID: "countersign-cli", Name: "Countersign command line", AuthMethod: authz.AuthNone,
		GrantTypes: []string{authz.GrantDevice, authz.GrantRefresh},
		Scope:      "openid profile email offline_access " + scopes.Grants, Registered: true,
	}
}

// Get returns a client as owners and endpoints see it.
//
//	NotFound: there is none with this id
func (s *Registry) Get(ctx context.Context, id string) (authz.Client, error) {
	c, err := s.Find(ctx, id)
	if err != nil {
		return authz.Client{}, contract.OrNotFound(err, "there is no such client")
	}
	return c, nil
}

// Find finds a client: configured, registered in the database, or, where the
// operator admits them, open.
//
//	ErrNotFound: none of these
func (s *Registry) Find(ctx context.Context, id string) (authz.Client, error) {
	if c, ok := s.configured[id]; ok {
		return c, nil
	}
	now := s.now()
	// What was known later than now is from before somebody set the clock back.
	if c, ok := s.known.Get(id); ok && !now.Before(c.since) && now.Before(c.since.Add(clientsKnown)) {
		return c.Client, nil
	}
	c, err := s.store.Client(ctx, id)
	switch {
	case err == nil:
		c.Registered = true
		if c.ChosenSecret != "" {
			s.anyChosen.Store(true)
		}
	case errors.Is(err, contract.ErrNotFound) && s.settings.OpenClients && authz.CleanText(id, 1) != "": // it is all the name there is
		c, err = authz.Client{ID: id, AuthMethod: authz.AuthNone, GrantTypes: []string{authz.GrantDevice}}, nil
	default: // one that is not there is asked for again: it may be registered any moment
		return authz.Client{}, err
	}
	s.known.Add(id, &knownClient{c, now})
	return c, err
}

// Registered are the ids of all clients that the operator knows.
func (s *Registry) Registered(ctx context.Context) (ids []string, err error) {
	clients, err := s.all(ctx)
	for _, c := range clients {
		ids = append(ids, c.ID)
	}
	return ids, err
}

// OwnedBy are the registered clients whose owner is one of some identities, ordered by id.
func (s *Registry) OwnedBy(ctx context.Context, identities []authz.Identity) ([]authz.Client, error) {
	clients, err := s.all(ctx)
	return slices.DeleteFunc(clients, func(c authz.Client) bool {
		return !slices.ContainsFunc(identities, func(i authz.Identity) bool { return i.BAPID == c.OwnerBAPID })
	}), err
}

// all are the registered clients, ordered by id.
func (s *Registry) all(ctx context.Context) ([]authz.Client, error) {
	stored, err := s.store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	clients := slices.Collect(maps.Values(s.configured))
	for _, c := range stored {
		if _, other := s.configured[c.ID]; !other {
			clients = append(clients, c)
		}
	}
	slices.SortFunc(clients, func(a, b authz.Client) int { return strings.Compare(a.ID, b.ID) })
	return clients, nil
}

const (
	// clientsKnown is how long a client is used without asking the store again: one
	// that was removed is refused within that time.
	clientsKnown = 500 * time.Millisecond
	// clientsRemembered bounds how many are.
	clientsRemembered = 4096
)

// NeedsSignature reports whether a session alone may not approve what a client asks.
func (s *Registry) NeedsSignature(c authz.Client) bool {
	return c.Approval == authz.ApprovalSigned || s.settings.SignatureRequired
}

// maxClientID bounds client ids, registered or not.
const maxClientID = 255

// validClientID accepts what RFC 6749 appendix A.1 calls VSCHAR, bounded.
func validClientID(id string) bool {
	return len(id) <= maxClientID && !strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
