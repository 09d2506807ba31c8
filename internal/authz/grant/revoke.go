package grant

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Revoke takes back what the owner allowed: every token of the grant is
// refused from now on. Revoking twice is no error.
//
//	NotFound
func (s *Grants) Revoke(ctx context.Context, owner authz.Owner, id string) error {
	return s.revoke(ctx, owner, id, "")
}

// Report takes back what was allowed and says that it was not the owner who
// meant to allow it (requirement K-11): it counts against the client, and the
// network the device asked from, as a report of a request does.
//
//	NotFound
//	Forbidden: a program that acts for the owner is not who says so
func (s *Grants) Report(ctx context.Context, owner authz.Owner, id string) error {
	if owner.GrantID != "" {
		return authz.Refuse(authz.Forbidden, "a report is the owner's own word: sign the request, or report it on the account page")
	}
	if err := s.revoke(ctx, owner, id, authz.SubjectNotMe); err != nil {
		return err
	}
	if err := s.guard.ReadShunned(ctx); err != nil { // the next recount reads it too
		s.log.ErrorContext(ctx, "reading the reported networks failed", "error", err)
	}
	return nil
}

func (s *Grants) revoke(ctx context.Context, owner authz.Owner, id, subject string) error {
	g, err := s.Get(ctx, owner, id)
	if err != nil {
		return err
	}
	r := contract.Revocation{GrantID: id, At: s.now()}
	if r.Event, err = s.revoked(owner, g, subject); err != nil {
		return err
	}
	if subject == authz.SubjectNotMe {
		r.Keep, r.AccountID, r.Reported, r.Reporter = contract.KeepAtMost(authz.ReportsPerAccount), owner.AccountID, s.guard.ReportSubjects(g.ClientID, g.Seen, g.Says), s.guard.Reporter(owner)
	}
	if err := s.store.RevokeGrant(ctx, r); err != nil {
		return err
	}
	if g.AliveAt(r.At) { // twice is no error, and no news
		s.log.InfoContext(ctx, "grant revoked by its owner", "grant", id, "client_id", g.ClientID, authz.By(owner))
	}
	if subject == authz.SubjectNotMe {
		s.log.WarnContext(ctx, "grant reported: its owner did not mean to allow it", "grant", id, "client_id", g.ClientID, authz.By(owner),
			"device_network", g.Seen.Network)
	}
	return nil
}

// revoked is the event of a grant's end.
func (s *Grants) revoked(owner authz.Owner, g authz.Grant, subject string) (contract.NewEvent, error) {
	event, err := s.trail.Event(owner, authz.EventRevoked, subject)
	event.BAPID, event.ClientID, event.GrantID = g.BAPID, g.ClientID, g.ID
	return event, err
}

// RevokeAll takes back everything the owner allowed and returns how many
// grants were alive.
func (s *Grants) RevokeAll(ctx context.Context, owner authz.Owner) (int, error) {
	event, err := s.trail.Event(owner, authz.EventRevoked, authz.SubjectAll)
	if err != nil {
		return 0, err
	}
	n, err := s.store.RevokeGrants(ctx, owner.AccountID, s.now(), event)
	if err != nil {
		return 0, err
	}
	s.log.InfoContext(ctx, "all grants revoked by their owner", "grants", n, authz.By(owner))
	return n, nil
}

// RevokeToken ends the grant that a token of this client belongs to, whichever
// kind of token it is and whatever the caller takes it for (RFC 7009 §2.1,
// requirements ). A token that is unknown or over is no error (requirement
//
//
//	InvalidGrant: the token is another client's; it stays alive (requirement R-09)
//	UnsupportedTokenType: it is a client's own, which ends with its registration, or was
//	exchanged, and ends with what it was exchanged for
func (s *Grants) RevokeToken(ctx context.Context, c authz.Client, token authz.Secret) error {
	if token == "" {
		return authz.Refuse(authz.InvalidRequest, "token is missing")
	}
	id, err := s.grantOf(ctx, token)
	if id == "" {
		return err
	}
	g, err := s.store.Grant(ctx, id)
	if errors.Is(err, contract.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.ClientID != c.ID {
		return authz.Refuse(authz.InvalidGrant, "this token was issued to another client")
	}
	event, err := s.revoked(authz.Owner{AccountID: g.AccountID}, g, authz.SubjectClient)
	if err != nil {
		return err
	}
	r := contract.Revocation{GrantID: id, At: s.now(), Event: event}
	if err := s.store.RevokeGrant(ctx, r); err != nil {
		return err
	}
	if g.AliveAt(r.At) {
		s.log.InfoContext(ctx, "grant revoked by its client", "grant", id, "client_id", g.ClientID, "account", g.AccountID, "bap_id", g.BAPID)
	}
	return nil
}

var errOfClient = authz.Refuse(authz.UnsupportedTokenType, "a client's own access token is not revoked one by one: it lasts as long as expires_in said, and no longer than the client's registration")

var errExchanged = authz.Refuse(authz.UnsupportedTokenType, "an access token that another was exchanged for is not revoked one by one: it ends with the other, and lasts as long as expires_in said")

// grantOf finds the grant of a refresh or access token; empty for a token that
// is neither.
//
//	UnsupportedTokenType
func (s *Grants) grantOf(ctx context.Context, token authz.Secret) (string, error) {
	refresh, err := s.store.RefreshToken(ctx, token.Hash(), s.now())
	if err == nil {
		return refresh.GrantID, nil
	}
	if !errors.Is(err, contract.ErrNotFound) {
		return "", err
	}
	if _, id, ours := s.secrets.ReadRefreshToken(token); ours {
		return id, nil
	}
	claims, err := s.tokens.Verify(ctx, token)
	if errors.Is(err, authz.InvalidToken) {
		return "", nil // RFC 7009 §2.2: an invalid token is no error
	}
	switch {
	case err != nil:
		return "", err
	case claims.OfClient():
		return "", errOfClient
	case claims.Actor != nil:
		return "", errExchanged
	default:
		return claims.GrantID, nil
	}
}
