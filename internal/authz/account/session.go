package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// SessionToken reports whether a text may be a session's token of a server like
// this: others keep what they like under the same name.
func SessionToken(text string) bool {
	return strings.HasPrefix(text, secret.SessionTokenPrefix.Reveal())
}

// session returns the session of the first of some tokens that has one.
func (s *Accounts) session(ctx context.Context, tokens []authz.Secret) (authz.Session, error) {
	for _, token := range tokens {
		session, err := s.store.Session(ctx, token.Hash(), s.now())
		if !errors.Is(err, contract.ErrNotFound) {
			return session, err
		}
	}
	return authz.Session{}, authz.ErrNotSignedIn
}

// Session returns the first session that some tokens belong to and its identity, for
// the person it belongs to.
//
//	Unauthorized
func (s *Accounts) Session(ctx context.Context, tokens ...authz.Secret) (authz.Session, authz.Identity, error) {
	session, err := s.session(ctx, tokens)
	if err != nil {
		return authz.Session{}, authz.Identity{}, err
	}
	identity, err := s.store.Identity(ctx, session.BAPID)
	return session, identity, err
}

// SignOut ends a session.
//
//	Unauthorized: it is over, or none of this server's
func (s *Accounts) SignOut(ctx context.Context, token authz.Secret) error {
	session, err := s.session(ctx, []authz.Secret{token})
	if err != nil {
		return err
	}
	event, err := s.trail.NewEvent(authz.Owner{
		AccountID: session.AccountID, BAPID: session.BAPID,
		Seen: authz.Seen{Network: session.Network, UserAgent: session.UserAgent},
	}, authz.EventSignedOut)
	if err != nil {
		return err
	}
	if err := s.store.DeleteSession(ctx, session.Token, event); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "signed out", "session", session.ID, "account", session.AccountID, "bap_id", session.BAPID)
	return nil
}

// Sessions returns the owner's sessions that are not over, newest first.
func (s *Accounts) Sessions(ctx context.Context, owner authz.Owner) ([]authz.Session, error) {
	return s.store.Sessions(ctx, owner.AccountID, s.now(), authz.ListedAtMost)
}

// EndSession ends one of the owner's sessions, wherever it is.
//
//	NotFound: there is none with this id, it is over, or it is somebody else's
func (s *Accounts) EndSession(ctx context.Context, owner authz.Owner, id string) error {
	event, err := s.trail.Event(owner, authz.EventSessionEnded, id)
	if err != nil {
		return err
	}
	if err := s.store.EndSession(ctx, owner.AccountID, id, s.now(), event); err != nil {
		return contract.OrNotFound(err, "you have no such session")
	}
	s.log.InfoContext(ctx, "session ended by its owner", "session", id, authz.By(owner))
	return nil
}

// EndOtherSessions ends all of the owner's sessions but the one that asks, and
// returns how many. A signed request has none, so that it ends all.
func (s *Accounts) EndOtherSessions(ctx context.Context, owner authz.Owner) (int, error) {
	event, err := s.trail.Event(owner, authz.EventSessionEnded, authz.SubjectAll)
	if err != nil {
		return 0, err
	}
	n, err := s.store.EndOtherSessions(ctx, owner.AccountID, owner.Session, s.now(), event)
	if err != nil {
		return 0, err
	}
	s.log.InfoContext(ctx, "all other sessions ended by their owner", "sessions", n, authz.By(owner))
	return n, nil
}

// FormToken is what each form of a signed-in page carries: bound to the session,
// so that a form made elsewhere is refused even where a browser sends neither
// Origin nor Sec-Fetch-Site (attack B-04).
func (s *Accounts) FormToken(owner authz.Owner) string {
	return s.secrets.FormToken(owner.Session)
}

// CheckForm refuses a form that was not made for the owner's session.
//
//	ReviewOver
func (s *Accounts) CheckForm(owner authz.Owner, token string) error {
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.FormToken(owner))) != 1 {
		return authz.ErrReviewOver
	}
	return nil
}
