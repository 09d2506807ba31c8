//go:build e2e

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"countersign.dev/e2e/browser"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Stop()
	os.Exit(code)
}

// serve answers every path with the page that pages has for it, under a policy
// as strict as Countersign's.
func serve(t *testing.T, pages map[string]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(pageHandler(pages))
	t.Cleanup(server.Close)
	return server
}

func pageHandler(pages map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, found := pages[r.URL.Path]
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; script-src 'self'; connect-src *; require-trusted-types-for 'script'")
		if !found {
			w.WriteHeader(http.StatusNotFound)
			page = "nothing" // without a word the browser shows a page of its own
		}
		page = strings.NewReplacer("$language", r.Header.Get("Accept-Language"), "$method", r.Method).Replace(page)
		fmt.Fprint(w, page)
	})
}

// witness is a test that is allowed to fail, and says what of.
type witness struct {
	*testing.T
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (w *witness) Errorf(format string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, values...))
}

func (w *witness) Error(values ...any) { w.Errorf("%s", fmt.Sprintln(values...)) }

func (w *witness) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }

// end runs the cleanups, as the end of a test does, and returns the failures.
func (w *witness) end() []string {
	slices.Reverse(w.cleanups)
	for _, f := range w.cleanups {
		f()
	}
	return w.failures
}

const head = `<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,"><main>`

func TestPageProblemsFailTheTest(t *testing.T) {
	foreign := serve(t, nil)
	for name, c := range map[string]struct{ page, script, want string }{
		"an exception":              {"", `throw new Error("a fault")`, "threw: Error: a fault"},
		"a rejected promise":        {"", `Promise.reject(new Error("a late fault"))`, "a late fault"},
		"an error on the console":   {"", `console.error("something", 7)`, "console.error: \"something\" 7"},
		"a script in the page":      {`<script>window.ran = 1</script>`, "", "broke its policy"},
		"a handler in the page":     {`<img alt="" src="data:," onerror="window.ran = 1">`, "", "broke its policy"},
		"text that becomes markup":  {"", `try { document.body.innerHTML = "<b>x</b>" } catch {}`, "kTrustedTypesSinkViolation"},
		"a dialog":                  {"", `setTimeout(() => alert("hello"))`, `opened a dialog: alert "hello"`},
		"a window":                  {"", `document.addEventListener("click", () => open("/other"))`, "opened a window"},
		"a request to others":       {"", `fetch("` + foreign.URL + `/x", {mode: "no-cors"})`, "asked another origin: GET " + foreign.URL + "/x"},
		"a socket to others":        {"", `new WebSocket("` + strings.Replace(foreign.URL, "http", "ws", 1) + `/x")`, "asked another origin"},
		"something that is missing": {`<script src="/missing.js"></script>`, "", "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, map[string]string{
				"/": head + `<p>Hello</p>` + c.page + `<script src="/script.js"></script>`, "/script.js": c.script + "\n", "/other": head,
			})
			w := &witness{T: t}
			tab := browser.NewTab(w)
			tab.Open(server.URL)
			tab.WaitFor("p")
			tab.Click("p")
			if failures := strings.Join(w.end(), "\n"); !strings.Contains(failures, c.want) {
				t.Errorf("the test failed with %q, want %q in it", failures, c.want)
			}
		})
	}
}

func TestPageWithoutProblemsPasses(t *testing.T) {
	t.Parallel()
	foreign := serve(t, map[string]string{"/": "x"})
	server := serve(t, map[string]string{
		"/":     head + `<h1>A page</h1><script src="/a.js"></script>`,
		"/a.js": `console.warn("a word"); console.error("expected"); fetch("` + foreign.URL + `", {mode: "no-cors"}).then(() => document.title = "done")`,
	})
	w := &witness{T: t}
	tab := browser.NewTab(w)
	tab.Tolerate("expected")
	tab.AllowOrigin(foreign.URL)
	tab.Open(server.URL)
	tab.WaitUntil(`document.title === "done"`)
	tab.Open(server.URL + "/nothing")
	if tab.Status() != http.StatusNotFound {
		t.Errorf("status %d", tab.Status())
	}
	if failures := w.end(); len(failures) > 0 {
		t.Errorf("the test failed with %q", failures)
	}
	var total int
	for _, r := range tab.Requests() {
		if r.Status == 0 || (r.Bytes == 0 && r.Type != "Fetch") { // nobody reads the body of an opaque answer
			t.Errorf("%+v was not counted", r)
		}
		total += r.Bytes
	}
	if len(tab.Requests()) != 4 || len(tab.Problems()) != 1 || total < 500 {
		t.Errorf("requests %+v, problems %q", tab.Requests(), tab.Problems())
	}
}

func TestPageAxeSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{
		"/good": head + `<h1>Good</h1><label>Name <input></label>`,
		"/bad":  head + `<h1>Bad</h1><input id="nameless"><h4>Deep</h4>`,
	})
	w := &witness{T: t}
	tab := browser.NewTab(w)
	tab.Open(server.URL + "/good")
	tab.Axe()
	if len(w.failures) > 0 {
		t.Errorf("a good page: %q", w.failures)
	}
	tab.Open(server.URL + "/bad")
	tab.Axe()
	failures := strings.Join(w.end(), "\n")
	for _, want := range []string{"label (critical)", "#nameless", "heading-order", "https://"} {
		if !strings.Contains(failures, want) {
			t.Errorf("a bad page: %s, want %s in it", failures, want)
		}
	}
}

func TestPagePeopleShareNothingAndTabsOfOnePersonDo(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{"/": head + `<h1>A page</h1>`})
	alice, bob := browser.NewTab(t), browser.NewTab(t)
	alice.SetCookie(server.URL, "hidden", "x")
	for _, tab := range []*browser.Tab{alice, bob} {
		tab.Open(server.URL)
	}
	browser.Eval[string](alice, `localStorage.who = document.cookie = "alice"`)
	second := alice.Another()
	second.Open(server.URL)
	const both = `document.cookie + (localStorage.who ?? "")`
	if got := browser.Eval[string](second, both); got != "alicealice" {
		t.Errorf("the second tab sees %q", got)
	}
	if got := browser.Eval[string](bob, both); got != "" {
		t.Errorf("another person sees %q", got)
	}
}

func TestPageIsShownInTheFontsOfTheSuite(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{"/": head + `<h1>Genehmigen</h1>`})
	tab := browser.NewTab(t)
	tab.Open(server.URL)
	width := func(family, text string) float64 {
		return browser.Eval[float64](tab, fmt.Sprintf(`(() => {
			const context = document.createElement("canvas").getContext("2d");
			context.font = %q;
			return context.measureText(%q).width;
		})()`, "100px "+family, text))
	}
	narrow, wide := width(`"PT Sans Narrow"`, "Genehmigen"), width(`"DejaVu Sans"`, "Genehmigen")
	if wide < 1.4*narrow {
		t.Errorf("the narrow font takes %v, the wide %v", narrow, wide)
	}
	for _, family := range []string{"system-ui", "sans-serif", `system-ui, "Noto Sans", sans-serif`} {
		if got := width(family, "Genehmigen"); got != narrow {
			t.Errorf("%s takes %v, and the narrow font %v", family, got, narrow)
		}
	}
	if got := width("monospace", "Genehmigen"); got != width(`"DejaVu Sans Mono"`, "Genehmigen") {
		t.Errorf("the font of code takes %v", got)
	}
	if got := width("system-ui", "テレビ"); got != 300 { // a square each
		t.Errorf("three letters of Japanese take %v", got)
	}
	if got := width("system-ui", "الحساب"); got != width(`"DejaVu Sans"`, "الحساب") {
		t.Errorf("a word of Arabic takes %v", got)
	}
	before := browser.Eval[float64](tab, `document.querySelector("h1").getBoundingClientRect().height`)
	tab.Font(browser.Wide)
	if got := browser.Eval[float64](tab, `document.querySelector("h1").getBoundingClientRect().height`); got == before {
		t.Error("the page is in the font it was in before")
	}
}

func TestPageOfOneSiteSetsNoCookies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", HttpOnly: true, Secure: true, Path: "/"})
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, head+`<h1>`+r.Header.Get("Cookie")+`</h1>`)
	}))
	t.Cleanup(server.Close)
	for name, want := range map[string]string{"cookies": "a=b", browser.NoCookies: ""} {
		site := browser.NewSite(t, name)
		site.Serve(server.URL)
		tab := browser.NewTab(t)
		tab.Open(site.URL)
		tab.Reload()
		if got := tab.Text("h1"); got != want {
			t.Errorf("%s: the server is sent %q, want %q", name, got, want)
		}
	}
}

func TestPageIsUsedWithKeysAndMouse(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{
		"/": head + `<h1>A form</h1><form action="/next" method="post"><label>Code <input name="code"></label><button id="go">Go <b>on</b></button></form>
			<button id="late" disabled>Late</button><output></output><script src="/a.js"></script>`,
		"/a.js": `const typed = []; document.addEventListener("keydown", e => typed.push(e.isTrusted ? e.key : "fake"));
			document.querySelector("#late").onclick = () => document.querySelector("output").textContent = typed.join(" ");
			document.querySelector("input").oninput = () => setTimeout(() => document.querySelector("#late").disabled = false, 50);`,
		"/next": head + `<h1>$method</h1>`,
	})
	tab := browser.NewTab(t)
	tab.Open(server.URL)
	tab.Type("input", "aB")
	tab.Insert("コ")
	tab.Press("Tab", "Escape", "Shift+Tab")
	tab.Click("#late")
	if got := tab.Text("output"); got != "a B Tab Escape Tab" {
		t.Errorf("the page saw the keys %q", got)
	}
	if got := browser.Eval[string](tab, `document.querySelector("input").value`); got != "aBコ" {
		t.Errorf("the field holds %q", got)
	}
	tab.Leads(func() { tab.ClickNamed("button", "Go on") })
	if got := tab.Text("h1"); got != "POST" || tab.URL() != server.URL+"/next" {
		t.Errorf("%q at %s", got, tab.URL())
	}
	tab.Back()
	tab.WaitFor("#go")
	tab.Reload()
	tab.WaitFor("#go")
	tab.Click("input")
	tab.Leads(func() { tab.Press("Enter") })
	tab.WaitGone("#go")
}

func TestPageSeesWhatAPersonPrefers(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{"/": head + `<h1>$language</h1><p hidden>x</p><noscript>no script</noscript>`})
	tab := browser.NewTab(t)
	tab.Language("de")
	tab.Prefer(browser.Dark, browser.ReducedMotion, browser.ForcedColors)
	tab.Phone()
	tab.Open(server.URL)
	for expression, want := range map[string]string{
		`document.querySelector("h1").innerText`:                         "de",
		`navigator.language`:                                             "de",
		`(1234.5).toLocaleString()`:                                      "1.234,5",
		`String(matchMedia("(prefers-color-scheme: dark)").matches)`:     "true",
		`String(matchMedia("(prefers-reduced-motion: reduce)").matches)`: "true",
		`String(matchMedia("(forced-colors: active)").matches)`:          "true",
		`[screen.width, innerWidth > 360, devicePixelRatio].join()`:      "360,true,2",
	} {
		if got := browser.Eval[string](tab, expression); got != want {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
	}
	tab.Zoom(200)
	tab.WaitUntil("innerWidth === 640 && devicePixelRatio === 2")
	if tab.Shows("p") || !tab.Shows("h1") {
		t.Error("what is hidden is shown, or the other way round")
	}
	tab.ScriptsOff()
	tab.Open(server.URL)
	tab.WaitFor("noscript")
	tab.Screenshot("nothing")
}

func TestPageOverTLSAndWithAPasskey(t *testing.T) {
	t.Parallel()
	site := browser.NewSite(t, "harness")
	server := serve(t, map[string]string{"/": head + `<h1>A page</h1>`})
	site.Serve(server.URL)
	tab := browser.NewTab(t)
	tab.Open(site.URL)
	authenticator := tab.AddAuthenticator()
	const create = `navigator.credentials.create({publicKey: {
		rp: {name: "x"}, user: {id: new Uint8Array(8), name: "x", displayName: "x"}, challenge: new Uint8Array(16),
		pubKeyCredParams: [{type: "public-key", alg: -7}], authenticatorSelection: {residentKey: "required", userVerification: "required"},
	}}).then(c => c.type, e => e.name)`
	if got := browser.Eval[string](tab, create); got != "public-key" || authenticator.Passkeys() != 1 {
		t.Errorf("making a passkey: %s, %d are there", got, authenticator.Passkeys())
	}
	authenticator.SetVerified(false)
	if got := browser.Eval[string](tab, create); got != "NotAllowedError" {
		t.Errorf("an authenticator that does not know its user: %s", got)
	}
}

func TestPageFilesScriptsAndQuestionsComeFromOutside(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{
		"/": head + `<h1>A page</h1><input type="file"><button>Ask</button><a download="x.txt">Save</a><script src="/a.js"></script>`,
		"/a.js": `const h1 = document.querySelector("h1");
			document.querySelector("input").onchange = async e => h1.textContent = await e.target.files[0].text();
			document.querySelector("button").onclick = () => h1.textContent = window.stranger + confirm("Really?");
			document.querySelector("a").href = URL.createObjectURL(new Blob(["saved"]));
			document.querySelector("h1").onclick = () => { history.pushState(null, "", "/other"); h1.textContent = "Another page"; };`,
	})
	tab := browser.NewTab(t)
	tab.Before(`window.stranger = "stranger "`)
	tab.Open(server.URL)
	file := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	tab.Choose("input", file)
	tab.WaitUntil(`document.querySelector("h1").textContent === "from a file"`)
	for _, yes := range []bool{true, false} {
		if question := tab.Agree(yes, func() { tab.Click("button") }); question != "Really?" {
			t.Errorf("the page asked %q", question)
		}
		tab.WaitUntil(fmt.Sprintf(`document.querySelector("h1").textContent === "stranger %v"`, yes))
	}
	if name, content := tab.Downloaded(func() { tab.Click("a") }); name != "x.txt" || content != "saved" {
		t.Errorf("saved %s: %s", name, content)
	}
	tab.Leads(func() { tab.Click("h1") })
	if got := tab.Text("h1"); got != "Another page" || tab.Steps() != 5 {
		t.Errorf("%q after %d steps", got, tab.Steps())
	}
}

func TestPageSlowNetworkIsSlow(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]string{"/": head + `<h1>A page</h1>` + strings.Repeat(" ", 25_000)})
	tab := browser.NewTab(t)
	tab.Slow()
	tab.Open(server.URL)
	// 400 ms until the first byte, half a second for the rest.
	if paint := tab.FirstPaint(); paint.Milliseconds() < 400 {
		t.Errorf("first paint after %v", paint)
	}
	if took := browser.Eval[float64](tab, `performance.getEntriesByType("navigation")[0].responseEnd`); took < 800 {
		t.Errorf("25 kB took %.0f ms", took)
	}
}
