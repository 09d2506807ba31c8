package authz

import (
	"context"
	"errors"
	"time"
)

// reviewLifetime is how long a person may look at a request before deciding on
// the page (attack B-03).
const reviewLifetime = 5 * time.Minute

// OpenReview opens a request on the device page: it claims it for the session's
// account. Codes that cannot be used cost the same, whatever is wrong with them
// (attack B-17). It returns a visit that leads this account, and no other, to the
// review.
//
//	as OpenDevice
func (s *approvals) OpenReview(ctx context.Context, owner Owner, asker Asker, typed string) (visit string, err error) {
	code, _, err := s.OpenDevice(ctx, owner, asker, typed, true)
	if err != nil {
		return "", s.alike(ctx, asker, err)
	}
	return s.visit(code, owner.AccountID)
}

// StartReview returns what to show of a request that the session's account has
// opened, with the secret that one decision uses up.
//
//	as OpenDevice
//	NotOpened: nobody has opened it yet; claiming takes a POST (attack B-04)
//	AlreadyDecided: the facts hold the request all the same
func (s *approvals) StartReview(ctx context.Context, owner Owner, asker Asker, typed string) (Facts, Secret, error) {
	code, r, err := s.OpenDevice(ctx, owner, asker, typed, false)
	if err != nil {
		return Facts{}, "", s.alike(ctx, asker, err)
	}
	if r.State != Pending {
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
	transaction, err := s.secrets.newSecret("")
	if err != nil {
		return Facts{}, "", err
	}
	return f, transaction, s.store.CreateReview(ctx, Review{
		ID: transaction.Hash(), Session: owner.Session, RequestID: r.ID, UserCode: code,
		Facts: digest, ExpiresAt: s.now().Add(reviewLifetime),
	}, KeepAtMost(ReviewsPerSession))
}

// alike makes the codes that the page says the same of cost the same: unknown,
// expired, foreign and cancelled ones (attack B-17). It returns the refusal that
// it was given.
func (s *approvals) alike(ctx context.Context, asker Asker, refusal error) error {
	if !errors.Is(refusal, ExpiredToken) && !errors.Is(refusal, Forbidden) {
		return refusal
	}
	if err := s.guard.failedAlike(ctx, asker); err != nil {
		return err
	}
	return refusal
}

// ReviewDecision is what a person decided on the device page.
type ReviewDecision struct {
	Transaction Secret
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

// DecideReview carries out a decision of the device page and returns the id of
// the request decided. It counts only for the session and the facts the review
// was made for.
//
//	ReviewOver: the review is over, was used, or is not what was shown
//	InvalidScope: nothing was left of the scope
//	otherwise as ApproveDevice
func (s *approvals) DecideReview(ctx context.Context, owner Owner, asker Asker, d ReviewDecision) (string, error) {
	review, err := s.store.TakeReview(ctx, d.Transaction.Hash(), owner.Session, s.now())
	if errors.Is(err, ErrNotFound) {
		return "", errReviewOver
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
		return review.RequestID, errReviewOver
	}
	scope, err := chosenScope(f.Request.Scope, d.Scope)
	if err != nil {
		return review.RequestID, err
	}
	_, err = s.approveRequest(ctx, owner, asker, review.UserCode, r, Decision{Scope: scope, Match: d.Match, AskMatch: true})
	return review.RequestID, err
}

// reviewed is the request of a review. It is not looked up by its code: who had
// it open is no guesser, however many there are around.
func (s *approvals) reviewed(ctx context.Context, review Review) (DeviceRequest, error) {
	r, err := s.store.DeviceRequestByID(ctx, review.RequestID)
	switch {
	case errors.Is(err, ErrNotFound):
		return DeviceRequest{}, errNoSuchCode
	case err != nil:
		return DeviceRequest{}, err
	case r.StateAt(s.now()) == Expired:
		return DeviceRequest{}, errCodeOver
	default:
		return r, nil
	}
}

// Outcome is what became of a device request.
type Outcome struct {
	ID       string
	ClientID string
	Approved bool
	// Grant is what was allowed, when Approved; Alive is whether it still is.
	Grant Grant
	Alive bool
	// Where nothing is allowed: Others is how many other grants of this client live,
	// Mismatched whether it was denied for what the device does not show, and Reported
	// whether the owner reported it.
	Others               int
	Mismatched, Reported bool
}

// Outcome returns what the owner decided about a request, for as long as the
// request or its grant is kept.
//
//	NotFound: no such request, somebody else's, or not decided
func (s *approvals) Outcome(ctx context.Context, owner Owner, requestID string) (Outcome, error) {
	g, err := s.store.Grant(ctx, requestID)
	if err == nil && g.AccountID == owner.AccountID {
		now := s.now()
		if !g.AliveAt(now) {
			return s.ended(ctx, owner, Outcome{ID: requestID, ClientID: g.ClientID, Approved: true, Grant: g})
		}
		g, err = s.grants.asItIs(ctx, g, now)
		return Outcome{ID: requestID, ClientID: g.ClientID, Approved: true, Grant: g, Alive: true}, err
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Outcome{}, err
	}
	r, err := s.store.DeviceRequestByID(ctx, requestID)
	if err != nil {
		return Outcome{}, notFound(err, noSuchRequest)
	}
	if r.AccountID != owner.AccountID || r.State != Denied {
		return Outcome{}, refuse(NotFound, noSuchRequest)
	}
	return s.ended(ctx, owner, Outcome{ID: requestID, ClientID: r.ClientID})
}

// eventsSought are the newest of an account among which the end of a request is sought.
const eventsSought = 100

// ended says more of an outcome that allows nothing. Why it ended is told for as long as
// its event is among the newest.
func (s *approvals) ended(ctx context.Context, owner Owner, o Outcome) (Outcome, error) {
	living, err := s.store.Grants(ctx, owner.AccountID, GrantList{AliveAt: s.now(), Limit: LivingGrants})
	if err != nil {
		return Outcome{}, err
	}
	for _, g := range living {
		if g.ClientID == o.ClientID {
			o.Others++
		}
	}
	events, err := s.store.Events(ctx, owner.AccountID, Position{}, eventsSought)
	if err != nil {
		return Outcome{}, err
	}
	for _, e := range events {
		if e.GrantID == o.ID {
			o.Mismatched = o.Mismatched || e.ACR == DeniedForMatch
			o.Reported = o.Reported || e.Kind == EventReported || e.Subject == SubjectNotMe
		}
	}
	return o, nil
}

const noSuchRequest = "there is no such request of yours"
