//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/e2e/browser"
)

// wiki is a site behind oauth2-proxy, of docs/guides/oauth2-proxy.md.
type wiki struct {
	*guide
	*instance
	url string
}

// wikiOf starts a server and a site for some people.
func wikiOf(t *testing.T, people ...*owner) *wiki {
	t.Helper()
	program := gateway(t, "oauth2-proxy")
	w := &wiki{instance: startInstance(t)}
	address := "localhost:" + freePort(t)
	w.url = "http://" + address
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		say(rw, "<h1>the wiki, for %s</h1><p>%d emails, %d groups</p>%s",
			r.Header.Get("X-Forwarded-User"), len(r.Header["X-Forwarded-Email"]), len(r.Header["X-Forwarded-Groups"]), w.blocks["sign-out.html"])
	}))
	t.Cleanup(site.Close)
	issuer := strings.TrimPrefix(w.base, "http://")
	escape := strings.NewReplacer(":", "%3A")
	w.guide = openGuide(t, "oauth2-proxy.md", "localhost:8628", issuer, "localhost%3A8628", escape.Replace(issuer), "http://localhost:8080", site.URL,
		"localhost:4180", address, "localhost%3A4180", escape.Replace(address), `"5m"`, `"1ns"`)
	w.at(w.base, w.data)
	w.run(w.blocks["register"])
	var ids []string
	for _, o := range people {
		ids = append(ids, o.bapID)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "people"), []byte(strings.Join(ids, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.write("oauth2-proxy.cfg")
	w.run("ln -s " + program + " oauth2-proxy")
	w.env = append(w.env, "PATH="+w.dir+":"+os.Getenv("PATH"))
	w.serve(address, "bash", "-euc", "exec "+w.blocks["serve"])
	return w
}

// residentAs is one of the server's people, in a browser that may go to the site.
func (w *wiki) residentAs(o *owner) *browser.Tab {
	w.Helper()
	tab := w.instance.residentAs(w.T, o)
	tab.AllowOrigin(w.base)
	tab.AllowOrigin(w.url)
	return tab
}

// visit goes to the site, and approves or denies what it asks.
func (w *wiki) visit(tab *browser.Tab, button string) {
	w.Helper()
	tab.Open(w.url + "/")
	tab.WaitFor("#decision")
	tab.Click(button)
}

// until goes to the site, again and again, until something is so.
func (w *wiki) until(tab *browser.Tab, so func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); tab.Open(w.url + "/") {
		if time.Now().After(end) {
			w.Fatalf("in vain; the site says\n%s", tab.Text("body"))
		}
	}
}

// refused waits until the proxy lets nobody in, and says so by a status.
func refused(tab *browser.Tab, status string) {
	tab.WaitUntil(`document.querySelector(".status-code")?.textContent === "` + status + `"`)
}

func TestPageL06_R03_ASiteIsBehindOAuth2ProxyByFollowingTheGuide(t *testing.T) {
	t.Parallel()
	alice := newOwner(t)
	w := wikiOf(t, alice)
	seen := `document.body.innerText.includes("the wiki, for ` + alice.bapID + `\n\n0 emails, 0 groups")`

	tab := w.residentAs(alice)
	w.visit(tab, denyButton)
	refused(tab, "403")
	w.visit(tab, approveButton)
	tab.WaitUntil(seen)

	// The proxy refreshes once a second, for each request of a page by itself, until its user
	// takes the permission back.
	w.until(tab, func() bool {
		const together = `Promise.all([..."123456"].map(n => fetch("/" + n).then(r => r.text()))).then(all => all.every(text => text.includes("the wiki, for")))`
		if !browser.Eval[bool](tab, together) {
			t.Fatal("not each of the page's requests is let through")
		}
		return strings.Contains(w.log.tail(), "tokens refreshed")
	})
	tab.Open(w.base + "/account")
	tab.Click("form[action^='/account/grants/'] button")
	tab.WaitGone("form[action^='/account/grants/'] button")
	w.until(tab, func() bool { return tab.Shows("#decision") })
	tab.Click(approveButton)
	tab.WaitUntil(seen)

	// Where the site does not say whom it signs out, they are asked. Signed out there alone,
	// they are let in again, for what they allowed is remembered. By the guide's link they are
	// signed out here too, and led back.
	link := browser.Eval[string](tab, `document.querySelector("a").href`)
	tab.Open(strings.Replace(link, "id_token_hint%3D%7Bid_token%7D", "client_id%3Dwiki", 1))
	tab.WaitFor("[data-screen=signout] form[action='/sign-out']")
	tab.Open(w.url + "/")
	tab.WaitUntil(seen)
	tab.Click("a[href^='/oauth2/sign_out']")
	tab.WaitFor("#ways")
	if !strings.Contains(tab.URL(), "client_id=wiki") {
		t.Errorf("signed out, the browser is at %s", tab.URL())
	}

	// Who does not say who they are is not let in, nor is whom nobody named.
	stranger := w.residentAs(newOwner(t))
	stranger.Open(w.url + "/")
	stranger.Click("input[name=scope][value=profile]")
	stranger.Click(approveButton)
	refused(stranger, "500")
	w.visit(stranger, approveButton)
	refused(stranger, "403")
}
