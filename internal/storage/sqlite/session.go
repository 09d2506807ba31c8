package sqlite

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// CreateSession implements contract.SessionStore.
func (s *Store) CreateSession(ctx context.Context, n contract.NewSession) error {
	return s.insert(ctx, "creating a session", several, func(c *sqlite.Conn) error {
		if err := noteSignIn(c, n); err != nil {
			return err
		}
		if n.Replaces != (authz.Hash{}) {
			if _, err := exec(c, deleteSession, n.Replaces); err != nil {
				return err
			}
		}
		if err := insertSession(c, n.Session); err != nil {
			return err
		}
		err := forget(c, n.Keep, `DELETE FROM sessions WHERE token IN (
			SELECT token FROM sessions WHERE account_id = ?3 AND token <> ?4 ORDER BY created_at DESC LIMIT ?2 OFFSET ?1 - 1)`,
			n.Session.AccountID, n.Session.Token)
		if err != nil {
			return err
		}
		return insertEvent(c, n.Event)
	})
}

// noteSignIn notes the use of what signed in.
func noteSignIn(c *sqlite.Conn, n contract.NewSession) error {
	if err := hasIdentity(c, n.Session.AccountID, n.Session.BAPID); err != nil {
		return err
	}
	if n.Passkey != nil {
		return noteUse(c, n.Session.AccountID, *n.Passkey, n.Session.CreatedAt)
	}
	_, err := exec(c, `UPDATE identities SET signed_in_at = ? WHERE bap_id = ? AND signed_in_at < ?`, n.Session.CreatedAt, n.Session.BAPID, n.SignedInBefore)
	return err
}

func insertSession(c *sqlite.Conn, n authz.Session) error {
	_, err := exec(c, `INSERT INTO sessions (token, id, account_id, bap_id, member_key, method, passkey, network, user_agent, created_at, expires_at, news_since)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n.Token, n.ID, n.AccountID, n.BAPID, n.MemberKey, n.Method, n.Passkey, n.Network, n.UserAgent, n.CreatedAt, n.ExpiresAt, n.NewsSince)
	return err
}

const selectSessions = `SELECT s.token, s.id, s.account_id, s.bap_id, s.member_key, s.method, s.network, s.user_agent, s.created_at, s.expires_at,
	s.passkey, s.news_since
	FROM sessions s `

func scanSession(r *sqlite.Stmt) authz.Session {
	return authz.Session{
		Token: columnHash(r, 0), ID: r.ColumnText(1), AccountID: r.ColumnText(2), BAPID: r.ColumnText(3), MemberKey: r.ColumnText(4),
		Method: r.ColumnText(5), Network: r.ColumnText(6), UserAgent: r.ColumnText(7), CreatedAt: columnTime(r, 8), ExpiresAt: columnTime(r, 9),
		Passkey: r.ColumnText(10), NewsSince: columnTime(r, 11),
	}
}

// Session implements contract.SessionStore.
func (s *Store) Session(ctx context.Context, token authz.Hash, now time.Time) (found authz.Session, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { found = scanSession(r) }, selectSessions+`WHERE s.token = ? AND s.expires_at > ?
				AND NOT (SELECT a.disabled FROM accounts a WHERE a.id = s.account_id)`, token, now)
	})
	return found, wrap("reading a session", err)
}

// Sessions implements contract.SessionStore.
func (s *Store) Sessions(ctx context.Context, accountID string, now time.Time, limit int) (all []authz.Session, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, scanSession(r)) },
			selectSessions+`WHERE s.account_id = ? AND s.expires_at > ? ORDER BY s.created_at DESC, s.id LIMIT ?`, accountID, now, limit)
		return err
	})
	return all, wrap("listing sessions", err)
}

const deleteSession = `DELETE FROM sessions WHERE token = ?`

// DeleteSession implements contract.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, token authz.Hash, e contract.NewEvent) error {
	err := s.writer.do(ctx, several, func(c *sqlite.Conn) error { return changedAndTold(c, e, deleteSession, token) })
	if errors.Is(err, contract.ErrNotFound) {
		return nil
	}
	return wrap("ending a session", err)
}

// EndSession implements contract.SessionStore.
func (s *Store) EndSession(ctx context.Context, accountID, id string, now time.Time, e contract.NewEvent) error {
	return wrap("ending a session", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		return changedAndTold(c, e, `DELETE FROM sessions WHERE account_id = ? AND id = ? AND expires_at > ?`, accountID, id, now)
	}))
}

// EndOtherSessions implements contract.SessionStore.
func (s *Store) EndOtherSessions(ctx context.Context, accountID string, keep authz.Hash, now time.Time, e contract.NewEvent) (n int, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		n, err = exec(c, `DELETE FROM sessions WHERE account_id = ? AND token <> ? AND expires_at > ?`, accountID, keep, now)
		if n == 0 {
			return err
		}
		return insertEvent(c, e)
	})
	return n, wrap("ending sessions", err)
}
