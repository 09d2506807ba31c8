package approval

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// reviewLifetime is how long a person may look at a request before deciding on
// the page (attack B-03).
const reviewLifetime = 5 * time.Minute

// OpenReview opens a request on the device page: it claims it for the session's
// account. Codes that cannot be used cost the same, whatever is wrong with them
// (attack B-17). It returns a visit that leads this account, and no other, to the
// review.
//
//	as Open
func (s *Approvals) OpenReview(ctx context.Context, owner authz.Owner, asker authz.Asker, typed string) (visit string, err error) {
	code, r, err := s.Open(ctx, owner, asker, typed, true)
	if err != nil {
		return "", s.atEqualCost(ctx, asker, err)
	}
	return s.VisitFor(owner, code, r)
}

// Review returns what to show of a request that the session's account has
// opened, with the secret that one decision uses up.
//
//	as Open
//	NotOpened: nobody has opened it yet; claiming takes a POST (attack B-04)
//	AlreadyDecided: the facts hold the request all the same
func (s *Approvals) Review(ctx context.Context, owner authz.Owner, asker authz.Asker, typed string) (Facts, authz.Secret, error) {
	code, r, err := s.Open(ctx, owner, asker, typed, false)
	if err != nil {
		return Facts{}, "", s.atEqualCost(ctx, asker, err)
	}
	if r.State != authz.Pending {
		return Facts{Request: r}, "", errDecided
	}
	if r.AccountID == "" {
		return Facts{}, "", errNotOpened
	}
	f, err := s.shownFacts(ctx, owner, asker, code, r, "")
	if err != nil {
		return Facts{}, "", err
	}
	digest, err := f.digest()
	if err != nil {
		return Facts{}, "", err
	}
	transaction, err := s.secrets.Draw("")
	if err != nil {
		return Facts{}, "", err
	}
	return f, transaction, s.store.CreateReview(ctx, authz.Review{
		ID: transaction.Hash(), Session: owner.Session, RequestID: r.ID, UserCode: code,
		Facts: digest, ExpiresAt: s.now().Add(reviewLifetime),
	}, contract.KeepAtMost(authz.ReviewsPerSession))
}

// atEqualCost makes the codes that the page says the same of cost the same: unknown,
// expired, foreign and cancelled ones (attack B-17). It returns the refusal that
// it was given.
func (s *Approvals) atEqualCost(ctx context.Context, asker authz.Asker, refusal error) error {
	if !errors.Is(refusal, authz.ExpiredToken) && !errors.Is(refusal, authz.Forbidden) {
		return refusal
	}
	if err := s.guard.PretendFailed(ctx, asker); err != nil {
		return err
	}
	return refusal
}
