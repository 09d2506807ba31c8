package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// over deletes rows by their place, at most $2; a row that somebody uses now is
// left to the next time.
func over(table, end string) string {
	return `DELETE FROM ` + table + ` WHERE ctid = ANY (ARRAY (
		SELECT ctid FROM ` + table + ` WHERE ` + end + ` < $1 ORDER BY ` + end + ` LIMIT $2 FOR UPDATE SKIP LOCKED))`
}

var (
	overRequests = `WITH gone AS (` + over("device_requests", "expires_at") + ` RETURNING seq, id),
		openings AS (DELETE FROM device_openings USING gone WHERE request = gone.seq),
		asked AS (DELETE FROM questions WHERE request_id = ANY (ARRAY (SELECT id FROM gone)))
		SELECT FROM gone`
	overGrants   = over("grants", "(CASE WHEN revoked_at > 0 THEN LEAST(revoked_at, expires_at) ELSE expires_at END)")
	overEvents   = over("events", "at")
	overLeft     = over("departures", "left_at")
	overTokens   = over("refresh_tokens", "expires_at")
	overConsents = over("consents", "expires_at")
	overSessions = over("sessions", "expires_at")
	overReviews  = over("reviews", "expires_at")
	overUsed     = over("used_once", "expires_at")
	overGuesses  = over("guesses", "opens_at")
	overAsks     = over("asks", "created_at")
	overSpends   = over("spends", "until")
	overLimits   = over("spend_counters", "until")
	overReports  = over("reports", "reported_at")
)

// Sweep implements contract.Store. One server at a time does it: the others
// find nothing to do.
func (s *Store) Sweep(ctx context.Context, before contract.SweepTimes, limit int) (deleted int, err error) {
	err = s.transact(ctx, "sweeping", func(ctx context.Context, tx pgx.Tx) error {
		deleted = 0
		err := found(tx.QueryRow(ctx, `SELECT FROM sweeps FOR UPDATE SKIP LOCKED`).Scan())
		if errors.Is(err, contract.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, kind := range []struct {
			statement string
			before    time.Time
		}{
			{overRequests, before.DeviceRequests},
			{overGrants, before.Grants},
			{overEvents, before.Events},
			{overLeft, before.Events},
			{overTokens, before.Rest},
			{overConsents, before.Rest},
			{overSessions, before.Rest},
			{overReviews, before.Rest},
			{overUsed, before.Rest},
			{overGuesses, before.Counted},
			{overReports, before.Counted},
			{overAsks, before.Counted},
			{overSpends, before.Grants},
			{overLimits, before.Rest},
		} {
			tag, err := tx.Exec(ctx, kind.statement, kept.Time(kind.before), limit)
			if err != nil {
				return err
			}
			deleted += int(tag.RowsAffected())
		}
		return nil
	})
	return deleted, err
}
