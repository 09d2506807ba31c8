package consent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
)

// Consents are what owners allowed clients and are not asked for again.
type Consents struct {
	store    contract.GrantStore
	settings authz.Settings
	now      func() time.Time
	log      *slog.Logger
	clients  *client.Registry
}

// New makes the consents of a server.
func New(store contract.GrantStore, settings authz.Settings, trail audit.Trail, clients *client.Registry) *Consents {
	return &Consents{store: store, settings: settings, now: trail.Now, log: trail.Log, clients: clients}
}

// Lasts is for how long a client is let in again without asking. People forget what
// they allowed in a season.
const Lasts = 90 * 24 * time.Hour

// Remembers reports whether what an owner allows a client may be remembered: only where the
// client proves itself before it gets anything and nobody else hears the answer, for anybody can
// pose as a native application, and bring a code to the server that has its secret
// (RFC 8252 §8.6, RFC 9700 §4.11, requirement Z-18), where no key has to sign, and where it is
// known by what the owner came: the passkeys of old sessions are not, and would end nothing.
func Remembers(owner authz.Owner, c authz.Client, r authz.DeviceRequest) bool {
	return r.ByRedirect() && c.Confidential() && client.IsPlace(c.RedirectURIs, r.Redirect.URI) && !r.SignatureRequired &&
		(owner.Method != authz.MethodPasskey || owner.Passkey != "")
}

// Of is what is remembered of an approval of a client's request for resources. It takes
// the place of the one before, and is no union with it: each scope that is remembered was read
// together with each resource.
func Of(g authz.Grant, c authz.Client, resources []Resource) (*authz.Consent, error) {
	registration, err := registration(c, resources)
	return &authz.Consent{
		AccountID: g.AccountID, ClientID: g.ClientID, BAPID: g.BAPID, GrantID: g.ID, Scope: g.Scope, Resources: g.Resources, Passkey: g.Passkey,
		Registration: registration, GivenAt: g.CreatedAt, ExpiresAt: g.CreatedAt.Add(Lasts),
	}, err
}

// registration is a digest of what an owner could know a client by, where its answers go, and
// who serves the resources: where any of that changes they are asked anew. A secret that was
// made is of one registration: who allowed something at the moment in which a client was taken
// out allowed the next one of its id nothing.
func registration(c authz.Client, resources []Resource) (authz.Hash, error) {
	known, err := json.Marshal(struct {
		Name, Type, AuthMethod, MemberKey, Keys, Owner string
		Secret                                         authz.Hash
		RedirectURIs, Serves                           []string
		Resources                                      []Resource
	}{c.Name, c.ApplicationType, c.AuthMethod, c.MemberKey, c.Keys, c.OwnerBAPID, c.Secret, c.RedirectURIs, c.Resources, resources})
	return sha256.Sum256(known), err
}

// Standing is the consent of an owner for the client of a request and whose APIs it is for, as
// it is registered now; the zero consent where there is none. One that was given by a passkey lets
// in who came by that passkey alone, so that with a stolen one all ends that it began.
func (s *Consents) Standing(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (none authz.Consent, err error) {
	if !Remembers(owner, c, r) {
		return none, nil
	}
	n, err := s.store.Consent(ctx, owner.AccountID, c.ID, owner.BAPID, s.now())
	if errors.Is(err, contract.ErrNotFound) || err == nil && (n.Passkey != owner.Passkey || !sameAudience(n, r)) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	resources, err := s.Resources(ctx, n.Resources)
	if errors.Is(err, authz.NotFound) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	if now, err := registration(c, resources); err != nil || now != n.Registration {
		return none, err
	}
	return n, nil
}

// sameAudience reports whether a request is for no other APIs than a consent was given for. This
// server alone, which no resources are, is another audience than any of them.
func sameAudience(n authz.Consent, r authz.DeviceRequest) bool {
	return (len(r.Resources) == 0) == (len(n.Resources) == 0) &&
		!slices.ContainsFunc(r.Resources, func(uri string) bool { return !slices.Contains(n.Resources, uri) })
}

// AllowedBefore is what of a request the owner has allowed before, where the rest is new: only
// that has to be read with care (requirement S-09).
func (s *Consents) AllowedBefore(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (string, error) {
	n, err := s.Standing(ctx, owner, c, r)
	if err != nil || scopes.Without(r.Scope, n.Scope) == "" {
		return "", err
	}
	return scopes.Both(r.Scope, n.Scope), nil
}

// List returns what lets clients in without asking the owner, newest first.
func (s *Consents) List(ctx context.Context, owner authz.Owner) ([]authz.Consent, error) {
	return s.store.Consents(ctx, owner.AccountID, s.now(), authz.ConsentsPerAccount)
}

// Forget has the owner asked again by the client that the grant of a consent is of. What
// was allowed lives on.
//
//	NotFound
func (s *Consents) Forget(ctx context.Context, owner authz.Owner, grantID string) error {
	if err := s.store.ForgetConsent(ctx, owner.AccountID, grantID); err != nil {
		return contract.OrNotFound(err, "no such consent stands")
	}
	s.log.InfoContext(ctx, "consent forgotten by its owner", "grant", grantID, authz.By(owner))
	return nil
}
