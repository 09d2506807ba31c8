package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const eventColumns = `id, account_id, at, kind, bap_id, client_id, grant_id, acr, network, user_agent, subject, standing`

// andEvent are a statement's own arguments and behind them those of tell.
func andEvent(e contract.NewEvent, args ...any) []any {
	return append(args,
		e.ID, e.AccountID, kept.Time(e.At), string(e.Kind), e.BAPID, e.ClientID, e.GrantID, e.ACR, e.Network, e.UserAgent, e.Subject, kept.Time(e.Standing),
		e.Keep.Most, e.Keep.AtOnce)
}

// tell is the part of a statement that stores an event if there are rows of another
// part, and forgets the account's oldest: of what the newest leave over what tells of no
// way, and of ways what their newest leave over and those of the earliest standing. Those that somebody else forgets at this
// moment are left to them. Arrays make PostgreSQL look each up by its key, where it
// would otherwise join them to all others of the account. The event's parameters come behind the
// statement's own and begin with $first (andEvent).
func tell(first int, from string) string {
	p := func(i int) string { return fmt.Sprintf("$%d", first+i) }
	return fmt.Sprintf(`told AS (
	INSERT INTO events (`+eventColumns+`) SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s FROM (SELECT FROM %s LIMIT 1) AS once
), forgotten AS (
	DELETE FROM events WHERE seq = ANY (ARRAY (SELECT seq FROM events WHERE seq = ANY (ARRAY ((
		SELECT seq FROM (
			SELECT seq, kind FROM events WHERE account_id = %[2]s AND EXISTS (SELECT FROM %[13]s) ORDER BY at DESC, seq DESC OFFSET %[15]s - 1
		) AS left_over WHERE kind NOT IN `+kept.WayEvents+` LIMIT %[14]s
	) UNION ALL (
		SELECT seq FROM (
			SELECT seq FROM events WHERE account_id = %[2]s AND kind IN `+kept.WayEvents+` AND %[4]s IN `+kept.WayEvents+` AND EXISTS (SELECT FROM %[13]s)
			ORDER BY at DESC, seq DESC OFFSET %[15]s - 1
		) AS older WHERE seq <> ALL (ARRAY (
			SELECT seq FROM (
				SELECT seq, standing, at FROM events WHERE account_id = %[2]s AND kind IN `+kept.WayEvents+`
				UNION ALL SELECT 9223372036854775807, %[12]s::bigint, %[3]s::bigint -- the new one
			) AS standing ORDER BY standing, at DESC, seq DESC LIMIT %[15]s
		)) LIMIT %[14]s
	))) FOR UPDATE SKIP LOCKED))
)`, p(0), p(1), p(2), p(3), p(4), p(5), p(6), p(7), p(8), p(9), p(10), p(11), from, p(13), p(12))
}

// tellOnce stores an event, in a transaction of several steps.
var tellOnce = `WITH happened AS (SELECT), ` + tell(1, "happened") + ` SELECT FROM happened`

// changeAndTell runs a statement that changes something and stores one event if
// it did, and says how many rows it changed. The statement is written for that:
// it returns its rows.
func (s *Store) changeAndTell(ctx context.Context, operation, row string, e contract.NewEvent, statement string, args ...any) (int, error) {
	if err := contract.Bounded(e.Keep); err != nil {
		return 0, err
	}
	return s.exec(ctx, operation, row, `WITH changed AS (`+statement+`), `+tell(len(args)+1, "changed")+` SELECT FROM changed`, andEvent(e, args...)...)
}

// mustChangeAndTell is changeAndTell for a statement that must change a row.
//
//	authz.ErrNotFound: it changed none
func (s *Store) mustChangeAndTell(ctx context.Context, operation, row string, e contract.NewEvent, statement string, args ...any) error {
	n, err := s.changeAndTell(ctx, operation, row, e, statement, args...)
	return changed(n, err)
}

// Events implements contract.AccountStore.
func (s *Store) Events(ctx context.Context, accountID string, after contract.Position, limit int) ([]authz.Event, error) {
	return list(ctx, s, "listing events", func(row pgx.CollectableRow) (e authz.Event, err error) {
		err = row.Scan(&e.ID, &e.AccountID, toTime{&e.At}, (*string)(&e.Kind), &e.BAPID, &e.ClientID, &e.GrantID, &e.ACR, &e.Network, &e.UserAgent, &e.Subject, toTime{&e.Standing})
		return e, err
	}, `SELECT `+eventColumns+` FROM events WHERE account_id = $1 AND at <= $2
			AND (at < $2 OR seq < COALESCE((SELECT seq FROM events WHERE account_id = $1 AND at = $2 AND id = $3), $4))
		ORDER BY at DESC, seq DESC LIMIT $5`, accountID, kept.UpTo(after), after.ID, int64(math.MaxInt64), limit)
}
