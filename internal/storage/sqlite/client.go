package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// Client implements contract.ClientStore.
func (s *Store) Client(ctx context.Context, id string) (authz.Client, error) {
	var metadata string
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { metadata = r.ColumnText(0) }, `SELECT metadata FROM clients WHERE id = ?`, id)
	})
	if err != nil {
		return authz.Client{}, wrap("reading a client", err)
	}
	return parseClient(metadata)
}

func parseClient(metadata string) (authz.Client, error) {
	c, err := kept.ClientOf(metadata)
	return c, wrap("reading a client", err)
}

// Clients implements contract.ClientStore.
func (s *Store) Clients(ctx context.Context) ([]authz.Client, error) {
	var all []string
	err := s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, r.ColumnText(0)) }, `SELECT metadata FROM clients ORDER BY id`)
		return err
	})
	if err != nil {
		return nil, wrap("listing clients", err)
	}
	clients := make([]authz.Client, len(all))
	for i, metadata := range all {
		if clients[i], err = parseClient(metadata); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// AddClient implements contract.ClientStore.
func (s *Store) AddClient(ctx context.Context, client authz.Client) error {
	metadata := kept.Client(client)
	return s.insert(ctx, "adding a client", single, func(c *sqlite.Conn) error {
		_, err := exec(c, `INSERT INTO clients (id, metadata) VALUES (?, ?)`, client.ID, metadata)
		return err
	})
}

// RemoveClient implements contract.ClientStore.
func (s *Store) RemoveClient(ctx context.Context, id string, now time.Time) error {
	return wrap("removing a client", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		n, err := exec(c, `DELETE FROM clients WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return contract.ErrNotFound
		}
		if _, err := exec(c, `DELETE FROM consents WHERE client_id = ?`, id); err != nil {
			return err
		}
		_, err = exec(c, `UPDATE grants SET revoked_at = ?1 WHERE client_id = ?2 AND revoked_at = 0 AND expires_at > ?1`, now, id)
		return err
	}))
}
