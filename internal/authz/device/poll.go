package device

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

var (
	errDeviceCode  = authz.Refuse(authz.InvalidGrant, "the device code is unknown, already redeemed or another client's: start again")
	errPending     = authz.Refuse(authz.AuthorizationPending, "the owner has not decided yet: poll again after the interval")
	errExpired     = authz.Refuse(authz.ExpiredToken, "the device code has expired: start again")
	errNothingLeft = authz.Refuse(authz.InvalidGrant, "this client is no longer registered for anything of what was granted: start again with what it may have")
	errDenied      = authz.Refuse(authz.AccessDenied, "the owner denied the request")
)

// Poll answers a poll of the token endpoint (RFC 8628 §3.4, §3.5). A
// poll that may wait is answered when the owner decides, when the code expires
// or after the wait, whichever is first; at most MaxWait.
//
//	UnauthorizedClient: the client may not use the device grant
//	InvalidRequest: no device code (requirement D-23)
//	InvalidGrant: unknown, redeemed, another client's or another key's code, or for
//	nothing that the client may have still
//	InvalidTarget: for a resource that was not approved; the code is not used up
//	InvalidProof, UseNonce: the code is then as good as before
//	AgentPaused: the request is as good as before
//	SlowDown, AuthorizationPending, AccessDenied, ExpiredToken: RFC 8628 §3.5
//	(requirements D-25, D-28, D-29)
func (s *Flow) Poll(ctx context.Context, c authz.Client, deviceCode authz.Secret, wait time.Duration, proofs authz.Proofs, resources ...string) (*authz.Tokens, error) {
	if deviceCode == "" {
		return nil, authz.Refuse(authz.InvalidRequest, "device_code is missing")
	}
	if !c.Allows(authz.GrantDevice) {
		return nil, authz.Refuse(authz.UnauthorizedClient, "this client is not registered for the device grant")
	}
	code, began := deviceCode.Hash(), s.now()
	var key proof.Possession
	prove := func(thumbprint string) (err error) {
		key, err = s.proofs.Possession(ctx, proofs, proof.Wanted{Thumbprint: thumbprint, Required: c.DPoPBound})
		return err
	}
	bound, seen := s.pace.boundTo(code)
	if seen { // before the pace: who has not the key of a code slows nobody down who has
		if err := prove(bound); err != nil {
			return nil, err
		}
	}
	if interval, early := s.pace.early(code, began); early {
		return nil, &authz.Error{
			Code: authz.SlowDown, PollInterval: interval,
			Description: "polled too soon: wait for the new interval between polls",
		}
	}
	pending, generation := s.pace.known(code, c.ID, began)
	if pending && wait <= 0 {
		s.pace.accept(authz.DeviceRequest{DeviceCode: code}, began, s.settings.PollInterval)
		return nil, errPending
	}
	var held *waiter
	if wait > 0 {
		held = s.waiting.subscribe(code) // and looks then: a decision before woke nobody
		defer held.leave()
	}
	r, err := s.find(ctx, c, code)
	if err != nil {
		return nil, err
	}
	if !seen || bound != r.Thumbprint {
		if err := prove(r.Thumbprint); err != nil {
			return nil, err
		}
	}
	s.pace.accept(r, began, s.settings.PollInterval)
	if r.StateAt(began) == authz.Pending {
		s.pace.remember(r, began, generation)
	}
	if held != nil && r.StateAt(began) == authz.Pending {
		if r, err = s.awaitDecision(ctx, c, r, held, min(wait, authz.MaxWait)); err != nil {
			return nil, err
		}
	}
	return s.answer(ctx, c, r, key, resources)
}

// answer is what a device is told of its request (RFC 8628 §3.5).
func (s *Flow) answer(ctx context.Context, c authz.Client, r authz.DeviceRequest, key proof.Possession, resources []string) (*authz.Tokens, error) {
	switch r.StateAt(s.now()) {
	case authz.Pending:
		return nil, errPending
	case authz.Denied:
		return nil, errDenied
	case authz.Expired:
		return nil, errExpired
	case authz.Approved:
		return s.Redeem(ctx, c, r, key, resources...)
	default:
		return nil, errDeviceCode
	}
}

// find finds a client's request by its device code; another client's
// is not there (RFC 8628 §5.6, requirement D-24).
func (s *Flow) find(ctx context.Context, c authz.Client, code authz.Hash) (authz.DeviceRequest, error) {
	r, err := s.store.DeviceRequest(ctx, code)
	if errors.Is(err, contract.ErrNotFound) || (err == nil && r.ClientID != c.ID) {
		return authz.DeviceRequest{}, errDeviceCode
	}
	return r, err
}

// awaitDecision holds a pending request until it is decided or the time is up,
// and returns it as it is then. One may be woken for nothing: then it looks, and
// waits again.
func (s *Flow) awaitDecision(ctx context.Context, c authz.Client, r authz.DeviceRequest, held *waiter, atMost time.Duration) (authz.DeviceRequest, error) {
	over := time.NewTimer(min(atMost, r.ExpiresAt.Sub(s.now())))
	defer over.Stop()
	for {
		woken, err := held.wait(ctx, over.C)
		if err != nil {
			return r, err
		}
		if woken {
			held.again()
		}
		r, err = s.find(ctx, c, r.DeviceCode)
		if err != nil || !woken || r.StateAt(s.now()) != authz.Pending {
			return r, err
		}
	}
}

// overBefore says why there is nothing left of an approval to redeem: it was taken
// back, or the account disabled, or the device came when its time was over.
func (s *Flow) overBefore(ctx context.Context, r authz.DeviceRequest, now time.Time) error {
	g, err := s.store.Grant(ctx, r.ID)
	switch {
	case errors.Is(err, contract.ErrNotFound): // forgotten, for many newer ones
		return errDenied
	case err != nil:
		return err
	case g.RevokedAt.IsZero() && !now.Before(g.ExpiresAt):
		return errExpired
	default:
		return errDenied
	}
}

// Redeem trades an approved request for tokens, once (requirements D-31, D-32). Every
// check that can still fail comes before the store moves the request; the signing comes
// after it, so that of many concurrent polls only the winner signs (attack B-09). There
// is a refresh token only where the device asked for offline access (requirement R-07), or an
// agent asked.
// That the client is the one that asked is for the caller to have checked, and
// that it has the key that the request is bound to.
//
//	InvalidTarget: a resource that was not approved; nothing is used up
//	InvalidGrant, ExpiredToken, AccessDenied: as Poll
func (s *Flow) Redeem(ctx context.Context, c authz.Client, r authz.DeviceRequest, key proof.Possession, resources ...string) (*authz.Tokens, error) {
	now := s.now()
	g, _, err := s.store.LiveGrant(ctx, r.ID, now)
	switch {
	case errors.Is(err, contract.ErrPaused):
		return nil, authz.ErrAgentPaused
	case errors.Is(err, contract.ErrNotFound):
		return nil, s.overBefore(ctx, r, now)
	case err != nil:
		return nil, err
	}
	scope := scopes.MayHave(c, g.Scope, g.Delegated.ToAgent()) // since the approval its registration may have changed
	if scope == "" && g.Scope != "" {                          // an agent may have details alone
		return nil, errNothingLeft
	}
	audience, err := s.clients.Audience(g, scope, resources)
	if err != nil {
		return nil, err
	}
	redemption := contract.Redemption{DeviceCode: r.DeviceCode, ClientID: c.ID, At: now}
	var refresh authz.Secret
	var refreshExpires time.Time
	if s.grants.Renews(c, g, scope) {
		first, err := s.secrets.Random(len(authz.Hash{}))
		if err != nil {
			return nil, err
		}
		refresh = s.secrets.RefreshToken(authz.Hash(first), g.ID)
		kept := s.grants.RefreshToken(c, g, refresh, key, now)
		redemption.RefreshToken, refreshExpires = &kept, kept.ExpiresAt
	}
	if err := s.proofs.UseUpProof(ctx, key); err != nil {
		return nil, err
	}
	var state *contract.StateError
	err = s.store.RedeemDeviceRequest(ctx, redemption)
	switch {
	case errors.As(err, &state) && state.Request.StateAt(now) == authz.Expired:
		return nil, errExpired
	case errors.Is(err, contract.ErrPaused):
		return nil, authz.ErrAgentPaused
	case errors.Is(err, contract.ErrGone):
		return nil, s.overBefore(ctx, r, now)
	case errors.As(err, &state), errors.Is(err, contract.ErrNotFound):
		return nil, errDeviceCode
	case err != nil:
		return nil, err
	}
	s.pace.drop(r.DeviceCode)
	tokens, err := s.tokens.Issue(token.Request{Client: c, Grant: g, Scope: scope, RefreshToken: refresh, RefreshExpires: refreshExpires, Thumbprint: key.Thumbprint, Bearer: key.BySignature(), Audience: audience, Details: g.Delegated.Details})
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "tokens issued", "grant", g.ID, "client_id", g.ClientID, "scope", scope, "account", g.AccountID, "bap_id", g.BAPID,
		"agent", g.Delegated.Agent.ID, "refresh_token", refresh != "", "dpop", key.Thumbprint != "")
	return tokens, nil
}
