package transfer

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"countersign.dev/internal/storage/postgres"
)

// table is a table of both databases, with the places of its key.
type table struct {
	postgres.Table
	columns []string
	key     []int
}

func newTable(described postgres.Table) table {
	t := table{Table: described}
	for _, c := range described.Columns {
		t.columns = append(t.columns, c.Name)
	}
	for _, k := range described.Key {
		t.key = append(t.key, slices.Index(t.columns, k))
	}
	return t
}

func described(tables []table) []postgres.Table {
	all := make([]postgres.Table, len(tables))
	for i, t := range tables {
		all[i] = t.Table
	}
	return all
}

func keysOf(tables []table) map[string][]string {
	keys := make(map[string][]string, len(tables))
	for _, t := range tables {
		keys[t.Name] = t.Key
	}
	return keys
}

// keyOf is the key of a row.
func (t table) keyOf(row []any) []any {
	key := make([]any, len(t.key))
	for i, place := range t.key {
		key[i] = row[place]
	}
	return key
}

// fit makes of a row as SQLite keeps it what PostgreSQL keeps of it, or says
// which column it would have to change for that.
func (t table) fit(row []any) (fitted []any, unfit *Unfit) {
	fitted = make([]any, len(row))
	for i, column := range t.Columns {
		v, why := fitValue(row[i], column)
		if why != "" {
			return nil, &Unfit{Table: t.Name, Key: t.say(t.keyOf(row)), Column: column.Name, Why: why}
		}
		fitted[i] = v
	}
	return fitted, nil
}

// fitValue converts a value, which SQLite keeps as whatever it was given as.
func fitValue(value any, column postgres.Column) (fitted any, why string) {
	switch v := value.(type) {
	case nil:
		if column.Nullable {
			return nil, ""
		}
		return nil, "is missing"
	case string:
		switch {
		case column.Type != "text":
		case strings.ContainsRune(v, 0):
			return nil, "has a NUL character"
		case !utf8.ValidString(v):
			return nil, "is not UTF-8"
		default:
			return v, ""
		}
	case []byte:
		if column.Type == "bytea" {
			return v, ""
		}
	case int64:
		switch {
		case column.Type == "bigint", column.Type == "integer" && v == int64(int32(v)): //nolint:gosec // it is compared
			return v, ""
		case column.Type == "integer":
			return nil, "is a number too large"
		case column.Type == "boolean" && (v == 0 || v == 1):
			return v == 1, ""
		}
	}
	return nil, "is not of the type " + column.Type
}

// compareKeys orders keys as both databases do.
func compareKeys(a, b []any) int {
	for i := range a {
		order := 0
		switch x := a[i].(type) {
		case string:
			y, _ := b[i].(string)
			order = strings.Compare(x, y)
		case []byte:
			y, _ := b[i].([]byte)
			order = bytes.Compare(x, y)
		case int64:
			y, _ := b[i].(int64)
			order = compareNumbers(x, y)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

func compareNumbers(x, y int64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	default:
		return 0
	}
}

// differing returns the first column in which two rows differ, or -1.
func differing(a, b []any) int {
	for i := range a {
		x, isBytes := a[i].([]byte)
		y, areBytes := b[i].([]byte)
		if isBytes && areBytes {
			if !bytes.Equal(x, y) {
				return i
			}
		} else if isBytes || areBytes || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// identify is a text that only this key has.
func identify(key []any) string {
	var b strings.Builder
	for _, v := range key {
		fmt.Fprintf(&b, "%T %q ", v, fmt.Sprint(v))
	}
	return b.String()
}

// say is a key for a person: what an operator looks a row up by.
func (t table) say(key []any) string {
	said := make([]string, len(key))
	for i, v := range key {
		switch v := v.(type) {
		case string:
			said[i] = strconv.QuoteToASCII(v)
		case []byte:
			said[i] = "x'" + hex.EncodeToString(v) + "'"
		default:
			said[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(said, ", ")
}
