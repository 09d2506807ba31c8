package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// CreateReview implements contract.DeviceStore.
func (s *Store) CreateReview(ctx context.Context, n authz.Review, k contract.Keep) error {
	return s.insert(ctx, "storing a review", several, func(c *sqlite.Conn) error {
		_, err := exec(c, `INSERT INTO reviews (id, session, request_id, user_code, facts, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
			n.ID, n.Session, n.RequestID, n.UserCode, n.Facts, n.ExpiresAt)
		if err != nil {
			return err
		}
		return forget(c, k, `DELETE FROM reviews WHERE id IN (
			SELECT id FROM reviews WHERE session = ?3 AND id <> ?4 ORDER BY expires_at DESC LIMIT ?2 OFFSET ?1 - 1)`, n.Session, n.ID)
	})
}

// TakeReview implements contract.DeviceStore.
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
