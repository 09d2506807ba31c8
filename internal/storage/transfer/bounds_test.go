package transfer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	lite "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const root = "../../.."

// rowsOf are the first cells of a document's table rows, what each has in code
// quotes, and the whole row.
func rowsOf(t *testing.T) (rows map[string]string, text string) {
	t.Helper()
	b, err := os.ReadFile(root + "/docs/security/bounds.md")
	if err != nil {
		t.Fatal(err)
	}
	rows = map[string]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			rows[name[1]] = line
		}
	}
	return rows, string(b)
}

// tables are those of both databases.
func (h *house) tables() map[string]bool {
	h.Helper()
	found := map[string]bool{}
	c, err := lite.OpenConn(h.path, lite.OpenReadOnly)
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	err = sqlitex.Execute(c, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`, &sqlitex.ExecOptions{
		ResultFunc: func(r *lite.Stmt) error { found[r.ColumnText(0)] = true; return nil },
	})
	if err != nil {
		h.Fatal(err)
	}
	h.prepare()
	pg, err := pgx.Connect(h.Context(), h.url)
	if err != nil {
		h.Fatal(err)
	}
	defer pg.Close(h.Context())
	rows, err := pg.Query(h.Context(), `SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()`)
	if err != nil {
		h.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.Fatal(err)
	}
	for _, name := range names {
		found[name] = true
	}
	return found
}

// maps are the members of the server's types that are maps, or remember the latest of many.
func maps(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, rooms := range []string{"authz", "issuer", "server", "storage/sqlite", "storage/postgres", "storage/group"} {
		err := filepath.WalkDir(filepath.Join(root, "internal", rooms), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Name() == "pgtest" { // of the tests
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range parsed.Decls {
				declared, _ := d.(*ast.GenDecl)
				if declared == nil {
					continue
				}
				for _, spec := range declared.Specs {
					addMaps(found, spec)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func addMaps(found map[string]bool, spec ast.Spec) {
	typed, _ := spec.(*ast.TypeSpec)
	if typed == nil {
		return
	}
	structure, _ := typed.Type.(*ast.StructType)
	if structure == nil {
		return
	}
	for _, field := range structure.Fields.List {
		isMap := false
		ast.Inspect(field.Type, func(n ast.Node) bool {
			_, here := n.(*ast.MapType)
			latest, _ := n.(*ast.SelectorExpr)
			isMap = isMap || here || latest != nil && (latest.Sel.Name == "LRU" || latest.Sel.Name == "Cache")
			return !isMap
		})
		for _, name := range field.Names {
			if isMap {
				found[typed.Name.Name+"."+name.Name] = true
			}
		}
	}
}

func TestEveryTableAndMapHasABoundInTheDocument(t *testing.T) {
	rows, _ := rowsOf(t)
	found := newHouse(t, 0).tables()
	if len(found) < 15 {
		t.Fatalf("only %d tables", len(found))
	}
	for name := range maps(t) {
		found[name] = true
	}
	for name := range found {
		if rows[name] == "" {
			t.Errorf("%s has no row in docs/security/bounds.md", name)
		}
	}
	for name := range rows {
		if !found[name] {
			t.Errorf("docs/security/bounds.md tells of %s, which is not there", name)
		}
	}
}

func TestEveryBoundInTheDocumentNamesItsTest(t *testing.T) {
	_, text := rowsOf(t)
	var tests, cases strings.Builder
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		into := &tests
		switch {
		case filepath.Base(filepath.Dir(path)) == "storagetest":
			into = &cases
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		into.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+|[a-z]+/[^`]+)`").FindAllStringSubmatch(text, -1)
	if len(named) < 20 {
		t.Fatalf("only %d are named", len(named))
	}
	for _, n := range named {
		if _, sentence, ok := strings.Cut(n[1], "/"); ok {
			if !strings.Contains(cases.String(), `{"`+sentence) && !strings.HasPrefix(n[1], "internal/") {
				t.Errorf("no case of storagetest begins with %q", sentence)
			}
		} else if !strings.Contains(tests.String(), "func "+n[1]+"(") {
			t.Errorf("there is no %s", n[1])
		}
	}
}
