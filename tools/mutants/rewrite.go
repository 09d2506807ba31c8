package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// mutant is one change of the code.
type mutant struct {
	id      int
	pkg     string // directory of its package
	name    string // file, function, condition and change: what the list of equivalents says
	line    int
	replace [2]string // in the text of a statement: what by what
	also    [2]string
}

// function is the part of the name that the mutants of a function share.
func (m mutant) function() string {
	f, _, _ := strings.Cut(m.name, ": ")
	return f
}

// source is a file that is being rewritten.
type source struct {
	pkg     string
	path    string // below the root, with slashes
	text    string
	fset    *token.FileSet
	file    *ast.File
	sql     bool
	next    *int
	mutants []mutant
	names   map[string]int
	function
}

// function is where in a file the rewriting is.
type function struct {
	fn    string
	after map[ast.Expr]string // what comes before a condition, for those that many have
	roots map[ast.Expr]string // conditions that do not look like one, or must not be always true: "" or "loop"
}

// edit puts a text in place of what is between two positions.
type edit struct {
	from, to token.Pos
	text     string
}

// rewritten returns the text of a file in which every mutant can be chosen, and
// its mutants.
func rewritten(pkg, path, text string, sql bool, next *int) (string, []mutant, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	s := &source{pkg: pkg, path: path, text: text, fset: fset, file: file, sql: sql, next: next, names: map[string]int{}}
	var edits []edit
	for _, d := range file.Decls {
		s.function = function{fn: "package", after: map[ast.Expr]string{}, roots: map[ast.Expr]string{}}
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body == nil {
				continue
			}
			s.fn = functionName(s, d)
			s.note(d.Body)
			edits = append(edits, s.edits(d.Body)...)
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				s.note(d)
				edits = append(edits, s.edits(d)...)
			} else if d.Tok == token.CONST && sql {
				edits = append(edits, s.literals(d)...)
			}
		}
	}
	if len(s.mutants) == 0 {
		return text, nil, nil
	}
	edits = append(edits, edit{file.Name.End(), file.Name.End(), `; import mutants_ "` + runtimePath + `"`})
	return s.splice(file.FileStart, file.FileEnd, edits) + "\nvar _ = mutants_.On\n", s.mutants, nil
}

func functionName(s *source, d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	receiver, _, _ := strings.Cut(strings.TrimPrefix(s.between(d.Recv.List[0].Type.Pos(), d.Recv.List[0].Type.End()), "*"), "[")
	return receiver + "." + d.Name.Name
}

// between is a piece of the file as it is.
func (s *source) between(from, to token.Pos) string {
	return s.text[s.fset.Position(from).Offset:s.fset.Position(to).Offset]
}

// said is the text of a node on one line.
func (s *source) said(n ast.Node) string {
	return strings.Join(strings.Fields(s.between(n.Pos(), n.End())), " ")
}

// splice is a piece of the file with edits.
func (s *source) splice(from, to token.Pos, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	for _, e := range edits {
		b.WriteString(s.between(from, e.from))
		b.WriteString(e.text)
		from = e.to
	}
	b.WriteString(s.between(from, to))
	return b.String()
}

// note remembers which expressions are conditions, and what stands before them.
func (s *source) note(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			s.noteList(n.List)
		case *ast.CaseClause:
			s.noteList(n.Body)
		case *ast.CommClause:
			s.noteList(n.Body)
		case *ast.IfStmt:
			s.roots[n.Cond] = ""
			if n.Init != nil {
				s.after[n.Cond] = s.said(n.Init)
			}
		case *ast.ForStmt:
			if n.Cond != nil {
				s.roots[n.Cond] = "loop"
			}
		case *ast.SwitchStmt:
			if n.Tag == nil {
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List {
						s.roots[e] = ""
						if n.Init != nil {
							s.after[e] = s.said(n.Init)
						}
					}
				}
			}
		}
		return true
	})
}

// noteList remembers the statement before each condition about an error alone:
// a function has many of those.
func (s *source) noteList(list []ast.Stmt) {
	for i, stmt := range list {
		if i == 0 {
			continue
		}
		var conditions []ast.Expr
		switch stmt := stmt.(type) {
		case *ast.IfStmt:
			if stmt.Init == nil {
				conditions = append(conditions, stmt.Cond)
			}
		case *ast.ReturnStmt:
			conditions = stmt.Results
		}
		for _, c := range conditions {
			if text := s.said(c); text == "err != nil" || text == "err == nil" {
				s.after[c] = short(s.said(list[i-1]))
			}
		}
	}
}

func short(text string) string {
	const most = 90
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// edits are those of a node: each condition in it, and each statement of SQL.
func (s *source) edits(n ast.Node) (edits []edit) {
	ast.Inspect(n, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if _, root := s.roots[e]; root || isCondition(e) {
				edits = append(edits, edit{e.Pos(), e.End(), s.root(e)})
				return false
			}
		}
		switch n := n.(type) {
		case *ast.GenDecl:
			if n.Tok == token.CONST {
				edits = append(edits, s.literals(n)...)
				return false
			}
		case *ast.BasicLit:
			edits = append(edits, s.literals(n)...)
		case *ast.CallExpr:
			if i := statementArgument(n); s.sql && i >= 0 {
				a := n.Args[i]
				edits = append(edits, edit{n.Pos(), a.Pos(), s.splice(n.Pos(), a.Pos(), s.editsBefore(n, a.Pos()))}, edit{a.Pos(), a.End(), "mutants_.SQL(" + s.render(a) + ")"})
				for _, later := range n.Args[i+1:] {
					edits = append(edits, s.edits(later)...)
				}
				return false
			}
		}
		return true
	})
	return edits
}

// editsBefore are those of a call up to one of its arguments.
func (s *source) editsBefore(call *ast.CallExpr, to token.Pos) (edits []edit) {
	edits = s.edits(call.Fun)
	for _, a := range call.Args {
		if a.Pos() < to {
			edits = append(edits, s.edits(a)...)
		}
	}
	return edits
}

func (s *source) render(n ast.Node) string { return s.splice(n.Pos(), n.End(), s.edits(n)) }

func isCondition(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return isComparison(e.Op) || isLogical(e.Op)
	case *ast.UnaryExpr:
		return e.Op == token.NOT
	}
	return false
}

func isLogical(op token.Token) bool { return op == token.LAND || op == token.LOR }

func isComparison(op token.Token) bool {
	switch op {
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		return true
	}
	return false
}

// moved are the comparisons that differ from one by their bound.
var moved = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}

// root rewrites a whole condition. A change that every test notices that notices
// another is not made: the negation of a condition that is made always and never
// true, a chain of which each part is taken out, an error that is always there.
func (s *source) root(e ast.Expr) string {
	kind := s.roots[e]
	about := e
	always, never := true, true
	if b, ok := unparen(e).(*ast.BinaryExpr); ok {
		always, never = b.Op != token.LAND, b.Op != token.LOR
		always = always && s.said(b) != "err != nil"
	}
	text := s.condition(e, about)
	if never {
		text = "!" + s.mutant(about, "never") + " && (" + text + ")"
	}
	if always && kind != "loop" {
		text = s.mutant(about, "always") + " || " + text
	}
	return "(" + text + ")"
}

// condition rewrites what is inside a condition; about names it.
func (s *source) condition(e, about ast.Expr) string {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return "(" + s.condition(e.X, about) + ")"
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			return "!(" + s.condition(e.X, about) + ")"
		}
	case *ast.BinaryExpr:
		if isLogical(e.Op) {
			return s.chain(e, about)
		}
		if other, ok := moved[e.Op]; ok {
			x, y := s.render(e.X), s.render(e.Y)
			m := s.mutant(about, s.said(e.X)+" "+other.String()+" "+s.said(e.Y))
			return "(" + m + " && (" + x + ") " + other.String() + " (" + y + ") || !" + m + " && (" + x + ") " + e.Op.String() + " (" + y + "))"
		}
		if isComparison(e.Op) {
			return "((" + s.render(e.X) + ") " + e.Op.String() + " (" + s.render(e.Y) + "))"
		}
	}
	return "(" + s.renderInside(e) + ")"
}

// renderInside renders an expression that is in a condition, or is one itself
// without looking like it.
func (s *source) renderInside(e ast.Expr) string {
	delete(s.roots, e)
	return s.render(e)
}

// chain rewrites conditions joined by && or ||, each of which can be taken out.
func (s *source) chain(e *ast.BinaryExpr, about ast.Expr) string {
	var parts []ast.Expr
	var flatten func(ast.Expr)
	flatten = func(x ast.Expr) {
		if b, ok := x.(*ast.BinaryExpr); ok && b.Op == e.Op {
			flatten(b.X)
			flatten(b.Y)
			return
		}
		parts = append(parts, x)
	}
	flatten(e)
	texts := make([]string, len(parts))
	for i, part := range parts {
		m := s.mutant(about, "without "+s.said(part))
		if e.Op == token.LAND {
			texts[i] = "(" + m + " || " + s.condition(part, about) + ")"
		} else {
			texts[i] = "(!" + m + " && " + s.condition(part, about) + ")"
		}
	}
	return "(" + strings.Join(texts, " "+e.Op.String()+" ") + ")"
}

func unparen(e ast.Expr) ast.Expr {
	for {
		p, ok := e.(*ast.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

// mutant makes one and returns the question whether it is chosen.
func (s *source) mutant(about ast.Expr, change string) string {
	condition := s.said(about)
	if before, ok := s.after[about]; ok {
		condition = before + "; " + condition
	}
	return fmt.Sprintf("mutants_.On(%d)", s.add(about.Pos(), condition+" → "+change))
}

func (s *source) add(at token.Pos, what string) int {
	name := s.path + " " + s.fn + ": " + what
	if s.names[name]++; s.names[name] > 1 {
		name = fmt.Sprintf("%s (%d)", name, s.names[name])
	}
	id := *s.next
	*s.next++
	s.mutants = append(s.mutants, mutant{id: id, pkg: s.pkg, name: name, line: s.fset.Position(at).Line})
	return id
}
