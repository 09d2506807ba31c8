package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
)

// insertEvent stores an event in the transaction of what it tells of, and forgets
// the account's oldest.
func insertEvent(c *sqlite.Conn, e authz.Event) error {
	_, err := exec(c, `INSERT INTO events (id, account_id, at, kind, bap_id, client_id, grant_id, acr, network, user_agent, subject)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.AccountID, e.At, string(e.Kind), e.BAPID, e.ClientID, e.GrantID, e.ACR, e.Network, e.UserAgent, e.Subject)
	if err != nil {
		return err
	}
	_, err = exec(c, `DELETE FROM events WHERE seq IN (
		SELECT seq FROM events WHERE account_id = ? ORDER BY at DESC, seq DESC LIMIT ? OFFSET ?)`,
		e.AccountID, authz.ForgottenAtOnce, authz.EventsPerAccount)
	return err
}

// Events implements authz.EventStore.
func (s *Store) Events(ctx context.Context, accountID string, limit int) (all []authz.Event, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) {
			all = append(all, authz.Event{
				AccountID: accountID, ID: r.ColumnText(0), At: columnTime(r, 1), Kind: authz.EventKind(r.ColumnText(2)),
				BAPID: r.ColumnText(3), ClientID: r.ColumnText(4), GrantID: r.ColumnText(5), ACR: r.ColumnText(6),
				Network: r.ColumnText(7), UserAgent: r.ColumnText(8), Subject: r.ColumnText(9),
			})
		}, `SELECT id, at, kind, bap_id, client_id, grant_id, acr, network, user_agent, subject
			FROM events WHERE account_id = ? ORDER BY at DESC, seq DESC LIMIT ?`, accountID, limit)
		return err
	})
	return all, wrap("listing events", err)
}
