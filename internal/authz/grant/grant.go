package grant

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
)

// refreshesPerMinute is how often one grant's tokens are refreshed: they live an
// hour, and processes that share a grant refresh at once, but not every second.
const refreshesPerMinute = 60

// provedPerMinute is how often one grant's tokens are used here with a proof, which is
// remembered for minutes: ten times a second, for as long as somebody likes.
const provedPerMinute = 600

// Grants are what was allowed, and lives.
type Grants struct {
	store    contract.GrantStore
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  secret.Secrets
	trail    audit.Trail
	guard    *guard.Guard
	clients  *client.Registry
	tokens   *token.Signer
	proofs   *proof.Verifier
	// refreshes bounds how often one grant is refreshed, proved how often its bound token
	// is used, exchanges how often a client exchanges its tokens.
	refreshes, proved, exchanges *guard.Allowance

	noting    chan struct{} // has a place for each that keeps the use of a grant
	notedFrom atomic.Int64  // when that may be tried again, in Unix nanoseconds
	unnoted   audit.Sparing
}

// New makes the grants of a server.
func New(store contract.GrantStore, settings authz.Settings, trail audit.Trail, bounds *guard.Guard, clients *client.Registry, tokens *token.Signer, proofs *proof.Verifier) *Grants {
	return &Grants{
		store: store, settings: settings, now: trail.Now, log: trail.Log, secrets: trail.Secrets, trail: trail,
		guard: bounds, clients: clients, tokens: tokens, proofs: proofs, refreshes: guard.NewAllowance(refreshesPerMinute), proved: guard.NewAllowance(provedPerMinute),
		exchanges: guard.NewAllowance(exchangesPerMinute), noting: make(chan struct{}, usesAtOnce),
	}
}

// List returns a page of what the owner allowed, newest first, dead or alive, and
// the cursor of the next page, empty where there is none. What is alive has the scope
// that its tokens carry now.
//
//	InvalidRequest: the cursor is not one of this list
func (s *Grants) List(ctx context.Context, owner authz.Owner, cursor string, limit int) (list []authz.Grant, next string, err error) {
	return s.list(ctx, owner, time.Time{}, cursor, limit)
}

// Living is List for those that are neither revoked nor expired.
func (s *Grants) Living(ctx context.Context, owner authz.Owner, cursor string, limit int) (list []authz.Grant, next string, err error) {
	return s.list(ctx, owner, s.now(), cursor, limit)
}

func (s *Grants) list(ctx context.Context, owner authz.Owner, aliveAt time.Time, cursor string, limit int) (list []authz.Grant, next string, err error) {
	list, next, err = secret.Page(s.secrets, owner, "grants", cursor, limit, func(after contract.Position, limit int) ([]authz.Grant, error) {
		return s.store.Grants(ctx, owner.AccountID, contract.GrantList{AliveAt: aliveAt, After: after, Limit: limit})
	}, func(g authz.Grant) contract.Position { return contract.Position{At: g.CreatedAt, ID: g.ID} })
	if err != nil {
		return nil, "", err
	}
	now := s.now()
	for i, g := range list {
		if list[i], err = s.AsItIs(ctx, g, now); err != nil {
			return nil, "", err
		}
	}
	return list, next, nil
}

// AsItIs is a grant that lives with the scope that its tokens carry now: what its
// client may have as it is registered now, and nothing where the client is gone. One
// that is over is what it was.
func (s *Grants) AsItIs(ctx context.Context, g authz.Grant, now time.Time) (authz.Grant, error) {
	if !g.AliveAt(now) {
		return g, nil
	}
	c, err := s.clients.Find(ctx, g.ClientID)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		g.Scope = ""
	case err != nil:
		return authz.Grant{}, err
	default:
		g.Scope = scopes.MayHave(c, g.Scope, g.Delegated.ToAgent())
	}
	return g, nil
}

// Get returns one of the owner's grants.
//
//	NotFound: there is none with this id, or it is somebody else's
func (s *Grants) Get(ctx context.Context, owner authz.Owner, id string) (authz.Grant, error) {
	g, err := s.store.Grant(ctx, id)
	if err != nil {
		return authz.Grant{}, contract.OrNotFound(err, noSuchGrant)
	}
	if g.AccountID != owner.AccountID {
		return authz.Grant{}, authz.Refuse(authz.NotFound, noSuchGrant)
	}
	return g, nil
}

const noSuchGrant = "you have no such grant"

// Receipt returns the owner's signature over an approval, as it was given.
//
//	NotFound: no such grant, somebody else's, or approved without a signature
func (s *Grants) Receipt(ctx context.Context, owner authz.Owner, grantID string) (string, error) {
	if _, err := s.Get(ctx, owner, grantID); err != nil {
		return "", err
	}
	text, err := s.store.Receipt(ctx, grantID)
	if err != nil {
		return "", contract.OrNotFound(err, "this grant was approved by a session, without a signature, so it has no receipt")
	}
	return text, nil
}

// Lasts is how long a grant of a scope to a client lasts, and whether the client
// renews its tokens by itself meanwhile.
func (s *Grants) Lasts(c authz.Client, scope string) (d time.Duration, renewed bool) {
	if c.Allows(authz.GrantRefresh) && scopes.Has(scope, scopes.OfflineAccess) {
		return s.settings.RefreshLifetime, true
	}
	return s.settings.AccessTokenLifetime, false
}

// Renews reports whether a grant comes with a refresh token and goes on with one: a device's
// with offline access (requirement R-07), an agent's unless its client is registered without,
// or it has something that its owner is always asked for.
func (s *Grants) Renews(c authz.Client, g authz.Grant, scope string) bool {
	if !g.Delegated.ToAgent() {
		return c.Allows(authz.GrantRefresh) && scopes.Has(scope, scopes.OfflineAccess)
	}
	always := func(once string) bool { return scopes.Has(scope, once) }
	return (c.Allows(authz.GrantRefresh) || !c.Registered) && !slices.ContainsFunc(s.settings.Agents.AlwaysAsk, always)
}
