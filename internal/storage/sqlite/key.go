package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
)

// AddSigningKeys implements contract.KeyStore.
func (s *Store) AddSigningKeys(ctx context.Context, candidates []authz.SigningKey) (all []authz.SigningKey, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		for _, k := range candidates {
			_, err := exec(c, `INSERT INTO signing_keys (id, algorithm, sealed, created_at)
				SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE algorithm = ?2)`,
				k.ID, k.Algorithm, k.Sealed, k.CreatedAt)
			if err != nil {
				return err
			}
		}
		all, err = signingKeys(c)
		return err
	})
	return all, wrap("adding signing keys", err)
}

// SigningKeys implements contract.KeyStore.
func (s *Store) SigningKeys(ctx context.Context) (all []authz.SigningKey, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		all, err = signingKeys(c)
		return err
	})
	return all, wrap("reading signing keys", err)
}

func signingKeys(c *sqlite.Conn) (all []authz.SigningKey, err error) {
	_, err = query(c, func(r *sqlite.Stmt) {
		all = append(all, authz.SigningKey{
			ID: r.ColumnText(0), Algorithm: r.ColumnText(1), Sealed: columnBytes(r, 2), CreatedAt: columnTime(r, 3),
		})
	}, `SELECT id, algorithm, sealed, created_at FROM signing_keys ORDER BY created_at, id`)
	return all, err
}
