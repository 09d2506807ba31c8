package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const grantColumns = `id, account_id, client_id, scope, bap_id, member_key, acr, nonce, auth_time,
	created_at, expires_at, last_used_at, revoked_at, network, user_agent, origin, device_name, platform, passkey, resources,
	presence, kind, agent_id, parent, line, paused_at, agent`

func grantArgs(g authz.Grant) []any {
	return []any{
		g.ID, g.AccountID, g.ClientID, g.Scope, g.BAPID, g.MemberKey, g.ACR, g.Nonce, kept.Time(g.AuthTime),
		kept.Time(g.CreatedAt), kept.Time(g.ExpiresAt), kept.Time(g.LastUsedAt), kept.Time(g.RevokedAt),
		g.Seen.Network, g.Seen.UserAgent, g.Says.Origin, g.Says.Name, g.Says.Platform, g.Passkey, kept.Resources(g.Resources),
		string(g.Presence), string(g.Delegated.Kind), g.Delegated.Agent.ID, g.Delegated.Parent, g.Delegated.Line,
		kept.Time(g.Delegated.PausedAt), kept.Delegated(g.Delegated),
	}
}

// grantFields are where a row's grantColumns go.
func grantFields(g *authz.Grant) []any {
	return []any{
		&g.ID, &g.AccountID, &g.ClientID, &g.Scope, &g.BAPID, &g.MemberKey, &g.ACR, &g.Nonce,
		toTime{&g.AuthTime},
		toTime{&g.CreatedAt},
		toTime{&g.ExpiresAt},
		toTime{&g.LastUsedAt},
		toTime{&g.RevokedAt},
		&g.Seen.Network, &g.Seen.UserAgent, &g.Says.Origin, &g.Says.Name, &g.Says.Platform, &g.Passkey,
		toResources{&g.Resources},
		(*string)(&g.Presence), (*string)(&g.Delegated.Kind), &g.Delegated.Agent.ID, &g.Delegated.Parent, &g.Delegated.Line,
		toTime{&g.Delegated.PausedAt},
		toDelegated{&g.Delegated},
	}
}

// toDelegated reads the rest of what an agent's grant has, behind its columns.
type toDelegated struct{ into *authz.Delegated }

// ScanText implements pgtype.TextScanner.
func (d toDelegated) ScanText(v pgtype.Text) error { return kept.DelegatedOf(v.String, d.into) }

// Grant implements contract.GrantStore.
func (s *Store) Grant(ctx context.Context, id string) (g authz.Grant, err error) {
	err = s.one(ctx, "reading a grant", `SELECT `+grantColumns+` FROM grants WHERE id = $1`, []any{id}, grantFields(&g)...)
	return g, err
}

var liveGrant = `
SELECT g.id, g.account_id, g.client_id, g.scope, g.bap_id, g.member_key, g.acr, g.nonce, g.auth_time,
	g.created_at, g.expires_at, g.last_used_at, g.revoked_at, g.network, g.user_agent, g.origin, g.device_name, g.platform, g.passkey, g.resources,
	g.presence, g.kind, g.agent_id, g.parent, g.line, g.paused_at, g.agent, ` + paused("$2") + `,
	i.bap_id, i.account_id, i.member_key, i.created_at, i.network, i.signed_in_at, i.since, i.profile
FROM grants g JOIN accounts a ON a.id = g.account_id JOIN identities i ON i.bap_id = g.bap_id AND i.account_id = g.account_id
WHERE g.id = $1 AND ` + living("$2") + ` AND NOT a.disabled`

// LiveGrant implements contract.GrantStore.
func (s *Store) LiveGrant(ctx context.Context, id string, now time.Time) (g authz.Grant, i authz.Identity, err error) {
	var line line
	err = s.one(ctx, "reading a grant", liveGrant, []any{id, kept.Time(now)}, append(append(grantFields(&g), &line.paused), identityFields(&i)...)...)
	if err = line.alive(err); notAlive(err) {
		return authz.Grant{}, authz.Identity{}, err
	}
	return g, i, err
}

var grantAlive = lineLiving + `
	AND EXISTS (SELECT FROM accounts a WHERE a.id = g.account_id AND NOT a.disabled)
	AND EXISTS (SELECT FROM identities i WHERE i.bap_id = g.bap_id AND i.account_id = g.account_id)`

// GrantAlive implements contract.GrantStore.
func (s *Store) GrantAlive(ctx context.Context, id string, now time.Time) (authz.Grant, error) {
	return s.oneLiving(ctx, grantAlive, id, now)
}

// Grants implements contract.GrantStore.
func (s *Store) Grants(ctx context.Context, accountID string, l contract.GrantList) ([]authz.Grant, error) {
	return list(ctx, s, "listing grants", func(row pgx.CollectableRow) (g authz.Grant, err error) {
		err = row.Scan(grantFields(&g)...)
		return g, err
	}, `SELECT `+grantColumns+` FROM grants g WHERE account_id = $1 AND ($2 = 0::bigint OR (`+living("$2")+` AND `+paused("$2")+` IS NOT NULL))
		AND created_at <= $4 AND (created_at < $4 OR id > $5) AND ($6 = '' OR client_id = $6)
		AND (NOT $7 OR kind <> '') AND ($8 = '' OR parent = $8)
		ORDER BY created_at DESC, id LIMIT $3`, accountID, kept.Time(l.AliveAt), l.Limit, kept.UpTo(l.After), l.After.ID, l.ClientID, l.Agents, l.Parent)
}

// UseGrant implements contract.GrantStore.
func (s *Store) UseGrant(ctx context.Context, id string, now time.Time) error {
	_, err := s.exec(ctx, "noting the use of a grant", id,
		`UPDATE grants SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2 AND revoked_at = 0 AND expires_at > $2`, id, kept.Time(now))
	return err
}

// Revoked before, a grant keeps its time and there is no event; reports are noted and
// consents forgotten all the same.
var revokeGrant = `
WITH known AS (
	SELECT id, revoked_at, account_id, client_id FROM grants WHERE id = $1 FOR NO KEY UPDATE
), revoked AS (
	UPDATE grants SET revoked_at = $2 FROM known WHERE grants.id = known.id AND known.revoked_at = 0 RETURNING grants.id
), ` + tell(8, "revoked") + `, ` + report("$3", "$2", "$4", "$5::text", "$6", "$7", "known") + `, forgotten_consents AS (
	DELETE FROM consents USING known WHERE consents.account_id = known.account_id AND consents.client_id = known.client_id
)
SELECT FROM known`

// RevokeGrant implements contract.GrantStore.
func (s *Store) RevokeGrant(ctx context.Context, r contract.Revocation) error {
	if err := contract.Bounded(r.Event.Keep); err != nil {
		return err
	}
	if len(r.Reported) > 0 {
		if err := contract.Bounded(r.Keep); err != nil {
			return err
		}
	}
	args := andEvent(r.Event, r.GrantID, kept.Time(r.At), r.AccountID, r.Reported, r.Reporter, r.Keep.Most, r.Keep.AtOnce)
	return s.change(ctx, "revoking a grant", r.GrantID, revokeGrant, args...)
}

// Who is being let in by a consent is waited for, and found by what follows.
const lockConsents = `SELECT FROM consents WHERE account_id = $1 ORDER BY client_id, bap_id FOR UPDATE`

var revokeGrants = `
WITH revoked AS (
	UPDATE grants SET revoked_at = $2 WHERE account_id = $1 AND revoked_at = 0 AND expires_at > $2 RETURNING id
), forgotten_consents AS (
	DELETE FROM consents WHERE account_id = $1
), ` + tell(3, "revoked") + `
SELECT FROM revoked`

// RevokeGrants implements contract.GrantStore.
func (s *Store) RevokeGrants(ctx context.Context, accountID string, now time.Time, e contract.NewEvent) (n int, err error) {
	if err := contract.Bounded(e.Keep); err != nil {
		return 0, err
	}
	args := andEvent(e, accountID, kept.Time(now))
	err = s.write(ctx, "revoking grants", accountID, func(b *pgx.Batch, _ *error) {
		b.Queue(lockConsents, accountID)
		b.Queue(revokeGrants, args...).Exec(func(tag pgconn.CommandTag) error {
			n = int(tag.RowsAffected())
			return nil
		})
	})
	return n, err
}

// Receipt implements contract.GrantStore.
func (s *Store) Receipt(ctx context.Context, grantID string) (receipt string, err error) {
	err = s.one(ctx, "reading a receipt", `SELECT receipt FROM grants WHERE id = $1 AND receipt <> ''`, []any{grantID}, &receipt)
	return receipt, err
}

// RefreshToken implements contract.GrantStore.
func (s *Store) RefreshToken(ctx context.Context, token authz.Hash, now time.Time) (authz.RefreshToken, error) {
	t := authz.RefreshToken{Token: token}
	err := s.one(ctx, "reading a refresh token", `SELECT grant_id, expires_at, thumbprint, rotated_at FROM refresh_tokens WHERE token = $1 AND expires_at > $2`,
		[]any{token[:], kept.Time(now)}, &t.GrantID, toTime{&t.ExpiresAt}, &t.Thumbprint, toTime{&t.RotatedAt})
	if err != nil {
		return authz.RefreshToken{}, err
	}
	return t, nil
}

// The latest token of a living grant that is not paused becomes a rotated one. Of statements that
// meet, the second waits for the first's grant and then finds its token rotated.
var rotateRefreshToken = `
WITH alive AS (
	UPDATE grants g SET last_used_at = $3 FROM refresh_tokens t
	WHERE t.token = $1 AND t.rotated_at = 0 AND t.expires_at > $3 AND g.id = t.grant_id AND ` + living("$3") + ` AND NOT ` + paused("$3") + `
	RETURNING g.id
), rotated AS (
	UPDATE refresh_tokens SET successor = $2, rotated_at = $3 FROM alive WHERE token = $1 AND rotated_at = 0 RETURNING grant_id
), forgotten AS (
	DELETE FROM refresh_tokens t USING rotated WHERE t.token = $5 AND t.successor = $1 AND t.grant_id = rotated.grant_id
)
INSERT INTO refresh_tokens (token, grant_id, expires_at, rotated_at, thumbprint) SELECT $2, grant_id, $4, 0, $6 FROM rotated`

// RotateRefreshToken implements contract.GrantStore.
func (s *Store) RotateRefreshToken(ctx context.Context, r contract.Rotation) error {
	err := s.change(ctx, "rotating a refresh token", string(r.Token[:]), rotateRefreshToken,
		r.Token[:], r.Successor.Token[:], kept.Time(r.At), kept.Time(r.Successor.ExpiresAt), r.Forgotten[:], r.Successor.Thumbprint)
	if errors.Is(err, contract.ErrNotFound) {
		return s.notRotated(ctx, r)
	}
	return err
}

// Why it did not: no row means not found; again says that this very rotation was
// done within the grace and its successor is still the latest.
var whyNotRotated = `
SELECT t.grant_id, t.rotated_at > 0, COALESCE(t.successor = $2 AND t.rotated_at >= $4 AND s.rotated_at = 0, FALSE), ` + paused("$3") + `
FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.token = t.successor JOIN grants g ON g.id = t.grant_id
WHERE t.token = $1 AND t.expires_at > $3 AND ` + living("$3") + ` AND ` + paused("$3") + ` IS NOT NULL`

// notRotated tells a repeated rotation from a reused token, and ends the grant of
// the latter.
func (s *Store) notRotated(ctx context.Context, r contract.Rotation) error {
	var grantID string
	var rotated, again, paused bool
	err := s.one(ctx, "rotating a refresh token", whyNotRotated,
		[]any{r.Token[:], r.Successor.Token[:], kept.Time(r.At), kept.Time(r.At.Add(-r.Grace))}, &grantID, &rotated, &again, &paused)
	switch {
	case err != nil:
		return err
	case paused:
		return contract.ErrPaused
	case again:
		return nil
	case !rotated:
		return contract.ErrNotFound
	}
	if err := s.RevokeGrant(ctx, contract.Revocation{GrantID: grantID, At: r.At, Event: r.Reuse}); err != nil {
		return err
	}
	return contract.ErrReused
}
