//go:build e2e

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// patience is how long anything may take before a test gives up on it.
const patience = 20 * time.Second

// Tab is one tab of one person. Its methods end the test when they fail, so they
// are called from the test's own goroutine.
type Tab struct {
	t          testing.TB
	c          *chromium
	ctx        context.Context
	watch      *watch
	scriptsOff bool
	steps      int    // see Steps
	downloads  string // the directory of what is saved
}

// NewTab gives the test a person with an empty browser and one tab.
func NewTab(t testing.TB) *Tab {
	t.Helper()
	if name := t.Name(); !strings.HasPrefix(name, "TestPage") {
		t.Fatalf("%s: a test with a browser has a name that begins with TestPage, so that `make test-browser` runs it", name)
	}
	c := theChromium(t)
	p := c.newTab(c.ctx, t, chromedp.WithNewBrowserContext())
	p.keepDownloads(t.TempDir())
	return p
}

// Another opens a second tab of the same person.
func (p *Tab) Another() *Tab {
	p.t.Helper()
	another := p.c.newTab(p.ctx, p.t)
	another.downloads = p.downloads
	return another
}

func (c *chromium) newTab(parent context.Context, t testing.TB, options ...chromedp.ContextOption) *Tab {
	t.Helper()
	w := newWatch()
	ctx, end := chromedp.NewContext(parent, append(options, chromedp.WithListener(w.event))...)
	p := &Tab{t: t, c: c, ctx: ctx, watch: w}
	w.onDialog = func(yes bool) {
		_, _ = chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: yes}) // it may have gone with its page
	}
	t.Cleanup(func() {
		p.judge()
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("a new tab:", err)
	}
	do(p, audits.Enable, cdp.Empty{})
	// Tabs that work side by side have the focus of their own window each.
	do(p, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	p.Desktop()
	return p
}

// judge fails the test for what its page did and nobody expected.
func (p *Tab) judge() {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// An answer comes after the events that were on their way before it.
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[int]("1")); err != nil {
		p.t.Errorf("the page does not answer at the end: %v", err)
	}
	for _, problem := range p.watch.untolerated() {
		p.t.Errorf("the page %s", problem)
	}
}

// Tolerate makes an exception: problems that contain the text do not fail the
// test.
func (p *Tab) Tolerate(text string) {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	p.watch.tolerated = append(p.watch.tolerated, text)
}

// AllowOrigin lets the page send requests to an origin besides those that the
// test opens.
func (p *Tab) AllowOrigin(origin string) {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	p.watch.origins = append(p.watch.origins, originOf(origin))
}

// Problems returns what went wrong in the page so far, exceptions included.
func (p *Tab) Problems() []string {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	return slices.Clone(p.watch.problems)
}

// Requests returns what the tab asked for so far, in order.
func (p *Tab) Requests() []Request {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	var all []Request
	for _, r := range p.watch.requests {
		all = append(all, *r)
	}
	return all
}

// Status returns the status of the last document.
func (p *Tab) Status() int {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	return p.watch.status
}

// Open goes to an address, as if it were typed, and waits until the page is
// loaded.
func (p *Tab) Open(address string) {
	p.t.Helper()
	p.AllowOrigin(address)
	p.Leads(func() {
		if answer := do(p, page.Navigate, page.NavigateParams{URL: address}); answer.ErrorText != "" {
			p.t.Fatalf("opening %s: %s", address, answer.ErrorText)
		}
	})
}

// Reload loads the page again; a form that led here is sent again.
func (p *Tab) Reload() {
	p.t.Helper()
	p.Leads(func() { do(p, page.Reload, page.ReloadParams{}) })
}

// Back is the back button.
func (p *Tab) Back() {
	p.t.Helper()
	history := do(p, page.GetNavigationHistory, cdp.Empty{})
	if history.CurrentIndex == 0 {
		p.t.Fatal("there is nothing to go back to")
	}
	p.Leads(func() {
		do(p, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[history.CurrentIndex-1].ID})
	})
}

// Leads does something that leads to another page, and waits until that one is
// there: loaded as a document, or put in place by a script that then changed the
// history, and not hidden for it is being arranged.
func (p *Tab) Leads(action func()) {
	p.t.Helper()
	before := p.navigations()
	action()
	p.await("another page", func(ctx context.Context) bool {
		loaded, err := evaluate[bool](ctx, `document.readyState === "complete" && `+arranged)
		return p.navigations() > before && loaded && err == nil
	})
}

// arranged holds in a page that no script hides while it arranges it.
const arranged = `(document.querySelector("main")?.checkVisibility({visibilityProperty: true}) ?? true)`

func (p *Tab) navigations() int {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	return p.watch.navigations
}

// URL returns the address in the address bar.
func (p *Tab) URL() string {
	p.t.Helper()
	history := do(p, page.GetNavigationHistory, cdp.Empty{})
	return history.Entries[history.CurrentIndex].URL
}

// SetCookie puts a cookie into the browser of the person, for an address.
func (p *Tab) SetCookie(address, name, value string) {
	p.t.Helper()
	secure := strings.HasPrefix(address, "https:")
	httpOnly := true
	do(p, network.SetCookie, network.SetCookieParams{
		URL: address, Name: name, Value: value, Secure: &secure, HTTPOnly: &httpOnly, SameSite: network.CookieSameSiteLax, Path: "/",
	})
}

// WaitFor waits until something that matches a CSS selector is to be seen.
func (p *Tab) WaitFor(selector string) {
	p.t.Helper()
	p.WaitUntil(shown(selector))
}

// WaitGone waits until nothing that matches a CSS selector is to be seen, in a page
// that is.
func (p *Tab) WaitGone(selector string) {
	p.t.Helper()
	p.WaitUntil("!(" + shown(selector) + ") && " + arranged)
}

// WaitUntil waits until a JavaScript expression is true in a page that has been
// read to its end. It looks at each frame that is drawn.
func (p *Tab) WaitUntil(condition string) {
	p.t.Helper()
	p.await(condition, func(ctx context.Context) bool {
		holds, err := evaluate[bool](ctx, `document.readyState !== "loading" && !!(`+condition+`)`)
		return err == nil && holds
	})
}

// await tries until it succeeds: at each frame, or where no script runs, each
// time that the browser tells of something.
func (p *Tab) await(what string, try func(ctx context.Context) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for !try(ctx) {
		if !p.scriptsOff {
			if _, err := evaluate[float64](ctx, `new Promise(requestAnimationFrame)`, chromedp.EvalAwaitPromise); err == nil {
				continue
			}
		}
		// Without a frame the page is on its way to another.
		select {
		case <-p.watch.changed:
		case <-ctx.Done():
			p.t.Fatalf("waited for %s in vain; the page is %s and says\n%s", what, p.URL(), p.Text("body"))
		}
	}
}

// Eval evaluates a JavaScript expression in the page; a promise is awaited.
func Eval[T any](p *Tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := evaluate[T](ctx, expression, chromedp.EvalAwaitPromise)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func evaluate[T any](ctx context.Context, expression string, options ...chromedp.EvaluateOption) (T, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, options...))
}

// do sends a command of the DevTools protocol.
func do[P, R any](p *Tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		p.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// quote makes a JavaScript string of a text.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return fmt.Sprintf("%q", text) // no text fails to be JSON
	}
	return string(quoted)
}

// Eval evaluates a JavaScript expression for what it does.
func (p *Tab) Eval(expression string) {
	p.t.Helper()
	Eval[bool](p, "(("+expression+"), true)")
}
