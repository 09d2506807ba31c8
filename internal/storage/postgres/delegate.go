package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const insertGrant = `INSERT INTO grants (` + grantColumns + `, receipt)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`

// Delegate implements contract.AgentStore. Those of one account take turns, so that each counts
// the others'; the parent is not locked, for nothing is copied from it.
func (s *Store) Delegate(ctx context.Context, d contract.Delegation) error {
	if err := contract.Bounded(d.Keep, d.Event.Keep); err != nil {
		return err
	}
	return s.transact(ctx, "delegating", func(ctx context.Context, tx pgx.Tx) error {
		g := d.Grant
		for _, key := range []string{"agents of " + g.AccountID, g.Delegated.Agent.ID} {
			if _, err := tx.Exec(ctx, lockKey, key); err != nil {
				return err
			}
		}
		if err := found(tx.QueryRow(ctx, lockIdentity, g.BAPID, g.AccountID).Scan()); err != nil {
			return err
		}
		if err := mayDelegate(ctx, tx, d); err != nil {
			return err
		}
		steps := &pgx.Batch{}
		steps.Queue(forgetGrants, g.AccountID, kept.Time(d.At), d.Keep.AtOnce, d.Keep.Most)
		steps.Queue(insertGrant, append(grantArgs(g), d.Receipt)...)
		if t := d.RefreshToken; t != nil {
			steps.Queue(`INSERT INTO refresh_tokens (token, grant_id, expires_at, rotated_at, thumbprint) VALUES ($1, $2, $3, 0, $4)`,
				t.Token[:], t.GrantID, kept.Time(t.ExpiresAt), t.Thumbprint)
		}
		steps.Queue(tellOnce, andEvent(d.Event)...)
		return tx.SendBatch(ctx, steps).Close()
	})
}

// forgetGrants forgets what there is of an account's grants, with one more, beyond the newest
// and those that are alive.
const forgetGrants = `WITH over AS (
	DELETE FROM grants WHERE id = ANY (ARRAY (SELECT id FROM grants WHERE (revoked_at > 0 OR expires_at <= $2) AND id = ANY (ARRAY (
		SELECT id FROM grants WHERE account_id = $1 ORDER BY created_at DESC, id LIMIT $3 OFFSET $4 - 1
	)) FOR UPDATE SKIP LOCKED)) RETURNING id
)
DELETE FROM refresh_tokens USING over WHERE grant_id = over.id`

var delegates = struct{ above, taken, replace, room string }{
	above: `SELECT ` + paused("$3") + ` FROM grants g WHERE g.id = $1 AND g.account_id = $2 AND ` + living("$3"),
	taken: `SELECT EXISTS (SELECT FROM identities WHERE bap_id = $1)`,
	replace: `UPDATE grants g SET revoked_at = $1 WHERE g.agent_id = $2 AND g.agent_id <> ''
		AND g.account_id = $3 AND g.client_id = $4 AND g.kind = $5 AND g.parent = $6 AND ` + living("$1"),
	room: `SELECT count(*), count(*) FILTER (WHERE g.line = $2) FROM grants g
		WHERE g.account_id = $3 AND g.kind IN ('agent', 'sub-agent') AND ` + living("$1") + ` AND ` + paused("$1") + ` IS NOT NULL`,
}

// mayDelegate ends what the sub-agent takes the place of, and fails unless it may be.
func mayDelegate(ctx context.Context, tx pgx.Tx, d contract.Delegation) error {
	g, now := d.Grant, kept.Time(d.At)
	var line line
	err := found(tx.QueryRow(ctx, delegates.above, g.Delegated.Parent, g.AccountID, now).Scan(&line.paused))
	if err := line.alive(err); err != nil {
		return err
	}
	var taken bool
	if err := tx.QueryRow(ctx, delegates.taken, g.Delegated.Agent.ID).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return contract.ErrKeyTaken
	}
	if _, err := tx.Exec(ctx, delegates.replace, now, g.Delegated.Agent.ID, g.AccountID, g.ClientID, string(g.Delegated.Kind), g.Delegated.Parent); err != nil {
		return err
	}
	var all, inLine int
	if err := tx.QueryRow(ctx, delegates.room, now, g.Delegated.Line, g.AccountID).Scan(&all, &inLine); err != nil {
		return err
	}
	if all >= d.Room.PerAccount || inLine >= d.Room.PerLine {
		return contract.ErrFull
	}
	return nil
}

var pauseOne = `
WITH known AS (
	SELECT g.id, g.paused_at FROM grants g WHERE g.id = $1 AND g.account_id = $2 AND g.kind <> '' AND ` + living("$3") + ` AND ` + paused("$3") + ` IS NOT NULL FOR NO KEY UPDATE
), changed AS (
	UPDATE grants SET paused_at = $3 FROM known WHERE grants.id = known.id AND known.paused_at = 0 RETURNING grants.id
), ` + tell(4, "changed") + `
SELECT (SELECT count(*) FROM changed) FROM known`

// PauseAgents implements contract.AgentStore.
func (s *Store) PauseAgents(ctx context.Context, p contract.Pausing) (n int, err error) {
	if p.GrantID == "" {
		return s.changeAndTell(ctx, "pausing agents", p.AccountID, p.Event, pauseAgents("$1", "$2")+` AND g.kind = 'agent' RETURNING g.id`, kept.Time(p.At), p.AccountID)
	}
	if err := contract.Bounded(p.Event.Keep); err != nil {
		return 0, err
	}
	err = s.changeOne(ctx, "pausing an agent", p.GrantID, pauseOne, andEvent(p.Event, p.GrantID, p.AccountID, kept.Time(p.At)), &n)
	return n, err
}

var resumeOne = `
WITH known AS (
	SELECT g.id, g.paused_at, ` + living("$3") + ` AND ` + paused("$3") + ` IS NOT NULL AS alive FROM grants g
	WHERE g.id = $1 AND g.account_id = $2 AND g.kind <> '' FOR NO KEY UPDATE
), changed AS (
	UPDATE grants SET paused_at = 0 FROM known WHERE grants.id = known.id AND known.alive AND known.paused_at > 0 RETURNING grants.id
), ` + tell(4, "changed") + `
SELECT alive FROM known`

// ResumeAgent implements contract.AgentStore.
func (s *Store) ResumeAgent(ctx context.Context, p contract.Pausing) error {
	if err := contract.Bounded(p.Event.Keep); err != nil {
		return err
	}
	var alive bool
	err := s.changeOne(ctx, "resuming an agent", p.GrantID, resumeOne, andEvent(p.Event, p.GrantID, p.AccountID, kept.Time(p.At)), &alive)
	if err == nil && !alive {
		return contract.ErrGone
	}
	return err
}

// RevokeAgents implements contract.AgentStore.
func (s *Store) RevokeAgents(ctx context.Context, accountID string, now time.Time, e contract.NewEvent) (int, error) {
	return s.changeAndTell(ctx, "revoking agents", accountID, e,
		`UPDATE grants g SET revoked_at = $1 WHERE g.account_id = $2 AND g.kind = 'agent' AND `+living("$1")+` RETURNING g.id`, kept.Time(now), accountID)
}

// What ends with everything, by the account ($1) and the time ($2). Identities are locked
// before: who approves, delegates or signs in as one has done so and is found, or does it
// afterwards. Grants come behind requests, on whose approval these wait.
const (
	killLock     = `SELECT FROM identities WHERE account_id = $1 ORDER BY bap_id FOR UPDATE`
	killRequests = `UPDATE device_requests SET state = 'denied' WHERE account_id = $1 AND state = 'pending' AND expires_at > $2 RETURNING device_code`
	killGrants   = `UPDATE grants SET revoked_at = $2 WHERE account_id = $1 AND revoked_at = 0 AND expires_at > $2`
	killReviews  = `DELETE FROM reviews WHERE session IN (SELECT token FROM sessions WHERE account_id = $1)`
)

// Kill implements contract.AgentStore.
func (s *Store) Kill(ctx context.Context, k contract.Kill) error {
	if err := contract.Bounded(k.Event.Keep); err != nil {
		return err
	}
	var denied []authz.Hash
	err := s.transact(ctx, "ending everything", func(ctx context.Context, tx pgx.Tx) error {
		denied = nil
		if isNoText(k.BAPID) || isNoText(k.Nonce) {
			return contract.ErrNotFound
		}
		err := found(tx.QueryRow(ctx, `SELECT account_id FROM identities WHERE bap_id = $1`, k.BAPID).Scan(&k.Event.AccountID))
		if err != nil {
			return err
		}
		account, now := k.Event.AccountID, kept.Time(k.At)
		tag, err := tx.Exec(ctx, `INSERT INTO kills (bap_id, nonce, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, k.BAPID, k.Nonce, now)
		if err == nil && tag.RowsAffected() == 0 {
			return contract.ErrExists
		}
		if err != nil {
			return err
		}
		steps := &pgx.Batch{}
		steps.Queue(killLock, account)
		steps.Queue(lockConsents, account)
		steps.Queue(killRequests, account, now).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var code authz.Hash
				if err := rows.Scan(toHash{&code}); err != nil {
					return err
				}
				denied = append(denied, code)
			}
			return rows.Err()
		})
		steps.Queue(killGrants, account, now)
		steps.Queue(`DELETE FROM consents WHERE account_id = $1`, account)
		steps.Queue(killReviews, account)
		steps.Queue(`DELETE FROM sessions WHERE account_id = $1`, account)
		steps.Queue(tellOnce, andEvent(k.Event)...)
		return tx.SendBatch(ctx, steps).Close()
	})
	if err != nil {
		return err
	}
	for _, code := range denied {
		s.notifier.notify(contract.Decided{DeviceCode: code})
	}
	return nil
}
