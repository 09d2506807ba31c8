package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
)

const passkeyColumns = `id, account_id, bap_id, member_key, name, created_at, last_used_at, sign_count, credential`

const lockAccount = `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`

// AddPasskey implements authz.PasskeyStore. The account is locked, so that those
// who add to it count one after the other.
func (s *Store) AddPasskey(ctx context.Context, p authz.Passkey, limit int, e authz.Event) error {
	return s.transact(ctx, "adding a passkey", func(ctx context.Context, tx pgx.Tx) error {
		if err := found(tx.QueryRow(ctx, lockAccount, p.AccountID).Scan()); err != nil {
			return err
		}
		var taken bool
		var has int
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM passkeys WHERE id = $1), (SELECT count(*) FROM passkeys WHERE account_id = $2)`, p.ID, p.AccountID).
			Scan(&taken, &has)
		switch {
		case err != nil:
			return err
		case taken:
			return authz.ErrExists
		case has >= limit:
			return authz.ErrFull
		}
		steps := &pgx.Batch{}
		steps.Queue(`INSERT INTO passkeys (`+passkeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			p.ID, p.AccountID, p.BAPID, p.MemberKey, p.Name, keptTime(p.CreatedAt), keptTime(p.LastUsedAt), int64(p.SignCount), p.Credential)
		steps.Queue(insertEvent, eventArgs(e)...)
		return inserted(tx.SendBatch(ctx, steps).Close())
	})
}

// passkeyFields are where a row's passkeyColumns go.
func passkeyFields(p *authz.Passkey) []any {
	return []any{
		&p.ID, &p.AccountID, &p.BAPID, &p.MemberKey, &p.Name, toTime{&p.CreatedAt}, toTime{&p.LastUsedAt}, &p.SignCount, &p.Credential,
	}
}

// Passkey implements authz.PasskeyStore.
func (s *Store) Passkey(ctx context.Context, id string) (p authz.Passkey, err error) {
	err = s.one(ctx, "reading a passkey", `SELECT `+passkeyColumns+` FROM passkeys WHERE id = $1`, []any{id}, passkeyFields(&p)...)
	return p, err
}

// Passkeys implements authz.PasskeyStore.
func (s *Store) Passkeys(ctx context.Context, accountID string) ([]authz.Passkey, error) {
	return list(ctx, s, "listing passkeys", func(row pgx.CollectableRow) (p authz.Passkey, err error) {
		err = row.Scan(passkeyFields(&p)...)
		return p, err
	}, `SELECT `+passkeyColumns+` FROM passkeys WHERE account_id = $1 ORDER BY created_at, id`, accountID)
}

// RemovePasskey implements authz.PasskeyStore.
func (s *Store) RemovePasskey(ctx context.Context, accountID, id string, e authz.Event) error {
	return s.mustChangeAndTell(ctx, "removing a passkey", e, `DELETE FROM passkeys WHERE id = $12 AND account_id = $13 RETURNING id`, id, accountID)
}

// The counter must grow, except that authenticators without one always say 0.
const usePasskey = `UPDATE passkeys SET sign_count = $1, credential = $2, last_used_at = $3
WHERE id = $4 AND account_id = $5 AND (sign_count < $1 OR (sign_count = 0 AND $1 = 0))`

// noteUse notes the use of an account's passkey.
func noteUse(ctx context.Context, tx pgx.Tx, accountID string, u authz.PasskeyUse, at time.Time) error {
	tag, err := tx.Exec(ctx, usePasskey, int64(u.SignCount), u.Credential, keptTime(at), u.ID, accountID)
	if err != nil || tag.RowsAffected() == 1 {
		return err
	}
	if err := found(tx.QueryRow(ctx, `SELECT FROM passkeys WHERE id = $1 AND account_id = $2`, u.ID, accountID).Scan()); err != nil {
		return err
	}
	return authz.ErrCounter
}
