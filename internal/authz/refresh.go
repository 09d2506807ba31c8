package authz

import (
	"context"
	"errors"
	"time"
)

var errRefresh = refuse(InvalidGrant, "the refresh token is unknown, expired, revoked or another client's: sign in again")

// Refresh trades a refresh token for new tokens (RFC 6749 §6). The token is
// replaced at each use; a token used again after its grace time is taken for
// stolen and ends the grant (RFC 9700 §4.14.2).
//
//	InvalidRequest, InvalidGrant, InvalidScope, UnauthorizedClient
func (s *Service) Refresh(ctx context.Context, c Client, token Secret, scope string) (*Tokens, error) {
	if token == "" {
		return nil, refuse(InvalidRequest, "refresh_token is missing")
	}
	if !c.Allows(GrantRefresh) {
		return nil, refuse(UnauthorizedClient, "this client is not registered for refresh_token")
	}
	now := s.now()
	kept, err := s.store.RefreshToken(ctx, token.Hash(), now)
	if errors.Is(err, ErrNotFound) {
		return nil, errRefresh
	}
	if err != nil {
		return nil, err
	}
	g, _, err := s.store.LiveGrant(ctx, kept.GrantID, now)
	if errors.Is(err, ErrNotFound) || (err == nil && g.ClientID != c.ID) {
		return nil, errRefresh
	}
	if err != nil {
		return nil, err
	}
	granted, err := refreshScope(g.Scope, scope)
	if err != nil {
		return nil, err
	}
	reuse, err := s.revoked(Owner{AccountID: g.AccountID}, g, SubjectReuse)
	if err != nil {
		return nil, err
	}
	successor := s.secrets.successor(token)
	err = s.store.RotateRefreshToken(ctx, Rotation{
		Token: token.Hash(), At: now, Grace: s.settings.RefreshGrace, Reuse: reuse,
		Successor: s.refreshToken(g, successor, now),
	})
	switch {
	case errors.Is(err, ErrReused):
		s.log.Warn("refresh token reused, grant revoked", "grant", g.ID, "client_id", g.ClientID)
		return nil, errRefresh
	case errors.Is(err, ErrNotFound):
		return nil, errRefresh
	case err != nil:
		return nil, err
	}
	return s.issue(c, g, granted, successor)
}

// refreshToken is what is kept of a refresh token of a grant.
func (s *Service) refreshToken(g Grant, token Secret, now time.Time) RefreshToken {
	expires := now.Add(s.settings.RefreshIdleLifetime)
	if g.ExpiresAt.Before(expires) {
		expires = g.ExpiresAt
	}
	return RefreshToken{Token: token.Hash(), GrantID: g.ID, ExpiresAt: expires}
}

// refreshScope lets the scope shrink, never grow (RFC 6749 §6).
func refreshScope(granted, asked string) (string, error) {
	if asked == "" {
		return granted, nil
	}
	narrowed, err := subsetScope(granted, asked)
	if err != nil {
		return "", refuse(InvalidScope, "more was asked for than was granted; the grant has: "+granted)
	}
	return narrowed, nil
}
