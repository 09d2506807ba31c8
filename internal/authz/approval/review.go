package approval

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz/scopes"

	"countersign.dev/internal/authz"
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
	code, _, err := s.Open(ctx, owner, asker, typed, true)
	if err != nil {
		return "", s.atEqualCost(ctx, asker, err)
	}
	return s.seal(code, owner.AccountID)
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
	}, authz.KeepAtMost(authz.ReviewsPerSession))
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

// ReviewDecision is what a person decided on the device page.
type ReviewDecision struct {
	Transaction authz.Secret
	Approve     bool
	// Report: the person did not start the request. It is denied.
	Report bool
	// Scope is what was ticked, and what could not be unticked.
	Scope string
	Match string
	// BAPID is the identity that was chosen; a session approves for its own only
	// (requirement L-05).
	BAPID string
}

// Decide carries out a decision of the device page and returns the id of
// the request decided. It counts only for the session and the facts the review
// was made for.
//
//	ReviewOver: the review is over, was used, or is not what was shown
//	InvalidScope: nothing was left of the scope
//	otherwise as Approve
func (s *Approvals) Decide(ctx context.Context, owner authz.Owner, asker authz.Asker, d ReviewDecision) (string, error) {
	review, err := s.store.TakeReview(ctx, d.Transaction.Hash(), owner.Session, s.now())
	if errors.Is(err, authz.ErrNotFound) {
		return "", authz.ErrReviewOver
	}
	if err != nil {
		return "", err
	}
	r, err := s.reviewed(ctx, review)
	if err != nil {
		return review.RequestID, err
	}
	if err := mayDecide(r, owner); err != nil {
		return review.RequestID, err
	}
	if !d.Approve || d.Report {
		return review.RequestID, s.deny(ctx, owner, r, d.Report, "")
	}
	f, err := s.facts(ctx, owner, asker, review.UserCode, r, "")
	if err != nil {
		return review.RequestID, err
	}
	digest, err := f.digest()
	if err != nil {
		return "", err
	}
	if digest != review.Facts || (d.BAPID != "" && d.BAPID != owner.BAPID) {
		return review.RequestID, authz.ErrReviewOver
	}
	scope, err := scopes.Chosen(f.Request.Scope, d.Scope)
	if err != nil {
		return review.RequestID, err
	}
	_, err = s.approveRequest(ctx, owner, asker, review.UserCode, r, Decision{Scope: scope, Match: d.Match, AskMatch: true})
	return review.RequestID, err
}

// reviewed is the request of a review. It is not looked up by its code: who had
// it open is no guesser, however many there are around.
func (s *Approvals) reviewed(ctx context.Context, review authz.Review) (authz.DeviceRequest, error) {
	r, err := s.store.DeviceRequestByID(ctx, review.RequestID)
	switch {
	case errors.Is(err, authz.ErrNotFound):
		return authz.DeviceRequest{}, errNoSuchCode
	case err != nil:
		return authz.DeviceRequest{}, err
	case r.StateAt(s.now()) == authz.Expired:
		return authz.DeviceRequest{}, errCodeOver
	default:
		return r, nil
	}
}
