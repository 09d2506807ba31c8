package grant

import (
	"context"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Consents are the clients that the owner lets in without being asked, newest first.
func (s *Grants) Consents(ctx context.Context, owner authz.Owner) ([]authz.Consent, error) {
	return s.store.Consents(ctx, owner.AccountID, s.now(), authz.ConsentsPerAccount)
}

// ForgetConsent has the owner asked again by the client that the grant of a consent is of. What
// was allowed lives on.
//
//	NotFound
func (s *Grants) ForgetConsent(ctx context.Context, owner authz.Owner, grantID string) error {
	if err := s.store.ForgetConsent(ctx, owner.AccountID, grantID); err != nil {
		return contract.OrNotFound(err, "no such consent stands")
	}
	s.log.InfoContext(ctx, "consent forgotten by its owner", "grant", grantID, authz.By(owner))
	return nil
}
