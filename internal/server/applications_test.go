package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
)

func TestZ03_LocalhostIsLoopbackWhereItIsRegistered(t *testing.T) {
	h := newHouse(t, codeClients, func(s *authz.Settings) {
		s.Clients = append(s.Clients, authz.Client{ID: "native-l", Name: "Native L", RedirectURIs: []string{"http://localhost/cb"}})
	})
	cookie := h.signIn("alice")
	for client, refused := range map[string][]string{
		"native-a": {"http://localhost:51004/cb"},
		"native-l": {"http://127.0.0.1:51004/cb", "http://[::1]:51004/cb", "http://localhost.evil.example/cb", "http://localhost:51004/cb/", "https://localhost:51004/cb"},
	} {
		for _, uri := range refused {
			if r := h.authorize(cookie, authorization("client_id", client, "redirect_uri", uri)); r.status != http.StatusBadRequest || r.header.Get("Location") != "" {
				t.Errorf("%s to %q: %d %q", client, uri, r.status, r.header.Get("Location"))
			}
		}
	}
	page, transaction := h.reviewFor(cookie, authorization("client_id", "native-l", "redirect_uri", "http://localhost:51004/cb"))
	if !strings.Contains(page.body, "localhost:51004") {
		t.Error("the review does not say where it leads back to")
	}
	if h.decide(cookie, transaction, "approve", "openid").back("http://localhost:51004/cb").Get("code") == "" {
		t.Error("no code")
	}
}

// Whatever a person sends in a form, a browser goes on by asking, and sends none of it on.
func TestZ19_AFormIsAnsweredByAnAddressToAsk(t *testing.T) {
	h := newHouse(t, codeClients)
	cookie, d := h.signIn("alice"), h.ask("pub-a", "openid")
	_, forDevice := h.review(cookie, d.userCode)
	_, forCode := h.reviewFor(cookie, authorization())
	for name, r := range map[string]reply{
		"a code":         h.page("/device", cookie, url.Values{"code": {d.userCode}}),
		"a device":       h.page("/device/decide", cookie, url.Values{"transaction": {forDevice}, "decision": {"deny"}}),
		"an application": h.page("/device/decide", cookie, url.Values{"transaction": {forCode}, "decision": {"deny"}}),
		"a request":      h.postForm(authorizePath, authorization(), "Cookie", cookie),
		"signing out":    h.page("/sign-out", cookie, url.Values{"form": {h.formToken(cookie)}}),
	} {
		if r.status != http.StatusSeeOther || r.header.Get("Location") == "" {
			t.Errorf("%s: %d %q", name, r.status, r.header.Get("Location"))
		}
	}
}

func TestZ26_WhereNothingMayBeShownNothingIs(t *testing.T) {
	h := newHouse(t, codeClients)
	for name, c := range map[string]struct {
		cookie, code string
	}{
		"nobody is signed in": {"", "login_required"}, "somebody is": {h.signIn("alice"), "consent_required"}, "somebody was": {"countersign_session=nonsense", "login_required"},
	} {
		r := h.authorize(c.cookie, authorization("prompt", "none"))
		if r.status != http.StatusSeeOther || r.back(webBack).Get("error") != c.code || r.back(webBack).Get("state") != "the state" {
			t.Errorf("%s: %d %q", name, r.status, r.header.Get("Location"))
		}
	}
}

// Who has begun to sign in and not ended it is nobody: what the server gave them for it opens
// nothing.
func TestZ30_AHalfDoneSignInIsNoSession(t *testing.T) {
	h := newHouse(t, codeClients)
	h.registered("alice")
	begun := h.postJSON(passkeySignInPath+"/options", map[string]any{})
	given := begun.ceremony().Ceremony
	if begun.header.Get("Set-Cookie") != "" {
		t.Errorf("it has a session already: %s", begun.header.Get("Set-Cookie"))
	}
	name, _, _ := strings.Cut(h.signIn("alice"), "=")
	cookie := name + "=" + given
	d := h.ask("pub-a", "openid")
	if r := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK(); strings.TrimSpace(r.body) != "null" {
		t.Errorf("%s", r.body)
	}
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantError(http.StatusUnauthorized, "unauthorized")
	if code := h.authorize(cookie, authorization("prompt", "none")).back(webBack); code.Get("error") != "login_required" || code.Has("code") {
		t.Errorf("%v", code)
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}
