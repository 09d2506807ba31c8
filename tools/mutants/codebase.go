package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed runtime.go.txt
var runtimeSource []byte

// codebase is the code with all its mutants, and the tests of it.
type codebase struct {
	options
	dir     string // for everything that is made here
	overlay map[string]string
	mutants []mutant
	binary  map[string]*binary // by directory
	mu      sync.Mutex
}

// binary is the tests of a package, built.
type binary struct {
	path, dir string
	args      []string
	took      map[string]time.Duration // by test
	reaching  map[int][]string         // by mutant: the tests that reach it, the quickest first
	reaches   map[string]int           // by test: how many mutants
	noticing  map[string][]string      // by function: the tests that noticed a mutant of it; guarded by the codebase's mu
}

// dirs are the packages that are mutated.
func (h *codebase) dirs() (dirs []string) {
	for _, j := range judged {
		if h.packages == "" || slices.Contains(strings.Split(h.packages, ","), j.dir) {
			dirs = append(dirs, j.dir)
		}
	}
	return dirs
}

// listed is what the go command says of a package.
type listed struct {
	Dir                                string
	GoFiles, TestGoFiles, XTestGoFiles []string
	TestImports, XTestImports          []string
}

func (h *codebase) list(ctx context.Context, dir string) (p listed, err error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=Dir,GoFiles,TestGoFiles,XTestGoFiles,TestImports,XTestImports", "./"+dir)
	cmd.Dir, cmd.Stderr = h.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return p, fmt.Errorf("listing %s: %w", dir, err)
	}
	return p, json.Unmarshal(out, &p)
}

// rewrite makes all mutants.
func (h *codebase) rewrite(ctx context.Context) error {
	h.overlay = map[string]string{}
	if err := h.put(filepath.Join(h.root, "internal", "mutants", "mutants.go"), string(runtimeSource)); err != nil {
		return err
	}
	next := 0
	for _, j := range judged {
		if !slices.Contains(h.dirs(), j.dir) {
			continue
		}
		p, err := h.list(ctx, j.dir)
		if err != nil {
			return err
		}
		for _, file := range p.GoFiles {
			path := filepath.Join(p.Dir, file)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			changed, mutants, err := rewritten(j.dir, j.dir+"/"+file, string(text), j.sql, &next)
			if err != nil {
				return err
			}
			if len(mutants) > 0 {
				h.mutants = append(h.mutants, mutants...)
				if err := h.put(path, changed); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// put lets the build see another text in a file's place.
func (h *codebase) put(path, text string) error {
	to := filepath.Join(h.dir, strconv.Itoa(len(h.overlay))+"-"+filepath.Base(path))
	h.overlay[path] = to
	return os.WriteFile(to, []byte(text), 0o600)
}

// build builds the tests that judge mutants, and finds out which test reaches
// which.
func (h *codebase) build(ctx context.Context, tried []mutant) error {
	if err := h.markTests(ctx, "internal/storage/storagetest"); err != nil {
		return err
	}
	h.binary = map[string]*binary{}
	var dirs []string
	for _, m := range tried {
		for _, dir := range h.judges(m.pkg) {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	for _, dir := range dirs {
		if err := h.markTests(ctx, dir); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": h.overlay})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(h.dir, "overlay.json"), overlay, 0o600); err != nil {
		return err
	}
	for _, dir := range dirs {
		b := &binary{path: filepath.Join(h.dir, strings.ReplaceAll(dir, "/", "-")+".test"), dir: filepath.Join(h.root, dir)}
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", filepath.Join(h.dir, "overlay.json"), "-o", b.path, "./"+dir)
		cmd.Dir = h.root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building the tests of %s: %w\n%s", dir, err, out)
		}
		p, err := h.list(ctx, dir)
		if err != nil {
			return err
		}
		if slices.Contains(slices.Concat(p.TestImports, p.XTestImports), "pgregory.net/rapid") {
			b.args = []string{"-rapid.nofailfile"} // what fails a mutant is of no use to the code
		}
		began := time.Now()
		if err := h.record(ctx, b); err != nil {
			return fmt.Errorf("the tests of %s, with no mutant chosen: %w", dir, err)
		}
		fmt.Printf("%s: %d tests reach %d mutants; they took %v\n", dir, len(b.took), len(b.reaching), time.Since(began).Round(time.Second))
		h.binary[dir] = b
	}
	return nil
}

// judges are the packages whose tests judge a package.
func (h *codebase) judges(dir string) []string {
	if h.own {
		return []string{dir}
	}
	for _, j := range judged {
		if j.dir == dir {
			return strings.Fields(j.by)
		}
	}
	return nil
}

// markTests lets each test of a package say that it runs.
func (h *codebase) markTests(ctx context.Context, dir string) error {
	p, err := h.list(ctx, dir)
	if err != nil {
		return err
	}
	files := slices.Concat(p.TestGoFiles, p.XTestGoFiles)
	if dir == "internal/storage/storagetest" {
		files = p.GoFiles
	}
	for _, file := range files {
		path := filepath.Join(p.Dir, file)
		if h.overlay[path] != "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		changed, err := marked(path, string(text))
		if err != nil {
			return err
		}
		if changed != string(text) {
			if err := h.put(path, changed); err != nil {
				return err
			}
		}
	}
	return nil
}

// marked is a file of tests in which each says that it runs: when it begins, and
// when it goes on after it has waited to run beside others.
func marked(path, text string) (string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	s := &source{text: text, fset: fset}
	var edits []edit
	mark := func(t *ast.FuncType, body *ast.BlockStmt) {
		if body == nil || t.Params == nil || len(t.Params.List) == 0 || len(t.Params.List[0].Names) == 0 {
			return
		}
		kind, name := s.said(t.Params.List[0].Type), t.Params.List[0].Names[0].Name
		if name == "_" || (kind != "*testing.T" && kind != "*testing.F") || t.Results != nil {
			return
		}
		in := "mutants_.In(" + name + "); "
		edits = append(edits, edit{body.Lbrace + 1, body.Lbrace + 1, " " + in})
		for _, stmt := range body.List {
			if s.said(stmt) == name+".Parallel()" {
				edits = append(edits, edit{stmt.End(), stmt.End(), "; " + strings.TrimSuffix(in, "; ")})
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && (strings.HasPrefix(n.Name.Name, "Test") || strings.HasPrefix(n.Name.Name, "Fuzz")) {
				mark(n.Type, n.Body)
			}
		case *ast.FuncLit:
			mark(n.Type, n.Body)
		}
		return true
	})
	if len(edits) == 0 {
		return text, nil
	}
	edits = append(edits, edit{file.Name.End(), file.Name.End(), `; import mutants_ "` + runtimePath + `"`})
	return s.splice(file.FileStart, file.FileEnd, edits), nil
}
