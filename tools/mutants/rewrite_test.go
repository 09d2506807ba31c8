package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const sample = `package sample

const found = ` + "`SELECT a FROM t WHERE a = ? AND (b > $2 OR c BETWEEN 1 AND 2) ORDER BY a`" + `

func (s *T[K]) f(a, b int) (bool, error) {
	x, err := g()
	if err != nil {
		return false, err
	}
	for i := 0; i < a; i++ {
		c.Exec(ctx, found, a == b)
	}
	if y := h(); y {
		return a < b && !s.ok(func() bool { return a == b }), nil
	}
	return x, nil
}
`

func TestEachConditionHasItsMutants(t *testing.T) {
	next := 0
	text, mutants, err := rewritten("dir", "dir/sample.go", sample, true, &next)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range mutants {
		names = append(names, strings.TrimPrefix(m.name, "dir/sample.go "))
	}
	slices.Sort(names)
	want := []string{
		"T.f: a < b && !s.ok(func() bool { return a == b }) → a <= b",
		"T.f: a < b && !s.ok(func() bool { return a == b }) → never",
		"T.f: a < b && !s.ok(func() bool { return a == b }) → without !s.ok(func() bool { return a == b })",
		"T.f: a < b && !s.ok(func() bool { return a == b }) → without a < b",
		"T.f: a == b → always", "T.f: a == b → always (2)", "T.f: a == b → never", "T.f: a == b → never (2)",
		"T.f: i < a → i <= a", "T.f: i < a → never",
		"T.f: x, err := g(); err != nil → never",
		"T.f: y := h(); y → always", "T.f: y := h(); y → never",
		"found: (b > $2 OR c BETWEEN 1 AND 2) → always", "found: a = ? → always",
		"found: b > $2 → always", "found: b > $2 → never", "found: b > $2 → >=",
		"found: c BETWEEN 1 AND 2 → always", "found: c BETWEEN 1 AND 2 → never",
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "", text, 0); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	if !strings.Contains(text, "mutants_.SQL(found)") {
		t.Errorf("the statement is handed over as it is:\n%s", text)
	}
}
