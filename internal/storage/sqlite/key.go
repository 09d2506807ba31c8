package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// SigningKeys implements contract.KeyStore.
func (s *Store) SigningKeys(ctx context.Context, now time.Time) (all []authz.SigningKey, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		all, err = signingKeys(c, now)
		return err
	})
	return all, wrap("reading signing keys", err)
}

// ChangeSigningKeys implements contract.KeyStore.
func (s *Store) ChangeSigningKeys(ctx context.Context, change contract.KeyChange) error {
	return wrap("changing signing keys", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		there, err := signingKeys(c, change.At)
		if err != nil {
			return err
		}
		if !kept.SameKeys(change.Seen, there) {
			return contract.ErrChanged
		}
		for _, k := range change.Keys {
			_, err := exec(c, `INSERT INTO signing_keys (id, algorithm, sealed, public_key, created_at, signs_from, signs_until, leaves_at, withdrawn_at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, public_key = excluded.public_key, signs_from = excluded.signs_from,
					signs_until = excluded.signs_until, leaves_at = excluded.leaves_at, withdrawn_at = excluded.withdrawn_at`,
				k.ID, k.Algorithm, k.Sealed, k.Public, k.CreatedAt, k.SignsFrom, k.SignsUntil, k.LeavesAt, k.WithdrawnAt)
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

func signingKeys(c *sqlite.Conn, now time.Time) (all []authz.SigningKey, err error) {
	_, err = query(c, func(r *sqlite.Stmt) {
		all = append(all, authz.SigningKey{
			ID: r.ColumnText(0), Algorithm: r.ColumnText(1), Sealed: columnBytes(r, 2), Public: columnBytes(r, 3), CreatedAt: columnTime(r, 4),
			SignsFrom: columnTime(r, 5), SignsUntil: columnTime(r, 6), LeavesAt: columnTime(r, 7), WithdrawnAt: columnTime(r, 8),
		})
	}, `SELECT id, algorithm, sealed, public_key, created_at, signs_from, signs_until, leaves_at, withdrawn_at FROM signing_keys
		WHERE ?1 = 0 OR (withdrawn_at = 0 AND (leaves_at = 0 OR leaves_at > ?1)) ORDER BY created_at, id`, now)
	return all, err
}
