//go:build e2e

package e2e

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// What people and programs call themselves is as long as it may be, and has no place to
// break but in the middle of a word.
const (
	longName = "Hans-Wolfgang Donaudampfschifffahrtsgesellschaftskapitän"
	longWord = "Rindfleischetikettierungsüberwachungsaufgabenübertragung"
	// Clients that are registered for it may ask for it; the others' requests come without.
	longScope = "readthereadingsofallmetersthatreadthereadingsofothers"
)

// view is a page, and how to get there.
type view struct {
	name string
	open func() *browser.Tab
	// shownBefore: with everything open it looks as another does, or it is gone when its
	// address is opened anew. Then it is not looked at in every language.
	shownBefore bool
}

// guestViews and residentViews are all screens there are: those of somebody who
// is signed in nowhere, and those of an owner whose key is elsewhere.
func (h *instance) guestViews(t *testing.T) []view {
	guest := h.guest(t)
	views := []view{
		{name: "home", open: func() *browser.Tab { return h.openPage(guest, "/") }},
		{name: "enter", open: func() *browser.Tab { return h.openPage(guest, "/device") }},
		{name: "two-codes", open: func() *browser.Tab { return h.openPage(guest, "/device?code=BBBB-BBBB&user_code=CCCC-CCCC") }},
		{name: "no-such-page", open: func() *browser.Tab { return h.openPage(guest, "/device/request/nothing") }},
	}
	for _, way := range []string{"new", "import", "passkey", "command"} {
		views = append(views, view{name: "sign-in-" + way, shownBefore: way != "new", open: func() *browser.Tab {
			h.link(guest, h.askFully(t))
			openWay(guest, way)
			return guest
		}})
	}
	// Last, because the guest is one no more after it.
	return append(views, view{name: "save-the-backup", shownBefore: true, open: func() *browser.Tab {
		h.link(guest, h.askFully(t))
		openWay(guest, "new")
		guest.Type("[data-way=new] [name=name]", longName)
		guest.Type("[data-way=new] [name=password]", password)
		guest.Click("[data-way=new] button.primary")
		guest.WaitFor("#save")
		return guest
	}}, view{name: "review-locked", open: func() *browser.Tab {
		guest.Click("[data-do=accept-loss]")
		guest.WaitFor("#decision")
		guest.Reload()
		guest.WaitFor("#sign-password")
		return guest
	}}, view{name: "sign-in-browser", open: func() *browser.Tab {
		signOut(guest)
		h.link(guest, h.askFully(t))
		guest.WaitFor("[data-way=browser][open]")
		return guest
	}}, view{name: "account-with-a-key", open: func() *browser.Tab {
		guest.AddAuthenticator()
		unlock(guest, password)
		guest.WaitFor("#decision")
		account(guest)
		addPasskey(guest, longWord)
		return guest
	}})
}

func (h *instance) residentViews(t *testing.T) []view {
	owner := newOwner(t)
	resident := h.residentAs(t, owner)
	owner.call(t, h.url, longName)
	review := func(more ...string) func() *browser.Tab {
		return func() *browser.Tab {
			h.review(resident, h.askFully(t, more...))
			resident.WaitUntil(`document.querySelector("main[data-ready]")`)
			return resident
		}
	}
	decided := func(button string, more ...string) func() *browser.Tab {
		return func() *browser.Tab {
			d := h.askFully(t, more...)
			h.review(resident, d)
			decide(resident, d, button)
			return resident
		}
	}
	return []view{
		{name: "continue", open: func() *browser.Tab { return h.openPage(resident, "/device?code="+h.askFully(t).code) }},
		{name: "wrong-code", open: func() *browser.Tab {
			h.enter(resident, "BBBB-BBBB")
			resident.WaitFor("#problem")
			return resident
		}},
		{name: "review-letters", open: review()},
		{name: "review-number", open: review("number_match", "true")},
		{name: "review-registered", open: review("client_id", "radio", "scope", "openid profile email offline_access "+longScope, "number_match", "true")},
		{name: "review-comparison-only", open: review("client_id", "radio")},
		{name: "review-signature-required", open: review("approval", "signature")},
		{name: "denied", open: decided(denyButton)},
		{name: "allowed", open: decided(approveButton, "number_match", "true")},
		{name: "taken-back", open: func() *browser.Tab {
			resident.Leads(func() { resident.Click("form[action$='/undo'] button") })
			resident.WaitUntil(`document.querySelector("h1").textContent === "Taken back"`)
			return resident
		}},
		{name: "account", open: func() *browser.Tab {
			decided(approveButton, "client_id", "radio")()
			h.openPage(resident, "/account").WaitUntil(`document.querySelector("main[data-ready]")`)
			return resident
		}},
	}
}

// askFully is a request with everything in it that a device may say. more are
// fields and their values, in turn.
func (h *instance) askFully(t *testing.T, more ...string) *tv {
	t.Helper()
	fields := url.Values{"device_name": {strings.Repeat("W", 60)}, "device_platform": {longWord}, "scope": {"openid profile " + longScope}}
	for i := 0; i < len(more); i += 2 {
		fields.Set(more[i], more[i+1])
	}
	return h.ask(t, fields, "User-Agent", strings.Repeat("Program", 12)+"/1.0", "Origin", "https://"+strings.Repeat("app", 20)+".example")
}

// openPage opens one of our pages.
func (h *instance) openPage(tab *browser.Tab, path string) *browser.Tab {
	tab.Open(h.base + path)
	return tab
}

// pictures are those of the phone and the dark that are kept; the others look the
// same but narrower, or darker.
var pictures = map[string][]string{
	"dark":  {"sign-in-new", "review-number", "allowed"},
	"phone": {"enter", "sign-in-new", "save-the-backup", "review-number", "review-locked", "review-signature-required", "allowed", "account"},
}

// WCAG 2.2 AA, and what axe-core cannot see of it: nothing scrolls sideways when
// enlarged (1.4.4, 1.4.10), everything is reached by Tab (2.1.1), and the focus is
// seen there (2.4.7), in light and dark and forced colours.
func TestPageEveryScreenIsForEverybody(t *testing.T) {
	t.Parallel()
	h := startInstanceWith(t, strings.Replace(radio, "\"Kitchen radio\"\n", quoted(longWord)+"\nscope = \"openid profile email offline_access "+longScope+"\"\n", 1))
	for name, views := range map[string]func(t *testing.T) []view{"guest": h.guestViews, "resident": h.residentViews} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, view := range views(t) {
				view.check(t, view.open())
			}
		})
	}
}

func (v view) check(t *testing.T, tab *browser.Tab) {
	t.Helper()
	for name, look := range map[string]func(){
		// Without motion: a colour that is on its way to another has no contrast yet.
		"light": func() { tab.Prefer(browser.Light, browser.ReducedMotion) },
		"dark":  func() { tab.Prefer(browser.Dark, browser.ReducedMotion) },
		"phone": func() { tab.Prefer(browser.Light, browser.ReducedMotion); tab.Phone() },
	} {
		look()
		tab.Axe()
		if pictures[name] == nil || slices.Contains(pictures[name], v.name) {
			tab.Screenshot("screen-" + v.name + "-" + name)
		}
		tab.Desktop()
	}
	for size, look := range map[string]func(){
		"at 200 percent": func() { tab.Zoom(200) }, "at 400 percent": func() { tab.Zoom(400) },
		"on 320 pixels": func() { tab.Viewport(320, 568, 2, false) },
	} {
		look()
		wantRoom(t, tab, v.name+" "+size, browser.Wide, browser.Narrow)
	}
	v.inEveryLanguage(t, tab)
	tab.Desktop()
	for name, preference := range map[string]browser.Preference{"light": browser.Light, "dark": browser.Dark, "forced colours": browser.ForcedColors} {
		tab.Prefer(preference, browser.ReducedMotion)
		v.tabThrough(t, tab, name)
	}
	tab.Prefer(browser.Light)
}

// tabThrough presses Tab until everything had the focus.
func (v view) tabThrough(t *testing.T, tab *browser.Tab, colors string) {
	t.Helper()
	stops := browser.Eval[[]string](tab, focusable)
	reached := map[int]bool{}
	for range len(stops) + 2 {
		tab.Press("Tab")
		now := browser.Eval[struct {
			At   int
			Seen bool
		}](tab, focused)
		if now.At >= 0 && !now.Seen {
			t.Errorf("%s, %s: the focus is not seen on %s", v.name, colors, stops[now.At])
		}
		reached[now.At] = true
	}
	for i, stop := range stops {
		if !reached[i] {
			t.Errorf("%s: Tab does not reach %s", v.name, stop)
		}
	}
}

// wantRoom wants a page to be no wider than what is to be seen of it, and no text than
// its place, in letters of these fonts.
func wantRoom(t *testing.T, tab *browser.Tab, screen string, fonts ...string) {
	t.Helper()
	for _, font := range fonts {
		tab.Font(font)
		if out := browser.Eval[string](tab, widest); out != "" {
			t.Errorf("%s is too wide in %s:\n%s", screen, font, out)
		}
	}
}

// inEveryLanguage looks at a page in the other languages, of which some have longer
// words, on 320 pixels (WCAG 2.2, 1.4.10) and with everything open.
func (v view) inEveryLanguage(t *testing.T, tab *browser.Tab) {
	t.Helper()
	if v.shownBefore {
		return
	}
	tab.Viewport(320, 568, 2, false)
	address, _, _ := strings.Cut(tab.URL(), "?")
	for _, tag := range []string{"de", "es", "ja", "ar", "en"} {
		tab.Open(address + "?lang=" + tag)
		tab.Eval(`document.querySelectorAll("details").forEach(d => { d.name = ""; d.open = true; })`)
		wantRoom(t, tab, v.name+" in "+tag, browser.Wide)
	}
}

// widest returns what sticks out of the page or of its place, and something when the
// page is wider than what is to be seen of it.
const widest = `(() => {
	const room = document.documentElement.clientWidth;
	const seen = [...document.body.querySelectorAll("*")].filter(e => e.checkVisibility());
	const out = seen.filter(e => {
		const box = e.getBoundingClientRect();
		const spills = e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "visible";
		return box.right > room + 1 || box.left < -1 || spills;
	});
	if (document.documentElement.scrollWidth > room && out.length === 0) return "something";
	return out.map(e => e.outerHTML.slice(0, 80)).join("\n");
})()`

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

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // no text fails to be JSON
	}
	return string(b)
}
