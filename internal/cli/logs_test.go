package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// levels are the methods that log, and those that are told what to log.
var levels = map[string]string{
	"Debug": "debug", "Info": "info", "Warn": "warn", "Error": "error",
	"DebugContext": "debug", "InfoContext": "info", "WarnContext": "warn", "ErrorContext": "error", "Refused": "info", "every": "error",
}

// TestEveryLineOfTheLogStandsInTheOperatorsTable holds the table in
// docs/operations.md to the messages in the code, level and words.
func TestEveryLineOfTheLogStandsInTheOperatorsTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Logs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string // level and message
	for row := range strings.Lines(section) {
		cells := strings.SplitN(row, "|", 4)
		if len(cells) < 4 {
			continue
		}
		for i, message := range strings.Split(cells[2], "`") {
			if i%2 == 1 {
				documented = append(documented, strings.TrimSpace(cells[1])+" "+message)
			}
		}
	}
	var logged []string
	err = filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if line := logLine(n); line != "" {
				logged = append(logged, line)
				if !slices.ContainsFunc(documented, func(row string) bool { return says(row, line) }) {
					t.Errorf("%s: %q is not in the table", path, line)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const least = 30
	if len(logged) < least {
		t.Fatalf("only %d messages were found", len(logged))
	}
	for _, row := range documented {
		if !slices.ContainsFunc(logged, func(line string) bool { return says(row, line) }) {
			t.Errorf("%q is in the table, and nothing logs it", row)
		}
	}
}

// says reports whether a row of the table is about a line; long ones may be cut.
func says(row, line string) bool {
	begin, cut := strings.CutSuffix(row, "…")
	return line == row || (cut && strings.HasPrefix(line, begin))
}

// logLine is the level and the message of a call that logs, else empty.
func logLine(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || levels[method.Sel.Name] == "" {
		return ""
	}
	on, ok := method.X.(*ast.SelectorExpr)
	plain, isIdent := method.X.(*ast.Ident)
	if method.Sel.Name != "Refused" && method.Sel.Name != "every" && (!ok || !strings.EqualFold(on.Sel.Name, "log")) && (!isIdent || plain.Name != "log") {
		return ""
	}
	for i, argument := range call.Args {
		if ident, ok := argument.(*ast.Ident); ok && i > 0 && ident.Name == "failed" {
			return "" // every's caller says what
		}
		if text, ok := argument.(*ast.BasicLit); ok && text.Kind == token.STRING {
			message, _ := strconv.Unquote(text.Value)
			return levels[method.Sel.Name] + " " + message
		}
	}
	return ""
}
