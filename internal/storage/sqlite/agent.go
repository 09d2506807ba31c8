package sqlite

import (
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
