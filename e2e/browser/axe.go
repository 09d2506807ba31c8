//go:build e2e

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axePath is where npm puts axe-core, seen from the root of the module.
const axePath = "web/node_modules/axe-core/axe.min.js"

var axeSource = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(filepath.Join(root, axePath))
	if err != nil {
		return "", fmt.Errorf("there is no axe-core: `make web` installs it: %w", err)
	}
	return string(source), nil
})

// runAxe asks for the rules of WCAG 2.2 at level AA, all before it included, and
// for what axe-core calls good practice.
const runAxe = `axe.run(document, {
	runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"],
	resultTypes: ["violations"],
	preload: false,
}).then(results => results.violations.map(v => ({
	rule: v.id, impact: v.impact, help: v.help, url: v.helpUrl,
	nodes: v.nodes.map(n => n.target.join(" ") + ": " + (n.any.concat(n.all, n.none)[0]?.message ?? "")),
})))`

type violation struct {
	Rule, Impact, Help, URL string
	Nodes                   []string
}

// String names the rule, the elements that break it, and where it is explained.
func (v violation) String() string {
	return fmt.Sprintf("%s (%s): %s\n    %s\n    %s", v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n    "), v.URL)
}

// Axe fails the test for each rule of accessibility that the page breaks, as far
// as axe-core can tell. It runs in a world of its own, which the page's policy
// does not reach and the page cannot see.
func (p *Tab) Axe() {
	p.t.Helper()
	source, err := axeSource()
	if err != nil {
		p.t.Fatal(err)
	}
	frame := do(p, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.ID
	world := do(p, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: "axe"}).ExecutionContextID
	inside := func(params *runtime.EvaluateParams) { params.ContextID = world }
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := evaluate[chromedp.Void](ctx, source, inside); err != nil {
		p.t.Fatal("loading axe-core:", err)
	}
	violations, err := evaluate[[]violation](ctx, runAxe, inside, chromedp.EvalAwaitPromise)
	if err != nil {
		p.t.Fatal("axe-core:", err)
	}
	for _, v := range violations {
		p.t.Errorf("%s: axe-core found %v", p.URL(), v)
	}
}

// moduleRoot is the directory above this one that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
}
