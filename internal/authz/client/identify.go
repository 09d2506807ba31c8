package client

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
)

// Credentials are what a request says about the client that sent it.
type Credentials struct {
	ClientID string
	// Secret was sent in the body or by HTTP Basic; Basic says which.
	Secret    authz.Secret
	HasSecret bool
	Basic     bool
	// Assertion is what the client signed with one of its keys.
	Assertion authz.Secret
	// Signed is the request's X-Auth-Token, if it had one.
	Signed *authz.SignedRequest
	// ProvesKey: Signed may be the proof of a key instead, which is then not looked at here: of
	// a client without a member key it says nothing of the client.
	ProvesKey bool
	// ForAnother refuses what a client with a member key signed for another server, or is nil.
	ForAnother error
	From       authz.Source
}

// Identify finds and authenticates the client of a request, the same way
// at every endpoint (RFC 6749 §3.2.1, RFC 8628 §3.1, requirement D-07). Of a client
// that has something to prove itself with its id alone is not enough (requirement T-17).
//
//	InvalidRequest: no client id (requirement D-02)
//	UnknownClient: an id nobody registered, where such clients are refused
//	InvalidClient: authentication is missing or failed, or comes from an id nobody registered
//	Unavailable: too many wrong secrets of this client, or signatures that do not
//	hold, come from this network
func (s *Registry) Identify(ctx context.Context, c Credentials) (authz.Client, error) {
	var assertion *proof.Assertion
	if c.Assertion != "" {
		var err error
		if assertion, err = s.proofs.ReadAssertion(c.Assertion, s.settings.Issuer); err != nil {
			return authz.Client{}, err
		}
		if c.ClientID != "" && c.ClientID != assertion.ClientID {
			return authz.Client{}, authz.Refuse(authz.InvalidRequest, "client_id and the subject of client_assertion differ")
		}
		c.ClientID = assertion.ClientID
	}
	if c.ClientID == "" {
		return authz.Client{}, authz.Refuse(authz.InvalidRequest, "client_id is missing: send the id of your application")
	}
	client, err := s.Named(ctx, c.ClientID)
	unknown := errors.Is(err, contract.ErrNotFound)
	switch {
	case err != nil && !unknown:
		return authz.Client{}, err
	case client.MemberKey != "" && c.ForAnother != nil:
		return authz.Client{}, c.ForAnother
	case client.MemberKey != "" && c.Signed != nil && assertion != nil:
		return authz.Client{}, errTwoMethods
	case client.MemberKey != "":
		if err := s.checkMemberKey(ctx, client, c.Signed); err != nil {
			return authz.Client{}, s.unproved(ctx, client, err)
		}
		client.Proved = true
		return client, nil
	case assertion != nil:
		if err := s.checkAssertion(ctx, client, assertion, c.From); err != nil {
			return authz.Client{}, s.unproved(ctx, client, err)
		}
		client.Proved = true
		return client, nil
	case c.HasSecret:
		if err := s.checkSecret(ctx, client, c); err != nil {
			return authz.Client{}, s.unproved(ctx, client, err)
		}
		client.Proved = true
		return client, nil
	case !client.Registered && c.Signed != nil && !c.ProvesKey: // whoever signs means to be known
		return authz.Client{}, authz.Refuse(authz.InvalidClient, notRegistered)
	case unknown:
		return authz.Client{}, authz.Refuse(authz.UnknownClient, notRegistered)
	case client.Keys != "":
		return authz.Client{}, s.unproved(ctx, client, errNoAssertion)
	case client.Confidential():
		return authz.Client{}, s.unproved(ctx, client, errClientAuth)
	default:
		return client, nil
	}
}

var errTwoMethods = authz.Refuse(authz.InvalidRequest, "authenticate the client in one way only: client_assertion or X-Auth-Token")

const notRegistered = "this client_id is not registered here: ask the operator to add it, or check its spelling"

// Named is Find for any text.
//
//	ErrNotFound
func (s *Registry) Named(ctx context.Context, id string) (authz.Client, error) {
	if !validClientID(id) {
		return authz.Client{}, contract.ErrNotFound
	}
	return s.Find(ctx, id)
}

// unproved says of a client that has something to prove itself with that somebody
// else may be trying to be it.
func (s *Registry) unproved(ctx context.Context, c authz.Client, err error) error {
	if !c.Confidential() {
		return err
	}
	s.trail.Refused(ctx, &s.refusedClients, "client refused: it did not prove itself", err, "client_id", c.ID)
	return err
}

// checkMemberKey authenticates a client by the bitcoin-auth token of its
// registered member key.
func (s *Registry) checkMemberKey(ctx context.Context, client authz.Client, signed *authz.SignedRequest) error {
	if signed == nil {
		return authz.Refuse(authz.InvalidClient, "this client signs its requests: send the X-Auth-Token header made with its registered member key")
	}
	by := *signed
	by.Client = client.MemberKey
	v, err := s.proofs.VerifyOnce(ctx, by)
	if errors.Is(proof.Unauthorized(err), authz.Unauthorized) {
		return authz.RefuseBecause(authz.InvalidClient, err.Error(), err)
	}
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(v.PublicKey), []byte(client.MemberKey)) != 1 {
		s.proofs.CountForged(signed.From, v.PublicKey)
		return authz.Refuse(authz.InvalidClient, "X-Auth-Token is signed by a key that is not this client's registered member key")
	}
	return nil
}

// checkAssertion authenticates a client by what it signed (RFC 7523 §2.2). One that is not
// there, or has no keys, signed nothing.
func (s *Registry) checkAssertion(ctx context.Context, client authz.Client, a *proof.Assertion, from authz.Source) error {
	if client.Keys == "" {
		return proof.ErrNotTheirs
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(client.Keys), &keys); err != nil {
		return err
	}
	return s.proofs.VerifyAssertion(ctx, a, keys, from)
}

var errNoAssertion = authz.Refuse(authz.InvalidClient, "this client authenticates by private_key_jwt: send client_assertion, signed with its registered key, and client_assertion_type "+proof.AssertionType)
