//go:build e2e

package e2e

import (
	"database/sql"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// answered is a page as it comes over the wire.
type answered struct {
	*http.Response
	name string
	body string
}

// fetch sends what a browser on one of our own pages would.
func (h *instance) fetch(t *testing.T, name, method, target, cookie, contentType, body string, headers ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Cookie", cookie)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{Response: resp, name: name, body: string(all)}
}

const formType = "application/x-www-form-urlencoded"

// enterOverHTTP enters a code without a browser.
func (h *instance) enterOverHTTP(t *testing.T, name, cookie, code string, headers ...string) answered {
	t.Helper()
	return h.fetch(t, name, http.MethodPost, "/device", cookie, formType, url.Values{"code": {code}}.Encode(), headers...)
}

func TestPageZ21_EveryHTMLAnswerIsGuardedErrorsIncluded(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := &instance{process: startProcess(t, data)}
	o, other := newOwner(t), newOwner(t)
	o.signIn(t, h.url)
	other.signIn(t, h.url)
	d := h.ask(t, nil)
	all := map[int][]answered{
		200: {
			h.fetch(t, "home", http.MethodGet, "/", "", "", ""),
			h.fetch(t, "enter", http.MethodGet, "/device", "", "", ""),
			h.fetch(t, "filled in", http.MethodGet, "/device?code="+d.code, "", "", ""),
			h.fetch(t, "head", http.MethodHead, "/device", "", "", ""),
		},
		400: {
			h.fetch(t, "two codes", http.MethodGet, "/device?code=BBBB-BBBB&user_code=CCCC-CCCC", "", "", ""),
			h.enterOverHTTP(t, "wrong code", o.cookie, "BBBB-BBBB"),
			h.fetch(t, "a broken form", http.MethodPost, "/device", o.cookie, formType, "%zz"),
		},
		403: {h.enterOverHTTP(t, "a foreign page", o.cookie, d.code, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")},
		404: {h.fetch(t, "no such request", http.MethodGet, "/device/done/x", o.cookie, "", "")},
		405: {h.fetch(t, "a wrong method", http.MethodDelete, "/device", "", "", "")},
		413: {h.enterOverHTTP(t, "a long code", o.cookie, strings.Repeat("B", 1<<17))},
		415: {h.fetch(t, "JSON", http.MethodPost, "/device", o.cookie, "application/json", "{}")},
	}
	for range 10 { // D-34: five wrong codes are enough
		if a := h.enterOverHTTP(t, "guessing", o.cookie, "CCCC-CCCC"); a.StatusCode != http.StatusBadRequest {
			all[429] = []answered{a}
			break
		}
	}
	if !onPostgres { // it breaks the SQLite file
		breakDatabase(t, data)
		all[500] = []answered{h.enterOverHTTP(t, "broken", other.cookie, d.code)}
	}
	for status, answers := range all {
		for _, a := range answers {
			if a.StatusCode != status {
				t.Errorf("%s: status %d, want %d", a.name, a.StatusCode, status)
			}
			a.checkGuarded(t)
		}
	}
	if len(all[429]) == 0 {
		t.Error("D-34: nobody stops the guessing")
	}
	for _, broken := range all[500] {
		if strings.Contains(broken.body, "no such table") || strings.Contains(broken.body, "SQL") {
			t.Errorf("the error page tells of the inside:\n%s", broken.body)
		}
	}
}

// breakDatabase takes the server's table of device requests away under it.
func breakDatabase(t *testing.T, data string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "countersign.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `ALTER TABLE device_requests RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
}

// policy is what a page may do at most: each directive and its sources. A page
// may do less.
var policy = map[string][]string{
	"default-src":               {"'none'"},
	"script-src":                {"'self'"},
	"style-src":                 {"'self'"},
	"img-src":                   {"'self'", "data:"},
	"connect-src":               {"'self'", "http://localhost:21000", "http://127.0.0.1:21000"},
	"font-src":                  {"'self'"},
	"manifest-src":              {"'self'"},
	"form-action":               {"'self'"},
	"base-uri":                  {"'none'"},
	"frame-ancestors":           {"'none'"},
	"require-trusted-types-for": {"'script'"},
	"trusted-types":             {"'none'"},
}

// checkGuarded checks the headers that the device page's specification wants of
// every HTML answer.
func (a answered) checkGuarded(t *testing.T) {
	t.Helper()
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s is no page but %s", a.name, a.Header.Get("Content-Type"))
	}
	for header, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		"Access-Control-Allow-Origin": "",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %s is %q, want %q", a.name, header, got, want)
		}
	}
	if a.Header.Get("Permissions-Policy") == "" {
		t.Errorf("%s has no Permissions-Policy", a.name)
	}
	given := map[string][]string{}
	for directive := range strings.SplitSeq(a.Header.Get("Content-Security-Policy"), ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		given[words[0]] = words[1:]
		for _, source := range words[1:] {
			if !slices.Contains(policy[words[0]], source) {
				t.Errorf("%s: the policy allows %s %s", a.name, words[0], source)
			}
		}
		if policy[words[0]] == nil {
			t.Errorf("%s: the policy has %s, which nothing here needs", a.name, words[0])
		}
	}
	for _, directive := range []string{"default-src", "form-action", "base-uri", "frame-ancestors"} {
		if given[directive] == nil {
			t.Errorf("%s: the policy lacks %s", a.name, directive)
		}
	}
	if given["script-src"] != nil && given["require-trusted-types-for"] == nil {
		t.Errorf("%s: scripts may run without Trusted Types", a.name)
	}
	for _, inline := range []string{" style=\"", " onclick=", "<style", "javascript:"} {
		if strings.Contains(a.body, inline) {
			t.Errorf("%s has %s in it", a.name, inline)
		}
	}
}
