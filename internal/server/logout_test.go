package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

const (
	logoutPath = "/oauth2/logout"
	goodbye    = "https://rp.example/bye?x=1"
)

func logoutClients(s *authz.Settings) {
	codeClients(s)
	for i := range s.Clients {
		if s.Clients[i].ID == "web-a" {
			s.Clients[i].PostLogoutRedirectURIs = []string{goodbye}
		}
	}
}

// hintOf is an ID token that web-a got for a person, who is signed in.
func (h *house) hintOf(name string) (hint, cookie string) {
	h.t.Helper()
	hint = h.redeem(h.allowed(name, authorization())).wantOK().text("id_token")
	return hint, h.signIn(name)
}

func (h *house) logout(cookie string, q url.Values) reply {
	h.t.Helper()
	return h.send(http.MethodGet, logoutPath+"?"+q.Encode(), "", "Cookie", cookie, "Accept", "text/html")
}

func TestL06_L07_L08_L10_AnApplicationSignsItsUserOut(t *testing.T) {
	h := newHouse(t, logoutClients)
	for name, c := range map[string]struct {
		q    url.Values
		back string
	}{
		"led back":           {url.Values{"post_logout_redirect_uri": {goodbye}, "state": {"s <&>"}}, goodbye + "&state=s+%3C%26%3E"},
		"without a state":    {url.Values{"post_logout_redirect_uri": {goodbye}}, goodbye},
		"with its client id": {url.Values{"post_logout_redirect_uri": {goodbye}, "client_id": {"web-a"}}, goodbye},
		"nowhere":            {url.Values{}, ""},
		"to another address": {url.Values{"post_logout_redirect_uri": {goodbye + "&y"}}, ""},
		"to a redirect URI":  {url.Values{"post_logout_redirect_uri": {webBack}}, ""},
		"to a script":        {url.Values{"post_logout_redirect_uri": {"javascript:alert(1)"}}, ""},
	} {
		hint, _ := h.hintOf("alice")
		h.advance(24 * time.Hour) // the hint is over long since
		cookie := h.signIn("alice")
		c.q.Set("id_token_hint", hint)
		before := len(h.lines("signing out leads nowhere: the address is not registered"))
		r := h.logout(cookie, c.q)
		if r.header.Get("Location") != c.back || c.back == "" && !strings.Contains(r.body, "You are signed out") {
			t.Errorf("%s: %d %q %s", name, r.status, r.header.Get("Location"), r.body)
		}
		if h.whoIs(cookie) != "" {
			t.Errorf("%s: still signed in", name)
		}
		if said := len(h.lines("signing out leads nowhere: the address is not registered")); (said > before) != (c.back == "" && c.q.Has("post_logout_redirect_uri")) {
			t.Errorf("%s: the log has %d lines of it, before %d", name, said, before)
		}
		if again := h.logout("", c.q); again.header.Get("Location") != c.back {
			t.Errorf("%s: without a session led to %q", name, again.header.Get("Location"))
		}
	}
	form := h.postForm(logoutPath, url.Values{"client_id": {"web-a"}}, "Origin", "https://rp.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	if form.status != http.StatusSeeOther || form.header.Get("Location") != logoutPath+"?client_id=web-a" {
		t.Errorf("by a form: %d %q", form.status, form.header.Get("Location"))
	}
}

func TestL07_AHintThatIsNotOursIsRefused(t *testing.T) {
	h, other := newHouse(t, logoutClients), newHouse(t, logoutClients, func(s *authz.Settings) { s.Issuer = "http://127.0.0.1:8628" })
	hint, cookie := h.hintOf("alice")
	code := h.allowed("alice", authorization())
	access := h.redeem(code).wantOK().text("access_token")
	head, signature := hint[:strings.LastIndex(hint, ".")], hint[strings.LastIndex(hint, ".")+1:]
	for name, q := range map[string]url.Values{
		"another server's":   {"id_token_hint": {idTokenOf(other)}},
		"changed":            {"id_token_hint": {head + "." + strings.Repeat("A", len(signature))}},
		"an access token":    {"id_token_hint": {access}},
		"no token":           {"id_token_hint": {"x"}},
		"of another client":  {"id_token_hint": {hint}, "client_id": {"native-a"}},
		"sent twice":         {"id_token_hint": {hint, hint}},
		"longer than one is": {"id_token_hint": {strings.Repeat("x", 13<<10)}},
	} {
		h.logout(cookie, q).wantPage(http.StatusBadRequest, "made a mistake")
		if h.whoIs(cookie) == "" {
			t.Fatalf("%s signs out", name)
		}
	}
}

func idTokenOf(h *house) string {
	return h.poll(h.approvedDevice()).wantOK().text("id_token")
}

// approvedDevice is a device that alice let in.
func (h *house) approvedDevice() device {
	h.t.Helper()
	d := h.ask("pub-a", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	return d
}

var backField = regexp.MustCompile(`name="back" value="([^"]*)"`)

func TestL09_L11_WhoIsNotKnownToMeanItIsAskedAndToldWhatGoesOn(t *testing.T) {
	h := newHouse(t, logoutClients)
	h.tokens("pub-a", "openid offline_access", "alice") // what reads like another is said once
	device := h.tokens("pub-a", "openid offline_access", "alice")
	hint, _ := h.hintOf("bob")
	for name, q := range map[string]url.Values{
		"without a hint":   {},
		"a client alone":   {"client_id": {"web-a"}, "post_logout_redirect_uri": {goodbye}, "state": {"s"}},
		"somebody else's":  {"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye}, "state": {"s"}},
		"a client unknown": {"client_id": {"nobody"}, "post_logout_redirect_uri": {goodbye}},
	} {
		alice := h.signIn("alice")
		page := h.logout(alice, q)
		page.wantPage(200, "Sign out?", "Public A", "does not stop them")
		if n := strings.Count(page.body, "Public A"); n != 1 {
			t.Errorf("%s: what goes on is named %d times", name, n)
		}
		if q.Get("client_id") == "nobody" && strings.Contains(page.body, "asks that you sign out") {
			t.Errorf("%s: a name that nobody registered asks", name)
		}
		if h.whoIs(alice) == "" {
			t.Fatalf("%s: signed out by a link", name)
		}
		form := url.Values{"form": {h.formToken(alice)}, "asked": {"1"}, "back": {backField.FindStringSubmatch(page.body)[1]}}
		if r := h.page("/sign-out", alice, url.Values{"form": {"wrong"}, "asked": {"1"}, "back": form["back"]}); h.whoIs(alice) == "" {
			t.Fatalf("%s: signed out by a form of nobody's: %d", name, r.status)
		}
		r := h.page("/sign-out", alice, form)
		if known := q.Get("state") != ""; known {
			if r.status != http.StatusSeeOther || r.header.Get("Location") != goodbye+"&state=s" {
				t.Errorf("%s: led to %q", name, r.header.Get("Location"))
			}
		} else {
			r.wantPage(200, "You are signed out in this browser", "Public A")
		}
		if h.whoIs(alice) != "" {
			t.Errorf("%s: still signed in", name)
		}
	}
	h.userInfo(device.text("access_token")).wantOK() // the device was told to stop by nobody
	// What is sealed for another end leads nowhere.
	alice := h.signIn("alice")
	r := h.page("/sign-out", alice, url.Values{"form": {h.formToken(alice)}, "asked": {"1"}, "back": {"https://evil.example"}})
	r.wantPage(200, "You are signed out")
}
