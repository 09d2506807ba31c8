package approval

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/consent"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/statement"
	"countersign.dev/internal/authz/usercode"
)

// Decision is an owner's approval as it was received.
type Decision struct {
	UserCode string
	// Scope is what the owner left of the requested scope; empty leaves all.
	Scope string
	// Match answers the number match. AskMatch is false for clients of the
	// better-auth API, which know nothing of it.
	Match    string
	AskMatch bool
	// Answer is a passkey's over the statement about an agent; nil for none.
	Answer *statement.Answer
}

// Approve approves a request: one conditional update that also stores the
// grant, and the receipt of a signed approval. What a signed approval allows is
// what its receipt says. A signed approval needs no earlier opening: it claims
// and decides in one step.
//
//	InvalidRequest: no such code, or a signature that leaves no good receipt
//	NotOpened, AlreadyDecided, ExpiredToken
//	Forbidden: another account's, cancelled, or a signature is required
//	TooLittlePresence: an agent asks, and less of a person was there than it takes
//	AccountFull: the account has as many living grants as it may
//	Mistyped: the answer is nothing that the device can show; it may be tried again
//	WrongMatch: the request is denied now
//	TooManyGuesses, ProofRequired
func (s *Approvals) Approve(ctx context.Context, owner authz.Owner, asker authz.Asker, d Decision) (authz.Grant, error) {
	code, r, err := s.byUserCode(ctx, asker, d.UserCode)
	if err != nil {
		return authz.Grant{}, err
	}
	return s.approveRequest(ctx, owner, asker, code, r, d)
}

func (s *Approvals) approveRequest(ctx context.Context, owner authz.Owner, asker authz.Asker, code string, r authz.DeviceRequest, d Decision) (authz.Grant, error) {
	if err := mayDecide(r, owner); err != nil {
		return authz.Grant{}, err
	}
	if r.Asked.ByAgent() {
		return s.approveAgent(ctx, owner, asker, code, r, d)
	}
	if d.Answer != nil {
		return authz.Grant{}, errNoAgent
	}
	proof, says, err := statement.LeftByDevice(owner)
	if err != nil {
		return authz.Grant{}, err
	}
	scope := d.Scope
	if owner.Signed() {
		scope = says.Scope
	}
	f, err := s.facts(ctx, owner, asker, code, r, scope)
	if err != nil {
		return authz.Grant{}, err
	}
	if owner.Signed() {
		if err := s.statements.CheckDevice(f.offer(), says); err != nil {
			return authz.Grant{}, err
		}
	} else if f.Request.SignatureRequired {
		return authz.Grant{}, authz.Refuse(authz.Forbidden, "this request needs a signed approval: use the identity's key, for example `countersign approve`")
	}
	if d.AskMatch || owner.Signed() {
		if fit := s.matches(f, d.Match); fit != usercode.Matched {
			return authz.Grant{}, s.mismatched(ctx, owner, r, fit)
		}
	}
	return s.approve(ctx, owner, f, statement.Delegated{Receipt: proof})
}

var errNoAgent = authz.Refuse(authz.InvalidRequest, "a passkey signs statements about agents, and no agent asks here: approve without assertion and statement")

// mayDecide says early, and in words, what the store's condition will refuse.
func mayDecide(r authz.DeviceRequest, owner authz.Owner) error {
	if err := mayReview(r, owner); err != nil {
		return err
	}
	if r.AccountID == "" && !owner.Signed() {
		return errNotOpened
	}
	if owner.AuthTime.Unix() < r.Redirect.ProvedSince {
		return errProvedTooLongAgo
	}
	return nil
}

// mayReview is the part of mayDecide that holds for looking too.
func mayReview(r authz.DeviceRequest, owner authz.Owner) error {
	switch {
	case r.AccountID != "" && r.AccountID != owner.AccountID:
		return errForeign
	case cancelled(r):
		return errCancelled
	case r.State != authz.Pending:
		return errDecided
	default:
		return nil
	}
}

func (s *Approvals) approve(ctx context.Context, owner authz.Owner, f Facts, signed statement.Delegated) (authz.Grant, error) {
	now := s.now()
	a := contract.Approval{RequestID: f.Request.ID, AccountID: owner.AccountID, At: now, Living: authz.LivingGrants, Keep: contract.KeepAtMost(authz.GrantsPerAccount), Receipt: signed.Receipt}
	g := s.grantOf(owner, f, now)
	switch {
	case f.Agent != nil:
		g, a.Agents, a.Unclaimed = signed.Grant(g, f.Request.Asked), contract.RoomForAgents(s.agents), owner.Signed()
	case signed.Receipt != "":
		g.ACR, g.Presence, a.Unclaimed = authz.ACRSignature, authz.PresenceKey, true
	}
	var err error
	switch {
	case f.letIn != "":
		g.ACR = authz.ACRBefore
		a.LetIn = &contract.LettingIn{By: f.letIn, Unused: now.Add(-unusedFor), Keep: contract.KeepAtMost(authz.LetInPerClient)}
	case consent.Remembers(owner, f.Client, f.Request):
		a.ConsentsKeep = contract.KeepAtMost(authz.ConsentsPerAccount)
		if a.Consent, err = consent.Of(g, f.Client, f.Resources); err != nil {
			return authz.Grant{}, err
		}
	}
	a.Grant = g
	if a.Event, err = s.decisionEvent(owner, authz.EventApproved, f.Request); err != nil {
		return authz.Grant{}, err
	}
	a.Event.GrantID, a.Event.ACR = g.ID, g.ACR
	err = s.store.ApproveDeviceRequest(ctx, a)
	s.device.Decided(f.Request, err)
	if err != nil {
		return authz.Grant{}, approvalRefused(err, owner, f.Request, now)
	}
	about := []any{"grant", g.ID, "grant_type", f.Request.GrantType(), "client_id", g.ClientID, "scope", g.Scope, "acr", g.ACR, "presence", string(g.Presence), authz.By(owner), "device_network", g.Seen.Network}
	if g.Delegated.ToAgent() {
		about = append(about, "agent", g.Delegated.Agent.ID)
	}
	s.log.InfoContext(ctx, "request approved", about...)
	return g, nil
}

// grantOf is the grant of a request that a session approves.
func (s *Approvals) grantOf(owner authz.Owner, f Facts, now time.Time) authz.Grant {
	g := authz.Grant{
		ID: f.Request.ID, AccountID: owner.AccountID, ClientID: f.Client.ID, Scope: f.Scope,
		BAPID: owner.BAPID, MemberKey: owner.MemberKey, ACR: authz.ACRSession, Nonce: f.Request.Nonce,
		Seen: f.Request.Seen, Says: f.Request.Says, Resources: f.Request.Resources,
		AuthTime: owner.AuthTime, CreatedAt: now, ExpiresAt: now.Add(f.Lasts), Presence: authz.PresenceSession,
	}
	if owner.Method == authz.MethodPasskey {
		g.ACR, g.Passkey = authz.ACRPasskey, owner.Passkey
	}
	return g
}

// Deny denies a request. Anyone who could approve it may deny it; report
// says that the owner did not start it.
//
//	as Approve
func (s *Approvals) Deny(ctx context.Context, owner authz.Owner, asker authz.Asker, typed string, report bool) error {
	_, r, err := s.byUserCode(ctx, asker, typed)
	if err != nil {
		return err
	}
	if err := mayDecide(r, owner); err != nil {
		return err
	}
	return s.deny(ctx, owner, r, report, "")
}

// deny denies a request; acr is DeniedForMatch where nobody chose to.
func (s *Approvals) deny(ctx context.Context, owner authz.Owner, r authz.DeviceRequest, report bool, acr string) error {
	now := s.now()
	kind := authz.EventDenied
	if report {
		kind = authz.EventReported
	}
	event, err := s.decisionEvent(owner, kind, r)
	if err != nil {
		return err
	}
	event.GrantID, event.ACR = r.ID, acr
	d := contract.Denial{RequestID: r.ID, AccountID: owner.AccountID, Unclaimed: owner.Signed(), At: now, Keep: contract.KeepAtMost(authz.ReportsPerAccount), Event: event}
	if report {
		d.Reported, d.Reporter = s.guard.ReportSubjects(r.ClientID, r.Seen, r.Says), s.guard.Reporter(owner)
	}
	err = s.store.DenyDeviceRequest(ctx, d)
	s.device.Decided(r, err)
	if err != nil {
		return decisionRefused(err, owner, now)
	}
	s.log.InfoContext(ctx, "request denied", "device_request", r.ID, "grant_type", r.GrantType(), "client_id", r.ClientID, authz.By(owner),
		"device_network", r.Seen.Network)
	if !report {
		return nil
	}
	s.log.WarnContext(ctx, "request reported: its owner did not start it", "device_request", r.ID, "grant_type", r.GrantType(), "client_id", r.ClientID, authz.By(owner),
		"device_network", r.Seen.Network)
	if err := s.guard.ReadShunned(ctx); err != nil { // the next recount reads it too
		s.log.ErrorContext(ctx, "reading the reported networks failed", "error", err)
	}
	return nil
}

// decisionEvent begins the event of a decision about a device request.
func (s *Approvals) decisionEvent(owner authz.Owner, kind authz.EventKind, r authz.DeviceRequest) (contract.NewEvent, error) {
	event, err := s.trail.Event(owner, kind, r.Says.Name)
	event.ClientID = r.ClientID
	return event, err
}

// decisionRefused says why the store did not take a claim or a decision.
func decisionRefused(err error, owner authz.Owner, now time.Time) error {
	var state *contract.StateError
	switch {
	case errors.Is(err, contract.ErrGone):
		return authz.ErrNotSignedIn
	case errors.Is(err, contract.ErrNotFound):
		return errNoSuchCode
	case errors.Is(err, contract.ErrFull):
		return errTooManyGrants
	case !errors.As(err, &state):
		return err
	case state.Request.StateAt(now) == authz.Expired:
		return errCodeOver
	case state.Request.AccountID != "" && state.Request.AccountID != owner.AccountID:
		return errForeign
	case cancelled(state.Request):
		return errCancelled
	case state.Request.State != authz.Pending:
		return errDecided
	default:
		return errNotOpened
	}
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
	if errors.Is(err, contract.ErrNotFound) {
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
	case errors.Is(err, contract.ErrNotFound):
		return authz.DeviceRequest{}, errNoSuchCode
	case err != nil:
		return authz.DeviceRequest{}, err
	case r.StateAt(s.now()) == authz.Expired:
		return authz.DeviceRequest{}, errCodeOver
	default:
		return r, nil
	}
}
