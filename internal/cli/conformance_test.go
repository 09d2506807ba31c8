package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// aRule is a requirement's id or a section of an RFC; aRange is how code cites
	// several ids at once.
	aRule  = regexp.MustCompile(`\b[A-Z]-\d\d\b|RFC \d+ §[\d.]*\d`)
	aRange = regexp.MustCompile(`\b([A-Z]-\d\d) to ([A-Z]-\d\d)\b`)
	// quoted is what stands between backticks: a path, or the name of a test.
	quoted     = regexp.MustCompile("`([^`]+)`")
	aTestNamed = regexp.MustCompile("`(?:Test|Fuzz)[A-Z]")
	aTest      = regexp.MustCompile(`^(?:Test|Fuzz)[A-Z]\w*`)
	declared   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// Each row of docs/conformance.md whose rule is in the code names the files that hold
// it, and each of them cites the row's id, or its section, at the rule: who follows the
// table finds the rule, and who moves a rule is told which row to mend.
func TestEveryRowOfTheConformanceTableLeadsToItsRule(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := testsOfTheHouse(t), 0
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.Trim(line, "| \n"), " | ")
		rules := aRule.FindAllString(columns[0], -1)
		if len(columns) != 4 || len(rules) == 0 {
			continue // no row, or one of the differences, which has no code
		}
		rows++
		for _, path := range quoted.FindAllStringSubmatch(columns[2], -1) {
			if source := sourceOf(path[1]); source == "" {
				t.Errorf("%s: there is no file %s", columns[0], path[1])
			} else if !citesOneOf(source, rules) {
				t.Errorf("%s: %s does not cite it", columns[0], path[1])
			}
		}
		if held := quoted.MatchString(columns[2]); !held && aTestNamed.MatchString(columns[3]) {
			t.Errorf("%s: a test holds it, and no file", columns[0])
		}
		for _, name := range quoted.FindAllStringSubmatch(columns[3], -1) {
			if test := aTest.FindString(name[1]); test != "" && !tests[test] {
				t.Errorf("%s: there is no test %s", columns[0], test)
			}
		}
	}
	if rows < 100 {
		t.Errorf("only %d rows of docs/conformance.md were read: does this test still know its tables?", rows)
	}
}

// sourceOf is the text of a file of the table, whose paths begin at the root of the
// repository or in internal; empty if there is none.
func sourceOf(path string) string {
	for _, root := range []string{"../..", "../../internal"} {
		if text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path))); err == nil {
			return string(text)
		}
	}
	return ""
}

func citesOneOf(source string, rules []string) bool {
	for _, rule := range rules {
		if slices.Contains(aRule.FindAllString(source, -1), rule) {
			return true
		}
		for _, r := range aRange.FindAllStringSubmatch(source, -1) {
			if r[1][0] == rule[0] && r[1] <= rule && rule <= r[2] {
				return true
			}
		}
	}
	return false
}

// testsOfTheHouse are the names of all tests in Go.
func testsOfTheHouse(t *testing.T) map[string]bool {
	names := map[string]bool{}
	eachGoFile(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
			names[name[1]] = true
		}
	})
	return names
}

// eachGoFile calls a function with each Go file of the house, by its path from the root.
func eachGoFile(t *testing.T, do func(path string, text []byte)) {
	t.Helper()
	const root = "../../"
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		do(strings.TrimPrefix(filepath.ToSlash(path), root), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
