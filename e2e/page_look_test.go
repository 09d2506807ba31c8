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
	ask := func(more ...string) *tv {
		fields := url.Values{"device_name": {"Kitchen " + strings.Repeat("W", 40)}, "device_platform": {"tvOS"}, "scope": {"openid profile"}}
		for i := 0; i < len(more); i += 2 {
			fields.Set(more[i], more[i+1])
		}
		return h.ask(t, fields, "User-Agent", "TheProgram/1.0", "Origin", "https://app.example")
	}
	at := func(tab *browser.Tab, path string) *browser.Tab {
		tab.Open(h.base + path)
		return tab
	}
	review := func(more ...string) func() *browser.Tab {
		return func() *browser.Tab {
			h.review(resident, ask(more...))
			resident.WaitUntil(`document.querySelector("main[data-ready]")`)
			return resident
		}
	}
	decided := func(button string, more ...string) func() *browser.Tab {
		return func() *browser.Tab {
			d := ask(more...)
			h.review(resident, d)
			decide(resident, d, button)
			return resident
		}
	}
	views := []view{
		{"home", func() *browser.Tab { return at(guest, "/") }},
		{"enter", func() *browser.Tab { return at(guest, "/device") }},
		{"continue", func() *browser.Tab { return at(resident, "/device?code="+ask().code) }},
		{"two-codes", func() *browser.Tab { return at(guest, "/device?code=BBBB-BBBB&user_code=CCCC-CCCC") }},
		{"no-such-page", func() *browser.Tab { return at(guest, "/device/request/nothing") }},
		{"wrong-code", func() *browser.Tab {
			h.enter(resident, "BBBB-BBBB")
			resident.WaitFor("#problem")
			return resident
		}},
		{"review-letters", review()},
		{"review-number", review("number_match", "true")},
		{"review-registered", review("client_id", "radio", "scope", "openid profile email offline_access", "number_match", "true")},
		{"review-comparison-only", review("client_id", "radio")},
		{"review-signature-required", review("approval", "signature")},
		{"denied", decided(denyButton)},
		{"allowed", decided(approveButton, "number_match", "true")},
		{"taken-back", func() *browser.Tab {
			resident.Leads(func() { resident.Click("form[action$='/undo'] button") })
			resident.WaitUntil(`document.querySelector("h1").textContent === "Taken back"`)
			return resident
		}},
		{"account", func() *browser.Tab {
			decided(approveButton, "client_id", "radio")()
			at(resident, "/account").WaitUntil(`document.querySelector("main[data-ready]")`)
			return resident
		}},
	}
	for _, way := range []string{"new", "import", "passkey", "command"} {
		views = append(views, view{"sign-in-" + way, func() *browser.Tab {
			h.link(guest, ask())
			openWay(guest, way)
			return guest
		}})
	}
	// Last, because the guest is one no more after it.
	return append(views, view{"save-the-backup", func() *browser.Tab {
		h.link(guest, ask())
		openWay(guest, "new")
		guest.Type("[data-way=new] [name=name]", "Satoshi")
		guest.Type("[data-way=new] [name=password]", password)
		guest.Click("[data-way=new] button.primary")
		guest.WaitFor("#save")
		return guest
	}}, view{"review-locked", func() *browser.Tab {
		guest.Click("[data-do=accept-loss]")
		guest.WaitFor("#decision")
		guest.Reload()
		guest.WaitFor("#sign-password")
		return guest
	}}, view{"sign-in-browser", func() *browser.Tab {
		signOut(guest)
		h.link(guest, ask())
		guest.WaitFor("[data-way=browser][open]")
		return guest
	}})
}

func TestPageAxeFindsNothing(t *testing.T) {
	t.Parallel()
	h := startHouseWith(t, radio)
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
				tab.Screenshot(name + "-" + view.name)
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
	h := startHouseWith(t, radio)
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
		!(e.type === "radio" && e !== ([...document.getElementsByName(e.name)].find(r => r.checked) ?? document.getElementsByName(e.name)[0])));
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
	h := startHouseWith(t, radio)
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

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // no text fails to be JSON
	}
	return string(b)
}
