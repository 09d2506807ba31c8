package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// SaveBackup implements contract.AccountStore.
func (s *Store) SaveBackup(ctx context.Context, b authz.Backup, signer string, e contract.NewEvent) error {
	return wrap("saving a backup", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		if err := hasIdentity(c, b.AccountID, signer); err != nil {
			return err
		}
		return changedAndTold(c, e, `INSERT INTO backups (bap_id, account_id, text, updated_at, network)
			SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM identities WHERE bap_id = ?1 AND account_id = ?2)
			ON CONFLICT (bap_id) DO UPDATE SET text = ?3, updated_at = ?4, network = ?5`, b.BAPID, b.AccountID, b.Text, b.UpdatedAt, b.Network)
	}))
}

// Backup implements contract.AccountStore.
func (s *Store) Backup(ctx context.Context, accountID, bapID string) (b authz.Backup, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) {
			b = authz.Backup{AccountID: accountID, BAPID: bapID, Text: r.ColumnText(0), Size: r.ColumnInt(1), UpdatedAt: columnTime(r, 2), Network: r.ColumnText(3)}
		}, `SELECT text, octet_length(text), updated_at, network FROM backups WHERE bap_id = ? AND account_id = ?`, bapID, accountID)
	})
	return b, wrap("reading a backup", err)
}

// Backups implements contract.AccountStore.
func (s *Store) Backups(ctx context.Context, accountID string, limit int) (all []authz.Backup, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) {
			all = append(all, authz.Backup{AccountID: accountID, BAPID: r.ColumnText(0), Size: r.ColumnInt(1), UpdatedAt: columnTime(r, 2), Network: r.ColumnText(3)})
		}, `SELECT bap_id, octet_length(text), updated_at, network FROM backups WHERE account_id = ? ORDER BY bap_id LIMIT ?`, accountID, limit)
		return err
	})
	return all, wrap("listing backups", err)
}

// RemoveBackup implements contract.AccountStore.
func (s *Store) RemoveBackup(ctx context.Context, accountID, bapID, signer string, e contract.NewEvent) error {
	return wrap("removing a backup", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		if err := hasIdentity(c, accountID, signer); err != nil {
			return err
		}
		return changedAndTold(c, e, `DELETE FROM backups WHERE bap_id = ? AND account_id = ?`, bapID, accountID)
	}))
}
