package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// Statements of SQL are constants, and stay that: a mutant is a comment in the
// text, which becomes part of the statement when the statement is handed to the
// driver and this mutant is chosen.

// statementArgument is which argument of a call is handed to a driver as a
// statement, or -1.
func statementArgument(call *ast.CallExpr) int {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return -1
	}
	switch f.Sel.Name {
	case "Prepare", "PrepareTransient", "Prep", "Queue":
		if len(call.Args) > 0 {
			return 0
		}
	case "Exec", "Query", "QueryRow", "Execute", "ExecuteTransient", "ExecuteScript":
		if len(call.Args) > 1 {
			return 1
		}
	}
	return -1
}

// literals are the edits of the texts in a node that are statements, or parts of
// one.
func (s *source) literals(n ast.Node) (edits []edit) {
	if !s.sql {
		return nil
	}
	was := s.fn
	defer func() { s.fn = was }()
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.ValueSpec:
			if was == "package" && len(n.Names) > 0 {
				s.fn = n.Names[0].Name
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				if text := s.statement(n); text != n.Value {
					edits = append(edits, edit{n.Pos(), n.End(), text})
				}
			}
		}
		return true
	})
	return edits
}

// sqlToken is a word, number, text, operator or bracket of a statement.
type sqlToken struct {
	text     string
	from, to int
	depth    int
}

var sqlTokens = regexp.MustCompile(`'[^']*'|[A-Za-z_][A-Za-z0-9_.]*|[0-9]+|[?$][0-9]*|<=|>=|<>|!=|::|\|\||[<>=()+*/%,;@-]`)

var (
	opens  = []string{"WHERE", "AND", "OR", "HAVING", "WHEN", "ON"}
	closes = []string{
		"AND", "OR", "ORDER", "GROUP", "LIMIT", "RETURNING", "ON", "UNION", "FOR", "THEN", "ELSE", "END", "SET", "DO", "HAVING", "WHERE", "WINDOW", "VALUES",
		"JOIN", "LEFT", ",", ";",
	}
	bounds = map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
)

// tokensOf takes a text apart.
func tokensOf(text string) (tokens []sqlToken) {
	depth := 0
	for _, at := range sqlTokens.FindAllStringIndex(text, -1) {
		t := sqlToken{text: text[at[0]:at[1]], from: at[0], to: at[1]}
		if t.text == ")" {
			depth--
		}
		t.depth = depth
		if t.text == "(" {
			depth++
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// statement rewrites a text.
func (s *source) statement(n *ast.BasicLit) string {
	text, tokens := n.Value, tokensOf(n.Value)
	if !isSQL(tokens) {
		return text
	}
	var marks []mark
	for i, t := range tokens {
		switch {
		case t.text == "(" && isChain(tokens, i):
			marks = append(marks, s.marks(n, tokens, i+1)...)
		case i == 0 && len(tokens) > 1 && slices.Contains([]string{"=", "<", ">", "<=", ">="}, tokens[1].text):
			marks = append(marks, s.marks(n, tokens, 0)...) // the end of a statement that begins elsewhere
		case slices.Contains(opens, t.text) && i+1 < len(tokens) && !betweens(tokens, i) && !slices.Contains([]string{"CONFLICT", "IGNORE", "REPLACE"}, tokens[i+1].text):
			marks = append(marks, s.marks(n, tokens, i+1)...)
		}
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	at := 0
	for _, m := range marks {
		b.WriteString(text[at:m.at] + m.text)
		at = m.at
	}
	return b.String() + text[at:]
}

// mark is a comment that is put into a statement, where a mutant may take its place.
type mark struct {
	at   int
	text string
}

// marks adds the mutants of the condition that begins with a token, and returns their
// marks: the condition is always or never true, or a bound of it moves.
func (s *source) marks(n *ast.BasicLit, tokens []sqlToken, first int) (marks []mark) {
	last := conditionEnd(tokens, first)
	if last < first || !isWhole(tokens[first:last+1]) {
		return nil
	}
	atom := strings.Join(strings.Fields(n.Value[tokens[first].from:tokens[last].to]), " ")
	around := []string{""}
	if first > 0 {
		around[0] = tokens[first-1].text
	}
	if last+1 < len(tokens) {
		around = append(around, tokens[last+1].text)
	}
	changes := []string{"OR TRUE"}
	if slices.Contains(around, "OR") || around[0] == "WHEN" {
		changes = append(changes, "AND FALSE")
	}
	for _, change := range changes {
		id := s.add(n.Pos(), atom+" → "+map[string]string{"OR TRUE": "always", "AND FALSE": "never"}[change])
		open, end := fmt.Sprintf("/*%d(*/", id), fmt.Sprintf("/*%d)*/", id)
		m := &s.mutants[len(s.mutants)-1]
		m.replace, m.also = [2]string{open, "("}, [2]string{end, " " + change + ")"}
		marks = append(marks, mark{tokens[first].from, open}, mark{tokens[last].to, end})
	}
	for _, t := range tokens[first : last+1] {
		other, ok := bounds[t.text]
		if !ok || t.depth != tokens[first].depth {
			continue
		}
		comment := fmt.Sprintf("/*%d*/", s.add(n.Pos(), atom+" → "+other))
		s.mutants[len(s.mutants)-1].replace = [2]string{comment + t.text, other}
		marks = append(marks, mark{t.from, comment})
	}
	return marks
}

// isSQL reports whether a text may hold a condition: a statement's words are
// written large, and other texts have none of them.
func isSQL(tokens []sqlToken) bool {
	for i, t := range tokens {
		if slices.Contains(opens, t.text) && len(tokens) > 2 {
			return true
		}
		if i == 1 && t.text == "=" && len(tokens) > 2 && strings.HasPrefix(tokens[2].text, "?") {
			return true
		}
	}
	return false
}

// isChain reports whether what a bracket opens is conditions joined by AND or OR.
func isChain(tokens []sqlToken, bracket int) bool {
	for _, t := range tokens[bracket+1:] {
		if t.depth <= tokens[bracket].depth || (t.depth == tokens[bracket].depth+1 && slices.Contains([]string{"SELECT", "WHERE", "INSERT", "UPDATE", "DELETE"}, t.text)) {
			return false
		}
		if t.depth == tokens[bracket].depth+1 && (t.text == "AND" || t.text == "OR") {
			return true
		}
	}
	return false
}

// betweens reports whether an AND belongs to a BETWEEN.
func betweens(tokens []sqlToken, and int) bool {
	if tokens[and].text != "AND" {
		return false
	}
	for i := and - 1; i >= 0 && i >= and-4; i-- {
		if tokens[i].text == "BETWEEN" {
			return true
		}
	}
	return false
}

// conditionEnd is the last token of the condition that begins with one.
func conditionEnd(tokens []sqlToken, first int) int {
	depth := tokens[first].depth
	for i := first; i < len(tokens); i++ {
		t := tokens[i]
		if t.depth < depth || (t.depth == depth && i > first && slices.Contains(closes, t.text) && !betweens(tokens, i)) {
			return i - 1
		}
	}
	return len(tokens) - 1
}

// isWhole reports whether a condition ends in its own text.
func isWhole(tokens []sqlToken) bool {
	open := 0
	for _, t := range tokens {
		switch t.text {
		case "(":
			open++
		case ")":
			open--
		}
	}
	last := tokens[len(tokens)-1].text
	return open == 0 && !slices.Contains([]string{"=", "<", ">", "<=", ">=", "<>", "IN", "ANY", "NOT", "IS", ".", "||", "+", "-", ",", "EXISTS"}, last) &&
		!slices.Contains([]string{"SELECT", "UPDATE", "CONFLICT", "DELETE", "INSERT"}, tokens[0].text)
}
