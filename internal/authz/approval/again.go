package approval

import (
	"context"
	"errors"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
)

// consentRemembered is how long an application is let in again without asking. It ends
// before with the retention of grants, and with the first that is taken back.
const consentRemembered = 180 * 24 * time.Hour

// againPerMinute is how often an account lets somebody in without being asked. Any page can send
// its browser here: more would fill the account with grants. Beyond it the owner is asked.
const againPerMinute = 2

// remembers reports whether what an owner allows a client may be remembered: only where the
// client proves itself before it gets anything, and where no key has to sign. Anybody can
// pose as a native application (RFC 8252 §8.6, requirement Z-18).
func remembers(c authz.Client, r authz.DeviceRequest) bool {
	return r.ByRedirect() && c.Registered && c.Confidential() && !r.SignatureRequired
}

// before is what the owner allowed the client of a request before, where that is remembered;
// the zero grant where it is not.
func (s *Approvals) before(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (authz.Grant, error) {
	if !remembers(c, r) {
		return authz.Grant{}, nil
	}
	g, err := s.store.RememberedGrant(ctx, owner.AccountID, c.ID, owner.BAPID, s.now())
	if errors.Is(err, contract.ErrNotFound) {
		return authz.Grant{}, nil
	}
	return g, err
}

// AllowedBefore is what an owner left before of all that a request asks for, or empty: then
// they have to be asked, for something is new, nothing is remembered, or it happens too often. What they left out
// then stays out.
func (s *Approvals) AllowedBefore(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (scope string, err error) {
	g, err := s.before(ctx, owner, c, r)
	if err != nil {
		return "", err
	}
	for _, asked := range strings.Fields(r.Scope) {
		if !scopes.Has(g.Asked, asked) {
			return "", nil
		}
	}
	for _, resource := range r.Resources {
		if !scopes.Has(strings.Join(g.Resources, " "), resource) {
			return "", nil
		}
	}
	if scope = scopes.Both(r.Scope, g.Scope); scope == "" || !s.lettingIn.AllowName(owner.AccountID, s.now()) {
		return "", nil
	}
	return scope, nil
}

// ApproveAgain approves a request that is its owner's for a scope that AllowedBefore gave.
//
//	as Approve
func (s *Approvals) ApproveAgain(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest, scope string) error {
	lasts, _ := s.grants.Lasts(c, scope)
	_, err := s.approve(ctx, owner, Facts{Request: r, Client: c, Scope: scope, Lasts: lasts, again: true}, "")
	return err
}
