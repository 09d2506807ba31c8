package approval

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/statement"
)

// unusedFor is how long a grant stays that a client was let in by and that nobody redeemed:
// longer than its code is good for, whatever the clocks of other servers say.
const unusedFor = 2 * time.Minute

// Consent is what lets the client of a request in again without asking its owner, or nil where
// they are to be asked: nothing stands for all of it, several reported the client or where the
// request comes from, or it happens too often.
func (s *Approvals) Consent(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest) (*authz.Consent, error) {
	n, err := s.consents.Standing(ctx, owner, c, r)
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
	_, err := s.approve(ctx, owner, Facts{Request: r, Client: c, Scope: r.Scope, Lasts: lasts, letIn: by.GrantID}, statement.Delegated{})
	return err
}
