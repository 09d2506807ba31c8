package transfer_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	lite "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// dumpFile reads a file without the code under test, each row as one text.
func dumpFile(t *testing.T, path string) map[string][]string {
	t.Helper()
	c, err := lite.OpenConn(path, lite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := map[string][]string{}
	for _, table := range tables(t, c) {
		all[table] = []string{}
		err := sqlitex.ExecuteTransient(c, `SELECT * FROM `+table, &sqlitex.ExecOptions{ResultFunc: func(r *lite.Stmt) error {
			var row []string
			for i := range r.ColumnCount() {
				if r.ColumnName(i) == "ended_at" { // computed
					continue
				}
				var v any
				switch r.ColumnType(i) {
				case lite.TypeInteger:
					v = r.ColumnInt64(i)
				case lite.TypeText:
					v = r.ColumnText(i)
				case lite.TypeBlob:
					b := make([]byte, r.ColumnLen(i))
					r.ColumnBytes(i, b)
					v = b
				}
				row = append(row, column(r.ColumnName(i), v))
			}
			slices.Sort(row)
			all[table] = append(all[table], strings.Join(row, " "))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(all[table])
	}
	return all
}

func tables(t *testing.T, c *lite.Conn) (names []string) {
	t.Helper()
	err := sqlitex.ExecuteTransient(c, `SELECT name FROM sqlite_schema WHERE type = 'table'
		AND name NOT LIKE 'sqlite%' AND name NOT IN ('pings', 'moved', 'moving_changes')`, &sqlitex.ExecOptions{
		ResultFunc: func(r *lite.Stmt) error { names = append(names, r.ColumnText(0)); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func dumpDatabase(t *testing.T, url string) map[string][]string {
	t.Helper()
	c := connect(t, url)
	found, err := c.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, table := range names {
		all[table] = []string{}
		rows, err := c.Query(t.Context(), `SELECT * FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			var row []string
			for i, v := range values {
				row = append(row, column(rows.FieldDescriptions()[i].Name, v))
			}
			slices.Sort(row)
			all[table] = append(all[table], strings.Join(row, " "))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(all[table])
	}
	return all
}

func column(name string, v any) string {
	switch v := v.(type) {
	case []byte:
		return name + "=x" + hex.EncodeToString(v)
	case string:
		return name + "=" + fmt.Sprintf("%q", v)
	case bool:
		if v {
			return name + "=1"
		}
		return name + "=0"
	default:
		return fmt.Sprint(name, "=", v)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}
