package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Kill implements contract.AgentStore. Requests have no index by their account, so that they
// are looked for before the others wait: one that is opened meanwhile is opened afterwards.
func (s *Store) Kill(ctx context.Context, k contract.Kill) error {
	var rows []int64
	err := s.read(ctx, func(c *sqlite.Conn) error {
		var owner authz.Identity
		if err := one(c, func(r *sqlite.Stmt) { owner = scanIdentity(r) }, selectIdentity, k.BAPID); err != nil {
			return err
		}
		_, err := query(c, func(r *sqlite.Stmt) { rows = append(rows, r.ColumnInt64(0)) },
			`SELECT seq FROM device_requests WHERE state = 'pending' AND account_id = ? AND expires_at > ?`, owner.AccountID, k.At)
		return err
	})
	if err != nil {
		return wrap("ending everything", err)
	}
	return wrap("ending everything", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		var owner authz.Identity
		if err := one(c, func(r *sqlite.Stmt) { owner = scanIdentity(r) }, selectIdentity, k.BAPID); err != nil {
			return err
		}
		n, err := exec(c, `INSERT INTO kills (bap_id, nonce, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, k.BAPID, k.Nonce, k.At)
		if err == nil && n == 0 {
			return contract.ErrExists
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			_, err := exec(c, `UPDATE device_requests SET state = 'denied' WHERE seq = ? AND state = 'pending' AND account_id = ?`, row, owner.AccountID)
			if err != nil {
				return err
			}
		}
		_, err = exec(c, `UPDATE grants AS g SET revoked_at = ?1 WHERE g.account_id = ?2 AND `+living1, k.At, owner.AccountID)
		if err != nil {
			return err
		}
		for _, statement := range endOfEverything {
			if _, err := exec(c, statement, owner.AccountID); err != nil {
				return err
			}
		}
		k.Event.AccountID = owner.AccountID
		return insertEvent(c, k.Event)
	}))
}

var endOfEverything = []string{
	`DELETE FROM consents WHERE account_id = ?`,
	`DELETE FROM reviews WHERE session IN (SELECT token FROM sessions WHERE account_id = ?)`,
	`DELETE FROM sessions WHERE account_id = ?`,
}
