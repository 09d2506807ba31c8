package authz

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"time"
)

// beginning is a session that is about to be stored, with its token.
type beginning struct {
	NewSession
	token Secret
	news  News
}

// newSession draws a session of an identity that was proved by a method. Each
// sign-in has a session of its own (attack B-03).
func (s *accounts) newSession(identity Identity, method string, seen Seen, replaces Secret) (beginning, error) {
	token, err := s.secrets.newSecret(sessionTokenPrefix)
	if err != nil {
		return beginning{}, err
	}
	id, err := s.secrets.newID()
	if err != nil {
		return beginning{}, err
	}
	seen = seen.clean()
	event, err := s.trail.newEventOf(Owner{AccountID: identity.AccountID, BAPID: identity.BAPID, Seen: seen}, EventSignedIn, method)
	if err != nil {
		return beginning{}, err
	}
	now := s.now()
	b := beginning{token: token, NewSession: NewSession{Keep: KeepAtMost(SessionsPerAccount), Event: event, Session: Session{
		ID: id, Token: token.Hash(), AccountID: identity.AccountID, BAPID: identity.BAPID, MemberKey: identity.MemberKey,
		Method: method, Network: seen.Network, UserAgent: seen.UserAgent,
		CreatedAt: now, ExpiresAt: now.Add(s.settings.SessionLifetime),
	}}}
	if replaces != "" {
		b.Replaces = replaces.Hash()
	}
	return b, nil
}

// tellOfNews has a session tell of the news since a time, if there are any: others have
// nothing to look up on each of their pages.
func (s *accounts) tellOfNews(ctx context.Context, b *beginning, since time.Time) error {
	n := OwnerOf(b.Session)
	n.NewsSince = since
	news, err := s.newsOf(ctx, n)
	if !news.none() {
		b.Session.NewsSince, b.news = since, news
	}
	return err
}

// SessionToken reports whether a text may be a session's token of a server like
// this: others keep what they like under the same name.
func SessionToken(text string) bool { return strings.HasPrefix(text, sessionTokenPrefix.Reveal()) }

// session finds the first of some tokens that a session of this server has.
func (s *accounts) session(ctx context.Context, tokens []Secret) (Session, error) {
	for _, token := range tokens {
		session, err := s.store.Session(ctx, token.Hash(), s.now())
		if !errors.Is(err, ErrNotFound) {
			return session, err
		}
	}
	return Session{}, errNotSignedIn
}

// Session returns the first session that some tokens belong to and its identity, for
// the person it belongs to.
//
//	Unauthorized
func (s *accounts) Session(ctx context.Context, tokens ...Secret) (Session, Identity, error) {
	session, err := s.session(ctx, tokens)
	if err != nil {
		return Session{}, Identity{}, err
	}
	identity, err := s.store.Identity(ctx, session.BAPID)
	return session, identity, err
}

// SignOut ends a session.
//
//	Unauthorized: it is over, or none of this server's
func (s *accounts) SignOut(ctx context.Context, token Secret) error {
	session, err := s.session(ctx, []Secret{token})
	if err != nil {
		return err
	}
	event, err := s.trail.newEvent(Owner{
		AccountID: session.AccountID, BAPID: session.BAPID,
		Seen: Seen{Network: session.Network, UserAgent: session.UserAgent},
	}, EventSignedOut)
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
func (s *accounts) Sessions(ctx context.Context, owner Owner) ([]Session, error) {
	return s.store.Sessions(ctx, owner.AccountID, s.now(), ListedAtMost)
}

// EndSession ends one of the owner's sessions, wherever it is.
//
//	NotFound: there is none with this id, it is over, or it is somebody else's
func (s *accounts) EndSession(ctx context.Context, owner Owner, id string) error {
	event, err := s.trail.newEventOf(owner, EventSessionEnded, id)
	if err != nil {
		return err
	}
	if err := s.store.EndSession(ctx, owner.AccountID, id, s.now(), event); err != nil {
		return notFound(err, "you have no such session")
	}
	s.log.InfoContext(ctx, "session ended by its owner", "session", id, by(owner))
	return nil
}

// EndOtherSessions ends all of the owner's sessions but the one that asks, and
// returns how many. A signed request has none, so that it ends all.
func (s *accounts) EndOtherSessions(ctx context.Context, owner Owner) (int, error) {
	event, err := s.trail.newEventOf(owner, EventSessionEnded, SubjectAll)
	if err != nil {
		return 0, err
	}
	n, err := s.store.EndOtherSessions(ctx, owner.AccountID, owner.Session, s.now(), event)
	if err != nil {
		return 0, err
	}
	s.log.InfoContext(ctx, "all other sessions ended by their owner", "sessions", n, by(owner))
	return n, nil
}

// FormToken is what each form of a signed-in page carries: bound to the session,
// so that a form made elsewhere is refused even where a browser sends neither
// Origin nor Sec-Fetch-Site (attack B-04).
func (s *accounts) FormToken(owner Owner) string {
	return s.secrets.formToken(owner.Session)
}

// CheckForm refuses a form that was not made for the owner's session.
//
//	ReviewOver
func (s *accounts) CheckForm(owner Owner, token string) error {
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.FormToken(owner))) != 1 {
		return errReviewOver
	}
	return nil
}
