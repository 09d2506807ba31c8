package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const consentColumns = `account_id, client_id, bap_id, grant_id, scope, resources, passkey, registration, given_at, expires_at`

func scanConsent(r *sqlite.Stmt) authz.Consent {
	return authz.Consent{
		AccountID: r.ColumnText(0), ClientID: r.ColumnText(1), BAPID: r.ColumnText(2), GrantID: r.ColumnText(3),
		Scope: r.ColumnText(4), Resources: kept.ResourcesOf(r.ColumnText(5)), Passkey: r.ColumnText(6), Registration: columnHash(r, 7),
		GivenAt: columnTime(r, 8), ExpiresAt: columnTime(r, 9),
	}
}

// insertConsent stores a consent in place of the one before, and forgets the account's oldest.
func insertConsent(c *sqlite.Conn, n authz.Consent, k contract.Keep) error {
	_, err := exec(c, `INSERT OR REPLACE INTO consents (`+consentColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n.AccountID, n.ClientID, n.BAPID, n.GrantID, n.Scope, kept.Resources(n.Resources), n.Passkey, n.Registration, n.GivenAt, n.ExpiresAt)
	if err != nil {
		return err
	}
	return forget(c, k, `DELETE FROM consents WHERE account_id = ?3 AND grant_id IN (
		SELECT grant_id FROM consents WHERE account_id = ?3 AND grant_id <> ?4 ORDER BY given_at DESC LIMIT ?2 OFFSET ?1 - 1)`, n.AccountID, n.GrantID)
}

// letIn ends what of the client's grants that were let in is not kept besides this one. What
// somebody took back is not looked at: its events tell of that.
func letIn(c *sqlite.Conn, a contract.Approval) error {
	if err := contract.Bounded(a.LetIn.Keep); err != nil {
		return err
	}
	g := a.Grant
	const letInBefore = ` account_id = ?1 AND client_id = ?2 AND acr = ?3 AND revoked_at = 0`
	var gone []string
	_, err := query(c, func(r *sqlite.Stmt) { gone = append(gone, r.ColumnText(0)) },
		`DELETE FROM grants WHERE`+letInBefore+` AND ((last_used_at = 0 AND created_at <= ?4) OR id IN (
			SELECT id FROM grants WHERE`+letInBefore+` AND last_used_at > 0 ORDER BY expires_at > ?7 DESC, last_used_at DESC, id LIMIT ?6 OFFSET ?5 - 1)) RETURNING id`,
		g.AccountID, g.ClientID, authz.ACRBefore, a.LetIn.Unused, a.LetIn.Keep.Most, a.LetIn.Keep.AtOnce, a.At)
	if err != nil {
		return err
	}
	for _, id := range gone {
		if _, err := exec(c, `DELETE FROM refresh_tokens WHERE grant_id = ?`, id); err != nil {
			return err
		}
		if _, err := exec(c, `DELETE FROM events WHERE account_id = ? AND grant_id = ?`, g.AccountID, id); err != nil {
			return err
		}
	}
	return nil
}

// forgetConsents forgets an account's consents for the client in a row of another table.
func forgetConsents(c *sqlite.Conn, accountAndClient string, args ...any) error {
	_, err := exec(c, `DELETE FROM consents WHERE (account_id, client_id) IN (`+accountAndClient+`)`, args...)
	return err
}

// Consent implements contract.GrantStore.
func (s *Store) Consent(ctx context.Context, accountID, clientID, bapID string, now time.Time) (n authz.Consent, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { n = scanConsent(r) },
			`SELECT `+consentColumns+` FROM consents WHERE account_id = ? AND client_id = ? AND bap_id = ? AND expires_at > ?`, accountID, clientID, bapID, now)
	})
	return n, wrap("reading a consent", err)
}

// Consents implements contract.GrantStore.
func (s *Store) Consents(ctx context.Context, accountID string, now time.Time, limit int) (all []authz.Consent, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, scanConsent(r)) },
			`SELECT `+consentColumns+` FROM consents WHERE account_id = ? AND expires_at > ? ORDER BY given_at DESC, grant_id LIMIT ?`, accountID, now, limit)
		return err
	})
	return all, wrap("listing consents", err)
}

// ForgetConsent implements contract.GrantStore.
func (s *Store) ForgetConsent(ctx context.Context, accountID, grantID string) error {
	return wrap("forgetting a consent", s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		n, err := exec(c, `DELETE FROM consents WHERE account_id = ? AND grant_id = ?`, accountID, grantID)
		if err == nil && n == 0 {
			return contract.ErrNotFound
		}
		return err
	}))
}
