package grant

import (
	"context"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

// Credentials gives a client an access token of its own (RFC 6749 §4.4), where nobody
// allowed anything: there is no grant, and it ends with the client's registration. No row
// is kept of it.
//
//	UnauthorizedClient: it is not registered for that, or did not prove itself
//	InvalidScope, InvalidTarget
//	InvalidProof, UseNonce
func (s *Grants) Credentials(ctx context.Context, c authz.Client, scope string, resources []string, proofs authz.Proofs) (*authz.Tokens, error) {
	if !c.Allows(authz.GrantCredentials) || !c.Proved {
		return nil, authz.Refuse(authz.UnauthorizedClient, "this client is not registered for client_credentials, with something to authenticate with")
	}
	granted, err := scopes.RequestedForItself(c, scope)
	if err != nil {
		return nil, err
	}
	audience, err := s.clients.Resources(ctx, c, resources)
	if err != nil {
		return nil, err
	}
	key, err := s.proofs.Possession(ctx, proofs, proof.Wanted{Required: c.DPoPBound})
	if err != nil {
		return nil, err
	}
	if err := s.proofs.UseUpProof(ctx, key); err != nil {
		return nil, err
	}
	tokens, err := s.tokens.Issue(token.Request{Client: c, Scope: granted, Audience: audience, Thumbprint: key.Thumbprint, Bearer: key.BySignature()})
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "token issued to a client for itself", "client_id", c.ID, "scope", granted)
	return tokens, nil
}
