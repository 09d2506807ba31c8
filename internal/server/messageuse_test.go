package server_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign.dev/internal/authz/scopes"
)

// use is a place where the code names a message.
type use struct {
	where string
	// given are the names that are put in there; nil where they cannot be seen.
	given []string
}

// uses collects which messages templates and Go files name.
func uses(t *testing.T, tables map[string]bool) map[string][]use {
	t.Helper()
	found := map[string][]use{}
	add := func(id string, u use) { found[id] = append(found[id], u) }
	inTemplates(t, add)
	for _, name := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		inGo(t, file, name, tables, add)
	}
	return found
}

var (
	templateCall = regexp.MustCompile(`\.[TAN] "([^"]+)"`)
	quoted       = regexp.MustCompile(`"([^"]+)"`)
)

func inTemplates(t *testing.T, add func(string, use)) {
	t.Helper()
	files, err := filepath.Glob("page/templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal("no templates", err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range templateCall.FindAllSubmatchIndex(content, -1) {
			rest, _, _ := strings.Cut(string(content[at[1]:]), "}}")
			u := use{where: name, given: []string{}}
			for _, name := range quoted.FindAllStringSubmatch(rest, -1) {
				u.given = append(u.given, name[1])
			}
			add(string(content[at[2]:at[3]]), u)
		}
	}
}

// inGo finds ids among the strings of a file: what begins like a table of the
// catalogue, and what is handed to T, A or N.
func inGo(t *testing.T, file *ast.File, name string, tables map[string]bool, add func(string, use)) {
	t.Helper()
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) == 0 || !slices.Contains([]string{"T", "A", "N"}, sel.Sel.Name) {
				return true
			}
			if id, ok := text(n.Args[0]); ok {
				u := use{where: name, given: []string{"n"}}
				for _, arg := range n.Args[1:] {
					if s, ok := text(arg); ok {
						u.given = append(u.given, s)
					}
				}
				add(id, u)
			}
		case *ast.BinaryExpr:
			if pattern, ok := family(n); ok && tables[table(pattern)] {
				for _, id := range familyMembers(t, pattern) {
					add(id, use{where: name})
				}
				return false
			}
		case *ast.BasicLit:
			if id, ok := text(n); ok && tables[table(id)] && messageID.MatchString(id) {
				add(id, use{where: name})
			}
		}
		return true
	})
}

// messageID is what a whole id looks like; a part of one ends in a dot.
var messageID = regexp.MustCompile(`^[a-z-]+(\.[a-z_-]+)+$`)

func table(id string) string {
	name, _, found := strings.Cut(id, ".")
	if !found {
		return ""
	}
	return name
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// family is a sum of strings, with a star for what is not a literal.
func family(e ast.Expr) (string, bool) {
	sum, ok := e.(*ast.BinaryExpr)
	if !ok {
		if s, ok := text(e); ok {
			return s, true
		}
		return "*", true
	}
	left, ok := family(sum.X)
	right, also := family(sum.Y)
	return left + right, sum.Op == token.ADD && ok && also
}

// familyMembers are the ids of a family: what can stand for its star is known
// here.
func familyMembers(t *testing.T, pattern string) []string {
	t.Helper()
	var kinds []string
	switch table(pattern) {
	case "scope":
		kinds = scopes.Supported()
	case "weight":
		kinds = []string{scopes.WeightReads, scopes.WeightActs, scopes.WeightSpends}
	case "event":
		kinds = eventKinds(t)
	case "how", "proved":
		kinds = []string{"signature", "session", "passkey", "before"}
	}
	if len(kinds) == 0 {
		t.Errorf("%s: this test does not know what can stand for the star", pattern)
	}
	ids := make([]string, len(kinds))
	for i, kind := range kinds {
		ids[i] = strings.ReplaceAll(pattern, "*", kind)
	}
	return ids
}

// eventKinds are the constants of authz.EventKind.
func eventKinds(t *testing.T) (kinds []string) {
	t.Helper()
	files, err := filepath.Glob("../authz/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || fmt.Sprint(spec.Type) != "EventKind" {
				return true
			}
			for _, value := range spec.Values {
				if kind, ok := text(value); ok {
					kinds = append(kinds, kind)
				}
			}
			return false
		})
	}
	return kinds
}

func TestEveryMessageThatIsNamedExistsAndEveryOneThatExistsIsNamed(t *testing.T) {
	english := messages(t)["en"]
	tables := map[string]bool{}
	for id := range english {
		tables[table(id)] = true
	}
	named := uses(t, tables)
	for id, places := range named {
		source, exists := english[id]
		for _, u := range places {
			if !exists {
				t.Errorf("%s names %q, which is in no catalogue", u.where, id)
				continue
			}
			for _, name := range placeholders(t, id, source["other"]) {
				if u.given != nil && !slices.Contains(u.given, strings.Trim(name, "{}.")) {
					t.Errorf("%s says %q without giving %s", u.where, id, name)
				}
			}
		}
	}
	for id := range english {
		switch {
		case strings.HasPrefix(id, scriptTable):
		case named[id] == nil:
			t.Errorf("nothing says %q: it can go from the catalogues", id)
		}
	}
}
