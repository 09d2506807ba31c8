package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz/contract"
)

// Sweep implements contract.Store.
func (s *Store) Sweep(ctx context.Context, before contract.SweepTimes, limit int) (total int, err error) {
	for _, kind := range []struct {
		over   over
		before time.Time
	}{
		{overRequests, before.DeviceRequests},
		{overGrants, before.Grants},
		{overTokens, before.Rest},
		{overEvents, before.Events},
		{overLeft, before.Events},
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
		n, err := s.remove(ctx, kind.over, kind.before, limit)
		if total += n; err != nil {
			return total, wrap("sweeping", err)
		}
	}
	return total, nil
}

// over finds the rows of a table that ended before a time, and removes some.
type over struct{ look, remove string }

func newOver(table, key, end string) over {
	return over{
		look:   `SELECT 1 FROM ` + table + ` WHERE ` + end + ` < ? LIMIT 1`,
		remove: `DELETE FROM ` + table + ` WHERE (` + key + `) IN (SELECT ` + key + ` FROM ` + table + ` WHERE ` + end + ` < ?1 LIMIT ?2)`,
	}
}

// remove removes some rows in a transaction of its own; where there are none it
// needs none, which would cost those who write a flush to disk.
func (s *Store) remove(ctx context.Context, o over, before time.Time, limit int) (n int, err error) {
	var some bool
	err = s.read(ctx, func(c *sqlite.Conn) (err error) {
		some, err = query(c, func(*sqlite.Stmt) {}, o.look, before)
		return err
	})
	switch {
	case !some:
		return 0, err
	case o == overRequests:
		return s.sweepDeviceRequests(ctx, before, limit)
	}
	err = s.writer.do(ctx, single, func(c *sqlite.Conn) (err error) {
		n, err = exec(c, o.remove, before, limit)
		return err
	})
	return n, err
}

// sweepDeviceRequests deletes rows with what is kept of their opening and was asked about them, and then
// what the index has of them.
func (s *Store) sweepDeviceRequests(ctx context.Context, before time.Time, limit int) (n int, err error) {
	gone := map[uint64]int64{}
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		var rows []int64
		var ids []string
		_, err := query(c, func(r *sqlite.Stmt) {
			n++
			rows, ids = append(rows, r.ColumnInt64(0)), append(ids, r.ColumnText(3))
			for _, h := range s.index.hashes(columnHash(r, 1), columnHash(r, 2), r.ColumnText(3)) {
				gone[h] = r.ColumnInt64(0)
			}
		}, overRequests.remove+` RETURNING seq, device_code, user_code, id`, before, limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if _, err := exec(c, `DELETE FROM device_openings WHERE request = ?`, row); err != nil {
				return err
			}
		}
		for _, id := range ids {
			if _, err := exec(c, `DELETE FROM questions WHERE request_id = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.index.remove(gone)
	return n, nil
}

var (
	overRequests = newOver("device_requests", "seq", "expires_at")
	overGrants   = newOver("grants", "rowid", "ended_at")
	overTokens   = newOver("refresh_tokens", "token", "expires_at")
	overEvents   = newOver("events", "seq", "at")
	overLeft     = newOver("departures", "bap_id, account_id", "left_at")
	overConsents = newOver("consents", "account_id, client_id, bap_id", "expires_at")
	overSessions = newOver("sessions", "token", "expires_at")
	overReviews  = newOver("reviews", "id", "expires_at")
	overUsed     = newOver("used_once", "key", "expires_at")
	overGuesses  = newOver("guesses", "subject, opens_at", "opens_at")
	overAsks     = newOver("asks", "request", "created_at")
	overSpends   = newOver("spends", "rowid", "until")
	overLimits   = newOver("spend_counters", "grant_id, name", "until")
	overReports  = newOver("reports", "subject, account_id", "reported_at")
)
