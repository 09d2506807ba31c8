//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// Without cookies nobody stays signed in: each round through the sign-in screen would
// make another account, and none would be of use.
func TestPageWithoutCookiesIsSaidBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	site := browser.NewSite(t, browser.NoCookies)
	h := startInstance(t, "--issuer", site.URL, "--unregistered-clients", "open")
	site.Serve(h.url)
	h.base = site.URL
	const notice = "This browser keeps no cookies of no-cookies.example.org"

	tab := h.guest(t)
	h.link(tab, h.ask(t, nil))
	if got := tab.Text("#no-cookies"); !strings.HasPrefix(got, notice) {
		t.Errorf("the page says %q", got)
	}
	if got := browser.Eval[[]string](tab, `[...document.querySelectorAll("details.way")].filter(w => w.checkVisibility()).map(w => w.dataset.way)`); len(got) != 1 || got[0] != "command" {
		t.Errorf("the ways offered are %q, want the command line only", got)
	}
	tab.Axe()
	tab.Screenshot("no-cookies")
	tab.Viewport(320, 568, 1, false)
	wantRoom(t, tab, "without cookies", browser.Wide)

	tab.Open(h.base + "/account")
	tab.WaitFor("#ways[data-ready]")
	if !tab.Shows("#no-cookies") || tab.Shows("details.way") {
		t.Errorf("on the way to the account the page says %q", tab.Text("main"))
	}

	t.Run("nor with scripts", func(t *testing.T) {
		tab := h.guest(t)
		tab.ScriptsOff()
		tab.Open(h.base + "/device")
		tab.Type(codeField, h.ask(t, nil).code)
		tab.Leads(func() { tab.Press("Enter") })
		if !strings.HasPrefix(tab.Text("#no-cookies"), notice) || !tab.Shows("[data-way=command]") {
			t.Errorf("the page says %q", tab.Text("main"))
		}
	})
	if log := h.log.tail(); strings.Contains(log, "account made") {
		t.Errorf("an account was made:\n%s", log)
	}
}

// Where cookies get lost on their way, the browser cannot know it beforehand.
func TestPageASignInThatDoesNotLastIsSaid(t *testing.T) {
	t.Parallel()
	site := browser.NewSite(t, "lossy")
	h := startInstance(t, "--issuer", site.URL, "--unregistered-clients", "open")
	h.base = site.URL
	target, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Del("Set-Cookie")
			return nil
		},
	})
	t.Cleanup(proxy.Close)
	site.Serve(proxy.URL)
	for _, start := range []string{"/account", "/device?code=" + h.ask(t, nil).code} {
		tab := h.guest(t)
		tab.Open(h.base + start)
		tab.WaitFor("#ways[data-ready]")
		if tab.Shows("#no-cookies") {
			t.Fatal("the page says what it cannot know yet")
		}
		create(tab, "Satoshi")
		tab.WaitFor("#no-cookies")
		if tab.Shows("[data-way=new]") {
			t.Errorf("%s: a second account is offered", start)
		}
	}
}
