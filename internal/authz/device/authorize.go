package device

import (
	"context"
	"errors"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/usercode"
)

// AuthorizationRequest is what a device sends to the device authorization endpoint
// (RFC 8628 §3.1), and what the server saw of it.
type AuthorizationRequest struct {
	Scope string
	// Resources are what the client wants access to (RFC 8707 §2).
	Resources []string
	// NumberMatch: the device can show a number that its owner must pick out.
	NumberMatch bool
	// SignatureRequired: the client wants a signed approval, a session will not do.
	SignatureRequired bool
	// Nonce is echoed in the ID token.
	Nonce string
	// Thumbprint is dpop_jkt: the key that the device code is to be bound to, where DPoP
	// does not prove one.
	Thumbprint string
	Proofs     authz.Proofs
	// Agent is what an agent says; one that has no name is no agent.
	Agent AgentSays
	Says  authz.DeviceSays
	Seen  authz.Seen
}

// Authorization is the answer to a device (RFC 8628 §3.2).
type Authorization struct {
	// RequestID is no secret, and nothing is done by it alone.
	RequestID string
	// DeviceCode is empty for what leads back by a redirect.
	DeviceCode authz.Secret
	// UserCode is as it is shown: XXXX-XXXX, or with one or two letters more.
	UserCode    string
	ExpiresIn   time.Duration
	Interval    time.Duration
	MatchNumber int // 0: none was asked for
	// Asked is what an agent asked, as it was cut; zero for what no agent asks.
	Asked authz.Asked
}

const (
	// userCodeTries bounds the search for a user code that is not in use. Even
	// with a million codes alive, ten collisions in a row mean a broken source of
	// randomness.
	userCodeTries = 10
	maxNonce      = 255
)

// Authorize makes a device request (RFC 8628 §3.1).
//
//	UnauthorizedClient: the client may not use the device grant (requirement D-08), or not for agents
//	InvalidScope, InvalidRequest, InvalidDetails
//	InvalidProof, UseNonce, InvalidClient
//	InvalidTarget: a resource that nobody serves (requirement X-12)
//	Unavailable: too many requests are pending, in all or of such clients
func (s *Flow) Authorize(ctx context.Context, c authz.Client, ask AuthorizationRequest) (*Authorization, error) {
	if !c.Allows(authz.GrantDevice) {
		return nil, authz.Refuse(authz.UnauthorizedClient, "this client is not registered for the device grant")
	}
	scope, err := s.scopeAsked(c, ask)
	if err != nil {
		return nil, err
	}
	resources, err := s.clients.Resources(ctx, c, ask.Resources)
	if err != nil {
		return nil, err
	}
	if err := CheckNonce(ask.Nonce); err != nil {
		return nil, err
	}
	asked, thumbprint, err := s.bindTo(ctx, c, ask)
	if err != nil {
		return nil, err
	}
	now := s.now()
	r := authz.DeviceRequest{
		ClientID: c.ID, ClientProved: c.Proved, Scope: scope, Resources: resources, State: authz.Pending, Nonce: ask.Nonce, Thumbprint: thumbprint,
		CreatedAt: now, ExpiresAt: now.Add(s.settings.DeviceCodeLifetime),
		SignatureRequired: ask.SignatureRequired || s.clients.NeedsSignature(c),
		Seen:              ask.Seen.Clean(),
		Says:              ask.Says.Clean(),
		Asked:             asked,
	}
	if ask.NumberMatch {
		if r.MatchNumber, err = usercode.NewNumber(s.secrets.Rand); err != nil {
			return nil, err
		}
	}
	return s.Store(ctx, c, r)
}

// CheckNonce bounds a nonce, which is echoed in the ID token.
func CheckNonce(nonce string) *authz.Error {
	if len(nonce) > maxNonce {
		return authz.Refuse(authz.InvalidRequest, "nonce is longer than 255 bytes")
	}
	return nil
}

// Store stores a new request of a client, with codes and an id of its own. For what leads
// back by a redirect the device code is one that no device can poll with: the
// authorization code, kept as such.
//
//	Unavailable: too many requests are pending, in all or of such clients
func (s *Flow) Store(ctx context.Context, c authz.Client, r authz.DeviceRequest) (*Authorization, error) {
	if err := s.guard.Enter(c); err != nil {
		return nil, err
	}
	d, err := s.create(ctx, r)
	if err != nil {
		s.guard.Leave(c.ID)
	}
	return d, err
}

// bindTo is the key that a device code is to be bound to (requirement P-13), or empty:
// whoever finds the code without the key has nothing (attack B-26). An agent's always is, and
// with it comes what the agent asks.
func (s *Flow) bindTo(ctx context.Context, c authz.Client, ask AuthorizationRequest) (asked authz.Asked, thumbprint string, err error) {
	if ask.Thumbprint != "" && !dpop.IsThumbprint(ask.Thumbprint) {
		return asked, "", authz.Refuse(authz.InvalidRequest, "dpop_jkt is not the SHA-256 thumbprint of a key, 43 characters of base64url")
	}
	var key proof.Possession
	switch {
	case ask.Agent.Name != "":
		asked, key, err = s.askedByAgent(ctx, c, ask)
	case ask.Agent.any():
		err = errNoAgent
	default:
		key, err = s.proofs.Possession(ctx, ask.Proofs, proof.Wanted{})
	}
	if err != nil {
		return asked, "", err
	}
	if key.Thumbprint == "" {
		return asked, ask.Thumbprint, nil
	}
	if ask.Thumbprint != "" && ask.Thumbprint != key.Thumbprint {
		return asked, "", authz.Refuse(authz.InvalidProof, "dpop_jkt and the proof are of different keys: send one of them, or the same")
	}
	return asked, key.Thumbprint, s.proofs.UseUpProof(ctx, key)
}

// create draws the codes and stores the request, again with other
// codes if a user code is in use (requirement D-40).
func (s *Flow) create(ctx context.Context, r authz.DeviceRequest) (*Authorization, error) {
	length := usercode.LengthFor(s.guard.Pending())
	for range userCodeTries {
		deviceCode, err := s.secrets.Draw(secret.DeviceCodePrefix)
		if err != nil {
			return nil, err
		}
		userCode, err := usercode.New(s.secrets.Rand, usercode.Lengths[length].Letters)
		if err != nil {
			return nil, err
		}
		if r.ID, err = s.secrets.NewID(); err != nil {
			return nil, err
		}
		r.DeviceCode, r.UserCode = deviceCode.Hash(), s.secrets.HashUserCode(userCode)
		if r.ByRedirect() {
			deviceCode = ""
			r.DeviceCode = s.secrets.AuthorizationCode(r.ID).KeptAs()
		}
		err = s.store.CreateDeviceRequest(ctx, r)
		if errors.Is(err, contract.ErrExists) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Other servers may draw this length until their next recount.
		s.guard.Drew(length, r.ExpiresAt.Add(RecountEvery))
		return &Authorization{
			RequestID: r.ID, DeviceCode: deviceCode, UserCode: userCode, MatchNumber: r.MatchNumber, Asked: r.Asked,
			ExpiresIn: s.settings.DeviceCodeLifetime, Interval: s.settings.PollInterval,
		}, nil
	}
	return nil, errors.New("no free user code was found")
}
