package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// living is the condition of a grant g that is neither revoked nor expired at a time, which is
// a parameter; paused says of its line whether it or one above is paused, and is NULL where one
// above is missing or over. Of a grant that nothing is above it costs nothing.
func living(now string) string { return `g.revoked_at = 0 AND g.expires_at > ` + now }

func paused(now string) string {
	return `(CASE WHEN g.parent = '' THEN g.paused_at > 0 ELSE (
		WITH RECURSIVE up (parent, paused) AS (
			SELECT g.parent, g.paused_at > 0
			UNION ALL SELECT p.parent, up.paused OR p.paused_at > 0 FROM up JOIN grants p ON p.id = up.parent WHERE p.revoked_at = 0 AND p.expires_at > ` + now + `
		) SELECT paused FROM up WHERE parent = '') END)`
}

// line is what paused says of a grant that was read.
type line struct{ paused *bool }

// alive is how reading a living grant ended.
//
//	contract.ErrPaused
//	contract.ErrNotFound: there is none, or one above it is over
func (l line) alive(err error) error {
	switch {
	case err != nil:
		return err
	case l.paused == nil:
		return contract.ErrNotFound
	case *l.paused:
		return contract.ErrPaused
	default:
		return nil
	}
}

// notAlive reports whether reading a living grant failed otherwise than by its pause.
func notAlive(err error) bool { return err != nil && !errors.Is(err, contract.ErrPaused) }

var lineLiving = `SELECT ` + grantColumns + `, ` + paused("$2") + ` FROM grants g WHERE g.id = $1 AND ` + living("$2")

// oneLiving reads a grant by lineLiving and perhaps more conditions.
//
//	contract.ErrPaused: the grant is returned
//	contract.ErrNotFound: there is none, or one above it is over
func (s *Store) oneLiving(ctx context.Context, statement, id string, now time.Time) (g authz.Grant, err error) {
	var line line
	err = s.one(ctx, "reading a grant", statement, []any{id, kept.Time(now)}, append(grantFields(&g), &line.paused)...)
	if err = line.alive(err); notAlive(err) {
		return authz.Grant{}, err
	}
	return g, err
}

// livingLine reads a grant whose whole line is alive.
func (s *Store) livingLine(ctx context.Context, id string, now time.Time) (authz.Grant, error) {
	return s.oneLiving(ctx, lineLiving, id, now)
}

// lockKey has those wait for each other who make a key an owner's and those who make it an
// agent's, by its id: neither has a row yet that the other could find. What is decided comes in
// a statement behind it, which sees what the other did.
const lockKey = `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`

// agentAlive is the condition that a key, by its id, is a living agent's.
func agentAlive(id, now string) string {
	return `EXISTS (SELECT FROM grants g WHERE g.agent_id = ` + id + ` AND g.agent_id <> '' AND ` + living(now) + ` AND ` + paused(now) + ` IS NOT NULL)`
}

// pauseAgents pauses what is alive of an account's agents and not paused itself; who uses it
// says which.
func pauseAgents(now, account string) string {
	return `UPDATE grants g SET paused_at = ` + now + ` WHERE g.account_id = ` + account + ` AND g.kind <> '' AND g.paused_at = 0 AND ` + living(now) + ` AND ` + paused(now) + ` IS NOT NULL`
}

// admittingParameters are those of an agent's approval: how many may be of the account and in the
// line.
const admittingParameters = 2

// replacedAgents are those that a new one of the same account ($2), client ($8) and key ($28)
// takes the place of, if it is a topmost one.
const replacedAgents = `ARRAY (SELECT id FROM grants WHERE agent_id = $28 AND agent_id <> '' AND account_id = $2 AND client_id = $8
	AND kind = 'agent' AND $27 = 'agent' AND revoked_at = 0 AND expires_at > $4)`

// replaceAgents ends them when the approval is decided.
const replaceAgents = `replaced AS (
	UPDATE grants SET revoked_at = $4 WHERE id = ANY (` + replacedAgents + `) AND revoked_at = 0 AND EXISTS (SELECT FROM decided)
), `

// admitAgent is the condition of an agent's approval: of one on top that what it is on top of
// is alive and the account's, of a topmost one that there is room.
func admitAgent(first int) string {
	return ` AND NOT EXISTS (SELECT FROM identities WHERE bap_id = $28) AND CASE WHEN $27 = 'on-top' THEN ` + aboveAlive("$29", "$2", "$4") + `
		ELSE ` + agentRoom("$2", "$30", "$4", first) + ` END`
}

func aboveAlive(parent, account, now string) string {
	return `EXISTS (SELECT FROM grants g WHERE g.id = ` + parent + ` AND g.account_id = ` + account + ` AND ` + living(now) + ` AND ` + paused(now) + ` IS NOT NULL)`
}

// agentRoom is whether one more agent may be alive; the parameters of how many begin with
// $first.
func agentRoom(account, line, now string, first int) string {
	return fmt.Sprintf(`(SELECT count(*) < $%d AND count(*) FILTER (WHERE line = `+line+`) < $%d FROM grants g
			WHERE g.account_id = `+account+` AND g.kind IN ('agent', 'sub-agent') AND `+living(now)+` AND `+paused(now)+` IS NOT NULL AND g.line <> ALL (`+replacedAgents+`))`, first, first+1)
}

var whyNotAdmitted = `SELECT EXISTS (SELECT FROM identities WHERE bap_id = $1), $2 <> 'on-top' OR ` + aboveAlive("$3", "$4", "$5")

// whyNotAdmitted explains why an agent was not approved that somebody could approve.
func (s *Store) whyNotAdmitted(ctx context.Context, a contract.Approval) error {
	var taken, above bool
	d := a.Grant.Delegated
	err := s.one(ctx, "reading why an agent was not approved", whyNotAdmitted,
		[]any{d.Agent.ID, string(d.Kind), d.Parent, a.AccountID, kept.Time(a.At)}, &taken, &above)
	switch {
	case err != nil:
		return err
	case taken:
		return contract.ErrKeyTaken
	case !above:
		return contract.ErrGone
	default:
		return contract.ErrFull
	}
}

// AgentGrant implements contract.AgentStore.
func (s *Store) AgentGrant(ctx context.Context, accountID, clientID, agentID string, now time.Time) (g authz.Grant, err error) {
	err = s.one(ctx, "reading an agent", `SELECT `+grantColumns+` FROM grants g
		WHERE agent_id = $1 AND agent_id <> '' AND account_id = $2 AND client_id = $3 AND kind = 'agent' AND `+living("$4")+`
		ORDER BY created_at DESC, id LIMIT 1`, []any{agentID, accountID, clientID, kept.Time(now)}, grantFields(&g)...)
	return g, err
}

// AgentAlive implements contract.AgentStore.
func (s *Store) AgentAlive(ctx context.Context, agentID string, now time.Time) (alive bool, err error) {
	err = s.one(ctx, "looking for an agent", `SELECT `+agentAlive("$1", "$2"), []any{agentID, kept.Time(now)}, &alive)
	if errors.Is(err, contract.ErrNotFound) { // it is no text
		return false, nil
	}
	return alive, err
}

// Line implements contract.AgentStore.
func (s *Store) Line(ctx context.Context, id string) ([]authz.Grant, error) {
	line, err := list(ctx, s, "reading a line of agents", func(row pgx.CollectableRow) (g authz.Grant, err error) {
		err = row.Scan(grantFields(&g)...)
		return g, err
	}, `WITH RECURSIVE up (id, above, level) AS (
			SELECT id, parent, 0 FROM grants WHERE id = $1
			UNION ALL SELECT p.id, p.parent, level + 1 FROM up JOIN grants p ON p.id = up.above WHERE up.above <> ''
		) SELECT `+grantColumns+` FROM up JOIN grants USING (id) ORDER BY level`, id)
	if err == nil && len(line) == 0 {
		return nil, contract.ErrNotFound
	}
	return line, err
}
