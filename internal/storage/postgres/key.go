package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/kept"
)

const insertSigningKey = `INSERT INTO signing_keys (id, algorithm, sealed, created_at)
SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM signing_keys WHERE algorithm = $2)`

// AddSigningKeys implements contract.KeyStore. Servers that start together do this
// one after the other.
func (s *Store) AddSigningKeys(ctx context.Context, candidates []authz.SigningKey) (all []authz.SigningKey, err error) {
	err = s.transact(ctx, "adding signing keys", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		for _, k := range candidates {
			if _, err := tx.Exec(ctx, insertSigningKey, k.ID, k.Algorithm, k.Sealed, kept.Time(k.CreatedAt)); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, selectSigningKeys)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanSigningKey)
		return err
	})
	return all, err
}

const selectSigningKeys = `SELECT id, algorithm, sealed, created_at FROM signing_keys ORDER BY created_at, id`

func scanSigningKey(row pgx.CollectableRow) (k authz.SigningKey, err error) {
	err = row.Scan(&k.ID, &k.Algorithm, &k.Sealed, toTime{&k.CreatedAt})
	return k, err
}

// SigningKeys implements contract.KeyStore.
func (s *Store) SigningKeys(ctx context.Context) ([]authz.SigningKey, error) {
	return list(ctx, s, "reading signing keys", scanSigningKey, selectSigningKeys)
}
