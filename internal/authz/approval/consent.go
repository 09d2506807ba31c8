package approval

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/scopes"
)

const (
	// consentLasts is for how long a client is let in again without asking. People forget what
	// they allowed in a season.
	consentLasts = 90 * 24 * time.Hour
	// unusedFor is how long a grant stays that a client was let in by and that nobody redeemed:
	// longer than its code is good for, whatever the clocks of other servers say.
	unusedFor = 2 * time.Minute
)

// remembers reports whether what an owner allows a client may be remembered: only where the
// client proves itself before it gets anything and nobody else hears the answer, for anybody can
// pose as a native application, and bring a code to the server that has its secret
// (RFC 8252 §8.6, RFC 9700 §4.11, requirement Z-18), where no key has to sign, and where it is
// known by what the owner came: the passkeys of old sessions are not, and would end nothing.
func remembers(owner authz.Owner, c authz.Client, r authz.DeviceRequest) bool {
	return r.ByRedirect() && c.Confidential() && client.IsPlace(c.RedirectURIs, r.Redirect.URI) && !r.SignatureRequired &&
		(owner.Method != authz.MethodPasskey || owner.Passkey != "")
}

// consentOf is what is remembered of an approval. It takes the place of the one before, and is no
// union with it: each scope that is remembered was read together with each resource.
func (s *Approvals) consentOf(owner authz.Owner, f Facts, g authz.Grant) (*authz.Consent, error) {
	registration, err := registration(f.Client, f.Resources)
	return &authz.Consent{
		AccountID: g.AccountID, ClientID: g.ClientID, BAPID: g.BAPID, GrantID: g.ID, Scope: g.Scope, Resources: g.Resources, Passkey: owner.Passkey,
		Registration: registration, GivenAt: g.CreatedAt, ExpiresAt: g.CreatedAt.Add(consentLasts),
	}, err
}

// registration is a digest of what an owner could know a client by, where its answers go, and
// who serves the resources: where any of that changes they are asked anew.
func registration(c authz.Client, resources []Resource) (authz.Hash, error) {
	known, err := json.Marshal(struct {
		Name, Type, AuthMethod, MemberKey, Keys, Owner string
		RedirectURIs, Serves                           []string
		Resources                                      []Resource
	}{c.Name, c.ApplicationType, c.AuthMethod, c.MemberKey, c.Keys, c.OwnerBAPID, c.RedirectURIs, c.Resources, resources})
	return sha256.Sum256(known), err
}

// standing is the consent of an owner for the client of a request and whose APIs it is for, as
// it is registered now; the zero consent where there is none. One that was given by a passkey lets
// in who came by that passkey alone, so that with a stolen one all ends that it began.
func (s *Approvals) standing(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (none authz.Consent, err error) {
	if !remembers(owner, c, r) {
		return none, nil
	}
	n, err := s.store.Consent(ctx, owner.AccountID, c.ID, owner.BAPID, s.now())
	if errors.Is(err, contract.ErrNotFound) || err == nil && (n.Passkey != owner.Passkey || !sameAudience(n, r)) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	resources, err := s.resources(ctx, n.Resources)
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

// allowedBefore is what of a request the owner has allowed before, where the rest is new: only
// that has to be read with care (requirement S-09).
func (s *Approvals) allowedBefore(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (string, error) {
	n, err := s.standing(ctx, owner, c, r)
	if err != nil || scopes.Without(r.Scope, n.Scope) == "" {
		return "", err
	}
	return scopes.Both(r.Scope, n.Scope), nil
}

// Consent is what lets the client of a request in again without asking its owner, or nil where
// they are to be asked: nothing stands for all of it, somebody reported the client or where the
// request comes from, or it happens too often.
func (s *Approvals) Consent(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (*authz.Consent, error) {
	n, err := s.standing(ctx, owner, c, r)
	if err != nil || scopes.Without(r.Scope, n.Scope) != "" {
		return nil, err
	}
	reports, err := s.guard.ReportsOf(ctx, r)
	if err != nil || reports != (guard.Reports{}) || !s.guard.LetIn(owner) {
		return nil, err
	}
	return &n, nil
}

// LetIn approves a pending request of its owner by a consent for it, if that stands still. Nobody
// was asked and nothing signed, so that there is no receipt.
//
//	Unauthorized: it does not stand, or the account has not what its session began with
//	AccountFull
func (s *Approvals) LetIn(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest, by authz.Consent) error {
	lasts, _ := s.grants.Lasts(c, r.Scope)
	_, err := s.approve(ctx, owner, Facts{Request: r, Client: c, Scope: r.Scope, Lasts: lasts, letIn: by.GrantID}, "")
	return err
}
