//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

func TestPageFirstViewIsSmallAndAsksNobodyElse(t *testing.T) {
	t.Parallel()
	const budget = 60 * 1024
	h := startInstance(t)
	awaitReady := map[string]func(*browser.Tab){
		"/device?code=" + h.ask(t, nil).code: func(tab *browser.Tab) { tab.WaitFor("#ways[data-ready]") },
		"/account":                           func(tab *browser.Tab) { tab.WaitFor("#ways[data-ready]") },
		"/device":                            func(tab *browser.Tab) { tab.WaitFor(codeField) },
	}
	for path, await := range awaitReady {
		t.Run(path[:min(len(path), 8)], func(t *testing.T) {
			t.Parallel()
			tab := h.guest(t)
			tab.Phone()
			tab.Slow()
			tab.Open(h.base + path)
			paint := tab.FirstPaint()
			await(tab)
			ready := browser.Eval[float64](tab, `performance.now()`)
			total, curve := 0, ""
			for _, r := range tab.Requests() {
				t.Logf("%7d bytes  %s", r.Bytes, r.URL)
				total += r.Bytes
				if r.Bytes > 20_000 {
					curve = r.URL
				}
				if !strings.HasPrefix(r.URL, h.base+"/") {
					t.Errorf("the first view asks %s", r.URL)
				}
			}
			t.Logf("%7d bytes in all; at 400 kbit/s and 400 ms the first paint after %v, ready after %.0f ms", total, paint, ready)
			if total > budget || total == 0 {
				t.Errorf("the first view takes %d bytes, the budget is %d", total, budget)
			}
			if curve != "" {
				t.Errorf("the curve comes before anybody needs it: %s", curve)
			}
			// The page, what it names, and nothing after that: two questions to the server, one after the other.
			if late := browser.Eval[[]string](tab, unnamed); len(late) > 0 {
				t.Errorf("a third round to the server is needed, for %q", late)
			}
			if strings.HasPrefix(path, "/device?") {
				tab.Keys("S") // nothing has the focus
				tab.Type("[data-way=new] [name=name]", "S")
				tab.WaitUntil(`performance.getEntriesByType("resource").some(e => e.encodedBodySize > 20000)`)
			}
		})
	}
}

// unnamed are what was asked for beyond what the page itself names.
const unnamed = `performance.getEntriesByType("resource").map(e => e.name).filter(name =>
	![...document.querySelectorAll("link[href], script[src]")].some(named => (named.href || named.src) === name))`
