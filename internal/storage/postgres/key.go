package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const selectSigningKeys = `SELECT id, algorithm, sealed, public_key, created_at, signs_from, signs_until, leaves_at, withdrawn_at FROM signing_keys
WHERE $1::bigint = 0 OR (withdrawn_at = 0 AND (leaves_at = 0 OR leaves_at > $1)) ORDER BY created_at, id`

func scanSigningKey(row pgx.CollectableRow) (k authz.SigningKey, err error) {
	err = row.Scan(&k.ID, &k.Algorithm, &k.Sealed, &k.Public, toTime{&k.CreatedAt},
		toTime{&k.SignsFrom}, toTime{&k.SignsUntil}, toTime{&k.LeavesAt}, toTime{&k.WithdrawnAt})
	return k, err
}

// SigningKeys implements contract.KeyStore.
func (s *Store) SigningKeys(ctx context.Context, now time.Time) ([]authz.SigningKey, error) {
	return list(ctx, s, "reading signing keys", scanSigningKey, selectSigningKeys, kept.Time(now))
}

// A column takes no NULL, which a slice that is nil would be.
const storeSigningKey = `INSERT INTO signing_keys (id, algorithm, sealed, public_key, created_at, signs_from, signs_until, leaves_at, withdrawn_at)
VALUES ($1, $2, coalesce($3::bytea, ''), coalesce($4::bytea, ''), $5, $6, $7, $8, $9)
ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, public_key = excluded.public_key, signs_from = excluded.signs_from,
	signs_until = excluded.signs_until, leaves_at = excluded.leaves_at, withdrawn_at = excluded.withdrawn_at`

// ChangeSigningKeys implements contract.KeyStore. Servers that do it together do it one
// after the other.
func (s *Store) ChangeSigningKeys(ctx context.Context, change contract.KeyChange) error {
	return s.transact(ctx, "changing signing keys", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectSigningKeys, kept.Time(change.At))
		if err != nil {
			return err
		}
		there, err := pgx.CollectRows(rows, scanSigningKey)
		if err != nil {
			return err
		}
		if !kept.SameKeys(change.Seen, there) {
			return contract.ErrChanged
		}
		for _, k := range change.Keys {
			_, err := tx.Exec(ctx, storeSigningKey, k.ID, k.Algorithm, k.Sealed, k.Public, kept.Time(k.CreatedAt),
				kept.Time(k.SignsFrom), kept.Time(k.SignsUntil), kept.Time(k.LeavesAt), kept.Time(k.WithdrawnAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
