package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrInUse says that others use a database that is to be moved into.
var ErrInUse = errors.New("others are using the database")

// NotEmptyError says that a database that is to be moved into has rows already.
type NotEmptyError struct{ Table string }

// Error names the table.
func (e *NotEmptyError) Error() string { return "it is not empty: there are rows in " + e.Table }

// Target is an empty database that everything is moved into, in one transaction:
// nobody sees anything of it before Commit, and without that it stays as it was.
// Values are nil, bool, int64, string or []byte. One goroutine uses it.
type Target struct {
	conn    *pgx.Conn
	tx      pgx.Tx
	restore struct{ indexes, foreignKeys, constraints []string } // statements
}

// Table is a table as the database describes it.
type Table struct {
	Name    string
	Columns []Column
	Key     []string
}

// Column is a column of a Table.
type Column struct {
	Name string
	// Type is "text", "bytea", "bigint", "integer" or "boolean".
	Type     string
	Nullable bool
	// Numbered: the database numbers the rows by it.
	Numbered bool
}

// OpenTarget connects to a database and brings its schema up to date. Errors hold
// no password.
func OpenTarget(ctx context.Context, url string, log *slog.Logger) (*Target, error) {
	store, err := open(ctx, url, log)
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url) // which knows pool_max_conns
	if err != nil {
		return nil, unreadable(err)
	}
	setUp(config.ConnConfig)
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	return &Target{conn: conn}, wrap("opening the database", err)
}

// Close gives up what was not committed.
func (t *Target) Close(ctx context.Context) error { return t.conn.Close(ctx) }

// Arrival returns the note of a move whose end was not reached, or nil.
func (t *Target) Arrival(ctx context.Context) (*Arrival, error) {
	a, err := arrival(ctx, t.conn.QueryRow)
	return a, wrap("reading the database", err)
}

// Open takes the note of Begin away, so that servers use the database.
func (t *Target) Open(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, `DROP TABLE moving_in`)
	return wrap("opening the database for servers", err)
}

// Table describes a table.
func (t *Target) Table(ctx context.Context, name string) (Table, error) {
	// What fails of a query its rows say when they are collected.
	rows, _ := t.conn.Query(ctx, `SELECT attname::text, format_type(atttypid, NULL), NOT attnotnull, attidentity <> ''
		FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, ident(name))
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Column])
	rows, _ = t.conn.Query(ctx, `SELECT a.attname::text FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (n, place)
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
		WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY k.place`, ident(name))
	key, keyErr := pgx.CollectRows(rows, pgx.RowTo[string])
	return Table{Name: name, Columns: columns, Key: key}, wrap("describing "+name, errors.Join(err, keyErr))
}

// targetLock is the number of the lock that one who moves something in holds.
const targetLock = 862862863

// Begin takes the database for the transaction, and takes what would slow
// copying down out of it: indexes and foreign keys. What an earlier move from the
// same source left that did not come to its end is removed.
//
//	*NotEmptyError
//	ErrInUse
func (t *Target) Begin(ctx context.Context, from Arrival, tables []Table) (err error) {
	if t.tx, err = t.conn.Begin(ctx); err != nil {
		return wrap("beginning a transaction", err)
	}
	if err := t.take(ctx, tables); err != nil {
		return err
	}
	left, err := arrival(ctx, t.tx.QueryRow)
	if err != nil {
		return wrap("reading the database", err)
	}
	if left == nil || left.Source != from.Source {
		if err := t.checkEmpty(ctx, tables); err != nil {
			return err
		}
	}
	if err := t.exec(ctx, `DROP TABLE IF EXISTS moving_in`, `CREATE TABLE moving_in (source TEXT NOT NULL, token TEXT NOT NULL)`,
		`TRUNCATE `+names(tables)); err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, `INSERT INTO moving_in (source, token) VALUES ($1, $2)`, from.Source, from.Token); err != nil {
		return wrap("noting the move", err)
	}
	for _, table := range tables {
		if err := t.takeIndexes(ctx, table); err != nil {
			return err
		}
	}
	return nil
}

// take keeps others out. This transaction may take hours and wait for the source
// meanwhile; what it waits for itself is only others' locks.
func (t *Target) take(ctx context.Context, tables []Table) error {
	err := t.exec(ctx, `SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`,
		`SET LOCAL lock_timeout = '3s'`, `SET LOCAL plan_cache_mode = 'auto'`)
	if err != nil {
		return err
	}
	var taken bool
	if err := t.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, targetLock).Scan(&taken); err != nil {
		return wrap("locking the database", err)
	}
	if !taken {
		return ErrInUse
	}
	err = t.exec(ctx, `LOCK TABLE `+names(tables)+` IN ACCESS EXCLUSIVE MODE`)
	if code(err) == lockNotAvailable {
		return ErrInUse
	}
	return err
}

func (t *Target) checkEmpty(ctx context.Context, tables []Table) error {
	for _, table := range tables {
		var any bool
		if err := t.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+ident(table.Name)+`)`).Scan(&any); err != nil {
			return wrap("reading "+table.Name, err)
		}
		if any {
			return &NotEmptyError{Table: table.Name}
		}
	}
	return nil
}

// takeIndexes takes a table's indexes but for those of its key, and its foreign keys,
// and keeps how to make them again. Rows that changed while the tables were
// copied may arrive before those they refer to, so foreign keys are first made
// such that they hold at the end of a transaction.
func (t *Target) takeIndexes(ctx context.Context, table Table) error {
	indexes, err := t.pairs(ctx, `SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index i
		WHERE indrelid = to_regclass($1) AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)`, ident(table.Name))
	if err != nil {
		return err
	}
	for _, index := range indexes {
		t.restore.indexes = append(t.restore.indexes, index[1])
		if err := t.exec(ctx, `DROP INDEX `+index[0]); err != nil {
			return err
		}
	}
	keys, err := t.pairs(ctx, `SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
		WHERE contype = 'f' AND NOT condeferrable AND conrelid = to_regclass($1)`, ident(table.Name))
	if err != nil {
		return err
	}
	alter := `ALTER TABLE ` + ident(table.Name)
	for _, key := range keys {
		t.restore.foreignKeys = append(t.restore.foreignKeys, alter+` ADD CONSTRAINT `+key[0]+` `+key[1]+` DEFERRABLE INITIALLY DEFERRED`)
		t.restore.constraints = append(t.restore.constraints, alter+` ALTER CONSTRAINT `+key[0]+` NOT DEFERRABLE`)
		if err := t.exec(ctx, alter+` DROP CONSTRAINT `+key[0]); err != nil {
			return err
		}
	}
	return t.exec(ctx, fmt.Sprintf(`CREATE TEMPORARY TABLE %s (LIKE %s) ON COMMIT DROP`, incoming(table), ident(table.Name)))
}

// incoming is where changed rows of a table are put first.
func incoming(table Table) string { return ident("incoming_" + table.Name) }

// Copy fills a table with what next returns, until that is nil.
func (t *Target) Copy(ctx context.Context, table Table, next func() ([]any, error)) (int64, error) {
	var failed error
	n, err := t.tx.CopyFrom(ctx, pgx.Identifier{table.Name}, columnNames(table), pgx.CopyFromFunc(func() ([]any, error) {
		row, err := next()
		failed = err
		return row, err
	}))
	if failed != nil {
		return n, failed
	}
	return n, wrap("copying "+table.Name, err)
}

// Index makes the indexes that Begin took, one after the other.
func (t *Target) Index(ctx context.Context, tables []Table) error {
	if err := t.exec(ctx, t.restore.indexes...); err != nil {
		return err
	}
	return t.exec(ctx, `ANALYZE `+names(tables))
}

// Relate makes the foreign keys that Begin took, and finds that they hold.
func (t *Target) Relate(ctx context.Context) error { return t.exec(ctx, t.restore.foreignKeys...) }

// Finalize makes the foreign keys as they were, and numbers the next rows of tables
// after those given, by table and column.
func (t *Target) Finalize(ctx context.Context, last map[[2]string]int64) error {
	if err := t.exec(ctx, append([]string{`SET CONSTRAINTS ALL IMMEDIATE`}, t.restore.constraints...)...); err != nil {
		return err
	}
	for numbered, n := range last {
		// The third argument says whether the number was given out already.
		_, err := t.tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence($1, $2), greatest($3, 1), $3 > 0)`, ident(numbered[0]), numbered[1], n)
		if err != nil {
			return wrap("numbering "+numbered[0], err)
		}
	}
	return nil
}

// Commit makes everything visible, to servers only after Open.
//
//	contract.ErrUnreachable: it may have happened or not
func (t *Target) Commit(ctx context.Context) error { return wrap("committing", t.tx.Commit(ctx)) }

func (t *Target) exec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := t.tx.Exec(ctx, statement); err != nil {
			return wrap("preparing the database", err)
		}
	}
	return nil
}

func (t *Target) pairs(ctx context.Context, statement string, args ...any) ([][2]string, error) {
	rows, err := t.tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, wrap("reading the schema", err)
	}
	pairs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p [2]string, err error) {
		return p, row.Scan(&p[0], &p[1])
	})
	return pairs, wrap("reading the schema", err)
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func names(tables []Table) string {
	all := make([]string, len(tables))
	for i, table := range tables {
		all[i] = ident(table.Name)
	}
	return strings.Join(all, ", ")
}

func columnNames(table Table) []string {
	all := make([]string, len(table.Columns))
	for i, column := range table.Columns {
		all[i] = column.Name
	}
	return all
}
