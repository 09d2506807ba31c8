package sqlite

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// The conditions of a grant g that is alive, and of its line, by the number of the parameter
// that is the time. The line is NULL where one above is missing or over, else whether it or
// one above is paused. Of a grant that nothing is above it costs nothing.
const (
	living1 = `g.revoked_at = 0 AND g.expires_at > ?1`
	living2 = `g.revoked_at = 0 AND g.expires_at > ?2`
	living4 = `g.revoked_at = 0 AND g.expires_at > ?4`
	paused1 = pausedFrom + `?1` + pausedTo
	paused2 = pausedFrom + `?2` + pausedTo
	paused4 = pausedFrom + `?4` + pausedTo

	pausedFrom = `CASE WHEN g.parent = '' THEN g.paused_at > 0 ELSE (
		WITH RECURSIVE up (parent, paused) AS (
			SELECT g.parent, g.paused_at > 0
			UNION ALL SELECT p.parent, up.paused OR p.paused_at > 0 FROM up JOIN grants p ON p.id = up.parent WHERE p.revoked_at = 0 AND p.expires_at > `
	pausedTo = `
		) SELECT paused FROM up WHERE parent = '') END`
)

// oneLiving reads a grant by a statement whose last column is its line's.
//
//	contract.ErrPaused: the grant is returned
//	contract.ErrNotFound: there is none, or one above it is over
func oneLiving(c *sqlite.Conn, statement string, args ...any) (g authz.Grant, err error) {
	var over, paused bool
	err = one(c, func(r *sqlite.Stmt) {
		g, over, paused = scanGrant(r), r.ColumnType(pausedColumn) == sqlite.TypeNull, r.ColumnBool(pausedColumn)
	}, statement, args...)
	switch {
	case err != nil:
		return authz.Grant{}, err
	case over:
		return authz.Grant{}, contract.ErrNotFound
	case paused:
		return g, contract.ErrPaused
	default:
		return g, nil
	}
}

// notAlive reports whether reading a living grant failed otherwise than by its pause.
func notAlive(err error) bool { return err != nil && !errors.Is(err, contract.ErrPaused) }

const lineLiving = `SELECT ` + grantColumns + `, ` + paused2 + ` FROM grants g WHERE g.id = ?1 AND ` + living2

// livingLine reads a grant whose whole line is alive.
//
//	contract.ErrPaused, contract.ErrNotFound: as oneLiving
func livingLine(c *sqlite.Conn, id string, now time.Time) (authz.Grant, error) {
	return oneLiving(c, lineLiving, id, now)
}

const agentAlive = `SELECT 1 FROM grants g WHERE g.agent_id = ?1 AND g.agent_id <> '' AND ` + living2 + ` AND ` + paused2 + ` IS NOT NULL LIMIT 1`

// noAgent fails where the key of an identity is a living agent's.
//
//	contract.ErrKeyTaken
func noAgent(c *sqlite.Conn, bapID string, now time.Time) error {
	taken, err := query(c, func(*sqlite.Stmt) {}, agentAlive, bapID, now)
	if taken {
		return contract.ErrKeyTaken
	}
	return err
}

// noIdentity fails where the key of an agent is an identity's.
//
//	contract.ErrKeyTaken
func noIdentity(c *sqlite.Conn, agentID string) error {
	taken, err := query(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM identities WHERE bap_id = ?`, agentID)
	if taken {
		return contract.ErrKeyTaken
	}
	return err
}

// admitAgent fails unless the grant of an agent may be; any other grant may. What it takes
// the place of ends.
//
//	contract.ErrKeyTaken, contract.ErrFull
//	contract.ErrGone: what is asked on top of is over, or another's
func admitAgent(c *sqlite.Conn, a contract.Approval) error {
	d := a.Grant.Delegated
	if !d.ToAgent() {
		return nil
	}
	if err := noIdentity(c, d.Agent.ID); err != nil {
		return err
	}
	if d.Kind == authz.OnTop {
		above, err := livingLine(c, d.Parent, a.At)
		if notAlive(err) && !errors.Is(err, contract.ErrNotFound) {
			return err
		}
		if notAlive(err) || above.AccountID != a.AccountID {
			return contract.ErrGone
		}
		return nil
	}
	return replaceAgent(c, a.Grant, a.At, a.Agents)
}

// replaceAgent ends the living grant that one more of the same agent takes the place of, and
// fails where there are too many of other agents.
//
//	contract.ErrFull
func replaceAgent(c *sqlite.Conn, g authz.Grant, now time.Time, room contract.AgentRoom) error {
	d := g.Delegated
	_, err := exec(c, `UPDATE grants AS g SET revoked_at = ?1 WHERE g.agent_id = ?2 AND g.agent_id <> ''
		AND g.account_id = ?3 AND g.client_id = ?4 AND g.kind = ?5 AND g.parent = ?6 AND `+living1,
		now, d.Agent.ID, g.AccountID, g.ClientID, string(d.Kind), d.Parent)
	if err != nil {
		return err
	}
	var all, inLine int
	err = one(c, func(r *sqlite.Stmt) { all, inLine = r.ColumnInt(0), r.ColumnInt(1) },
		`SELECT count(*), count(*) FILTER (WHERE g.line = ?2) FROM grants g
			WHERE g.account_id = ?3 AND g.kind IN ('agent', 'sub-agent') AND `+living1+` AND `+paused1+` IS NOT NULL`,
		now, d.Line, g.AccountID)
	if err == nil && (all >= room.PerAccount || inLine >= room.PerLine) {
		return contract.ErrFull
	}
	return err
}

// pauseAgent pauses an account's agent that is alive and not paused itself.
const pauseAgent = `UPDATE grants AS g SET paused_at = ?1 WHERE g.account_id = ?2 AND g.id = ?3 AND g.kind <> '' AND g.paused_at = 0 AND ` + living1 + ` AND ` + paused1 + ` IS NOT NULL`

// AgentGrant implements contract.AgentStore.
func (s *Store) AgentGrant(ctx context.Context, accountID, clientID, agentID string, now time.Time) (g authz.Grant, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { g = scanGrant(r) }, `SELECT `+grantColumns+` FROM grants g
			WHERE g.agent_id = ?1 AND g.agent_id <> '' AND g.account_id = ?3 AND g.client_id = ?4 AND g.kind = 'agent' AND `+living2+`
			ORDER BY g.created_at DESC, g.id LIMIT 1`, agentID, now, accountID, clientID)
	})
	return g, wrap("reading an agent", err)
}

// AgentAlive implements contract.AgentStore.
func (s *Store) AgentAlive(ctx context.Context, agentID string, now time.Time) (alive bool, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		alive, err = query(c, func(*sqlite.Stmt) {}, agentAlive, agentID, now)
		return err
	})
	return alive, wrap("looking for an agent", err)
}

// Line implements contract.AgentStore.
func (s *Store) Line(ctx context.Context, id string) (line []authz.Grant, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		found, err := query(c, func(r *sqlite.Stmt) { line = append(line, scanGrant(r)) }, `
			WITH RECURSIVE up (id, parent, level) AS (
				SELECT id, parent, 0 FROM grants WHERE id = ?
				UNION ALL SELECT p.id, p.parent, level + 1 FROM up JOIN grants p ON p.id = up.parent WHERE up.parent <> ''
			) SELECT `+grantColumns+` FROM up JOIN grants g ON g.id = up.id ORDER BY level`, id)
		if err == nil && !found {
			return contract.ErrNotFound
		}
		return err
	})
	return line, wrap("reading a line of agents", err)
}

// Delegate implements contract.AgentStore.
func (s *Store) Delegate(ctx context.Context, d contract.Delegation) error {
	return wrap("delegating", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		g := d.Grant
		if err := hasIdentity(c, g.AccountID, g.BAPID); err != nil {
			return err
		}
		above, err := livingLine(c, g.Delegated.Parent, d.At)
		if err == nil && above.AccountID != g.AccountID {
			err = contract.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := noIdentity(c, g.Delegated.Agent.ID); err != nil {
			return err
		}
		if err := replaceAgent(c, g, d.At, d.Room); err != nil {
			return err
		}
		if err := forgetGrants(c, g.AccountID, d.At, d.Keep); err != nil {
			return err
		}
		if err := insertGrant(c, g, d.Receipt); err != nil {
			return err
		}
		if d.RefreshToken != nil {
			if err := insertRefreshToken(c, *d.RefreshToken); err != nil {
				return err
			}
		}
		return insertEvent(c, d.Event)
	}))
}

// PauseAgents implements contract.AgentStore.
func (s *Store) PauseAgents(ctx context.Context, p contract.Pausing) (n int, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		if p.GrantID == "" {
			n, err = exec(c, `UPDATE grants AS g SET paused_at = ?1 WHERE g.account_id = ?2 AND g.kind = 'agent' AND g.paused_at = 0 AND `+living1, p.At, p.AccountID)
		} else {
			above, look := livingLine(c, p.GrantID, p.At)
			if notAlive(look) {
				return look
			}
			if above.AccountID != p.AccountID || !above.Delegated.ToAgent() {
				return contract.ErrNotFound
			}
			n, err = exec(c, pauseAgent, p.At, p.AccountID, p.GrantID)
		}
		if n == 0 {
			return err
		}
		return insertEvent(c, p.Event)
	})
	return n, wrap("pausing agents", err)
}

// ResumeAgent implements contract.AgentStore.
func (s *Store) ResumeAgent(ctx context.Context, p contract.Pausing) error {
	return wrap("resuming an agent", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		err := one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM grants WHERE id = ? AND account_id = ? AND kind <> ''`, p.GrantID, p.AccountID)
		if err != nil {
			return err
		}
		if _, err = livingLine(c, p.GrantID, p.At); notAlive(err) {
			if errors.Is(err, contract.ErrNotFound) {
				return contract.ErrGone
			}
			return err
		}
		n, err := exec(c, `UPDATE grants SET paused_at = 0 WHERE id = ? AND paused_at > 0`, p.GrantID)
		if n == 0 {
			return err
		}
		return insertEvent(c, p.Event)
	}))
}

// RevokeAgents implements contract.AgentStore.
func (s *Store) RevokeAgents(ctx context.Context, accountID string, now time.Time, e contract.NewEvent) (n int, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		n, err = exec(c, `UPDATE grants AS g SET revoked_at = ?1 WHERE g.account_id = ?2 AND g.kind = 'agent' AND `+living1, now, accountID)
		if n == 0 {
			return err
		}
		return insertEvent(c, e)
	})
	return n, wrap("revoking agents", err)
}
