package sqlite

import (
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// While a file is copied, triggers note in changesTable which rows changed, in
// the transaction that changes them and whichever program does. Notes are
// numbered in the order of their commits, and only appended.
const (
	changesTable = "moving_changes"
	// keyLimit is the most columns that a key has here.
	keyLimit = 3
)

const makeChangesTable = `CREATE TABLE moving_changes (seq INTEGER PRIMARY KEY, name TEXT NOT NULL, key1, key2, key3)`

// noteChanges begins to note changes of these tables, each with the columns of its key.
func noteChanges(c *sqlite.Conn, keys map[string][]string) (err error) {
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer end(&err)
	if err := dropChanges(c); err != nil {
		return err
	}
	if err := sqlitex.ExecuteTransient(c, makeChangesTable, nil); err != nil {
		return err
	}
	for table, key := range keys {
		if len(key) == 0 || len(key) > keyLimit {
			return fmt.Errorf("the key of %s has %d columns", table, len(key))
		}
		for _, trigger := range []string{
			noteTrigger(table, "INSERT", note(table, "NEW", key, "")),
			noteTrigger(table, "DELETE", note(table, "OLD", key, "")),
			// A key that changes is two rows: one that is gone, one that is new.
			noteTrigger(table, "UPDATE", note(table, "NEW", key, "")+note(table, "OLD", key, differs(key))),
		} {
			if err := sqlitex.ExecuteTransient(c, trigger, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func noteTrigger(table, change, body string) string {
	return fmt.Sprintf(`CREATE TRIGGER moving_%[1]s_%[2]s AFTER %[2]s ON %[1]s BEGIN %[3]s END`, table, change, body)
}

func note(table, row string, key []string, where string) string {
	values := make([]string, keyLimit)
	for i := range values {
		values[i] = "NULL"
		if i < len(key) {
			values[i] = row + "." + key[i]
		}
	}
	return fmt.Sprintf(`INSERT INTO moving_changes (name, key1, key2, key3) SELECT '%s', %s%s; `, table, strings.Join(values, ", "), where)
}

func differs(key []string) string {
	terms := make([]string, len(key))
	for i, column := range key {
		terms[i] = "NEW." + column + " IS NOT OLD." + column
	}
	return " WHERE " + strings.Join(terms, " OR ")
}

// forgetChanges ends the noting of changes and forgets them.
func forgetChanges(c *sqlite.Conn) (err error) {
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer end(&err)
	return dropChanges(c)
}

func dropChanges(c *sqlite.Conn) error {
	var triggers []string
	err := sqlitex.ExecuteTransient(c, `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'moving\_%' ESCAPE '\'`,
		&sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error { triggers = append(triggers, r.ColumnText(0)); return nil }})
	if err != nil {
		return err
	}
	for _, trigger := range triggers {
		if err := sqlitex.ExecuteTransient(c, `DROP TRIGGER `+trigger, nil); err != nil {
			return err
		}
	}
	return sqlitex.ExecuteTransient(c, `DROP TABLE IF EXISTS moving_changes`, nil)
}
