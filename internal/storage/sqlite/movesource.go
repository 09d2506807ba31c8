package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// ErrOlder says that a file is not of the newest step.
var ErrOlder = errors.New("the database is of an older version of this program")

// lockTime is how long Source waits for its turn to write. A busy server leaves
// only short gaps.
const lockTime = 30 * time.Second

// sourceCache is for reading whole tables, some of which are kept in another order
// than that of their keys.
const sourceCache = `PRAGMA cache_size = -65536`

// Source reads everything in a file, as SQLite keeps it, for somebody who moves
// it elsewhere while a server goes on writing. Values are nil, int64, float64,
// string or []byte. One goroutine uses it.
type Source struct{ conn *sqlite.Conn }

// OpenSource opens a file that is of the newest step; it makes none.
//
//	ErrOlder
//	*MovedError: its data was moved before
func OpenSource(ctx context.Context, path string) (*Source, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	conn, err := connect(ctx, path, sourceCache)
	if err != nil {
		return nil, err
	}
	s := &Source{conn: conn}
	if err := errors.Join(s.check(), ctx.Err()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	conn.SetInterrupt(ctx.Done())
	return s, nil
}

func (s *Source) check() error {
	if err := refuseMoved(s.conn); err != nil {
		return err
	}
	done, err := userVersion(s.conn)
	if err != nil {
		return err
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	switch {
	case err != nil:
		return err
	case done > len(files):
		return newerError(done, len(files))
	case done < len(files):
		return ErrOlder
	}
	return nil
}

// Close closes the file. What NoteChanges and Lock began must have ended.
func (s *Source) Close() error { return s.conn.Close() }

// Moved is the *MovedError of a file whose data was moved, or nil.
func (s *Source) Moved() error { return refuseMoved(s.conn) }

// IgnoreCancel makes what follows happen even though the context of OpenSource ends.
func (s *Source) IgnoreCancel() { s.conn.SetInterrupt(nil) }

// Tables returns the names of all tables.
func (s *Source) Tables() ([]string, error) { return tableNames(s.conn) }

// Columns returns the names of a table's columns, but for computed ones.
func (s *Source) Columns(table string) (names []string, err error) {
	err = sqlitex.ExecuteTransient(s.conn, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, &sqlitex.ExecOptions{
		Args:       []any{table},
		ResultFunc: func(r *sqlite.Stmt) error { names = append(names, r.ColumnText(0)); return nil },
	})
	return names, err
}

// NoteChanges begins to note changes of these tables, each with the columns of its
// key; what an earlier NoteChanges left is forgotten.
func (s *Source) NoteChanges(ctx context.Context, keys map[string][]string) error {
	return s.alone(ctx, func() error { return noteChanges(s.conn, keys) })
}

// ForgetChanges ends what NoteChanges began.
func (s *Source) ForgetChanges(ctx context.Context) error {
	return s.alone(ctx, func() error { return forgetChanges(s.conn) })
}

// Change is a row that was inserted, updated or deleted.
type Change struct {
	Number int64
	Table  string
	Key    []any
}

// Changes returns what was noted after a number, oldest first, at most limit.
func (s *Source) Changes(after int64, limit int) (changes []Change, err error) {
	_, err = query(s.conn, func(r *sqlite.Stmt) {
		c := Change{Number: r.ColumnInt64(0), Table: r.ColumnText(1)}
		for i := range keyLimit {
			if v := value(r, 2+i); v != nil {
				c.Key = append(c.Key, v)
			}
		}
		changes = append(changes, c)
	}, `SELECT seq, name, key1, key2, key3 FROM moving_changes WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	return changes, err
}

// LastChange returns the number of the latest change noted, or 0.
func (s *Source) LastChange() (last int64, err error) {
	err = one(s.conn, func(r *sqlite.Stmt) { last = r.ColumnInt64(0) }, `SELECT coalesce(max(seq), 0) FROM moving_changes`)
	return last, err
}

// Page returns the first rows of a table whose keys come after one (nil for the
// first of all), in the order of the key, at most limit.
func (s *Source) Page(table string, columns, key []string, after []any, limit int) (rows [][]any, err error) {
	where := ""
	if after != nil {
		where = fmt.Sprintf(" WHERE (%s) > (%s)", strings.Join(key, ", "), marks(len(key)))
	}
	statement := fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s LIMIT ?`, strings.Join(columns, ", "), table, where, strings.Join(key, ", "))
	args := append(append([]any{}, after...), limit)
	_, err = query(s.conn, func(r *sqlite.Stmt) { rows = append(rows, values(r, len(columns))) }, statement, args...)
	return rows, err
}

// Row returns the row with a key, or nil.
func (s *Source) Row(table string, columns, key []string, of []any) (row []any, err error) {
	statement := fmt.Sprintf(`SELECT %s FROM %s WHERE (%s) = (%s)`, strings.Join(columns, ", "), table, strings.Join(key, ", "), marks(len(key)))
	_, err = query(s.conn, func(r *sqlite.Stmt) { row = values(r, len(columns)) }, statement, of...)
	return row, err
}

// Count returns how many rows a table has.
func (s *Source) Count(table string) (n int64, err error) {
	err = one(s.conn, func(r *sqlite.Stmt) { n = r.ColumnInt64(0) }, `SELECT count(*) FROM `+table)
	return n, err
}

// LastNumber returns the highest number that was ever given to a row of a table
// whose rows are numbered, as far as the file remembers, or 0.
func (s *Source) LastNumber(table, column string) (n int64, err error) {
	err = one(s.conn, func(r *sqlite.Stmt) { n = r.ColumnInt64(0) },
		fmt.Sprintf(`SELECT max(coalesce((SELECT max(%s) FROM %s), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))`, column, table), table)
	return n, err
}

// Snapshot runs fn, which sees the file as it is at the beginning throughout.
func (s *Source) Snapshot(fn func() error) error {
	if _, err := exec(s.conn, `BEGIN`); err != nil {
		return err
	}
	err := fn()
	interrupt := s.conn.SetInterrupt(nil) // or this could not end either
	_, end := exec(s.conn, `ROLLBACK`)    // nothing was written
	s.conn.SetInterrupt(interrupt)
	return errors.Join(err, end)
}

// Lock keeps all others from writing, until Unlock or Mark.
func (s *Source) Lock(ctx context.Context) error {
	return s.alone(ctx, func() error {
		_, err := exec(s.conn, `BEGIN IMMEDIATE`)
		return err
	})
}

// Unlock lets others write again.
func (s *Source) Unlock() error {
	_, err := exec(s.conn, `ROLLBACK`)
	return err
}

// Mark prepares the end of a locked file's use: after commit nobody can write to
// it any more. Without, Unlock undoes it.
func (s *Source) Mark(m MovedError) (commit func() error, err error) {
	if err := mark(s.conn, m); err != nil {
		return nil, err
	}
	return func() error {
		_, err := exec(s.conn, `COMMIT`)
		return err
	}, nil
}

// alone tries fn, which begins a transaction that writes, until nobody else
// does. SQLite's own wait sleeps for a tenth of a second at a time, and would
// miss nearly every gap of a busy server.
func (s *Source) alone(ctx context.Context, fn func() error) error {
	s.conn.SetBusyTimeout(0)
	defer s.conn.SetBusyTimeout(busyTimeout)
	again := time.NewTicker(500 * time.Microsecond)
	defer again.Stop()
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	for {
		err := fn()
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func values(r *sqlite.Stmt, n int) []any {
	row := make([]any, n)
	for i := range row {
		row[i] = value(r, i)
	}
	return row
}

// value is a column as it is kept: any column can hold any type.
func value(r *sqlite.Stmt, i int) any {
	switch r.ColumnType(i) {
	case sqlite.TypeInteger:
		return r.ColumnInt64(i)
	case sqlite.TypeFloat:
		return r.ColumnFloat(i)
	case sqlite.TypeText:
		return r.ColumnText(i)
	case sqlite.TypeBlob:
		return columnBytes(r, i)
	default:
		return nil
	}
}
