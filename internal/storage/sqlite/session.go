package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
)

// CreateSession implements authz.SessionStore.
func (s *Store) CreateSession(ctx context.Context, n authz.Session) error {
	return s.insert(ctx, "creating a session", single, func(c *sqlite.Conn) error {
		_, err := exec(c, `INSERT INTO sessions (token, id, account_id, bap_id, member_key, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)`, n.Token, n.ID, n.AccountID, n.BAPID, n.MemberKey, n.CreatedAt, n.ExpiresAt)
		return err
	})
}

// Session implements authz.SessionStore.
func (s *Store) Session(ctx context.Context, token authz.Hash, now time.Time) (found authz.Session, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) {
			found = authz.Session{
				Token: token, ID: r.ColumnText(0), AccountID: r.ColumnText(1), BAPID: r.ColumnText(2), MemberKey: r.ColumnText(3),
				CreatedAt: columnTime(r, 4), ExpiresAt: columnTime(r, 5),
			}
		}, `SELECT s.id, s.account_id, s.bap_id, s.member_key, s.created_at, s.expires_at
			FROM sessions s WHERE s.token = ? AND s.expires_at > ?
				AND NOT (SELECT a.disabled FROM accounts a WHERE a.id = s.account_id)`, token, now) // no JOIN: see liveGrant
	})
	return found, wrap("reading a session", err)
}

// DeleteSession implements authz.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, token authz.Hash) error {
	return wrap("ending a session", s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		_, err := exec(c, `DELETE FROM sessions WHERE token = ?`, token)
		return err
	}))
}

// CreateReview implements authz.SessionStore.
func (s *Store) CreateReview(ctx context.Context, n authz.Review) error {
	return s.insert(ctx, "storing a review", single, func(c *sqlite.Conn) error {
		_, err := exec(c, `INSERT INTO reviews (id, session, request_id, user_code, facts, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
			n.ID, n.Session, n.RequestID, n.UserCode, n.Facts, n.ExpiresAt)
		return err
	})
}

// TakeReview implements authz.SessionStore.
func (s *Store) TakeReview(ctx context.Context, id, session authz.Hash, now time.Time) (found authz.Review, err error) {
	err = s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) {
			found = authz.Review{
				ID: id, Session: session, RequestID: r.ColumnText(0), UserCode: r.ColumnText(1),
				Facts: columnHash(r, 2), ExpiresAt: columnTime(r, 3),
			}
		}, `DELETE FROM reviews WHERE id = ? AND session = ? AND expires_at > ?
			RETURNING request_id, user_code, facts, expires_at`, id, session, now)
	})
	return found, wrap("taking a review", err)
}
