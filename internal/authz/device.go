package authz

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// flow is RFC 8628 as devices see it: they ask, and poll.
type flow struct {
	store    Store
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  serverSecrets
	guard    *guard
	clients  *registry
	grants   *grants
	tokens   *tokenSigner
	pace     *pace
	waiting  *waiting
}

// newFlow makes the flow of a server; with others on its database, whose decisions it
// hears by hear.
func newFlow(store Store, settings Settings, trail trail, guard *guard, clients *registry, grants *grants, tokens *tokenSigner, others bool) *flow {
	s := &flow{
		store: store, settings: settings, now: trail.now, log: trail.log, secrets: trail.secrets,
		guard: guard, clients: clients, grants: grants, tokens: tokens, pace: newPace(0), waiting: newWaiting(),
	}
	if others {
		s.pace = newPace(trustOthers)
		s.pace.setDeaf(true)
	}
	return s
}

// DeviceAsk is what a device sends to the device authorization endpoint
// (RFC 8628 §3.1), and what the server saw of it.
type DeviceAsk struct {
	Scope string
	// NumberMatch: the device can show a number that its owner must pick out.
	NumberMatch bool
	// SignatureRequired: the client wants a signed approval, a session will not do.
	SignatureRequired bool
	// Nonce is echoed in the ID token.
	Nonce string
	Says  DeviceSays
	Seen  Seen
}

// DeviceAuthorization is the answer to a device (RFC 8628 §3.2).
type DeviceAuthorization struct {
	DeviceCode Secret
	// UserCode is as it is shown: XXXX-XXXX, or with one or two letters more.
	UserCode    string
	ExpiresIn   time.Duration
	Interval    time.Duration
	MatchNumber int // 0: none was asked for
}

const (
	// userCodeTries bounds the search for a user code that is not in use. Even
	// with a million codes alive, ten collisions in a row mean a broken source of
	// randomness.
	userCodeTries = 10
	maxNonce      = 255
)

// StartDevice opens a device request (RFC 8628 §3.1).
//
//	UnauthorizedClient: the client may not use the device grant (requirement D-08)
//	InvalidScope, InvalidRequest
//	Unavailable: too many requests are pending, in all or of such clients
func (s *flow) StartDevice(ctx context.Context, c Client, ask DeviceAsk) (*DeviceAuthorization, error) {
	if !c.Allows(GrantDevice) {
		return nil, refuse(UnauthorizedClient, "this client is not registered for the device grant")
	}
	scope, err := requestedScope(c, ask.Scope)
	if err != nil {
		return nil, err
	}
	if len(ask.Nonce) > maxNonce {
		return nil, refuse(InvalidRequest, "nonce is longer than 255 bytes")
	}
	now := s.now()
	r := DeviceRequest{
		ClientID: c.ID, ClientProved: c.Proved, Scope: scope, State: Pending, Nonce: ask.Nonce,
		CreatedAt: now, ExpiresAt: now.Add(s.settings.DeviceCodeLifetime),
		SignatureRequired: ask.SignatureRequired || s.clients.needsSignature(c),
		Seen:              ask.Seen.clean(),
		Says:              ask.Says.clean(),
	}
	if ask.NumberMatch {
		if r.MatchNumber, err = newMatchNumber(s.secrets.rand); err != nil {
			return nil, err
		}
	}
	if err := s.guard.Enter(c); err != nil {
		return nil, err
	}
	d, err := s.createDeviceRequest(ctx, r)
	if err != nil {
		s.guard.Leave(c.ID)
	}
	return d, err
}

// createDeviceRequest draws the codes and stores the request, again with other
// codes if a user code is in use (requirement D-40).
func (s *flow) createDeviceRequest(ctx context.Context, r DeviceRequest) (*DeviceAuthorization, error) {
	length := lengthFor(s.guard.Pending())
	for range userCodeTries {
		deviceCode, err := s.secrets.newSecret(deviceCodePrefix)
		if err != nil {
			return nil, err
		}
		userCode, err := newUserCode(s.secrets.rand, codeLengths[length].letters)
		if err != nil {
			return nil, err
		}
		if r.ID, err = s.secrets.newID(); err != nil {
			return nil, err
		}
		r.DeviceCode, r.UserCode = deviceCode.Hash(), s.secrets.userCodeHash(userCode)
		err = s.store.CreateDeviceRequest(ctx, r)
		if errors.Is(err, ErrExists) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Another server may draw this length until it counts again.
		s.guard.Drew(length, r.ExpiresAt.Add(recountEvery))
		return &DeviceAuthorization{
			DeviceCode: deviceCode, UserCode: userCode, MatchNumber: r.MatchNumber,
			ExpiresIn: s.settings.DeviceCodeLifetime, Interval: s.settings.PollInterval,
		}, nil
	}
	return nil, errors.New("no free user code was found")
}

var (
	errDeviceCode  = refuse(InvalidGrant, "the device code is unknown, already redeemed or another client's: start again")
	errPending     = refuse(AuthorizationPending, "the owner has not decided yet: poll again after the interval")
	errExpired     = refuse(ExpiredToken, "the device code has expired: start again")
	errNothingLeft = refuse(InvalidGrant, "this client is no longer registered for anything of what was granted: start again with what it may have")
	errDenied      = refuse(AccessDenied, "the owner denied the request")
)

// RedeemDevice answers a poll of the token endpoint (RFC 8628 §3.4, §3.5). A
// poll that may wait is answered when the owner decides, when the code expires
// or after the wait, whichever is first; at most MaxWait.
//
//	InvalidRequest: no device code (requirement D-23)
//	InvalidGrant: unknown, redeemed, or another client's code, or for nothing that
//	the client may have still
//	SlowDown, AuthorizationPending, AccessDenied, ExpiredToken: RFC 8628 §3.5
//	(requirements D-25, D-28, D-29)
func (s *flow) RedeemDevice(ctx context.Context, c Client, deviceCode Secret, wait time.Duration) (*Tokens, error) {
	if deviceCode == "" {
		return nil, refuse(InvalidRequest, "device_code is missing")
	}
	if !c.Allows(GrantDevice) {
		return nil, refuse(UnauthorizedClient, "this client is not registered for the device grant")
	}
	code, began := deviceCode.Hash(), s.now()
	if interval, early := s.pace.early(code, began); early {
		return nil, &Error{
			Code: SlowDown, PollInterval: interval,
			Description: "polled too soon: wait for the new interval between polls",
		}
	}
	pending, epoch := s.pace.known(code, c.ID, began)
	if pending && wait <= 0 {
		s.pace.accept(code, began, s.settings.PollInterval, time.Time{})
		return nil, errPending
	}
	var mine *waiter
	if wait > 0 {
		mine = s.waiting.subscribe(code) // and looks then: a decision before woke nobody
		defer mine.leave()
	}
	r, err := s.deviceRequest(ctx, c, code)
	if err != nil {
		return nil, err
	}
	s.pace.accept(code, began, s.settings.PollInterval, r.ExpiresAt)
	if r.StateAt(began) == Pending {
		s.pace.remember(r, began, epoch)
	}
	if mine != nil && r.StateAt(began) == Pending {
		if r, err = s.awaitDecision(ctx, c, r, mine, min(wait, MaxWait)); err != nil {
			return nil, err
		}
	}
	switch r.StateAt(s.now()) {
	case Pending:
		return nil, errPending
	case Denied:
		return nil, errDenied
	case Expired:
		return nil, errExpired
	case Approved:
		return s.redeem(ctx, c, r)
	default:
		return nil, errDeviceCode
	}
}

// deviceRequest finds a client's request by its device code; another client's
// is not there (RFC 8628 §5.6, requirement D-24).
func (s *flow) deviceRequest(ctx context.Context, c Client, code Hash) (DeviceRequest, error) {
	r, err := s.store.DeviceRequest(ctx, code)
	if errors.Is(err, ErrNotFound) || (err == nil && r.ClientID != c.ID) {
		return DeviceRequest{}, errDeviceCode
	}
	return r, err
}

// awaitDecision holds a pending request until it is decided or the time is up,
// and returns it as it is then. One may be woken for nothing: then it looks, and
// waits again.
func (s *flow) awaitDecision(ctx context.Context, c Client, r DeviceRequest, mine *waiter, atMost time.Duration) (DeviceRequest, error) {
	over := time.NewTimer(min(atMost, r.ExpiresAt.Sub(s.now())))
	defer over.Stop()
	for {
		woken, err := mine.wait(ctx, over.C)
		if err != nil {
			return r, err
		}
		if woken {
			mine.again()
		}
		r, err = s.deviceRequest(ctx, c, r.DeviceCode)
		if err != nil || !woken || r.StateAt(s.now()) != Pending {
			return r, err
		}
	}
}

// overBefore says why there is nothing left of an approval to redeem: it was taken
// back, or the account disabled, or the device came when its time was over.
func (s *flow) overBefore(ctx context.Context, r DeviceRequest, now time.Time) error {
	g, err := s.store.Grant(ctx, r.ID)
	switch {
	case errors.Is(err, ErrNotFound): // forgotten, for many newer ones
		return errDenied
	case err != nil:
		return err
	case g.RevokedAt.IsZero() && !now.Before(g.ExpiresAt):
		return errExpired
	default:
		return errDenied
	}
}

// redeem trades an approved request for tokens, once (requirements D-31, D-32). Every
// check that can still fail comes before the store moves the request; the signing comes
// after it, so that of many concurrent polls only the winner signs (attack B-09). There
// is a refresh token only where the device asked for offline access (requirement R-07).
func (s *flow) redeem(ctx context.Context, c Client, r DeviceRequest) (*Tokens, error) {
	now := s.now()
	g, _, err := s.store.LiveGrant(ctx, r.ID, now)
	if errors.Is(err, ErrNotFound) {
		return nil, s.overBefore(ctx, r, now)
	}
	if err != nil {
		return nil, err
	}
	scope := c.mayHave(g.Scope) // since the approval its registration may have changed
	if scope == "" {
		return nil, errNothingLeft
	}
	redemption := Redemption{DeviceCode: r.DeviceCode, ClientID: c.ID, At: now}
	var refresh Secret
	if c.Allows(GrantRefresh) && hasScope(scope, offline) {
		first, err := s.secrets.random(len(Hash{}))
		if err != nil {
			return nil, err
		}
		refresh = s.secrets.refreshToken(Hash(first), g.ID)
		kept := s.grants.refreshToken(g, refresh, now)
		redemption.RefreshToken = &kept
	}
	var state *StateError
	err = s.store.RedeemDeviceRequest(ctx, redemption)
	switch {
	case errors.As(err, &state) && state.Request.StateAt(now) == Expired:
		return nil, errExpired
	case errors.As(err, &state), errors.Is(err, ErrNotFound):
		return nil, errDeviceCode
	case err != nil:
		return nil, err
	}
	s.pace.drop(r.DeviceCode)
	tokens, err := s.tokens.issue(c, g, scope, refresh)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "tokens issued", "grant", g.ID, "client_id", g.ClientID, "scope", scope, "account", g.AccountID, "bap_id", g.BAPID,
		"refresh_token", refresh != "")
	return tokens, nil
}
