package server_test

import (
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
		// A session of ours under the known name is ended, and its cookie is ours to take.
		_, token, _ = strings.Cut(h.signIn("alice"), "=")
		r := h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", h.signIn("bob")+"; "+known+token)...)
		if set := strings.Join(r.header.Values("Set-Cookie"), "\n"); !strings.Contains(set, known+"; Path=/; Max-Age=0") || h.whoIs(known+token) != "" {
			t.Errorf("%s: %q", issuer, set)
		}
	}
}
