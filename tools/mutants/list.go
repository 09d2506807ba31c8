package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// equivalents are the mutants that make no difference, as equivalent.txt names
// them: paragraphs of a reason, in lines that begin with #, and names.
type equivalents struct{ names []string }

func readEquivalents(path string) (*equivalents, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e := &equivalents{}
	reason := false
	for i, line := range strings.Split(string(text), "\n") {
		switch line = strings.TrimSpace(line); {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			return nil, fmt.Errorf("%s:%d: no reason stands above this name", path, i+1)
		case e.has(line):
			return nil, fmt.Errorf("%s:%d: this name stands there twice", path, i+1)
		default:
			e.names = append(e.names, line)
		}
	}
	return e, nil
}

func (e *equivalents) has(name string) bool { return slices.Contains(e.names, name) }

// gone are the names of mutants of these packages that there are not.
func (e *equivalents) gone(all []mutant, dirs []string) (names []string) {
	there := map[string]bool{}
	for _, m := range all {
		there[m.name] = true
	}
	for _, name := range e.names {
		dir, _, _ := strings.Cut(name, " ")
		if i := strings.LastIndexByte(dir, '/'); i >= 0 && slices.Contains(dirs, dir[:i]) && !there[name] {
			names = append(names, name)
		}
	}
	return names
}
