package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// UseOnce implements contract.ReplayStore.
func (s *Store) UseOnce(ctx context.Context, key authz.Hash, now, until time.Time) error {
	return wrap("recording a used key", s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		n, err := exec(c, `INSERT INTO used_once (key, expires_at) VALUES (?1, ?2)
			ON CONFLICT (key) DO UPDATE SET expires_at = ?2 WHERE expires_at <= ?3`, key, until, now)
		if err == nil && n == 0 {
			return contract.ErrExists
		}
		return err
	}))
}

// CountGuesses implements contract.GuessStore.
func (s *Store) CountGuesses(ctx context.Context, subjects []string, window time.Time) error {
	return wrap("counting guesses", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		for _, subject := range subjects {
			_, err := exec(c, `INSERT INTO guesses (subject, opens_at, failures) VALUES (?, ?, 1)
				ON CONFLICT (subject, opens_at) DO UPDATE SET failures = failures + 1`, subject, window)
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// Guesses implements contract.GuessStore.
func (s *Store) Guesses(ctx context.Context, subjects []string, window time.Time) ([]int, error) {
	failures := make([]int, len(subjects))
	err := s.read(ctx, func(c *sqlite.Conn) error {
		for i, subject := range subjects {
			_, err := query(c, func(r *sqlite.Stmt) { failures[i] = r.ColumnInt(0) },
				`SELECT failures FROM guesses WHERE subject = ? AND opens_at = ?`, subject, window)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return failures, wrap("reading guesses", err)
}

// noteReports stores what somebody reports, and forgets their oldest reports.
func noteReports(c *sqlite.Conn, subjects []string, accountID, reporter string, at time.Time, k contract.Keep) error {
	for _, subject := range subjects {
		_, err := exec(c, `INSERT INTO reports (subject, account_id, reported_at, reporter) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (subject, account_id) DO UPDATE SET reported_at = ?3, reporter = ?4`, subject, accountID, at, reporter)
		if err != nil {
			return err
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	return forget(c, k, `DELETE FROM reports WHERE account_id = ?3 AND subject IN (
		SELECT subject FROM reports WHERE account_id = ?3 ORDER BY reported_at DESC LIMIT ?2 OFFSET ?1)`, accountID)
}

// Reports implements contract.ReportStore.
func (s *Store) Reports(ctx context.Context, subjects []string, after time.Time) ([]int, error) {
	accounts := make([]int, len(subjects))
	err := s.read(ctx, func(c *sqlite.Conn) error {
		for i, subject := range subjects {
			err := one(c, func(r *sqlite.Stmt) { accounts[i] = r.ColumnInt(0) },
				`SELECT count(DISTINCT reporter) FROM reports WHERE subject = ? AND reported_at > ?`, subject, after)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return accounts, wrap("reading reports", err)
}

// Reported implements contract.ReportStore.
func (s *Store) Reported(ctx context.Context, prefix string, atLeast int, after time.Time) (subjects []string, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { subjects = append(subjects, r.ColumnText(0)) },
			`SELECT subject FROM reports WHERE reported_at > ?1 AND substr(subject, 1, length(?2)) = ?2
			GROUP BY subject HAVING count(DISTINCT reporter) >= ?3 ORDER BY subject`, after, prefix, atLeast)
		return err
	})
	return subjects, wrap("reading reports", err)
}
