package authz

import (
	"context"
	"errors"
)

// usable returns the grant, the identity and the whole scope of a presented access token
// that has the scope needed. The token must verify, and its grant, account and client
// must be alive: whatever ended them, the answer is the same (requirements U-05, U-14,
//
//
//	InvalidToken
//	InsufficientScope (requirement U-06)
func (s *grants) usable(ctx context.Context, presented Secret, needed string) (g Grant, i Identity, scope string, err error) {
	claims, err := s.tokens.accessToken(presented)
	if err != nil {
		return g, i, "", err
	}
	g, i, err = s.store.LiveGrant(ctx, claims.GrantID, s.now())
	if errors.Is(err, ErrNotFound) {
		err = errInvalidToken
	}
	if err != nil {
		return g, i, "", err
	}
	c, err := s.clients.client(ctx, g.ClientID)
	if errors.Is(err, ErrNotFound) {
		err = errInvalidToken
	}
	if err != nil {
		return g, i, "", err
	}
	scope = c.mayHave(claims.Scope)
	if !hasScope(scope, needed) {
		return g, i, scope, &Error{Code: InsufficientScope, Description: "the access token was not granted the " + needed + " scope", Scope: needed}
	}
	s.noteUse(ctx, g)
	return g, i, scope, nil
}

// TokenOwner returns the owner for whom a program acts that has the grants scope: it sees
// what was allowed and takes it back, and proves nothing of the owner.
//
//	InvalidToken
//	InsufficientScope
func (s *grants) TokenOwner(ctx context.Context, token Secret) (Owner, error) {
	g, _, _, err := s.usable(ctx, token, scopeGrants)
	if err != nil {
		return Owner{}, err
	}
	return Owner{AccountID: g.AccountID, BAPID: g.BAPID, GrantID: g.ID}, nil
}

// RevokeToken ends the grant that a token of this client belongs to, whichever
// kind of token it is and whatever the caller takes it for (RFC 7009 §2.1,
// requirements ). A token that is unknown or over is no error (requirement
//
//
//	InvalidGrant: the token is another client's; it stays alive (requirement R-09)
func (s *grants) RevokeToken(ctx context.Context, c Client, token Secret) error {
	if token == "" {
		return refuse(InvalidRequest, "token is missing")
	}
	id, err := s.grantOf(ctx, token)
	if id == "" {
		return err
	}
	g, err := s.store.Grant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.ClientID != c.ID {
		return refuse(InvalidGrant, "this token was issued to another client")
	}
	event, err := s.revoked(Owner{AccountID: g.AccountID}, g, SubjectClient)
	if err != nil {
		return err
	}
	r := Revocation{GrantID: id, At: s.now(), Event: event}
	if err := s.store.RevokeGrant(ctx, r); err != nil {
		return err
	}
	if g.AliveAt(r.At) {
		s.log.InfoContext(ctx, "grant revoked by its client", "grant", id, "client_id", g.ClientID, "account", g.AccountID, "bap_id", g.BAPID)
	}
	return nil
}

// grantOf finds the grant of a refresh or access token; empty for a token that
// is neither.
func (s *grants) grantOf(ctx context.Context, token Secret) (string, error) {
	refresh, err := s.store.RefreshToken(ctx, token.Hash(), s.now())
	if err == nil {
		return refresh.GrantID, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return "", err
	}
	if _, id, ours := s.secrets.refreshParts(token); ours {
		return id, nil
	}
	claims, err := s.tokens.accessToken(token)
	if err != nil {
		return "", nil //nolint:nilerr // RFC 7009 §2.2: an invalid token is no error
	}
	return claims.GrantID, nil
}
