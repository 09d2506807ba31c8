package authz

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

// approvals are what an owner does about a device request: open it, look at it, decide.
type approvals struct {
	store    Store
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  serverSecrets
	trail    trail
	guard    *guard
	clients  *registry
	grants   *grants
	device   *flow
}

func newApprovals(store Store, settings Settings, trail trail, guard *guard, clients *registry, grants *grants, device *flow) *approvals {
	return &approvals{
		store: store, settings: settings, now: trail.now, log: trail.log, secrets: trail.secrets, trail: trail,
		guard: guard, clients: clients, grants: grants, device: device,
	}
}

// NetworkDistance says how far the device is from its owner, as far as addresses
// tell.
type NetworkDistance string

// The distances told apart; more is never guessed.
const (
	NetworkSame    NetworkDistance = "same"
	NetworkOther   NetworkDistance = "other"
	NetworkUnknown NetworkDistance = "unknown"
)

// Facts are everything an owner is shown before deciding.
type Facts struct {
	Request DeviceRequest
	// UserCode is the code as it is shown.
	UserCode string
	Client   Client
	// Scope is what will be granted: the requested scope, or what the owner left of it.
	Scope    string
	Identity Identity
	Network  NetworkDistance
	// Reports warn of the client and of the network the device asked from,
	// Imitates of a client that could be taken for another.
	Reports  Reports
	Imitates Imitation
	Match    MatchKind
	// Numbers are the choices of MatchNumber.
	Numbers []string
	// Age is how long ago the device asked, Left how long its code still lives.
	Age, Left time.Duration
	// Lasts is how long the permission lasts from the decision on, and no token of it
	// lasts longer; Renewed is whether the device renews its tokens by itself meanwhile.
	Lasts   time.Duration
	Renewed bool
}

// DeviceStatus returns the state of the request that a user code belongs to, for
// somebody who is not signed in: no more than that.
//
//	InvalidRequest: no such code
//	ExpiredToken
//	TooManyGuesses, ProofRequired
func (s *approvals) DeviceStatus(ctx context.Context, asker Asker, typed string) (string, DeviceRequest, error) {
	return s.byUserCode(ctx, asker, typed)
}

// OpenDevice gives a pending request to the owner who opens it first
// (requirement D-37) and returns it. Without claim it only looks. Either way who
// opened it is remembered, and a code that goes round is cancelled (K-03).
//
//	InvalidRequest: no such code
//	ExpiredToken
//	Forbidden: another account opened it first, or too many have
//	TooManyGuesses, ProofRequired
func (s *approvals) OpenDevice(ctx context.Context, owner Owner, asker Asker, typed string, claim bool) (string, DeviceRequest, error) {
	code, r, err := s.byUserCode(ctx, asker, typed)
	if err != nil {
		return "", DeviceRequest{}, err
	}
	if r.State == Pending {
		if r, err = s.open(ctx, owner, asker, r, claim); err != nil {
			return "", DeviceRequest{}, err
		}
	}
	if r.State == Pending {
		if r, _, err = s.asOfNow(ctx, r); err != nil {
			return "", DeviceRequest{}, err
		}
	}
	switch {
	case r.AccountID != "" && r.AccountID != owner.AccountID:
		return "", DeviceRequest{}, errForeign
	case cancelled(r):
		return "", DeviceRequest{}, errCancelled
	default:
		return code, r, nil
	}
}

// ReviewDevice returns the facts of a pending request for an owner, without
// claiming it. scope narrows what would be granted; empty leaves all.
//
//	as OpenDevice, and AlreadyDecided
//	InvalidScope: scope holds more than was asked for
func (s *approvals) ReviewDevice(ctx context.Context, owner Owner, asker Asker, typed, scope string) (Facts, error) {
	code, r, err := s.byUserCode(ctx, asker, typed)
	if err != nil {
		return Facts{}, err
	}
	if err := mayReview(r, owner); err != nil {
		return Facts{}, err
	}
	return s.shownFacts(ctx, owner, asker, code, r, scope)
}

// shownFacts are facts with what only somebody who reads them needs: to compare
// a client with all others takes a list of them.
func (s *approvals) shownFacts(ctx context.Context, owner Owner, asker Asker, code string, r DeviceRequest, scope string) (Facts, error) {
	f, err := s.facts(ctx, owner, asker, code, r, scope)
	if err != nil {
		return Facts{}, err
	}
	f.Imitates, err = s.clients.imitation(ctx, f.Client)
	return f, err
}

// asOfNow is a pending request as its client may ask for it now, and that client:
// registrations change and end while a code lives. What the client may have no
// longer is cut, as it is cut for an unregistered client when it asks.
//
//	NotFound: the client is gone, may not ask like this any more, or nothing is left
func (s *approvals) asOfNow(ctx context.Context, r DeviceRequest) (DeviceRequest, Client, error) {
	c, err := s.clients.client(ctx, r.ClientID)
	if err != nil {
		return r, c, notFound(err, "the client that asks is no longer admitted here")
	}
	if r.Scope = c.mayHave(r.Scope); r.Scope == "" || !c.Allows(GrantDevice) {
		return r, c, refuse(NotFound, "the client that asks may have nothing of what it asked for any more: start again on the device")
	}
	r.SignatureRequired = r.SignatureRequired || s.clients.needsSignature(c)
	return r, c, nil
}

func (s *approvals) facts(ctx context.Context, owner Owner, asker Asker, code string, r DeviceRequest, scope string) (Facts, error) {
	r, c, err := s.asOfNow(ctx, r)
	if err != nil {
		return Facts{}, err
	}
	granted, err := narrowScope(r.Scope, scope)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		Request: r, UserCode: code, Client: c, Scope: granted,
		Network: s.distance(asker, r), Age: s.now().Sub(r.CreatedAt), Left: r.ExpiresAt.Sub(s.now()),
	}
	// Both are asked at once, which is one way to a database elsewhere instead of two.
	var asking sync.WaitGroup
	var unreported error
	asking.Go(func() { f.Reports, unreported = s.guard.reports(ctx, r) })
	f.Identity, err = s.store.Identity(ctx, owner.BAPID)
	asking.Wait()
	if err := errors.Join(err, unreported); err != nil {
		return Facts{}, err
	}
	f.Match = matchKind(r, c, granted, f.Network, f.Reports)
	if f.Match == MatchNumber {
		f.Numbers = matchChoices(r.MatchNumber, s.secrets.numberMatch(r.ID))
	}
	f.Lasts, f.Renewed = s.grants.lasts(c, granted)
	return f, nil
}

// distance compares the network the device asked from with the owner's (requirement
// K-02).
func (s *approvals) distance(a Asker, r DeviceRequest) NetworkDistance {
	mine := s.guard.NetworkOf(a.From)
	switch {
	case mine == "" || r.Seen.Network == "":
		return NetworkUnknown
	case mine == r.Seen.Network:
		return NetworkSame
	default:
		return NetworkOther
	}
}

// digest binds a decision to what was shown: if the client is renamed or its
// registration changes in between, the decision does not count (attack B-03).
func (f Facts) digest() (Hash, error) {
	shown, err := json.Marshal(struct {
		ID, UserCode, ClientID, ClientName, Scope, BAPID string
		Registered, Proved                               bool
		Match                                            MatchKind
	}{f.Request.ID, f.UserCode, f.Client.ID, f.Client.DisplayName(), f.Request.Scope, f.Identity.BAPID, f.Client.Registered, f.Request.ClientProved, f.Match})
	return sha256.Sum256(shown), err
}

// statementLifetime is how long an owner has from seeing a statement to sending
// it back signed.
const statementLifetime = 5 * time.Minute

// Statement is the text for the owner to sign (design D7, requirement N-11): who asks,
// for what, and which identity says yes.
func (s *approvals) Statement(f Facts) string {
	now := s.now()
	expires := now.Add(statementLifetime)
	if f.Request.ExpiresAt.Before(expires) {
		expires = f.Request.ExpiresAt
	}
	return s.statement(f, now.Unix(), expires.Unix()).Encode()
}

func (s *approvals) statement(f Facts, issued, expires int64) receipt.Statement {
	return receipt.Statement{
		Version: receipt.StatementVersion, Issuer: s.settings.Issuer, Purpose: receipt.PurposeDeviceApproval,
		UserCodeHash: receipt.UserCodeHash(f.UserCode), ClientID: f.Client.ID, Scope: f.Scope, BAPID: f.Identity.BAPID,
		Nonce: f.Request.ID, IssuedAt: issued, ExpiresAt: expires,
	}
}

// checkStatement verifies field by field that a signed statement is the one of
// this request. It may come from a server whose clock is ahead, as the signature may.
func (s *approvals) checkStatement(f Facts, given receipt.Statement) error {
	now := s.now().Unix()
	lifetime, apart := int64(statementLifetime/time.Second), int64(bitcoinauth.DefaultWindow/time.Second)
	if given.Encode() != s.statement(f, given.IssuedAt, given.ExpiresAt).Encode() ||
		given.IssuedAt > now+apart || given.ExpiresAt > given.IssuedAt+lifetime { // the difference of two times may be more than a number holds
		return errOtherStatement
	}
	if now >= given.ExpiresAt {
		return refuse(Forbidden, "the signed statement has expired: fetch it again and sign that")
	}
	return nil
}

var errOtherStatement = refuse(Forbidden, "the signed statement is not the one of this request: fetch it again and sign that")

// Decision is an owner's approval as it was received.
type Decision struct {
	UserCode string
	// Scope is what the owner left of the requested scope; empty leaves all.
	Scope string
	// Match answers the number match. AskMatch is false for clients of the
	// better-auth API, which know nothing of it.
	Match    string
	AskMatch bool
}

// leftBy is the receipt that a signed approval leaves, and what it says; a session
// leaves none. It is verified as anybody will verify it, before anything counts:
// a signature that would prove something else, or nothing, approves nothing.
//
//	InvalidRequest: it does not verify
//	Forbidden: it is another identity's, code's or time's
func leftBy(o Owner) (text string, says receipt.Statement, err error) {
	if !o.Signed() {
		return "", says, nil
	}
	text = receipt.Receipt{BAPID: o.BAPID, Path: o.signed.Path, Body: string(o.signed.Body), Token: o.signed.Token}.Encode()
	v, err := receipt.Verify([]byte(text))
	var failed *receipt.CheckError
	if errors.As(err, &failed) && slices.Contains([]receipt.Check{receipt.CheckCode, receipt.CheckIdentity, receipt.CheckTime}, failed.Check) {
		return "", says, refuseBecause(Forbidden, errOtherStatement.Description, err)
	}
	if err != nil {
		return "", says, refuseBecause(InvalidRequest, "a signed approval must leave a receipt that verifies: sign, and send to "+receipt.ApprovalPath+
			", the statement and the code exactly as this server gave them", err)
	}
	return text, v.Statement, nil
}

// ApproveDevice approves a request: one conditional update that also stores the
// grant, and the receipt of a signed approval. What a signed approval allows is
// what its receipt says. It needs no earlier opening; it claims and decides in one
// step.
//
//	InvalidRequest: no such code, or a signature that leaves no good receipt
//	NotOpened, AlreadyDecided, ExpiredToken
//	Forbidden: another account's, cancelled, or a signature is required
//	AccountFull: the account has as many living grants as it may
//	Mistyped: the answer is nothing that the device can show; it may be tried again
//	WrongMatch: the request is denied now
//	TooManyGuesses, ProofRequired
func (s *approvals) ApproveDevice(ctx context.Context, owner Owner, asker Asker, d Decision) (Grant, error) {
	code, r, err := s.byUserCode(ctx, asker, d.UserCode)
	if err != nil {
		return Grant{}, err
	}
	return s.approveRequest(ctx, owner, asker, code, r, d)
}

func (s *approvals) approveRequest(ctx context.Context, owner Owner, asker Asker, code string, r DeviceRequest, d Decision) (Grant, error) {
	if err := mayDecide(r, owner); err != nil {
		return Grant{}, err
	}
	proof, says, err := leftBy(owner)
	if err != nil {
		return Grant{}, err
	}
	scope := d.Scope
	if owner.Signed() {
		scope = says.Scope
	}
	f, err := s.facts(ctx, owner, asker, code, r, scope)
	if err != nil {
		return Grant{}, err
	}
	if owner.Signed() {
		if err := s.checkStatement(f, says); err != nil {
			return Grant{}, err
		}
	} else if f.Request.SignatureRequired {
		return Grant{}, refuse(Forbidden, "this request needs a signed approval: use the identity's key, for example `countersign approve`")
	}
	if d.AskMatch || owner.Signed() {
		if fit := s.matches(f, d.Match); fit != matched {
			return Grant{}, s.mismatched(ctx, owner, r, fit)
		}
	}
	return s.approve(ctx, owner, f, proof)
}

// mayDecide says early, and in words, what the store's condition will refuse.
func mayDecide(r DeviceRequest, owner Owner) error {
	if err := mayReview(r, owner); err != nil {
		return err
	}
	if r.AccountID == "" && !owner.Signed() {
		return errNotOpened
	}
	return nil
}

// mayReview is mayDecide for who only looks.
func mayReview(r DeviceRequest, owner Owner) error {
	switch {
	case r.AccountID != "" && r.AccountID != owner.AccountID:
		return errForeign
	case cancelled(r):
		return errCancelled
	case r.State != Pending:
		return errDecided
	default:
		return nil
	}
}

func (s *approvals) approve(ctx context.Context, owner Owner, f Facts, proof string) (Grant, error) {
	now := s.now()
	g := Grant{
		ID: f.Request.ID, AccountID: owner.AccountID, ClientID: f.Client.ID, Scope: f.Scope,
		BAPID: owner.BAPID, MemberKey: owner.MemberKey, ACR: ACRSession, Nonce: f.Request.Nonce,
		Seen: f.Request.Seen, Says: f.Request.Says,
		AuthTime: owner.AuthTime, CreatedAt: now, ExpiresAt: now.Add(f.Lasts),
	}
	if owner.Method == MethodPasskey {
		g.ACR, g.Passkey = ACRPasskey, owner.Passkey
	}
	a := Approval{RequestID: f.Request.ID, AccountID: owner.AccountID, At: now, Living: LivingGrants, Keep: KeepAtMost(GrantsPerAccount)}
	if proof != "" {
		g.ACR, a.Unclaimed, a.Receipt = ACRSignature, true, proof
	}
	a.Grant = g
	var err error
	if a.Event, err = s.decision(owner, EventApproved, f.Request); err != nil {
		return Grant{}, err
	}
	a.Event.GrantID, a.Event.ACR = g.ID, g.ACR
	err = s.store.ApproveDeviceRequest(ctx, a)
	s.device.decided(f.Request, err)
	if err != nil {
		return Grant{}, decisionRefused(err, owner, now)
	}
	s.log.InfoContext(ctx, "device request approved", "grant", g.ID, "client_id", g.ClientID, "scope", g.Scope, "acr", g.ACR, by(owner),
		"device_network", g.Seen.Network)
	return g, nil
}

// DenyDevice denies a request. Anyone who could approve it may deny it; report
// says that the owner did not start it.
//
//	as ApproveDevice
func (s *approvals) DenyDevice(ctx context.Context, owner Owner, asker Asker, typed string, report bool) error {
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
func (s *approvals) deny(ctx context.Context, owner Owner, r DeviceRequest, report bool, acr string) error {
	now := s.now()
	kind := EventDenied
	if report {
		kind = EventReported
	}
	event, err := s.decision(owner, kind, r)
	if err != nil {
		return err
	}
	event.GrantID, event.ACR = r.ID, acr
	d := Denial{RequestID: r.ID, AccountID: owner.AccountID, Unclaimed: owner.Signed(), At: now, Keep: KeepAtMost(ReportsPerAccount), Event: event}
	if report {
		d.Reported, d.Reporter = s.guard.reportSubjects(r.ClientID, r.Seen, r.Says), s.guard.reporter(owner)
	}
	err = s.store.DenyDeviceRequest(ctx, d)
	s.device.decided(r, err)
	if err != nil {
		return decisionRefused(err, owner, now)
	}
	s.log.InfoContext(ctx, "device request denied", "device_request", r.ID, "client_id", r.ClientID, by(owner), "device_network", r.Seen.Network)
	if !report {
		return nil
	}
	s.log.WarnContext(ctx, "device request reported: its owner did not start it", "device_request", r.ID, "client_id", r.ClientID, by(owner),
		"device_network", r.Seen.Network)
	if err := s.guard.readShunned(ctx); err != nil { // the next sweep reads it too
		s.log.ErrorContext(ctx, "reading the reported networks failed", "error", err)
	}
	return nil
}

// decision is the event of a decision about a device request.
func (s *approvals) decision(owner Owner, kind EventKind, r DeviceRequest) (NewEvent, error) {
	event, err := s.trail.newEventOf(owner, kind, r.Says.Name)
	event.ClientID = r.ClientID
	return event, err
}

// decided lets polls know, those that wait and those to come, how a decision was
// stored. A failure may mean that only the answer was lost, so they look.
func (s *flow) decided(r DeviceRequest, failed error) {
	if failed == nil {
		s.guard.Leave(r.ClientID)
	}
	s.heard(Decided{DeviceCode: r.DeviceCode})
}

var (
	errNoSuchCode    = refuse(InvalidRequest, "there is no such code: check it against the device, or start again there")
	errDecided       = refuse(AlreadyDecided, "this request is already decided")
	errNotOpened     = refuse(NotOpened, "this request was not opened yet: look at it before deciding")
	errForeign       = refuse(Forbidden, "this request was opened by somebody else")
	errCodeOver      = refuse(ExpiredToken, "this code has expired: start again on the device")
	errTooManyGrants = refuse(AccountFull, "an account may have 200 devices and programs at once: take back one that you no longer use (countersign grants list, or the page /account), then approve again")
	errCancelled     = refuse(Forbidden, "too many people opened this code, so it was cancelled: start again on the device, and give the code to nobody")
)

// byUserCode finds the request of a typed user code and returns the code as it
// is shown. A wrong code counts against whoever tried it.
func (s *approvals) byUserCode(ctx context.Context, asker Asker, typed string) (string, DeviceRequest, error) {
	done, err := s.guard.TurnToTry(ctx, asker)
	if err != nil {
		return "", DeviceRequest{}, err
	}
	defer done()
	// A text that cannot be a code is looked up all the same, as no code, and so is that
	// of an asker who may not try: all cost the same (attack B-17). Both are asked at once.
	code, _ := ParseUserCode(typed)
	var asking sync.WaitGroup
	var try try
	var refused error
	asking.Go(func() { try, refused = s.guard.mayTry(ctx, asker) })
	r, err := s.store.DeviceRequestByUserCode(ctx, s.secrets.userCodeHash(code))
	asking.Wait()
	if refused != nil {
		return "", DeviceRequest{}, refused
	}
	missed := errors.Is(err, ErrNotFound)
	if err != nil && !missed {
		return "", DeviceRequest{}, err
	}
	// Who opened a request before the budget was spent goes on; to everybody else
	// right and wrong codes look the same now.
	mine := r.AccountID != "" && r.AccountID == asker.AccountID
	switch {
	case try.spent() && !asker.proved && !mine:
		return "", DeviceRequest{}, errProofRequired
	case missed && asker.opened != "" && asker.opened == code: // it was swept meanwhile
		if err := s.guard.failedAlike(ctx, asker); err != nil {
			return "", DeviceRequest{}, err
		}
		return "", DeviceRequest{}, errNoSuchCode
	case missed:
		if err := s.guard.failed(ctx, try); err != nil {
			return "", DeviceRequest{}, err
		}
		return "", DeviceRequest{}, errNoSuchCode
	case r.StateAt(s.now()) == Expired:
		return "", DeviceRequest{}, errCodeOver
	default:
		return code, r, nil
	}
}

// decisionRefused says why the store did not take a claim or a decision.
func decisionRefused(err error, owner Owner, now time.Time) error {
	var state *StateError
	switch {
	case errors.Is(err, ErrGone):
		return errNotSignedIn
	case errors.Is(err, ErrNotFound):
		return errNoSuchCode
	case errors.Is(err, ErrFull):
		return errTooManyGrants
	case !errors.As(err, &state):
		return err
	case state.Request.StateAt(now) == Expired:
		return errCodeOver
	case state.Request.AccountID != "" && state.Request.AccountID != owner.AccountID:
		return errForeign
	case cancelled(state.Request):
		return errCancelled
	case state.Request.State != Pending:
		return errDecided
	default:
		return errNotOpened
	}
}
