//go:build e2e

package e2e

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// view is a page, and how to get there.
type view struct {
	name string
	open func() *browser.Tab
}

// views are all kinds of pages there are. Each look at a tab first.
func (h *house) views(t *testing.T, look func(tab *browser.Tab)) []view {
	guest, resident := h.guest(t), h.resident(t)
	look(guest)
	look(resident)
	ask := func() *tv {
		return h.ask(t, url.Values{
			"scope": {"openid profile offline_access"}, "device_name": {"Kitchen " + strings.Repeat("W", 40)}, "device_platform": {"tvOS"},
		}, "User-Agent", "TheProgram/1.0", "Origin", "https://app.example")
	}
	at := func(tab *browser.Tab, path string) *browser.Tab {
		tab.Open(h.base + path)
		return tab
	}
	return []view{
		{"home", func() *browser.Tab { return at(guest, "/") }},
		{"enter", func() *browser.Tab { return at(guest, "/device") }},
		{"filled-in", func() *browser.Tab { return at(guest, "/device?code="+ask().code) }},
		{"two-codes", func() *browser.Tab { return at(guest, "/device?code=BBBB-BBBB&user_code=CCCC-CCCC") }},
		{"sign-in", func() *browser.Tab {
			guest.Open(h.base + "/device?code=" + ask().code)
			guest.Leads(func() { guest.Click("form:has([name=code]) button") })
			return guest
		}},
		{"wrong-code", func() *browser.Tab {
			resident.Open(h.base + "/device")
			resident.Type(codeField, "BBBB-BBBB")
			resident.Leads(func() { resident.Press("Enter") })
			return resident
		}},
		{"review", func() *browser.Tab {
			h.review(resident, ask())
			return resident
		}},
		{"denied", func() *browser.Tab {
			d := ask()
			h.review(resident, d)
			decide(resident, d, denyButton)
			return resident
		}},
		{"allowed", func() *browser.Tab {
			d := ask()
			h.review(resident, d)
			decide(resident, d, approveButton)
			return resident
		}},
	}
}

func TestPageAxeFindsNothing(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	for name, look := range map[string]func(*browser.Tab){
		"light": func(tab *browser.Tab) { tab.Prefer(browser.Light) },
		"dark":  func(tab *browser.Tab) { tab.Prefer(browser.Dark) },
		"phone": func(tab *browser.Tab) { tab.Phone() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, view := range h.views(t, look) {
				tab := view.open()
				tab.Axe()
				tab.Screenshot(view.name + "-" + name)
			}
		})
	}
}

// widest returns how many CSS pixels the page is wider than what is to be seen of
// it, and what sticks out.
const widest = `(() => {
	const room = document.documentElement.clientWidth;
	const out = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > room + 1);
	return document.documentElement.scrollWidth <= room ? "" : out.map(e => e.outerHTML.slice(0, 80)).join("\n") || "something";
})()`

func TestPageNothingScrollsSidewaysWhenEnlargedOrNarrow(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	for name, look := range map[string]func(*browser.Tab){
		"200 percent":     func(tab *browser.Tab) { tab.Zoom(200) },
		"400 percent":     func(tab *browser.Tab) { tab.Zoom(400) }, // WCAG 2.2, 1.4.10
		"320 pixels wide": func(tab *browser.Tab) { tab.Viewport(320, 568, 2, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, view := range h.views(t, look) {
				if out := browser.Eval[string](view.open(), widest); out != "" {
					t.Errorf("%s is too wide:\n%s", view.name, out)
				}
			}
		})
	}
}

// focusable lists what Tab should reach, one of each group of radio buttons, and
// how it looks without the focus.
const focusable = `(() => {
	document.activeElement?.blur();
	const looks = window.looksOf = e => {
		const s = getComputedStyle(e);
		return {outline: s.outlineStyle === "none" ? 0 : parseFloat(s.outlineWidth), shadow: s.boxShadow, border: s.border, background: s.backgroundColor};
	};
	window.stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter(e =>
		e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0 && e.type !== "hidden" &&
		!(e.type === "radio" && [...document.getElementsByName(e.name)].findIndex(r => r.checked || r === e) < [...document.getElementsByName(e.name)].indexOf(e)));
	window.before = stops.map(looks);
	return stops.map(e => e.outerHTML.slice(0, 100));
})()`

// focused says which of them has the focus, or -1, and whether that can be seen.
const focused = `(() => {
	document.getAnimations().forEach(a => a.finish());
	const at = stops.indexOf(document.activeElement);
	const now = at < 0 ? {} : looksOf(stops[at]), then = before[at] ?? {};
	return {at, seen: now.outline >= 2 || now.shadow !== then.shadow || (now.border !== then.border && now.background !== then.background)};
})()`

func TestPageTabReachesEverythingAndTheFocusIsSeen(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	for name, preference := range map[string]browser.Preference{"light": browser.Light, "dark": browser.Dark, "forced colours": browser.ForcedColors} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, view := range h.views(t, func(tab *browser.Tab) { tab.Prefer(preference) }) {
				tab := view.open()
				stops := browser.Eval[[]string](tab, focusable)
				reached := map[int]bool{}
				for range len(stops) + 2 {
					tab.Press("Tab")
					now := browser.Eval[struct {
						At   int
						Seen bool
					}](tab, focused)
					if now.At >= 0 && !now.Seen {
						t.Errorf("%s: the focus is not seen on %s", view.name, stops[now.At])
					}
					reached[now.At] = true
				}
				for i, stop := range stops {
					if !reached[i] {
						t.Errorf("%s: Tab does not reach %s", view.name, stop)
					}
				}
			}
		})
	}
}

func TestPageIsDecidedWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	tab := h.resident(t)
	for button, told := range map[string]string{"approve": "ok", "deny": "access_denied"} {
		d := h.ask(t, url.Values{"number_match": {"true"}})
		tab.Open(h.base + "/device")
		tabTo(tab, `document.activeElement.name === "code"`)
		tab.Keys(strings.ToLower(strings.ReplaceAll(d.code, "-", " ")))
		tab.Press("Enter")
		tab.WaitFor(denyButton)
		if button == "approve" && tab.Shows(numberField) {
			tabTo(tab, `document.activeElement.name === "match"`)
			tab.Press("Space")
			for browser.Eval[string](tab, `document.querySelector("input[name=match]:checked").value`) != d.match {
				tab.Press("ArrowDown")
			}
		}
		tab.WaitUntil(`!document.querySelector("button[value=` + button + `]").disabled`)
		tabTo(tab, `document.activeElement.value === "`+button+`"`)
		tab.Press("Enter")
		tab.WaitGone(anyDecision)
		d.wantTold(t, told)
	}
}

// tabTo presses Tab until a condition holds of what has the focus.
func tabTo(tab *browser.Tab, condition string) {
	for n := 0; n < 40 && !browser.Eval[bool](tab, condition); n++ {
		tab.Press("Tab")
	}
	tab.WaitUntil(condition)
}

func TestPageFirstViewIsSmallAndAsksNobodyElse(t *testing.T) {
	t.Parallel()
	const budget = 60 * 1024
	h := startHouse(t)
	tab := h.guest(t)
	tab.Phone()
	tab.Slow()
	tab.Open(h.base + "/device?code=" + h.ask(t, nil).code)
	t.Logf("at 400 kbit/s and 400 ms, the first paint after %v", tab.FirstPaint())
	total := 0
	for _, r := range tab.Requests() {
		t.Logf("%7d bytes  %s", r.Bytes, r.URL)
		total += r.Bytes
		if !strings.HasPrefix(r.URL, h.base+"/") {
			t.Errorf("the first view asks %s", r.URL)
		}
	}
	if t.Logf("%7d bytes in all", total); total > budget || total == 0 {
		t.Errorf("the first view takes %d bytes, the budget is %d", total, budget)
	}
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // no text fails to be JSON
	}
	return string(b)
}
