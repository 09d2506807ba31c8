package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// provedBy is what says that something was proved, by the member that says so, and the one
// file that may set it: whoever has an owner, an asker or a client must not make more of
// it than was proved.
var provedBy = map[string][]string{
	"Request": {"internal/authz/account/owner.go"},                                                                     // of an Owner: the very request was signed
	"Opened":  {"internal/authz/approval/visit.go"},                                                                    // of an Asker: they had the right code before
	"Proved":  {"internal/authz/account/provecode.go", "internal/authz/client/identify.go", "internal/authz/owner.go"}, // of an Asker, of a Client
}

func TestOnlyWhatVerifiesAProofSaysThatThereIsOne(t *testing.T) {
	found := map[string][]string{}
	eachGoFile(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range claimed(file) {
			if !slices.Contains(found[member], path) {
				found[member] = append(found[member], path)
			}
		}
	})
	for member, files := range provedBy {
		if slices.Sort(found[member]); !slices.Equal(found[member], files) {
			t.Errorf("%s is set in %q, want %q", member, found[member], files)
		}
	}
}

// claimed are the members that a file sets of an owner, an asker or a client.
func claimed(file *ast.File) (members []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok && provedBy[s.Sel.Name] != nil {
					members = append(members, s.Sel.Name)
				}
			}
		case *ast.CompositeLit:
			if !slices.Contains([]string{"Owner", "Asker", "Client"}, typeName(n.Type)) {
				return true
			}
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok && provedBy[key.Name] != nil {
						members = append(members, key.Name)
					}
				}
			}
		}
		return true
	})
	return members
}

// typeName is the name of a type of authz, in its own package or in another.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok && x.Name == "authz" {
			return e.Sel.Name
		}
	}
	return ""
}
