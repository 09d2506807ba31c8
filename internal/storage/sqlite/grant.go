package sqlite

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

func insertGrant(c *sqlite.Conn, g authz.Grant, receipt string) error {
	_, err := exec(c, `INSERT INTO grants (id, account_id, client_id, scope, bap_id, member_key, acr, nonce, auth_time,
			created_at, expires_at, last_used_at, revoked_at, receipt, network, user_agent, origin, device_name, platform, passkey, resources,
			presence, kind, agent_id, parent, line, paused_at, agent)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		g.ID, g.AccountID, g.ClientID, g.Scope, g.BAPID, g.MemberKey, g.ACR, g.Nonce, g.AuthTime,
		g.CreatedAt, g.ExpiresAt, g.LastUsedAt, g.RevokedAt, receipt,
		g.Seen.Network, g.Seen.UserAgent, g.Says.Origin, g.Says.Name, g.Says.Platform, g.Passkey, kept.Resources(g.Resources),
		string(g.Presence), string(g.Delegated.Kind), g.Delegated.Agent.ID, g.Delegated.Parent, g.Delegated.Line, g.Delegated.PausedAt, kept.Delegated(g.Delegated))
	return err
}

// makeRoom forgets an account's oldest grants that are over, with their tokens, so
// that one more may come.
//
//	contract.ErrFull: too many are alive
func makeRoom(c *sqlite.Conn, a contract.Approval) error {
	var alive int
	err := one(c, func(r *sqlite.Stmt) { alive = r.ColumnInt(0) },
		`SELECT count(*) FROM grants WHERE account_id = ? AND revoked_at = 0 AND expires_at > ? AND (acr <> ? OR (? AND last_used_at > 0))`,
		a.AccountID, a.At, authz.ACRBefore, a.LetIn != nil)
	if err != nil {
		return err
	}
	if alive >= a.Living {
		return contract.ErrFull
	}
	return forgetGrants(c, a.AccountID, a.At, a.Keep)
}

// forgetGrants forgets what there is of an account's grants, with one more, beyond the newest
// and those that are alive.
func forgetGrants(c *sqlite.Conn, accountID string, now time.Time, k contract.Keep) error {
	if err := contract.Bounded(k); err != nil {
		return err
	}
	var gone []string
	_, err := query(c, func(r *sqlite.Stmt) { gone = append(gone, r.ColumnText(0)) }, `DELETE FROM grants WHERE rowid IN (
			SELECT rowid FROM grants WHERE account_id = ?1 ORDER BY created_at DESC LIMIT ?3 OFFSET ?4 - 1
		) AND (revoked_at > 0 OR expires_at <= ?2) RETURNING id`,
		accountID, now, k.AtOnce, k.Most)
	if err != nil {
		return err
	}
	for _, id := range gone {
		if _, err := exec(c, `DELETE FROM refresh_tokens WHERE grant_id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

const grantColumns = `g.id, g.account_id, g.client_id, g.scope, g.bap_id, g.member_key, g.acr, g.nonce, g.auth_time,
	g.created_at, g.expires_at, g.last_used_at, g.revoked_at, g.network, g.user_agent, g.origin, g.device_name, g.platform, g.passkey, g.resources,
	g.presence, g.kind, g.agent_id, g.parent, g.line, g.paused_at, g.agent`

// pausedColumn is behind them where it is asked for.
const pausedColumn = 27

func scanGrant(r *sqlite.Stmt) authz.Grant {
	g := authz.Grant{
		ID: r.ColumnText(0), AccountID: r.ColumnText(1), ClientID: r.ColumnText(2), Scope: r.ColumnText(3),
		BAPID: r.ColumnText(4), MemberKey: r.ColumnText(5), ACR: r.ColumnText(6), Nonce: r.ColumnText(7),
		AuthTime: columnTime(r, 8), CreatedAt: columnTime(r, 9), ExpiresAt: columnTime(r, 10),
		LastUsedAt: columnTime(r, 11), RevokedAt: columnTime(r, 12),
		Seen: authz.Seen{Network: r.ColumnText(13), UserAgent: r.ColumnText(14)},
		Says: authz.DeviceSays{Name: r.ColumnText(16), Platform: r.ColumnText(17), Origin: r.ColumnText(15)}, Passkey: r.ColumnText(18),
		Resources: kept.ResourcesOf(r.ColumnText(19)), Presence: authz.Presence(r.ColumnText(20)),
		Delegated: authz.Delegated{
			Kind: authz.GrantKind(r.ColumnText(21)), Agent: authz.AgentKey{ID: r.ColumnText(22)},
			Parent: r.ColumnText(23), Line: r.ColumnText(24), PausedAt: columnTime(r, 25),
		},
	}
	_ = kept.DelegatedOf(r.ColumnText(26), &g.Delegated) // we wrote it
	return g
}

// Grant implements contract.GrantStore.
func (s *Store) Grant(ctx context.Context, id string) (g authz.Grant, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { g = scanGrant(r) }, `SELECT `+grantColumns+` FROM grants g WHERE g.id = ?`, id)
	})
	return g, wrap("reading a grant", err)
}

const liveGrant = `SELECT ` + grantColumns + `, ` + paused2 + ` FROM grants g
	WHERE g.id = ?1 AND ` + living2 + ` AND NOT (SELECT a.disabled FROM accounts a WHERE a.id = g.account_id)`

// LiveGrant implements contract.GrantStore.
func (s *Store) LiveGrant(ctx context.Context, id string, now time.Time) (g authz.Grant, i authz.Identity, err error) {
	var paused error
	err = s.read(ctx, func(c *sqlite.Conn) error {
		if g, paused = oneLiving(c, liveGrant, id, now); notAlive(paused) {
			return paused
		}
		return one(c, func(r *sqlite.Stmt) { i = scanIdentity(r) }, selectIdentity+` AND i.account_id = ?`, g.BAPID, g.AccountID)
	})
	if err != nil {
		return authz.Grant{}, authz.Identity{}, wrap("reading a grant", err)
	}
	return g, i, paused
}

const grantAlive = liveGrant + ` AND EXISTS (SELECT 1 FROM identities i WHERE i.bap_id = g.bap_id AND i.account_id = g.account_id)`

// GrantAlive implements contract.GrantStore.
func (s *Store) GrantAlive(ctx context.Context, id string, now time.Time) (g authz.Grant, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		g, err = oneLiving(c, grantAlive, id, now)
		return err
	})
	return g, wrap("reading a grant", err)
}

// Grants implements contract.GrantStore.
func (s *Store) Grants(ctx context.Context, accountID string, l contract.GrantList) (all []authz.Grant, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, scanGrant(r)) },
			`SELECT `+grantColumns+` FROM grants g WHERE g.account_id = ?1 AND (?2 = 0 OR (`+living2+` AND `+paused2+` IS NOT NULL))
			AND g.created_at <= ?4 AND (g.created_at < ?4 OR g.id > ?5) AND (?6 = '' OR g.client_id = ?6)
			AND (NOT ?7 OR g.kind <> '') AND (?8 = '' OR g.parent = ?8)
			ORDER BY g.created_at DESC, g.id LIMIT ?3`, accountID, l.AliveAt, l.Limit, kept.UpTo(l.After), l.After.ID, l.ClientID, l.Agents, l.Parent)
		return err
	})
	return all, wrap("listing grants", err)
}

// UseGrant implements contract.GrantStore.
func (s *Store) UseGrant(ctx context.Context, id string, now time.Time) error {
	return wrap("noting the use of a grant", s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		_, err := exec(c, `UPDATE grants SET last_used_at = ?1 WHERE id = ?2 AND last_used_at < ?1 AND revoked_at = 0 AND expires_at > ?1`, now, id)
		return err
	}))
}

// RevokeGrant implements contract.GrantStore.
func (s *Store) RevokeGrant(ctx context.Context, r contract.Revocation) error {
	return wrap("revoking a grant", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		if err := revokeGrant(c, r.GrantID, r.At, r.Event); err != nil {
			return err
		}
		return noteReports(c, r.Reported, r.AccountID, r.Reporter, r.At, r.Keep)
	}))
}

func revokeGrant(c *sqlite.Conn, id string, now time.Time, e contract.NewEvent) error {
	if err := forgetConsents(c, `SELECT account_id, client_id FROM grants WHERE id = ?`, id); err != nil {
		return err
	}
	err := changedAndTold(c, e, `UPDATE grants SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, now, id)
	if errors.Is(err, contract.ErrNotFound) { // or revoked before
		return one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM grants WHERE id = ?`, id)
	}
	return err
}

// RevokeGrants implements contract.GrantStore.
func (s *Store) RevokeGrants(ctx context.Context, accountID string, now time.Time, e contract.NewEvent) (n int, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		if _, err := exec(c, `DELETE FROM consents WHERE account_id = ?`, accountID); err != nil {
			return err
		}
		n, err = exec(c, `UPDATE grants SET revoked_at = ?1 WHERE account_id = ?2 AND revoked_at = 0 AND expires_at > ?1`, now, accountID)
		if n == 0 {
			return err
		}
		return insertEvent(c, e)
	})
	return n, wrap("revoking grants", err)
}

// Receipt implements contract.GrantStore.
func (s *Store) Receipt(ctx context.Context, grantID string) (receipt string, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { receipt = r.ColumnText(0) },
			`SELECT receipt FROM grants WHERE id = ? AND receipt <> ''`, grantID)
	})
	return receipt, wrap("reading a receipt", err)
}

func insertRefreshToken(c *sqlite.Conn, t authz.RefreshToken) error {
	_, err := exec(c, `INSERT INTO refresh_tokens (token, grant_id, expires_at, successor, rotated_at, thumbprint) VALUES (?, ?, ?, NULL, 0, ?)`,
		t.Token, t.GrantID, t.ExpiresAt, t.Thumbprint)
	return err
}

// RefreshToken implements contract.GrantStore.
func (s *Store) RefreshToken(ctx context.Context, token authz.Hash, now time.Time) (t authz.RefreshToken, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) {
			t = authz.RefreshToken{Token: token, GrantID: r.ColumnText(0), ExpiresAt: columnTime(r, 1), Thumbprint: r.ColumnText(2), RotatedAt: columnTime(r, 3)}
		}, `SELECT grant_id, expires_at, thumbprint, rotated_at FROM refresh_tokens WHERE token = ? AND expires_at > ?`, token, now)
	})
	return t, wrap("reading a refresh token", err)
}

// The latest token of a living grant that is not paused becomes a rotated one.
const rotateRefreshToken = `
UPDATE refresh_tokens SET successor = ?1, rotated_at = ?2
WHERE token = ?3 AND rotated_at = 0 AND expires_at > ?2
	AND EXISTS (SELECT 1 FROM grants g WHERE g.id = refresh_tokens.grant_id AND ` + living2 + ` AND ` + paused2 + ` = 0)`

// Why it did not: no row means not found, any other is paused, or was rotated before; again
// says that this very rotation was done within the grace and its successor is still the
// latest.
const whyNotRotated = `
SELECT t.grant_id, t.successor = ?1 AND t.rotated_at >= ?4 AND s.rotated_at = 0, ` + paused2 + `
FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.token = t.successor
	JOIN grants g ON g.id = t.grant_id
WHERE t.token = ?3 AND t.expires_at > ?2 AND ` + living2 + ` AND ` + paused2 + ` IS NOT NULL`

// RotateRefreshToken implements contract.GrantStore.
func (s *Store) RotateRefreshToken(ctx context.Context, r contract.Rotation) error {
	return wrap("rotating a refresh token", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		n, err := exec(c, rotateRefreshToken, r.Successor.Token, r.At, r.Token)
		if err != nil {
			return err
		}
		if n == 0 {
			return notRotated(c, r)
		}
		if err := insertRefreshToken(c, r.Successor); err != nil {
			return err
		}
		_, err = exec(c, `DELETE FROM refresh_tokens WHERE token = ? AND successor = ? AND grant_id = ?`, r.Forgotten, r.Token, r.Successor.GrantID)
		if err != nil {
			return err
		}
		_, err = exec(c, `UPDATE grants SET last_used_at = ? WHERE id = ?`, r.At, r.Successor.GrantID)
		return err
	}))
}

// notRotated tells a repeated rotation from a reused token, and ends the grant
// of the latter.
func notRotated(c *sqlite.Conn, r contract.Rotation) error {
	var grantID string
	var again, paused bool
	err := one(c, func(row *sqlite.Stmt) {
		grantID, again, paused = row.ColumnText(0), row.ColumnBool(1), row.ColumnBool(2)
	}, whyNotRotated, r.Successor.Token, r.At, r.Token, r.At.Add(-r.Grace))
	switch {
	case err == nil && paused:
		return contract.ErrPaused
	case err != nil || again:
		return err
	}
	if err := revokeGrant(c, grantID, r.At, r.Reuse); err != nil {
		return err
	}
	return contract.ErrReused
}
