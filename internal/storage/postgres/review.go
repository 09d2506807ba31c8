package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const (
	insertReview  = `INSERT INTO reviews (id, session, request_id, user_code, facts, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`
	forgetReviews = `DELETE FROM reviews WHERE id IN (
		SELECT id FROM reviews WHERE session = $1 AND id <> $2 ORDER BY expires_at DESC LIMIT $4 OFFSET $3 - 1)`
)

// CreateReview implements contract.DeviceStore.
func (s *Store) CreateReview(ctx context.Context, n authz.Review, k contract.Keep) error {
	if err := contract.Bounded(k); err != nil {
		return err
	}
	return s.write(ctx, "storing a review", string(n.Session[:]), func(b *pgx.Batch, _ *error) {
		b.Queue(insertReview, n.ID[:], n.Session[:], n.RequestID, n.UserCode, n.Facts[:], kept.Time(n.ExpiresAt))
		b.Queue(forgetReviews, n.Session[:], n.ID[:], k.Most, k.AtOnce)
	})
}

const takeReview = `DELETE FROM reviews WHERE id = $1 AND session = $2 AND expires_at > $3 RETURNING request_id, user_code, facts, expires_at`

// TakeReview implements contract.DeviceStore.
func (s *Store) TakeReview(ctx context.Context, id, session authz.Hash, now time.Time) (authz.Review, error) {
	taken := authz.Review{ID: id, Session: session}
	err := s.changeOne(ctx, "taking a review", string(id[:]), takeReview, []any{id[:], session[:], kept.Time(now)},
		&taken.RequestID, &taken.UserCode, toHash{&taken.Facts}, toTime{&taken.ExpiresAt})
	if err != nil {
		return authz.Review{}, err
	}
	return taken, nil
}
