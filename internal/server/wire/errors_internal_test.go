package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

// TestEveryCodeHasAnAnswerAndAnEntry walks the codes of the domain and of the
// door: each has a row in the table, and an entry in docs/errors.md.
func TestEveryCodeHasAnAnswerAndAnEntry(t *testing.T) {
	page, err := os.ReadFile("../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../../authz/errors.go", "errors.go"} {
		codes := codesOf(t, file)
		if len(codes) == 0 {
			t.Fatalf("%s declares no codes", file)
		}
		for _, code := range codes {
			a, known := answers[code]
			if !known {
				t.Errorf("%s has no answer", code)
			}
			if !strings.Contains(string(page), "`"+string(code)+"`") {
				t.Errorf("docs/errors.md lacks %s", code)
			}
			if a.wire != "" && !strings.Contains(string(page), "| `"+string(code)+"` | `"+a.wire+"` | "+strconv.Itoa(a.status)+" |") {
				t.Errorf("docs/errors.md does not say that %s is %s with %d", code, a.wire, a.status)
			}
		}
	}
}

// codesOf are the constants of type Code that a file declares.
func codesOf(t *testing.T, file string) (codes []authz.Code) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		switch typ := spec.Type.(type) {
		case *ast.Ident:
			ok = typ.Name == "Code"
		case *ast.SelectorExpr:
			ok = typ.Sel.Name == "Code"
		default:
			ok = false
		}
		if literal, isText := spec.Values[0].(*ast.BasicLit); ok && isText {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, authz.Code(text))
		}
		return true
	})
	return codes
}
