package sqlite

import (
	"context"
	"math"
	"slices"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

var (
	// What the newest leave over is looked at for what it tells of, and nothing else is.
	forgetEvents = `DELETE FROM events WHERE seq IN (
		SELECT seq FROM (SELECT seq, kind FROM events WHERE account_id = ?3 ORDER BY at DESC, seq DESC LIMIT -1 OFFSET ?1)
		WHERE kind NOT IN ` + kept.WayEvents + ` LIMIT ?2)`
	forgetWayEvents = `DELETE FROM events WHERE seq IN (
		SELECT seq FROM (SELECT seq FROM events WHERE account_id = ?3 AND kind IN ` + kept.WayEvents + ` ORDER BY at DESC, seq DESC LIMIT -1 OFFSET ?1)
		WHERE seq NOT IN (SELECT seq FROM events WHERE account_id = ?3 AND kind IN ` + kept.WayEvents + ` ORDER BY standing, at DESC, seq DESC LIMIT ?1) LIMIT ?2)`
)

// insertEvent stores an event in the transaction of what it tells of, and forgets
// the account's oldest.
func insertEvent(c *sqlite.Conn, e contract.NewEvent) error {
	_, err := exec(c, `INSERT INTO events (id, account_id, at, kind, bap_id, client_id, grant_id, acr, network, user_agent, subject, standing)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.AccountID, e.At, string(e.Kind), e.BAPID, e.ClientID, e.GrantID, e.ACR, e.Network, e.UserAgent, e.Subject, e.Standing)
	if err != nil {
		return err
	}
	if err := forget(c, e.Keep, forgetEvents, e.AccountID); err != nil || !slices.Contains(authz.WayEvents, e.Kind) {
		return err
	}
	return forget(c, e.Keep, forgetWayEvents, e.AccountID)
}

// Events implements contract.AccountStore.
func (s *Store) Events(ctx context.Context, accountID string, after contract.Position, limit int) (all []authz.Event, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) {
			all = append(all, authz.Event{
				AccountID: accountID, ID: r.ColumnText(0), At: columnTime(r, 1), Kind: authz.EventKind(r.ColumnText(2)),
				BAPID: r.ColumnText(3), ClientID: r.ColumnText(4), GrantID: r.ColumnText(5), ACR: r.ColumnText(6),
				Network: r.ColumnText(7), UserAgent: r.ColumnText(8), Subject: r.ColumnText(9), Standing: columnTime(r, 10),
			})
		}, `SELECT id, at, kind, bap_id, client_id, grant_id, acr, network, user_agent, subject, standing
			FROM events WHERE account_id = ?1 AND at <= ?2
				AND (at < ?2 OR seq < ifnull((SELECT seq FROM events WHERE account_id = ?1 AND at = ?2 AND id = ?3), ?4))
			ORDER BY at DESC, seq DESC LIMIT ?5`, accountID, kept.UpTo(after), after.ID, int64(math.MaxInt64), limit)
		return err
	})
	return all, wrap("listing events", err)
}

// changedAndTold runs a statement that must change a row, and stores the event
// of that.
//
//	authz.ErrNotFound: it changed none
func changedAndTold(c *sqlite.Conn, e contract.NewEvent, statement string, args ...any) error {
	n, err := exec(c, statement, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return contract.ErrNotFound
	}
	return insertEvent(c, e)
}
