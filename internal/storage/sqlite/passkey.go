package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// AddPasskey implements contract.AccountStore.
func (s *Store) AddPasskey(ctx context.Context, p authz.Passkey, limit int, e contract.NewEvent) error {
	return s.insert(ctx, "adding a passkey", several, func(c *sqlite.Conn) error {
		if err := hasIdentity(c, p.AccountID, p.BAPID); err != nil {
			return err
		}
		n, err := exec(c, `INSERT INTO passkeys (id, account_id, bap_id, member_key, name, created_at, last_used_at, sign_count, credential, network, vouch)
			SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11, ?12
			WHERE (SELECT count(*) FROM passkeys WHERE account_id = ?2) < ?10 OR EXISTS (SELECT 1 FROM passkeys WHERE id = ?1)`,
			p.ID, p.AccountID, p.BAPID, p.MemberKey, p.Name, p.CreatedAt, p.LastUsedAt, int64(p.SignCount), p.Credential, limit, p.Network, kept.Vouch(p.Vouch))
		if err != nil {
			return err
		}
		if n == 0 {
			return contract.ErrFull
		}
		return insertEvent(c, e)
	})
}

const selectWebAuthn = `SELECT id, account_id, bap_id, member_key, name, created_at, last_used_at, sign_count, credential, network, vouch FROM passkeys `

func scanPasskey(r *sqlite.Stmt) authz.Passkey {
	p := authz.Passkey{
		ID: r.ColumnText(0), AccountID: r.ColumnText(1), BAPID: r.ColumnText(2), MemberKey: r.ColumnText(3), Name: r.ColumnText(4),
		CreatedAt: columnTime(r, 5), LastUsedAt: columnTime(r, 6), Credential: columnBytes(r, 8), Network: r.ColumnText(9),
		SignCount: uint32(r.ColumnInt64(7)), //nolint:gosec // it was one when it was stored
	}
	p.Vouch, _ = kept.VouchOf(r.ColumnText(10)) // we wrote it
	return p
}

// Passkey implements contract.AccountStore.
func (s *Store) Passkey(ctx context.Context, id string) (p authz.Passkey, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { p = scanPasskey(r) }, selectWebAuthn+`WHERE id = ?`, id)
	})
	return p, wrap("reading a passkey", err)
}

// Passkeys implements contract.AccountStore.
func (s *Store) Passkeys(ctx context.Context, accountID string, limit int) (all []authz.Passkey, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, scanPasskey(r)) },
			selectWebAuthn+`WHERE account_id = ? ORDER BY created_at, id LIMIT ?`, accountID, limit)
		return err
	})
	return all, wrap("listing passkeys", err)
}

// RemovePasskey implements contract.AccountStore.
func (s *Store) RemovePasskey(ctx context.Context, accountID, id string, now time.Time, e contract.NewEvent) error {
	return wrap("removing a passkey", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		var bapID string
		err := one(c, func(r *sqlite.Stmt) { bapID = r.ColumnText(0) },
			`DELETE FROM passkeys WHERE id = ? AND account_id = ? RETURNING bap_id`, id, accountID)
		if err != nil {
			return err
		}
		// Before 0005 nobody noted which passkey it was.
		const begun = ` account_id = ?1 AND (passkey = ?2 OR (passkey = '' AND bap_id = ?3 AND method = 'passkey'))`
		for _, statement := range []string{
			`DELETE FROM reviews WHERE session IN (SELECT token FROM sessions WHERE` + begun + `)`,
			`DELETE FROM sessions WHERE` + begun,
		} {
			if _, err := exec(c, statement, accountID, id, bapID); err != nil {
				return err
			}
		}
		if _, err := exec(c, `DELETE FROM consents WHERE account_id = ? AND passkey = ?`, accountID, id); err != nil {
			return err
		}
		_, err = exec(c, `UPDATE grants SET revoked_at = ?4 WHERE account_id = ?1 AND (passkey = ?2 OR (passkey = '' AND bap_id = ?3 AND acr = ?5))
			AND revoked_at = 0 AND expires_at > ?4`, accountID, id, bapID, now, authz.ACRPasskey)
		if err != nil {
			return err
		}
		return insertEvent(c, e)
	}))
}

// The counter must grow, except that authenticators without one always say 0.
const usePasskey = `UPDATE passkeys SET sign_count = ?1, credential = ?2, last_used_at = ?3
	WHERE id = ?4 AND account_id = ?5 AND (sign_count < ?1 OR (sign_count = 0 AND ?1 = 0))`

// noteUse notes the use of an account's passkey.
func noteUse(c *sqlite.Conn, accountID string, u contract.PasskeyUse, at time.Time) error {
	n, err := exec(c, usePasskey, int64(u.SignCount), u.Credential, at, u.ID, accountID)
	if err != nil || n == 1 {
		return err
	}
	if err := one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM passkeys WHERE id = ? AND account_id = ?`, u.ID, accountID); err != nil {
		return err
	}
	return contract.ErrCounter
}
