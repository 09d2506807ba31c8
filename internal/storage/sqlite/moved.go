package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// MovedError says that the data of a file was moved to another database, and
// that nothing is written to the file any more.
type MovedError struct {
	// To is where the data is, without a password.
	To string
	At time.Time
	// Token is what the move is called at both ends.
	Token string
}

// Error says where and when.
func (e *MovedError) Error() string {
	return fmt.Sprintf("its data was moved to %s at %s", e.To, e.At.UTC().Format("15:04:05 MST on 2 January 2006"))
}

// Once moved, each table refuses each write, whoever makes it: a server that was
// running meanwhile, and older programs, which know nothing of the table moved.
const movedTable = `CREATE TABLE moved (place TEXT NOT NULL, at INTEGER NOT NULL, token TEXT NOT NULL)`

// mark makes the file one whose data was moved, in the transaction that is open.
func mark(c *sqlite.Conn, m MovedError) error {
	tables, err := tableNames(c)
	if err != nil {
		return err
	}
	if err := sqlitex.ExecuteTransient(c, movedTable, nil); err != nil {
		return err
	}
	if _, err := exec(c, `INSERT INTO moved (place, at, token) VALUES (?, ?, ?)`, m.To, m.At, m.Token); err != nil {
		return err
	}
	for _, table := range append(tables, "moved") {
		for _, change := range []string{"INSERT", "UPDATE", "DELETE"} {
			statement := fmt.Sprintf(`CREATE TRIGGER moved_%[1]s_%[2]s BEFORE %[2]s ON %[1]s BEGIN
				SELECT RAISE(ABORT, 'the data of this file was moved to another database'); END`, table, change)
			if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// movedTo returns where a file's data was moved, or nil.
func movedTo(c *sqlite.Conn) (moved *MovedError, err error) {
	there, err := hasTable(c, "moved")
	if !there {
		return nil, err
	}
	err = sqlitex.ExecuteTransient(c, `SELECT place, at, token FROM moved`, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error {
		moved = &MovedError{To: r.ColumnText(0), At: columnTime(r, 1), Token: r.ColumnText(2)}
		return nil
	}})
	return moved, err
}

// refuseMoved is the *MovedError of a file whose data was moved.
func refuseMoved(c *sqlite.Conn) error {
	moved, err := movedTo(c)
	if err != nil {
		return err
	}
	if moved != nil {
		return moved
	}
	return nil
}

// tableNames returns the tables that migrations made, in that order. The file was not
// moved: else it would have been refused.
func tableNames(c *sqlite.Conn) (names []string, err error) {
	err = sqlitex.ExecuteTransient(c, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid`, &sqlitex.ExecOptions{
		ResultFunc: func(r *sqlite.Stmt) error {
			if name := r.ColumnText(0); !strings.HasPrefix(name, "sqlite_") && name != changesTable {
				names = append(names, name)
			}
			return nil
		},
	})
	return names, err
}

func hasTable(c *sqlite.Conn, name string) (there bool, err error) {
	err = sqlitex.ExecuteTransient(c, `SELECT 1 FROM sqlite_schema WHERE name = ?`, &sqlitex.ExecOptions{
		Args:       []any{name},
		ResultFunc: func(*sqlite.Stmt) error { there = true; return nil },
	})
	return there, err
}

// forgetMove removes what a move left that ended without its end: it would note
// every change for nobody. A move that is under way is left alone.
func forgetMove(c *sqlite.Conn, dir string) error {
	left, err := hasTable(c, changesTable)
	if !left {
		return err
	}
	release, err := LockMove(dir)
	if errors.Is(err, ErrMoving) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(forgetChanges(c), release())
}
