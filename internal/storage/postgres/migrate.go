package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the number of the lock that servers take to migrate one after
// the other. Any number that no other program uses will do.
const migrationLock = "862862862"

// migrate brings the schema up to date, one transaction a step, however many
// servers start. The number of steps done is kept in the table schema_steps.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for done := 0; done < len(files); {
		if done, err = s.step(ctx, files); err != nil {
			return err
		}
	}
	return nil
}

// UpToDate reports whether a database has the schema of this program, so that Open changes
// nothing of it.
func UpToDate(ctx context.Context, url string) bool {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return false
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return false
	}
	c, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close(ctx) }() // nothing was changed
	var done int
	err = c.QueryRow(ctx, `SELECT count(*) FROM schema_steps`).Scan(&done)
	return err == nil && done == len(files)
}

// step runs the first file that was not run yet, and returns how many then are.
// It has all the time it needs: other limits are for what clients wait for.
func (s *Store) step(ctx context.Context, files []string) (done int, err error) {
	err = s.attempts(ctx, "migrating", func() (again bool, err error) {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			done, err = stepOnce(ctx, tx, files)
			return err
		})
		return passing(err), err
	})
	return done, err
}

// createSteps makes the table of steps where there is none. IF NOT EXISTS wants the
// right to make tables even where it makes none, and a server needs that right only
// when it migrates.
const createSteps = `DO $$ BEGIN
	IF to_regclass(quote_ident(current_schema()) || '.schema_steps') IS NULL THEN
		CREATE TABLE schema_steps (step INTEGER PRIMARY KEY, done_at TIMESTAMPTZ NOT NULL DEFAULT now());
	END IF;
END $$`

func stepOnce(ctx context.Context, tx pgx.Tx, files []string) (done int, err error) {
	for _, statement := range []string{
		`SET LOCAL lock_timeout = 0`,
		`SET LOCAL statement_timeout = 0`,
		`SELECT pg_advisory_xact_lock(` + migrationLock + `)`,
		createSteps,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return 0, err
		}
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM schema_steps`).Scan(&done); err != nil {
		return 0, err
	}
	switch {
	case done > len(files):
		return 0, fmt.Errorf("the database is at step %d, newer than this program, which knows %d: use the newer program", done, len(files))
	case done == len(files):
		return done, nil
	}
	statements, err := migrations.ReadFile(files[done])
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, string(statements)); err != nil {
		return 0, fmt.Errorf("%s: %w", files[done], err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO schema_steps (step) VALUES ($1)`, done+1)
	return done + 1, err
}
