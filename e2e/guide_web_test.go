//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestL06_L07_AWebAppSignsItsUsersInByFollowingTheGuide does what docs/guides/web-app.md says,
// with a person who comes, stays until what the app has must be renewed, and signs out.
func TestL06_L07_AWebAppSignsItsUsersInByFollowingTheGuide(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		// The app renews tokens of half a minute before each use.
		server := startGate(t, conf, false, "--access-token-lifetime", "30s")
		address := "localhost:" + freePort(t)
		app := "http://" + address
		g := openGuide(t, "web-app.md", "http://localhost:8628", server.issuer, "http://localhost:3000", app)
		libraries, err := filepath.Abs("clients/node_modules")
		if err == nil {
			err = os.Symlink(libraries, filepath.Join(g.dir, "node_modules")) // as npm install puts them there
		}
		if err != nil {
			t.Fatal(err)
		}
		g.env = append(g.env, server.storeEnv())
		g.env = append(g.env, "CLIENT_SECRET="+strings.TrimSpace(g.run(g.blocks["register"]+`echo "$CLIENT_SECRET"`)))
		if said := g.run(g.blocks["discovery"]); !strings.Contains(said, `"authorization_endpoint"`) || !strings.Contains(said, `"end_session_endpoint"`) {
			t.Errorf("discovery says %s", said)
		}
		g.write("app.mjs")
		g.serve(address, "node", "app.mjs")
		if said := g.run(g.blocks["login"]); !strings.Contains(said, "303 See Other") || !strings.Contains(said, "ocation: "+server.URL+"/") || !strings.Contains(said, "code_challenge_method=S256") {
			t.Errorf("it sends people to\n%s", said)
		}

		o := newOwner(t)
		o.signIn(t, server.URL)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		visit := func(method, to string) (status int, page, led string) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := browser.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body), resp.Header.Get("Location")
		}
		_, _, led := visit(http.MethodGet, app+"/login")
		asked, err := url.Parse(led)
		if err != nil {
			t.Fatal(err)
		}
		no := url.Values{"error": {"access_denied"}, "state": asked.Query()["state"], "iss": {server.issuer}}
		if status, page, _ := visit(http.MethodGet, app+"/callback?"+no.Encode()); status != http.StatusBadRequest || !strings.Contains(page, "Not signed in: access_denied") {
			t.Errorf("after a denial: %d %s", status, page)
		}
		_, _, led = visit(http.MethodGet, app+"/login")
		back, err := o.allow(t.Context(), server.URL, led)
		if err != nil {
			t.Fatal(err)
		}
		if status, page, led := visit(http.MethodGet, back); led != "/" {
			t.Fatalf("back at the app: %d %s", status, page)
		}
		for range 3 { // each time with tokens that were renewed
			if status, page, _ := visit(http.MethodGet, app+"/"); status != http.StatusOK || !strings.Contains(page, "Welcome, "+o.bapID[:4]) {
				t.Fatalf("signed in: %d %s", status, page)
			}
		}
		kept := jar.Cookies(&url.URL{Scheme: "http", Host: address})
		signOut := func(o *owner) {
			t.Helper()
			status, page, led := visit(http.MethodPost, app+"/logout")
			if back, err := o.allow(t.Context(), server.URL, led); err != nil || back != app+"/" {
				t.Errorf("signed out: %d %s; led to %q: %v", status, page, back, err)
			}
			if o.signedIn(t, server.URL) {
				t.Error("they are signed in at the server still")
			}
		}
		signOut(o)
		jar.SetCookies(&url.URL{Scheme: "http", Host: address}, kept) // as a copy of it comes back
		if _, page, _ := visit(http.MethodGet, app+"/"); !strings.Contains(page, "Nobody is signed in") {
			t.Errorf("at the app: %s", page)
		}
		if _, page, led := visit(http.MethodGet, back); led != "/login" {
			t.Errorf("the same answer once more: %s", page)
		}
		// Who leaves something out of what is asked is signed in and out all the same.
		for _, scope := range []string{"profile", "offline_access"} {
			brief := newOwner(t)
			brief.leavesOut = scope
			brief.signIn(t, server.URL)
			_, _, led = visit(http.MethodGet, app+"/login")
			if back, err = brief.allow(t.Context(), server.URL, led); err != nil {
				t.Fatal(err)
			}
			if status, page, led := visit(http.MethodGet, back); led != "/" {
				t.Fatalf("back at the app: %d %s", status, page)
			}
			if scope == "profile" { // without a refresh token nobody stays for half a minute
				if status, page, _ := visit(http.MethodGet, app+"/"); status != http.StatusOK || !strings.Contains(page, "Welcome, ") {
					t.Errorf("signed in without a name: %d %s", status, page)
				}
			}
			signOut(brief)
		}
		for _, lost := range []string{"/elsewhere", "//"} {
			if status, _, _ := visit(http.MethodGet, app+lost); status != http.StatusNotFound {
				t.Errorf("%s: %d", lost, status)
			}
		}
	})
}
