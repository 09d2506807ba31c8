package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// CreateAccount implements contract.AccountStore.
func (s *Store) CreateAccount(ctx context.Context, a authz.Account, first authz.Identity) error {
	return s.insert(ctx, "creating an account", several, func(c *sqlite.Conn) error {
		if err := noAgent(c, first.BAPID, first.CreatedAt); err != nil {
			return err
		}
		if _, err := exec(c, `INSERT INTO accounts (id, created_at, disabled) VALUES (?, ?, ?)`, a.ID, a.CreatedAt, a.Disabled); err != nil {
			return err
		}
		return insertIdentity(c, first)
	})
}

func insertIdentity(c *sqlite.Conn, i authz.Identity) error {
	_, err := exec(c, `INSERT INTO identities (bap_id, account_id, member_key, created_at, network, signed_in_at, since, profile) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		i.BAPID, i.AccountID, i.MemberKey, i.CreatedAt, i.Network, i.SignedInAt, i.Since, kept.Profile(i.Profile))
	return err
}

// Account implements contract.AccountStore.
func (s *Store) Account(ctx context.Context, id string) (a authz.Account, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) {
			a = authz.Account{ID: r.ColumnText(0), CreatedAt: columnTime(r, 1), Disabled: r.ColumnBool(2)}
		}, `SELECT id, created_at, disabled FROM accounts WHERE id = ?`, id)
	})
	return a, wrap("reading an account", err)
}

const (
	identityColumns = `i.bap_id, i.account_id, i.member_key, i.created_at, i.network, i.signed_in_at, i.since, i.profile`
	selectIdentity  = `SELECT ` + identityColumns + ` FROM identities i WHERE i.bap_id = ?`
)

func scanIdentity(r *sqlite.Stmt) authz.Identity {
	i := authz.Identity{
		BAPID: r.ColumnText(0), AccountID: r.ColumnText(1), MemberKey: r.ColumnText(2), CreatedAt: columnTime(r, 3),
		Network: r.ColumnText(4), SignedInAt: columnTime(r, 5), Since: columnTime(r, 6),
	}
	i.Profile, _ = kept.ProfileOf(r.ColumnText(7)) // we wrote it
	return i
}

// Identity implements contract.AccountStore.
func (s *Store) Identity(ctx context.Context, bapID string) (i authz.Identity, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { i = scanIdentity(r) }, selectIdentity, bapID)
	})
	return i, wrap("reading an identity", err)
}

// Identities implements contract.AccountStore.
func (s *Store) Identities(ctx context.Context, accountID string, limit int) (all []authz.Identity, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, scanIdentity(r)) },
			`SELECT `+identityColumns+` FROM identities i WHERE i.account_id = ? ORDER BY i.created_at, i.bap_id LIMIT ?`, accountID, limit)
		return err
	})
	return all, wrap("listing identities", err)
}

// LinkIdentity implements contract.AccountStore.
func (s *Store) LinkIdentity(ctx context.Context, i authz.Identity, voucher string, limit int, e contract.NewEvent) error {
	return s.insert(ctx, "linking an identity", several, func(c *sqlite.Conn) error {
		if err := hasIdentity(c, i.AccountID, voucher); err != nil {
			return err
		}
		if err := noAgent(c, i.BAPID, i.CreatedAt); err != nil {
			return err
		}
		if err := insertIdentity(c, i); err != nil {
			return err
		}
		var has int
		err := one(c, func(r *sqlite.Stmt) { has = r.ColumnInt(0) }, `SELECT count(*) FROM identities WHERE account_id = ?`, i.AccountID)
		if err != nil {
			return err
		}
		if has > limit {
			return contract.ErrFull // which takes it back
		}
		return insertEvent(c, e)
	})
}

// hasIdentity fails unless an identity is an account's.
//
//	authz.ErrNotFound
func hasIdentity(c *sqlite.Conn, accountID, bapID string) error {
	return one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM identities WHERE bap_id = ? AND account_id = ?`, bapID, accountID)
}

// RemoveIdentity implements contract.AccountStore.
func (s *Store) RemoveIdentity(ctx context.Context, r contract.IdentityRemoval) error {
	return wrap("removing an identity", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		if r.Signer == r.BAPID {
			return contract.ErrNotFound
		}
		if err := hasIdentity(c, r.AccountID, r.Signer); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM reviews WHERE session IN (SELECT token FROM sessions WHERE account_id = ?1 AND bap_id = ?2)`,
			`DELETE FROM sessions WHERE account_id = ?1 AND bap_id = ?2`,
			`DELETE FROM passkeys WHERE account_id = ?1 AND bap_id = ?2`,
			`DELETE FROM backups WHERE account_id = ?1 AND bap_id = ?2`,
			`DELETE FROM consents WHERE account_id = ?1 AND bap_id = ?2`,
		} {
			if _, err := exec(c, statement, r.AccountID, r.BAPID); err != nil {
				return err
			}
		}
		_, err := exec(c, `UPDATE grants SET revoked_at = ?3 WHERE account_id = ?1 AND bap_id = ?2 AND revoked_at = 0 AND expires_at > ?3`,
			r.AccountID, r.BAPID, r.At)
		if err != nil {
			return err
		}
		if err := insertDeparture(c, r); err != nil {
			return err
		}
		return changedAndTold(c, r.Event, `DELETE FROM identities WHERE account_id = ?1 AND bap_id = ?2`, r.AccountID, r.BAPID)
	}))
}

// insertDeparture notes that an identity was taken out, and forgets those of its account
// that came into it last.
func insertDeparture(c *sqlite.Conn, r contract.IdentityRemoval) error {
	_, err := exec(c, `INSERT INTO departures (bap_id, account_id, since, left_at, removed_by, network) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (bap_id, account_id) DO UPDATE SET since = min(since, ?3), left_at = ?4, removed_by = ?5, network = ?6`,
		r.BAPID, r.AccountID, r.Since, r.At, r.Signer, r.Network)
	if err != nil {
		return err
	}
	return forget(c, r.Keep, `DELETE FROM departures WHERE account_id = ?3 AND bap_id IN (
		SELECT bap_id FROM departures WHERE account_id = ?3 ORDER BY since, bap_id LIMIT ?2 OFFSET ?1)`, r.AccountID)
}

// Departures implements contract.AccountStore.
func (s *Store) Departures(ctx context.Context, bapID string, limit int) (all []authz.Departure, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) {
			all = append(all, authz.Departure{
				BAPID: bapID, AccountID: r.ColumnText(0), Since: columnTime(r, 1), LeftAt: columnTime(r, 2), By: r.ColumnText(3), Network: r.ColumnText(4),
			})
		}, `SELECT account_id, since, left_at, removed_by, network FROM departures WHERE bap_id = ? ORDER BY since, account_id LIMIT ?`, bapID, limit)
		return err
	})
	return all, wrap("listing departures", err)
}

// SetProfile implements contract.AccountStore.
func (s *Store) SetProfile(ctx context.Context, bapID string, p authz.Profile, e contract.NewEvent) error {
	return wrap("setting a profile", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		return changedAndTold(c, e, `UPDATE identities SET profile = ? WHERE bap_id = ?`, kept.Profile(p), bapID)
	}))
}
