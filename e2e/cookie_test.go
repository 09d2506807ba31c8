//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
)

// TestB03_TwoServersAndAnAppShareAHost keeps the cookies of three servers on one host in
// one jar, as a browser does: cookies know no port.
func TestB03_TwoServersAndAnAppShareAHost(t *testing.T) {
	const known = "better-auth.session_token"
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: known, Value: "Zk3vXl0T1wTQ.bh2qF0", Path: "/", HttpOnly: true})
	}))
	t.Cleanup(app.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	send := func(method, address, body string, header ...string) map[string]any {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		all, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v", address, resp.StatusCode, all, err)
		}
		var members map[string]any
		_ = json.Unmarshal(all, &members) // null is nobody
		return members
	}
	one, two := startProcess(t, t.TempDir()), startProcess(t, t.TempDir())
	who := func(p *process) string {
		user, _ := send(http.MethodGet, p.url+"/api/auth/get-session", "")["user"].(map[string]any)
		return fmt.Sprint(user["bapId"])
	}
	signIn := func(p *process, o *owner) {
		token, err := bitcoinauth.Sign(o.key, bitcoinauth.Signing{Path: "/api/auth/sign-in/sigma", Body: []byte("{}"), Time: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		send(http.MethodPost, p.url+"/api/auth/sign-in/sigma", "{}", bitcoinauth.Header, token)
	}
	u, err := url.Parse(one.url)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(when string) {
		t.Helper()
		for _, c := range jar.Cookies(u) {
			if c.Name == known && c.Value == "Zk3vXl0T1wTQ.bh2qF0" {
				return
			}
		}
		t.Errorf("%s the app's person is signed out", when)
	}
	send(http.MethodGet, strings.Replace(app.URL, "127.0.0.1", u.Hostname(), 1), "")
	alice, bob := newOwner(t), newOwner(t)
	signIn(one, alice)
	signIn(two, bob)
	foreign("after signing in")
	if who(one) != alice.bapID || who(two) != bob.bapID {
		t.Errorf("signed in as %s and %s", who(one), who(two))
	}
	send(http.MethodPost, two.url+"/api/auth/sign-out", "{}")
	foreign("after signing out")
	if who(one) != alice.bapID || who(two) != "<nil>" {
		t.Errorf("after signing out of one: %s and %s", who(one), who(two))
	}
}
