package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/bench/internal/trial"
)

// database is one that is filled and then served from.
type database struct {
	// flags are what the server needs to use it.
	flags []string
	// fill puts rows into a table that the server has made. Indexes are made again
	// behind the rows, which takes a fraction of the time.
	fill func(ctx context.Context, t table) error
	// vacuum brings it into the state that it would have after running for long.
	vacuum func(ctx context.Context) error
	size   func(ctx context.Context) (int64, error)
	close  func() error
}

func openDatabase(ctx context.Context, kind, dir, memory string) (*database, error) {
	switch kind {
	case "sqlite":
		f := sqliteFile(filepath.Join(dir, "countersign.db"))
		return &database{
			fill: f.fill, size: f.size,
			vacuum: func(context.Context) error { return nil }, close: func() error { return nil },
		}, nil
	case "postgres":
		p, err := startPostgres(ctx, memory)
		if err != nil {
			return nil, err
		}
		return &database{flags: []string{"--database", p.URL}, fill: p.fill, vacuum: p.vacuum, size: p.size, close: p.Cluster.Close}, nil
	default:
		return nil, fmt.Errorf("-databases has %q", kind)
	}
}

// sqliteFile is the path of one.
type sqliteFile string

func (f sqliteFile) fill(_ context.Context, t table) (err error) {
	c, err := sqlite.OpenConn(string(f), sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	// Nothing is lost with a database that was to be filled.
	for _, pragma := range []string{`journal_mode = OFF`, `synchronous = OFF`, `cache_size = -524288`, `temp_store = FILE`} {
		if err := sqlitex.ExecuteTransient(c, `PRAGMA `+pragma, nil); err != nil {
			return err
		}
	}
	var drop, create []string
	err = sqlitex.Execute(c, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL`,
		&sqlitex.ExecOptions{Args: []any{t.name}, ResultFunc: func(r *sqlite.Stmt) error {
			drop, create = append(drop, `DROP INDEX `+r.ColumnText(0)), append(create, r.ColumnText(1))
			return nil
		}})
	for _, sql := range append(drop, `BEGIN`) {
		if err == nil {
			err = sqlitex.ExecuteTransient(c, sql, nil)
		}
	}
	if err == nil {
		err = insertAll(c, t)
	}
	for _, sql := range append([]string{`COMMIT`}, create...) {
		if err == nil {
			err = sqlitex.ExecuteTransient(c, sql, nil)
		}
	}
	if err != nil {
		return fmt.Errorf("filling %s: %w", t.name, err)
	}
	return nil
}

func insertAll(c *sqlite.Conn, t table) error {
	insert, err := c.Prepare(`INSERT INTO ` + t.name + ` (` + strings.Join(t.columns, ", ") + `) VALUES (` + strings.Repeat("?, ", len(t.columns)-1) + `?)`)
	if err != nil {
		return err
	}
	for i := range t.rows {
		for k, value := range t.row(i) {
			switch v := value.(type) {
			case string:
				insert.BindText(k+1, v)
			case []byte:
				insert.BindBytes(k+1, v)
			case int64:
				insert.BindInt64(k+1, v)
			case bool:
				insert.BindBool(k+1, v)
			}
		}
		if _, err := insert.Step(); err != nil {
			return err
		}
		if err := insert.Reset(); err != nil {
			return err
		}
	}
	return nil
}

func (f sqliteFile) size(context.Context) (n int64, err error) {
	for _, name := range []sqliteFile{f, f + "-wal"} {
		info, err := os.Stat(string(name))
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, nil
}

// postgresCluster is a cluster of our own. The superuser fills it, who may leave
// foreign keys unchecked.
type postgresCluster struct{ *trial.Postgres }

func startPostgres(ctx context.Context, memory string) (*postgresCluster, error) {
	p, err := trial.StartPostgres(ctx, map[string]string{
		"shared_buffers": memory, "max_wal_size": "8GB", "checkpoint_timeout": "15min", "maintenance_work_mem": "512MB",
	})
	if err != nil {
		return nil, err
	}
	return &postgresCluster{p}, nil
}

// indexes of a table, and how each is dropped and made again.
const indexes = `
SELECT 'DROP INDEX ' || i.relname, pg_get_indexdef(i.oid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indrelid = $1::regclass AND NOT x.indisprimary
UNION ALL
SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname, 'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint c WHERE conrelid = $1::regclass AND contype = 'p' AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.conindid = c.conindid AND f.contype = 'f')`

func (p *postgresCluster) fill(ctx context.Context, t table) (err error) {
	c, err := pgx.Connect(ctx, p.AdminURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	var drop, create []string
	rows, err := c.Query(ctx, indexes, t.name)
	if err != nil {
		return err
	}
	var away, again string
	if _, err = pgx.ForEachRow(rows, []any{&away, &again}, func() error {
		drop, create = append(drop, away), append(create, again)
		return nil
	}); err != nil {
		return err
	}
	for _, sql := range append(drop, `SET session_replication_role = replica`) {
		if _, err := c.Exec(ctx, sql); err != nil {
			return err
		}
	}
	next := 0
	_, err = c.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
		if next == t.rows {
			return nil, nil
		}
		next++
		return t.row(next - 1), nil
	}))
	if err != nil {
		return fmt.Errorf("filling %s: %w", t.name, err)
	}
	for _, sql := range create {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("filling %s: %w", t.name, err)
		}
	}
	return nil
}

func (p *postgresCluster) vacuum(ctx context.Context) (err error) {
	c, err := pgx.Connect(ctx, p.AdminURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	for _, sql := range []string{`VACUUM ANALYZE`, `CHECKPOINT`} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgresCluster) size(ctx context.Context) (n int64, err error) {
	c, err := pgx.Connect(ctx, p.AdminURL)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	err = c.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&n)
	return n, err
}
