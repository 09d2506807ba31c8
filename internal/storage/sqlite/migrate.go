package sqlite

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, one transaction a step. The number of
// steps done is the file's user_version.
func migrate(c *sqlite.Conn) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for {
		done, err := userVersion(c)
		if err != nil {
			return err
		}
		switch {
		case done > len(files):
			return newerError(done, len(files))
		case done == len(files):
			return nil
		}
		if err := step(c, files[done], done); err != nil {
			return fmt.Errorf("%s: %w", files[done], err)
		}
	}
}

// UpToDate reports whether the database of a file has the schema of this program, so that
// Open changes nothing of it.
func UpToDate(path string) bool {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return false
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return false
	}
	done, err := userVersion(c)
	return errors.Join(err, c.Close()) == nil && done == len(files)
}

func newerError(done, known int) error {
	return fmt.Errorf("the database is at step %d, newer than this program, which knows %d: use the newer program", done, known)
}

// step runs one file, unless another process was first.
func step(c *sqlite.Conn, file string, done int) (err error) {
	statements, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer end(&err)
	if now, err := userVersion(c); err != nil || now != done {
		return err
	}
	script := string(statements) + fmt.Sprintf("\nPRAGMA user_version = %d;", done+1)
	return sqlitex.ExecuteScript(c, script, nil)
}

func userVersion(c *sqlite.Conn) (int, error) {
	version := 0
	err := sqlitex.ExecuteTransient(c, "PRAGMA user_version", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error { version = row.ColumnInt(0); return nil },
	})
	return version, err
}
