package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Apply removes the rows with these keys and puts others in, or in the place of
// those that have their keys.
func (t *Target) Apply(ctx context.Context, table Table, gone, rows [][]any) error {
	if len(gone) > 0 {
		statement := fmt.Sprintf(`DELETE FROM %s AS t USING %s WHERE %s`, ident(table.Name), keyList(table), keysMatch(table, "k"))
		if _, err := t.tx.Exec(ctx, statement, keyArguments(table, gone)...); err != nil {
			return wrap("removing from "+table.Name, err)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if _, err := t.tx.CopyFrom(ctx, pgx.Identifier{"incoming_" + table.Name}, columnNames(table), pgx.CopyFromRows(rows)); err != nil {
		return wrap("copying to "+table.Name, err)
	}
	return t.exec(ctx,
		fmt.Sprintf(`INSERT INTO %s (%s) SELECT %[2]s FROM %s ON CONFLICT (%s) DO UPDATE SET %s`,
			ident(table.Name), idents(columnNames(table)), incoming(table), idents(table.Key), assignments(table)),
		`TRUNCATE `+incoming(table))
}

// Read returns the rows with these keys, in any order.
func (t *Target) Read(ctx context.Context, table Table, keys [][]any) (all [][]any, err error) {
	statement := fmt.Sprintf(`SELECT %s FROM %s AS t JOIN %s ON %s`, qualified(table), ident(table.Name), keyList(table), keysMatch(table, "k"))
	rows, err := t.tx.Query(ctx, statement, keyArguments(table, keys)...)
	if err != nil {
		return nil, wrap("reading "+table.Name, err)
	}
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return rowValues(row) })
	return all, wrap("reading "+table.Name, err)
}

// All calls each with a function that returns the next row of a table in the
// order of the key, and nil after the last.
func (t *Target) All(ctx context.Context, table Table, each func(next func() ([]any, error)) error) error {
	rows, err := t.tx.Query(ctx, fmt.Sprintf(`SELECT %s FROM %s ORDER BY %s`, idents(columnNames(table)), ident(table.Name), idents(table.Key)))
	if err != nil {
		return wrap("reading "+table.Name, err)
	}
	defer rows.Close()
	return each(func() ([]any, error) {
		if !rows.Next() {
			return nil, wrap("reading "+table.Name, rows.Err())
		}
		row, err := rowValues(rows)
		return row, wrap("reading "+table.Name, err)
	})
}

// Counts returns how many rows the tables have.
func (t *Target) Counts(ctx context.Context, tables []Table) ([]int64, error) {
	counts := make([]int64, len(tables))
	for i, table := range tables {
		if err := t.tx.QueryRow(ctx, `SELECT count(*) FROM `+ident(table.Name)).Scan(&counts[i]); err != nil {
			return nil, wrap("counting "+table.Name, err)
		}
	}
	return counts, nil
}

func rowValues(row pgx.CollectableRow) ([]any, error) {
	values, err := row.Values()
	for i, v := range values {
		if n, ok := v.(int32); ok {
			values[i] = int64(n)
		}
	}
	return values, err
}

// keyList is the keys of the arguments as the table k.
func keyList(table Table) string {
	arrays, columns := make([]string, len(table.Key)), make([]string, len(table.Key))
	for i := range table.Key {
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+1, keyType(table, i))
		columns[i] = ident(table.Key[i])
	}
	return fmt.Sprintf("unnest(%s) AS k (%s)", strings.Join(arrays, ", "), strings.Join(columns, ", "))
}

func keysMatch(table Table, other string) string {
	terms := make([]string, len(table.Key))
	for i, column := range table.Key {
		terms[i] = fmt.Sprintf("t.%s = %s.%[1]s", ident(column), other)
	}
	return strings.Join(terms, " AND ")
}

// keyType is the type that a column of the key is sent as.
func keyType(table Table, i int) string {
	for _, c := range table.Columns {
		if c.Name == table.Key[i] {
			return c.Type
		}
	}
	return "" // each column of the key is one of the table's
}

// keyArguments are the arrays of keyList.
func keyArguments(table Table, keys [][]any) []any {
	args := make([]any, len(table.Key))
	for i := range args {
		switch keyType(table, i) {
		case "text":
			args[i] = keyColumn[string](keys, i)
		case "bytea":
			args[i] = keyColumn[[]byte](keys, i)
		case "boolean":
			args[i] = keyColumn[bool](keys, i)
		default:
			args[i] = keyColumn[int64](keys, i)
		}
	}
	return args
}

func keyColumn[T any](keys [][]any, i int) []T {
	column := make([]T, len(keys))
	for n, key := range keys {
		column[n], _ = key[i].(T)
	}
	return column
}

// assignments set all columns to what came in, the key's to what they are.
func assignments(table Table) string {
	set := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		set[i] = fmt.Sprintf("%s = EXCLUDED.%[1]s", ident(c.Name))
	}
	return strings.Join(set, ", ")
}

func idents(columns []string) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = ident(c)
	}
	return strings.Join(all, ", ")
}

func qualified(table Table) string {
	all := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		all[i] = "t." + ident(c.Name)
	}
	return strings.Join(all, ", ")
}
