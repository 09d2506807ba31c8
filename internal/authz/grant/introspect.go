package grant

import (
	"context"
	"errors"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

// Introspection is what a client is told of a token that is alive (RFC 7662 §2.2,
// requirement R-15), or nil where it is told that it is not.
type Introspection struct {
	Active bool `json:"active"`
	token.Claims
	// Scope is there even where nothing is left of it: who hears of none goes by the token's.
	Scope string `json:"scope"`
	// TokenType is Bearer or DPoP, and empty for a refresh token.
	TokenType string `json:"token_type,omitempty"`
}

// Introspect tells a client of a token (RFC 7662). An API is told of access tokens that are
// for it, any client of its own; of everybody else's, and of whatever is no token or is over,
// it hears nothing but that it is not active (requirements ). What ends a token at
// UserInfo and at refresh ends it here (requirement R-17).
//
//	InvalidRequest: no token
//	InvalidClient: the client did not prove itself (requirement R-13)
func (s *Grants) Introspect(ctx context.Context, c authz.Client, presented authz.Secret) (*Introspection, error) {
	if !c.Proved {
		return nil, ErrAnonymous
	}
	if presented == "" {
		return nil, authz.Refuse(authz.InvalidRequest, "token is missing")
	}
	claims, err := s.tokens.Verify(ctx, presented)
	if errors.Is(err, authz.InvalidToken) {
		return s.introspectRefresh(ctx, c, presented)
	}
	if err != nil {
		return nil, err
	}
	if !concerns(claims, c) {
		return nil, nil
	}
	if claims.OfClient() {
		claims.Scope, err = s.ownScopeNow(ctx, claims)
	} else {
		claims.Scope, err = s.used(ctx, claims)
	}
	if err != nil {
		return nil, notActive(err)
	}
	i := &Introspection{true, claims, claims.Scope, authz.TokenBearer}
	if claims.Thumbprint() != "" {
		i.TokenType = authz.TokenDPoP
	}
	return i, nil
}

// concerns reports whether a token is a client's business: it is for what the client serves,
// or was issued to it (requirement R-16).
func concerns(claims token.Claims, c authz.Client) bool {
	return claims.ClientID == c.ID || slices.ContainsFunc(c.Resources, func(r string) bool { return slices.Contains(claims.Audience, r) })
}

// ownScopeNow is what a client's own token is good for as the client is registered now.
//
//	ErrNotFound: it is of no client, or of one that may have none any more
func (s *Grants) ownScopeNow(ctx context.Context, claims token.Claims) (string, error) {
	c, err := s.clients.Find(ctx, claims.ClientID)
	if err == nil && (!claims.OfClient() || !c.Allows(authz.GrantCredentials) || !c.Confidential()) {
		err = contract.ErrNotFound
	}
	if err != nil {
		return "", err
	}
	return scopes.Both(claims.Scope, scopes.ForItself(c)), nil
}

// used is what a token of a grant that lives is good for now, and notes that it was asked.
//
//	ErrNotFound
func (s *Grants) used(ctx context.Context, claims token.Claims) (string, error) {
	g, err := s.store.GrantAlive(ctx, claims.GrantID, s.now())
	if err != nil {
		return "", err
	}
	scope, err := s.scopeNow(ctx, claims, g)
	if err == nil {
		s.noteUse(ctx, g)
	}
	return scope, err
}

// ErrAnonymous refuses to tell somebody of tokens who did not say who they are.
var ErrAnonymous = authz.Refuse(authz.InvalidClient, "whoever asks about tokens has to authenticate: with a secret, client_assertion or X-Auth-Token")

// introspectRefresh tells a client of its own refresh token: alive is the latest of its
// grant, and the one before it for as long as that gives the same answer again.
func (s *Grants) introspectRefresh(ctx context.Context, c authz.Client, presented authz.Secret) (*Introspection, error) {
	now := s.now()
	kept, err := s.store.RefreshToken(ctx, presented.Hash(), now)
	if err != nil {
		return nil, notActive(err)
	}
	g, err := s.store.GrantAlive(ctx, kept.GrantID, now)
	if err != nil {
		return nil, notActive(err)
	}
	scope := scopes.MayHave(c, g.Scope, g.Delegated.ToAgent())
	replaced := !kept.RotatedAt.IsZero() && now.After(kept.RotatedAt.Add(s.settings.RefreshGrace))
	if g.ClientID != c.ID || replaced || !s.Renews(c, g, scope) {
		return nil, nil
	}
	claims := s.tokens.ClaimsOf(g, scope)
	claims.Expires = kept.ExpiresAt.Unix()
	if kept.Thumbprint != "" {
		claims.BindTo(kept.Thumbprint)
	}
	return &Introspection{Active: true, Claims: claims, Scope: scope}, nil
}

// notActive is nothing where something is not there, and the error of what failed.
func notActive(err error) error {
	if errors.Is(err, contract.ErrNotFound) {
		return nil
	}
	return err
}
