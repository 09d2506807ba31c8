package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/kept"
)

// UseOnce implements contract.ReplayStore.
func (s *Store) UseOnce(ctx context.Context, key authz.Hash, now, until time.Time) error {
	return s.insert(ctx, "recording a used key", string(key[:]), `INSERT INTO used_once (key, expires_at) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET expires_at = $2 WHERE used_once.expires_at <= $3`, key[:], kept.Time(until), kept.Time(now))
}

// The widest subject, which is the last, is locked first: whoever counts for the
// same site then holds nothing yet that another group could wait for.
const countGuesses = `INSERT INTO guesses (subject, opens_at, failures)
SELECT subject, $2, count(*) FROM unnest($1::text[]) WITH ORDINALITY AS s (subject, place) GROUP BY subject ORDER BY max(place) DESC
ON CONFLICT (subject, opens_at) DO UPDATE SET failures = guesses.failures + excluded.failures`

// CountGuesses implements contract.GuessStore.
func (s *Store) CountGuesses(ctx context.Context, subjects []string, window time.Time) error {
	if len(subjects) == 0 {
		return nil
	}
	_, err := s.exec(ctx, "counting guesses", subjects[len(subjects)-1], countGuesses, subjects, kept.Time(window))
	return err
}

// report is the part of a statement that notes reports of the subjects in a
// parameter if there is a row of another part, and forgets the account's oldest.
func report(account, at, subjects, reporter, most, atOnce, from string) string {
	return fmt.Sprintf(`reported AS (
	INSERT INTO reports (subject, account_id, reported_at, reporter)
	SELECT subject, %[1]s, %[2]s, %[7]s FROM %[4]s, unnest(%[3]s::text[]) AS subject ORDER BY subject
	ON CONFLICT (subject, account_id) DO UPDATE SET reported_at = %[2]s, reporter = %[7]s
), outdated AS (
	DELETE FROM reports WHERE account_id = %[1]s AND subject = ANY (ARRAY (SELECT subject FROM reports WHERE account_id = %[1]s AND subject = ANY (ARRAY (
		SELECT subject FROM reports WHERE account_id = %[1]s AND subject <> ALL (%[3]s::text[]) AND EXISTS (SELECT FROM %[4]s) ORDER BY reported_at DESC
		LIMIT %[5]s OFFSET %[6]s - cardinality(%[3]s::text[])
	)) FOR UPDATE SKIP LOCKED))
)`, account, at, subjects, from, atOnce, most, reporter)
}

// Guesses implements contract.GuessStore.
func (s *Store) Guesses(ctx context.Context, subjects []string, window time.Time) ([]int, error) {
	return s.counts(ctx, "reading guesses",
		`SELECT subject, failures FROM guesses WHERE subject = ANY ($1) AND opens_at = $2`, subjects, kept.Time(window))
}

// Reports implements contract.ReportStore.
func (s *Store) Reports(ctx context.Context, subjects []string, after time.Time) ([]int, error) {
	return s.counts(ctx, "reading reports",
		`SELECT subject, count(DISTINCT reporter) FROM reports WHERE subject = ANY ($1) AND reported_at > $2 GROUP BY subject`, subjects, kept.Time(after))
}

// count is a number that belongs to a subject.
type count struct {
	subject string
	n       int
}

func scanCount(row pgx.CollectableRow) (c count, err error) {
	err = row.Scan(&c.subject, &c.n)
	return c, err
}

// counts runs a statement that finds the counts of the subjects in $1, and returns
// them in their order: 0 for what is not found.
func (s *Store) counts(ctx context.Context, operation, statement string, subjects []string, time int64) ([]int, error) {
	found, err := list(ctx, s, operation, scanCount, statement, subjects, time)
	if err != nil {
		return nil, err
	}
	counts := make([]int, len(subjects))
	for _, c := range found {
		for i, subject := range subjects {
			if subject == c.subject {
				counts[i] = c.n
			}
		}
	}
	return counts, nil
}

// Reported implements contract.ReportStore. It may take a while, so it is in nobody's
// way.
func (s *Store) Reported(ctx context.Context, prefix string, atLeast int, after time.Time) (subjects []string, err error) {
	err = s.transact(ctx, "reading reports", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT subject FROM reports WHERE reported_at > $1 AND starts_with(subject, $2)
			GROUP BY subject HAVING count(DISTINCT reporter) >= $3 ORDER BY subject`, kept.Time(after), prefix, atLeast)
		if err != nil {
			return err
		}
		subjects, err = pgx.AppendRows([]string(nil), rows, pgx.RowTo[string])
		return err
	})
	return subjects, err
}
