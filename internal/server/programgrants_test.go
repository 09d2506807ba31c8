package server_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

const grantsScope = "openid profile offline_access grants"

// commandLine lets the command line of a person have a scope, signed, and returns its
// tokens and the grant's id.
func (h *house) commandLine(owner, scope string) (tokens reply, grant string) {
	h.t.Helper()
	d := h.ask("countersign-cli", scope)
	grant = h.approveSigned(owner, d.userCode)
	return h.poll(d).wantOK(), grant
}

// byToken sends a request with an access token.
func (h *house) byToken(token, method, target, body string, header ...string) reply {
	h.t.Helper()
	header = append(header, "Authorization", "Bearer "+token)
	if body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	return h.send(method, target, body, header...)
}

func TestAProgramWithTheGrantsScopeSeesAndTakesBackWhatItsOwnerAllowed(t *testing.T) {
	h := newHouse(t)
	tokens, own := h.commandLine("alice", grantsScope)
	token := tokens.text("access_token")
	_, other := h.commandLine("alice", "openid")
	_, foreign := h.commandLine("bob", "openid")

	list := h.byToken(token, http.MethodGet, "/api/grants", "").wantOK()
	for id, want := range map[string]bool{own: true, other: true, foreign: false} {
		if strings.Contains(list.body, id) != want {
			t.Errorf("%s is listed: %t, want %t:\n%s", id, !want, want, list.body)
		}
	}
	if v, err := receipt.Verify([]byte(h.byToken(token, http.MethodGet, "/api/grants/"+other+"/receipt", "").wantOK().body)); err != nil || v.Statement.Nonce != other {
		t.Errorf("the receipt: %+v, %v", v, err)
	}
	h.byToken(token, http.MethodGet, "/api/grants/"+foreign+"/receipt", "").wantError(http.StatusNotFound, "not_found")
	h.byToken(token, http.MethodPost, "/api/grants/"+foreign+"/revoke", "{}").wantError(http.StatusNotFound, "not_found")
	// A report is the owner's own word.
	h.byToken(token, http.MethodPost, "/api/grants/"+other+"/revoke", `{"report":true}`).wantError(http.StatusForbidden, "access_denied")
	h.byToken(token, http.MethodPost, "/api/grants/"+other+"/revoke", `{"aud":"`+testIssuer+`","report":false}`, "User-Agent", "CommandLine/1").wantOK()
	if events := h.send(http.MethodGet, "/api/events", "", "Cookie", h.signIn("alice")).wantOK().body; !strings.Contains(events, other) || !strings.Contains(events, "CommandLine/1") {
		t.Errorf("no event tells what was taken back, and by what: %s", events)
	}
	h.wantLine("INFO", "grant revoked by its owner", "grant", other, "bap_id", bapIDOf(t, "alice"), "with_grant", own)
	// It takes itself back too, and is nothing then.
	h.byToken(token, http.MethodPost, "/api/grants/"+own+"/revoke", "{}").wantOK()
	h.byToken(token, http.MethodGet, "/api/grants", "").wantError(http.StatusUnauthorized, "invalid_token")
}

func TestTheGrantsScopeIsAllThatLetsAProgramAtItsOwnersGrants(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.OpenClients = true })
	tokens, own := h.commandLine("alice", "openid profile offline_access")
	without := tokens.text("access_token")
	r := h.byToken(without, http.MethodGet, "/api/grants", "")
	r.wantError(http.StatusForbidden, "insufficient_scope")
	if want := `Bearer error="insufficient_scope", scope="grants", resource_metadata="` + testIssuer + `/.well-known/oauth-protected-resource"`; r.header.Get("WWW-Authenticate") != want {
		t.Errorf("WWW-Authenticate: %s, want %s", r.header.Get("WWW-Authenticate"), want)
	}
	h.byToken(without, http.MethodGet, "/api/grants/"+own+"/receipt", "").wantError(http.StatusForbidden, "insufficient_scope")
	h.byToken(without, http.MethodPost, "/api/grants/"+own+"/revoke", "{}").wantError(http.StatusForbidden, "insufficient_scope")
	h.byToken("x.y.z", http.MethodGet, "/api/grants", "").wantError(http.StatusUnauthorized, "invalid_token")
	// An ID token is none.
	h.byToken(tokens.text("id_token"), http.MethodGet, "/api/grants", "").wantError(http.StatusUnauthorized, "invalid_token")
	// Nobody gets it without being registered for it.
	d := h.ask("somebody", "openid grants")
	h.approve(h.signIn("alice"), d.userCode)
	if got := h.poll(d).wantOK().text("scope"); got != "openid" {
		t.Errorf("an unregistered client got %q", got)
	}

	// And it lets at nothing else.
	tokens, _ = h.commandLine("alice", grantsScope)
	with := tokens.text("access_token")
	for _, request := range [][3]string{
		{http.MethodGet, "/api/sessions", ""},
		{http.MethodGet, "/api/events", ""},
		{http.MethodGet, "/api/passkeys", ""},
		{http.MethodGet, "/api/backups", ""},
		{http.MethodGet, "/api/user/bap-ids", ""},
		{http.MethodPost, "/api/grants/revoke", "{}"},
		{http.MethodPost, "/api/sessions/end-others", "{}"},
		{http.MethodGet, "/api/auth/device/approval?user_code=" + h.ask("pub-a", "openid").userCode, ""},
	} {
		h.byToken(with, request[0], request[1], request[2]).wantError(http.StatusUnauthorized, "unauthorized")
	}
	// Beside a token a signature is of no owner: it would be the proof of the token's key.
	for _, signed := range []string{"no token", h.sign("mallory", ownGrants, "")} {
		if r := h.byToken(with, http.MethodGet, ownGrants, "", bitcoinauth.Header, signed).wantOK(); !strings.Contains(r.body, bapIDOf(t, "alice")) || strings.Contains(r.body, bapIDOf(t, "mallory")) {
			t.Error(r.body)
		}
	}
	// Whoever takes it out of what is approved leaves it out of the token.
	d = h.ask("countersign-cli", grantsScope)
	alice := h.signIn("alice")
	h.open(alice, d.userCode).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode, "scope": "openid profile", "match": d.userCode[len(d.userCode)-4:]}, "Cookie", alice).wantOK()
	if got := h.poll(d).wantOK().text("scope"); got != "openid profile" {
		t.Errorf("the token has %q", got)
	}
}

// A stolen token does not take back any number of times, and spends nothing of what stops it.
func TestAProgramTakesBackOnlySoOftenAndSpendsNothingOfItsOwners(t *testing.T) {
	h := newHouse(t).from(here)
	tokens, own := h.commandLine("alice", grantsScope)
	_, other := h.commandLine("alice", "openid")
	stop := func() reply {
		return h.byToken(tokens.text("access_token"), http.MethodPost, "/api/grants/"+other+"/revoke", "{}")
	}
	n := 0
	for stop().status == http.StatusOK {
		if n++; n > 1000 {
			t.Fatal("a program may do any number")
		}
	}
	stop().wantBusy()
	h.byToken(tokens.text("access_token"), http.MethodGet, "/api/grants", "").wantOK()
	h.signed("alice", http.MethodPost, "/api/grants/"+other+"/revoke", `{"aud":"`+testIssuer+`"}`).wantOK()
	h.postJSON("/api/grants/"+own+"/revoke", map[string]any{}, "Cookie", h.signIn("alice")).wantOK()
	stop().wantError(http.StatusUnauthorized, "invalid_token")
}
