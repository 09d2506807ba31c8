package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

const knownCookie = "better-auth.session_token"

// whoIs is the BAP id that a Cookie header is signed in as, or empty.
func (h *house) whoIs(cookie string) string {
	h.t.Helper()
	r := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK()
	if r.body == "null" {
		return ""
	}
	user, _ := r.members()["user"].(map[string]any)
	id, _ := user["bapId"].(string)
	return id
}

// A browser sends every server of a host the cookies of all its ports.
func TestB03_ServersOnOneHostHaveASessionEach(t *testing.T) {
	one, two := newHouse(t), newHouse(t, func(s *authz.Settings) { s.Issuer = "http://localhost:8629" })
	alice, bob := one.signIn("alice"), two.signIn("bob")
	both := alice + "; " + bob
	if one.whoIs(both) != bapIDOf(t, "alice") || two.whoIs(both) != bapIDOf(t, "bob") || one.whoIs(bob) != "" {
		t.Errorf("%q and %q", one.whoIs(both), two.whoIs(both))
	}
	r := two.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", both)...).wantOK()
	name, _, _ := strings.Cut(bob, "=")
	if set := r.header.Values("Set-Cookie"); len(set) != 1 || !strings.HasPrefix(set[0], name+"=;") || !strings.Contains(set[0], "Max-Age=0") {
		t.Errorf("signing out of one takes %q", set)
	}
	if one.whoIs(both) != bapIDOf(t, "alice") || two.whoIs(both) != "" {
		t.Error("signing out of one server is no signing out of the other")
	}
}

func TestB03_TheNameThatClientsKnowIsReadAndNobodyElsesCookieIsTouched(t *testing.T) {
	for issuer, prefixes := range map[string][2]string{testIssuer: {"", ""}, "https://id.example.org": {"__Host-", "__Secure-"}} {
		h := newHouse(t, func(s *authz.Settings) { s.Issuer = issuer })
		own := h.signIn("alice")
		name, token, _ := strings.Cut(own, "=")
		if !regexp.MustCompile(`^` + prefixes[0] + `countersign\.session\.[a-z2-7]{8}$`).MatchString(name) {
			t.Errorf("%s: the cookie is called %q", issuer, name)
		}
		known := prefixes[1] + knownCookie + "="
		foreign := known + "Zk3vXl0T1wTQ.bh2%2BqF0%3D" // as better-auth signs its own
		neighbour := known + "css_" + strings.Repeat("A", 43)
		if h.whoIs(known+token) != bapIDOf(t, "alice") {
			t.Errorf("%s: a session under the name that clients know is not read", issuer)
		}
		for _, other := range []string{foreign, neighbour} {
			for _, cookies := range []string{own + "; " + other, other + "; " + own, other + "; " + known + token} {
				if h.whoIs(cookies) != bapIDOf(t, "alice") {
					t.Errorf("%s: nobody is signed in by %q", issuer, cookies)
				}
			}
			if h.whoIs(other) != "" {
				t.Errorf("%s: %q signs somebody in", issuer, other)
			}
		}
		// What is set and removed is ours alone: at a sign-in, a sign-out, and on every page.
		answers := []reply{
			h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("bob", signInPath, ""), "Cookie", foreign),
			h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", neighbour)...),
			h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", foreign)...),
			h.send(http.MethodGet, "/device?lang=de", "", "Cookie", foreign), h.send(http.MethodGet, "/account", "", "Cookie", neighbour),
			h.page("/sign-out", own+"; "+foreign, url.Values{"form": {h.formToken(own)}}),
		}
		for i, r := range answers {
			for _, set := range r.header.Values("Set-Cookie") {
				if !strings.HasPrefix(set, prefixes[0]+"countersign.") || !strings.Contains(set, "; Path=/;") || strings.Contains(set, "Domain") ||
					(prefixes[0] != "") != strings.Contains(set, "Secure") {
					t.Errorf("%s: answer %d sets %q", issuer, i, set)
				}
			}
		}
		// One that is over goes as well, and so does one of several that is ours.
		over := own[:strings.Index(own, "=")] + "=css_" + strings.Repeat("A", 43)
		_, token, _ = strings.Cut(h.signIn("alice"), "=")
		for _, cookies := range []string{over, known + token + "; " + known + "css_" + strings.Repeat("A", 43)} {
			r := h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", cookies)...).wantOK()
			name, _, _ := strings.Cut(cookies, "=")
			if set := strings.Join(r.header.Values("Set-Cookie"), "\n"); !strings.Contains(set, name+"=; Path=/; Max-Age=0") {
				t.Errorf("%s: %q leaves %q", issuer, cookies, set)
			}
		}
		// A session of ours under the known name is ended, and its cookie is ours to take.
		_, token, _ = strings.Cut(h.signIn("alice"), "=")
		r := h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", h.signIn("bob")+"; "+known+token)...)
		if set := strings.Join(r.header.Values("Set-Cookie"), "\n"); !strings.Contains(set, known+"; Path=/; Max-Age=0") || h.whoIs(known+token) != "" {
			t.Errorf("%s: %q", issuer, set)
		}
	}
}

// Another host of the domain signs a browser in that nobody is signed in to, as
// somebody who waits for what its person will approve and save.
func TestB03_ASessionThatANeighbourPlantedSignsNoBrowserIn(t *testing.T) {
	for issuer, prefix := range map[string]string{testIssuer: "", "https://id.example.org": "__Secure-"} {
		h := newHouse(t, func(s *authz.Settings) { s.Issuer = issuer })
		_, token, _ := strings.Cut(h.signIn("mallory"), "=")
		planted := prefix + knownCookie + "=" + token
		d := h.ask("nobody", "openid")
		for what, header := range map[string][]string{
			"a typed address": {"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
			"a link":          {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
			"our own link":    {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
			"our own script":  {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		} {
			header = append(header, "Cookie", planted)
			if r := h.send(http.MethodGet, "/account", "", header...); !strings.Contains(r.body, `data-screen="signin"`) {
				t.Errorf("%s, %s: somebody is signed in to the page", issuer, what)
			}
			if what == "our own script" {
				if r := h.send(http.MethodGet, "/api/auth/get-session", "", header...).wantOK(); r.body != "null" {
					t.Errorf("%s: %s", issuer, r.body)
				}
				h.send(http.MethodGet, "/api/auth/device?user_code="+d.userCode, "", header...).wantOK()
			}
		}
		if got := h.whoIs(planted); got != bapIDOf(t, "mallory") {
			t.Errorf("%s: a program that sends the known name is %q", issuer, got)
		}
		if got := h.whoIs(strings.Repeat(prefix+knownCookie+"=of.another; ", 9) + planted); got != bapIDOf(t, "mallory") {
			t.Errorf("%s: behind those of other servers it is %q", issuer, got)
		}
		if got := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", planted, "Sec-Fetch-Mode", "cors").wantOK(); got.body == "null" {
			t.Errorf("%s: node's fetch, which sends its mode alone, is nobody", issuer)
		}
		// The browser signs its person in, and out, whatever lies there.
		browser := []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}
		in := h.send(http.MethodPost, signInPath, "", append(browser, bitcoinauth.Header, h.sign("alice", signInPath, ""), "Cookie", planted)...).wantOK()
		if got := h.whoIs(planted + "; " + cookieOf(in)); got != bapIDOf(t, "alice") || h.whoIs(planted) == "" {
			t.Errorf("%s: after signing in it is %q", issuer, got)
		}
		out := h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(append(browser, jsonBody...), "Cookie", planted+"; "+cookieOf(in))...).wantOK()
		if set := strings.Join(out.header.Values("Set-Cookie"), "\n"); !strings.Contains(set, prefix+knownCookie+"=;") || h.whoIs(planted+"; "+cookieOf(in)) != "" {
			t.Errorf("%s: after signing out %q", issuer, set)
		}
	}
}

// Another port of a host without https sets cookies of our name with longer paths, which
// browsers send first.
func TestB03_CookiesThatANeighbourPlantsHideNoSession(t *testing.T) {
	h := newHouse(t)
	own := h.signIn("alice")
	name, _, _ := strings.Cut(own, "=")
	planted := func(n int) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, "%s=css_%043d; ", name, i)
		}
		return all.String()
	}
	for n, want := range map[int]string{4: bapIDOf(t, "alice"), 31: bapIDOf(t, "alice"), 32: ""} { // each is a look into the database
		if got := h.whoIs(planted(n) + own); got != want {
			t.Errorf("behind %d cookies of a neighbour's it is %q", n, got)
		}
	}
	h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", planted(31)+own)...).wantOK()
	if got := h.whoIs(own); got != "" {
		t.Errorf("after signing out it is %q", got)
	}
	// However many there are, no more than four of the known name are tried.
	token := strings.TrimPrefix(h.signIn("alice"), name+"=")
	for n, want := range map[int]string{3: bapIDOf(t, "alice"), 4: ""} {
		if got := h.whoIs(strings.Repeat(knownCookie+"=css_x; ", n) + knownCookie + "=" + token); got != want {
			t.Errorf("behind %d of the known name it is %q", n, got)
		}
	}
}

func TestABrowserThatSendsNoCookieBackIsToldSo(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		from, cookie string
		told         bool
	}{
		{"same-origin", "", true},
		{"same-origin", "countersign.language=de", true},
		{"same-origin", "countersign.browser=ABCDEFGHIJKLMNOPQRSTUVWXYZ", false},
		{"same-origin", "countersign.browser=of-another-port", false}, // which was kept
		{"none", "", false},
		{"cross-site", "", false},
		{"", "", false},
	} {
		header := []string{"Accept-Language", "en"}
		if c.from != "" {
			header = append(header, "Sec-Fetch-Site", c.from)
		}
		if c.cookie != "" {
			header = append(header, "Cookie", c.cookie)
		}
		r := h.send(http.MethodGet, "/device?code="+h.ask("pub-a", "openid").userCode, "", header...).wantOK()
		if told := strings.Contains(r.body, `id="no-cookies" role="alert">`); told != c.told {
			t.Errorf("%+v: it is told so: %t", c, told)
		}
	}
}
