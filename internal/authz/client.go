package authz

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// CLIClient is always registered: what `countersign login` uses.
func CLIClient() Client {
	return Client{
		ID: "countersign-cli", Name: "Countersign command line", AuthMethod: AuthNone,
		GrantTypes: []string{GrantDevice, GrantRefresh},
		Scope:      "openid profile email offline_access " + scopeGrants, Registered: true,
	}
}

// wrongSecretsPerMinute is of one client's wrong secrets: somebody who tries what
// they have at hand, or machines that restart with an old one.
const wrongSecretsPerMinute = 10

// registry knows the clients: those of the configuration, those in the database and,
// where the operator admits them, any other.
type registry struct {
	store      Store
	settings   Settings
	now        func() time.Time
	log        *slog.Logger
	trail      trail
	proofs     *verifier
	configured map[string]Client // never written after newRegistry
	known      *lru.Cache[string, knownClient]
	// wrongSecrets bounds how many of a client a network tries.
	wrongSecrets   *allowance
	refusedClients sparing
}

// knownClient is a client as it was in the database, or an open one, at a time.
type knownClient struct {
	Client
	since time.Time
}

func newRegistry(store Store, settings Settings, trail trail, proofs *verifier) *registry {
	known, _ := lru.New[string, knownClient](clientsRemembered) // which fails for a size below one
	s := &registry{
		store: store, settings: settings, now: trail.now, log: trail.log, trail: trail, proofs: proofs,
		configured: map[string]Client{}, known: known, wrongSecrets: newAllowance(wrongSecretsPerMinute),
	}
	cli := CLIClient()
	s.configured[cli.ID] = cli
	for _, c := range settings.Clients {
		c.Registered = true
		s.configured[c.ID] = c
	}
	return s
}

// Client returns a client as owners and endpoints see it.
//
//	NotFound: there is none with this id
func (s *registry) Client(ctx context.Context, id string) (Client, error) {
	c, err := s.client(ctx, id)
	if err != nil {
		return Client{}, notFound(err, "there is no such client")
	}
	return c, nil
}

// needsSignature reports whether a session alone may not approve what a client asks.
func (s *registry) needsSignature(c Client) bool {
	return c.Approval == ApprovalSigned || s.settings.SignatureRequired
}

// Credentials are what a request says about the client that sent it.
type Credentials struct {
	ClientID string
	// Secret was sent in the body or by HTTP Basic; Basic says which.
	Secret    Secret
	HasSecret bool
	Basic     bool
	// Signed is the request's X-Auth-Token, if it had one.
	Signed *SignedRequest
	From   Source
}

// maxClientID bounds client ids, registered or not.
const maxClientID = 255

// IdentifyClient finds and authenticates the client of a request, the same way
// at every endpoint (RFC 6749 §3.2.1, RFC 8628 §3.1, requirement D-07). Of a client
// that has something to prove itself with its id alone is not enough (requirement T-17).
//
//	InvalidRequest: no client id (requirement D-02)
//	UnknownClient: an id nobody registered, where such clients are refused
//	InvalidClient: authentication is missing or failed
//	Unavailable: too many wrong secrets of this client, or signatures that do not
//	hold, come from this network
func (s *registry) IdentifyClient(ctx context.Context, c Credentials) (Client, error) {
	if c.ClientID == "" {
		return Client{}, refuse(InvalidRequest, "client_id is missing: send the id of your application")
	}
	client, err := s.clientNamed(ctx, c.ClientID)
	unknown := errors.Is(err, ErrNotFound)
	switch {
	case err != nil && !unknown:
		return Client{}, err
	case client.MemberKey != "":
		if err := s.checkMemberKey(ctx, client, c.Signed); err != nil {
			return Client{}, s.unproved(ctx, client, err)
		}
		client.Proved = true
		return client, nil
	case c.HasSecret:
		if err := s.checkSecret(ctx, client, c); err != nil {
			return Client{}, s.unproved(ctx, client, err)
		}
		client.Proved = true
		return client, nil
	case unknown:
		return Client{}, refuse(UnknownClient, "this client_id is not registered here: ask the operator to add it, or check its spelling")
	case client.Secret != (Hash{}):
		return Client{}, s.unproved(ctx, client, errClientAuth)
	default:
		return client, nil
	}
}

// clientNamed is client for any text.
func (s *registry) clientNamed(ctx context.Context, id string) (Client, error) {
	if !validClientID(id) {
		return Client{}, ErrNotFound
	}
	return s.client(ctx, id)
}

// checkSecret authenticates a client by its secret. A client that is not there, and
// a secret that nobody issued, must look like a wrong one (T-16, D-38). An empty one
// in HTTP Basic too: golang.org/x/oauth2 tries that first, and must not have used up a
// poll when it tries again without; it is no guess. Guesses are counted by client and
// network, whatever the client: whoever guesses here locks nobody out elsewhere.
//
//	InvalidClient, Unavailable
func (s *registry) checkSecret(ctx context.Context, client Client, c Credentials) error {
	counted := guessedAt(c.ClientID)
	if !s.wrongSecrets.left(counted, c.From, s.now()) {
		return errSecrets
	}
	given := c.Secret.Hash()
	if right := subtle.ConstantTimeCompare(given[:], client.Secret[:]); right == 1 && client.Secret != (Hash{}) {
		return nil
	}
	if c.Secret != "" {
		s.wrongSecrets.allowIn(counted, c.From, s.now())
	}
	if client.ID != "" { // it was remembered; one that is not there was looked for
		if _, err := s.store.Client(ctx, c.ClientID); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return errClientAuth
}

// guessedAt is under which name wrong secrets of a client are counted. There are few
// such names, shared by clients that are there and those that are not: ever new ones,
// which cost nothing, would make the allowance forget those before.
func guessedAt(clientID string) string {
	const names = 1 << 10
	hash := Secret(clientID).Hash()
	return strconv.Itoa(int(binary.BigEndian.Uint16(hash[:])) % names)
}

var errSecrets = refuse(Unavailable, "too many wrong secrets of this client come from this network: try again in a minute with the right one")

var errClientAuth = refuse(InvalidClient,
	"client authentication failed: check the client id and its secret (HTTP Basic or client_secret in the body)")

// unproved says of a client that has something to prove itself with that somebody
// else may be trying to be it.
func (s *registry) unproved(ctx context.Context, c Client, err error) error {
	if !c.Confidential() {
		return err
	}
	s.trail.noteRefused(ctx, &s.refusedClients, "client refused: it did not prove itself", err, "client_id", c.ID)
	return err
}

// checkMemberKey authenticates a client by the bitcoin-auth token of its
// registered member key.
func (s *registry) checkMemberKey(ctx context.Context, client Client, signed *SignedRequest) error {
	if signed == nil {
		return refuse(InvalidClient, "this client signs its requests: send the X-Auth-Token header made with its registered member key")
	}
	by := *signed
	by.client = client.MemberKey
	v, err := s.proofs.verifySigned(ctx, by)
	if errors.Is(unauthorizedBy(err), Unauthorized) {
		return refuseBecause(InvalidClient, err.Error(), err)
	}
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(v.PublicKey), []byte(client.MemberKey)) != 1 {
		s.proofs.countForged(signed.From, v.PublicKey)
		return refuse(InvalidClient, "X-Auth-Token is signed by a key that is not this client's registered member key")
	}
	return nil
}

// client finds a client: configured, registered in the database, or, where the
// operator admits them, open.
//
//	ErrNotFound: none of these
func (s *registry) client(ctx context.Context, id string) (Client, error) {
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
	case errors.Is(err, ErrNotFound) && s.settings.OpenClients && CleanText(id, 1) != "": // it is all the name there is
		c, err = Client{ID: id, AuthMethod: AuthNone, GrantTypes: []string{GrantDevice}}, nil
	default: // one that is not there is asked for again: it may be registered any moment
		return Client{}, err
	}
	s.known.Add(id, knownClient{c, now})
	return c, err
}

// registered are the ids of all clients that the operator knows.
func (s *registry) registered(ctx context.Context) ([]string, error) {
	stored, err := s.store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	ids := slices.Collect(maps.Keys(s.configured))
	for _, c := range stored {
		ids = append(ids, c.ID)
	}
	return ids, nil
}

const (
	// clientsKnown is how long a client is used without asking the store again: one
	// that was removed is refused within that time.
	clientsKnown = 500 * time.Millisecond
	// clientsRemembered bounds how many are.
	clientsRemembered = 4096
)

// validClientID accepts what RFC 6749 appendix A.1 calls VSCHAR, bounded.
func validClientID(id string) bool {
	return len(id) <= maxClientID && !strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// clientsWatched is how soon the log says that a client was registered or removed.
const clientsWatched = time.Second

// watchClients says in the log which clients are registered or removed meanwhile:
// whoever does it uses another process (`countersign clients`), and has no part in
// this one's log.
func (s *registry) watchClients(known []Client) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		now, err := s.store.Clients(ctx)
		if err != nil {
			return err // what cannot be read now is compared the next time
		}
		s.noteClients(ctx, known, now)
		known = now
		return nil
	}
}

// noteClients logs what has changed from one look to the next. A client that was
// removed and registered anew between them was both.
func (s *registry) noteClients(ctx context.Context, before, now []Client) {
	gone := make(map[string]Client, len(before))
	for _, c := range before {
		gone[c.ID] = c
	}
	var registered []Client
	for _, c := range now {
		if was := gone[c.ID]; reflect.DeepEqual(was, c) {
			delete(gone, c.ID)
		} else {
			registered = append(registered, c)
		}
	}
	for id := range gone {
		s.log.InfoContext(ctx, "client removed, its grants ended", "client_id", id)
	}
	for _, c := range registered {
		s.log.InfoContext(ctx, "client registered", "client_id", c.ID, "name", c.Name, "scope", c.Scope, "confidential", c.Confidential())
	}
}
