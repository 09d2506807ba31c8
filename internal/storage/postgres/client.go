package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/kept"
)

// Client implements contract.ClientStore.
func (s *Store) Client(ctx context.Context, id string) (authz.Client, error) {
	var metadata string
	if err := s.one(ctx, "reading a client", `SELECT metadata FROM clients WHERE id = $1`, []any{id}, &metadata); err != nil {
		return authz.Client{}, err
	}
	return parseClient(metadata)
}

func parseClient(metadata string) (authz.Client, error) {
	c, err := kept.ClientOf(metadata)
	return c, wrap("reading a client", err)
}

// Clients implements contract.ClientStore.
func (s *Store) Clients(ctx context.Context) ([]authz.Client, error) {
	return list(ctx, s, "listing clients", func(row pgx.CollectableRow) (authz.Client, error) {
		var metadata string
		if err := row.Scan(&metadata); err != nil {
			return authz.Client{}, err
		}
		return parseClient(metadata)
	}, `SELECT metadata FROM clients ORDER BY id`)
}

// AddClient implements contract.ClientStore.
func (s *Store) AddClient(ctx context.Context, c authz.Client) error {
	return s.insert(ctx, "adding a client", c.ID, `INSERT INTO clients (id, metadata) VALUES ($1, $2) ON CONFLICT DO NOTHING`, c.ID, kept.Client(c))
}

const removeClient = `
WITH removed AS (DELETE FROM clients WHERE id = $1 RETURNING id),
forgotten AS (DELETE FROM consents USING removed WHERE client_id = removed.id),
revoked AS (UPDATE grants SET revoked_at = $2 FROM removed WHERE client_id = removed.id AND revoked_at = 0 AND expires_at > $2)
SELECT FROM removed`

// RemoveClient implements contract.ClientStore. Who is being let in by a consent is waited for,
// and found by what follows.
func (s *Store) RemoveClient(ctx context.Context, id string, now time.Time) error {
	return found(s.write(ctx, "removing a client", id, func(b *pgx.Batch, outcome *error) {
		b.Queue(`SELECT FROM consents WHERE client_id = $1 ORDER BY account_id, bap_id FOR UPDATE`, id)
		queueOne(b, outcome, removeClient, []any{id, kept.Time(now)})
	}))
}
