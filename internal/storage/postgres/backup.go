package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// Identities are locked, in one order, so that they are removed before or afterwards:
// the one whose backup it is, and the one that signed.
const (
	saveBackup = `WITH there AS (
	SELECT bap_id FROM identities WHERE bap_id IN ($1, $6) AND account_id = $2 ORDER BY bap_id FOR KEY SHARE
)
INSERT INTO backups (bap_id, account_id, text, updated_at, network)
SELECT bap_id, $2, $3, $4, $5 FROM there WHERE bap_id = $1 AND EXISTS (SELECT FROM there WHERE bap_id = $6)
ON CONFLICT (bap_id) DO UPDATE SET text = $3, updated_at = $4, network = $5 RETURNING bap_id`
	removeBackup = `WITH signer AS (SELECT FROM identities WHERE bap_id = $3 AND account_id = $2 FOR KEY SHARE)
DELETE FROM backups WHERE bap_id = $1 AND account_id = $2 AND EXISTS (SELECT FROM signer) RETURNING bap_id`
)

// SaveBackup implements contract.AccountStore.
func (s *Store) SaveBackup(ctx context.Context, b authz.Backup, signer string, e contract.NewEvent) error {
	return s.mustChangeAndTell(ctx, "saving a backup", b.BAPID, e, saveBackup, b.BAPID, b.AccountID, b.Text, kept.Time(b.UpdatedAt), b.Network, signer)
}

// Backup implements contract.AccountStore.
func (s *Store) Backup(ctx context.Context, accountID, bapID string) (authz.Backup, error) {
	b := authz.Backup{AccountID: accountID, BAPID: bapID}
	err := s.one(ctx, "reading a backup", `SELECT text, octet_length(text), updated_at, network FROM backups WHERE bap_id = $1 AND account_id = $2`,
		[]any{bapID, accountID}, &b.Text, &b.Size, toTime{&b.UpdatedAt}, &b.Network)
	if err != nil {
		return authz.Backup{}, err
	}
	return b, nil
}

// Backups implements contract.AccountStore.
func (s *Store) Backups(ctx context.Context, accountID string, limit int) ([]authz.Backup, error) {
	return list(ctx, s, "listing backups", func(row pgx.CollectableRow) (authz.Backup, error) {
		b := authz.Backup{AccountID: accountID}
		err := row.Scan(&b.BAPID, &b.Size, toTime{&b.UpdatedAt}, &b.Network)
		return b, err
	}, `SELECT bap_id, octet_length(text), updated_at, network FROM backups WHERE account_id = $1 ORDER BY bap_id LIMIT $2`, accountID, limit)
}

// RemoveBackup implements contract.AccountStore.
func (s *Store) RemoveBackup(ctx context.Context, accountID, bapID, signer string, e contract.NewEvent) error {
	return s.mustChangeAndTell(ctx, "removing a backup", bapID, e, removeBackup, bapID, accountID, signer)
}
