//go:build e2e

package browser

import (
	"context"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Click clicks the first thing to be seen that matches a CSS selector, with the
// mouse, once it is enabled and nothing covers it.
func (p *Tab) Click(selector string) {
	p.t.Helper()
	p.click(selector, func(ctx context.Context) (runtime.RemoteObjectID, error) {
		found, err := chromedp.Run(ctx, chromedp.Evaluate[*runtime.RemoteObject](firstShown(selector)))
		if err != nil {
			return "", err
		}
		return found.ObjectID, nil
	})
}

// ClickNamed clicks what a screen reader calls by this role and name, like
// "button" and "Approve".
func (p *Tab) ClickNamed(role, name string) {
	p.t.Helper()
	p.click(role+" "+quote(name), func(ctx context.Context) (runtime.RemoteObjectID, error) {
		return named(ctx, role, name)
	})
}

// named finds an element in the accessibility tree.
func named(ctx context.Context, role, name string) (runtime.RemoteObjectID, error) {
	document, err := chromedp.Run(ctx, chromedp.Evaluate[*runtime.RemoteObject]("document"))
	if err != nil {
		return "", err
	}
	tree, err := chromedp.Call(ctx, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{
		ObjectID: document.ObjectID, Role: role, AccessibleName: name,
	})
	if err != nil {
		return "", err
	}
	for _, node := range tree.Nodes {
		if node.Ignored {
			continue
		}
		resolved, err := chromedp.Call(ctx, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node.BackendDOMNodeID})
		if err != nil {
			return "", err
		}
		return resolved.Object.ObjectID, nil
	}
	return "", nil
}

// target brings an element into view and returns where to click it, or null
// while that would do nothing.
const target = `function () {
	if (this.disabled || this.getAttribute("aria-disabled") === "true") return null;
	this.scrollIntoView({block: "center", inline: "nearest", behavior: "instant"});
	const box = this.getClientRects()[0];
	if (!box) return null;
	const x = box.left + box.width / 2, y = box.top + box.height / 2;
	const hit = document.elementFromPoint(x, y);
	return hit && (this.contains(hit) || hit.contains(this)) ? [x, y] : null;
}`

func (p *Tab) click(what string, find func(ctx context.Context) (runtime.RemoteObjectID, error)) {
	p.t.Helper()
	p.steps++
	var at []float64
	p.await(what+" to click", func(ctx context.Context) bool {
		found, err := find(ctx)
		if err != nil || found == "" {
			return false
		}
		at, err = chromedp.Run(ctx, chromedp.CallFunctionOn[[]float64](target, func(params *runtime.CallFunctionOnParams) {
			params.ObjectID = found
		}))
		return err == nil && at != nil
	})
	for _, kind := range []input.DispatchMouseEventType{chromedp.MouseMoved, chromedp.MousePressed, chromedp.MouseReleased} {
		event := input.DispatchMouseEventParams{Type: kind, X: at[0], Y: at[1]}
		if kind != chromedp.MouseMoved {
			event.Button, event.ClickCount = input.MouseButtonLeft, 1
		}
		do(p, input.DispatchMouseEvent, event)
	}
}

// Type clicks a field and types a text, key by key.
func (p *Tab) Type(selector, text string) {
	p.t.Helper()
	p.Click(selector)
	p.Keys(text)
}

// Keys types a text to what has the focus, key by key.
func (p *Tab) Keys(text string) {
	p.t.Helper()
	p.run("typing", chromedp.KeyEvent(text))
}

// Insert puts a text in where the focus is, as an input method does and pasting.
func (p *Tab) Insert(text string) {
	p.t.Helper()
	do(p, input.InsertText, input.InsertTextParams{Text: text})
}

// Press presses keys, one after another: Enter, Tab, Shift+Tab, Escape, Space,
// ArrowDown and its like, or a letter.
func (p *Tab) Press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		name, shifted := strings.CutPrefix(key, "Shift+")
		var options []chromedp.KeyOption
		if shifted {
			options = append(options, chromedp.KeyModifiers(chromedp.ModifierShift))
		}
		if code, known := keyCodes[name]; known {
			name = code
		} else if len(name) != 1 {
			p.t.Fatalf("there is no key %q", key)
		}
		p.run(key, chromedp.KeyEvent(name, options...))
	}
}

var keyCodes = map[string]string{
	"Enter": kb.Enter, "Tab": kb.Tab, "Escape": kb.Escape, "Space": " ", "Backspace": kb.Backspace,
	"ArrowDown": kb.ArrowDown, "ArrowUp": kb.ArrowUp, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
	"Home": kb.Home, "End": kb.End,
}

func (p *Tab) run(what string, action chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Text returns the text that is to be seen of the first element that matches a
// CSS selector, or nothing.
func (p *Tab) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

// Shows reports whether something that matches a CSS selector is to be seen.
func (p *Tab) Shows(selector string) bool {
	p.t.Helper()
	return Eval[bool](p, shown(selector))
}

func firstShown(selector string) string {
	return `([...document.querySelectorAll(` + quote(selector) + `)].find(e => e.checkVisibility({visibilityProperty: true})) ?? null)`
}

func shown(selector string) string { return firstShown(selector) + ` !== null` }
