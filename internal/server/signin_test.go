package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

var jsonBody = []string{"Content-Type", "application/json"}

// signed sends a request signed by a person.
func (h *house) signed(name, method, target, body string) reply {
	h.t.Helper()
	if method == http.MethodGet && !strings.Contains(target, "aud=") {
		target, _ = forServer(method, target, h.settings.Issuer)
	}
	header := []string{bitcoinauth.Header, h.sign(name, target, body)}
	if body != "" {
		header = append(header, jsonBody...)
	}
	return h.send(method, target, body, header...)
}

func TestSignInTakesBothFormsOfItsBody(t *testing.T) {
	h := newHouse(t)
	first := h.signed("alice", http.MethodPost, signInPath, "").wantOK()
	unsigned := h.send(http.MethodPost, signInPath, "{}", append(jsonBody, bitcoinauth.Header, h.sign("alice", signInPath, ""))...).wantOK()
	spaced := h.send(http.MethodPost, signInPath, " {} \n", append(jsonBody, bitcoinauth.Header, h.sign("alice", signInPath, ""))...).wantOK()
	signed := h.signed("alice", http.MethodPost, signInPath, `{"bapId":"`+bapIDOf(t, "alice")+`"}`).wantOK()
	for _, r := range []reply{first, unsigned, spaced, signed} {
		user, _ := r.members()["user"].(map[string]any)
		if user["pubkey"] != bap.FormatPublicKey(person("alice").PubKey()) || user["id"] == nil || user["name"] == "" || r.text("token") == "" {
			t.Errorf("%s", r.body)
		}
		cookie := r.header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, "countersign.session.") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
			t.Errorf("cookie %.60q", cookie)
		}
	}
	h.send(http.MethodPost, signInPath, "{}", jsonBody...).wantError(http.StatusUnauthorized, "unauthorized")
}

func TestN01_N02_N03_N04_TokensOfOthersTimesAndRequestsAreRefused(t *testing.T) {
	h := newHouse(t)
	good := h.sign("alice", signInPath, "")
	h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, good).wantOK()
	h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, good).wantError(http.StatusUnauthorized, "unauthorized") // N-03
	other := h.sign("mallory", signInPath, "")
	stolen := bap.FormatPublicKey(person("alice").PubKey()) + other[66:]
	h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, stolen).wantError(http.StatusUnauthorized, "unauthorized") // N-01
	late := h.sign("alice", signInPath, "")
	h.advance(6 * time.Minute)
	h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, late).wantError(http.StatusUnauthorized, "unauthorized")                                   // N-02
	h.send(http.MethodPost, signInPath+"?x=1", "", bitcoinauth.Header, h.sign("alice", signInPath, "")).wantError(http.StatusUnauthorized, "unauthorized") // N-04
	uncovered := append(jsonBody, bitcoinauth.Header, h.sign("alice", signInPath, ""))
	h.send(http.MethodPost, signInPath, `{"bapId":"x"}`, uncovered...).wantError(http.StatusUnauthorized, "unauthorized")
	unsigned := h.send(http.MethodPost, signInPath, "{}", jsonBody...)
	if unsigned.wantError(http.StatusUnauthorized, "unauthorized"); !strings.Contains(unsigned.text("error_description"), "X-Auth-Token is missing") {
		t.Errorf("%s", unsigned.body)
	}
	for length := range 200 { // N-05
		cut := good[:min(length, len(good)-1)]
		if r := h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, cut); r.status != http.StatusUnauthorized {
			t.Fatalf("%d characters: answered %d", length, r.status)
		}
	}
}

func TestN09_ABAPIDNeedsItsOwnKey(t *testing.T) {
	h := newHouse(t)
	h.signIn("alice")
	h.signed("mallory", http.MethodPost, signInPath, `{"bapId":"`+bapIDOf(t, "alice")+`"}`).wantError(http.StatusForbidden, "access_denied")
}

func TestImplicitSignUpCanBeClosed(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.SignUp = false })
	r := h.signed("alice", http.MethodPost, signInPath, "")
	r.wantError(http.StatusForbidden, "access_denied")
	if r.text("code") != "USER_NOT_FOUND" {
		t.Errorf("%s", r.body)
	}
}

func TestGetSessionAndSignOut(t *testing.T) {
	h := newHouse(t)
	if r := h.send(http.MethodGet, "/api/auth/get-session", "").wantOK(); r.body != "null" {
		t.Errorf("%s", r.body)
	}
	cookie := h.signIn("alice")
	r := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK()
	var s struct {
		Session struct{ ID, UserID, ExpiresAt, Token string }
		User    struct{ ID, Name string }
	}
	if err := json.Unmarshal([]byte(r.body), &s); err != nil || s.Session.UserID != s.User.ID || s.User.Name == "" || s.Session.Token == "" {
		t.Errorf("%s %v", r.body, err)
	}
	h.userInfo(s.Session.Token).wantError(http.StatusUnauthorized, "invalid_token") // ruling 0.7
	if r := h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", cookie)...).wantOK(); r.members()["success"] != true {
		t.Errorf("%s", r.body)
	}
	if r := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie); r.body != "null" {
		t.Error("the session is still there")
	}
	late := h.signIn("alice")
	h.advance(8 * 24 * time.Hour)
	if r := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", late); r.body != "null" {
		t.Error("the session outlived its lifetime")
	}
}

func TestN07_AnAccountMayHoldSeveralIdentities(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.link(cookie, "alice-work", "alice").wantOK()
	r := h.send(http.MethodGet, identitiesPath, "", "Cookie", cookie).wantOK()
	if list, _ := r.members()["bapIds"].([]any); len(list) != 2 {
		t.Errorf("%s", r.body)
	}

	// Each sign-in proves one identity, and its tokens carry that one.
	subjects := map[string]bool{}
	for _, name := range []string{"alice", "alice-work"} {
		info := h.userInfo(h.tokens("pub-a", "openid profile", name).text("access_token")).wantOK()
		if info.text("bap_id") != bapIDOf(t, name) {
			t.Errorf("%s: %s", name, info.body)
		}
		subjects[info.text("sub")] = true
	}
	if len(subjects) != 1 {
		t.Error("one account has two subs")
	}
}

func TestN07_AProfileIsSetByASignedRequest(t *testing.T) {
	h := newHouse(t)
	const path = "/api/bap/profile"
	id := bapIDOf(t, "alice")
	body := func(aud, id, picture string) string {
		b, err := json.Marshal(map[string]string{"aud": aud, "bapId": id, "name": "Alice \u202eevil", "given_name": "Alice", "picture": picture, "description": "me"})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	h.signed("mallory", http.MethodPut, path, body(testIssuer, id, "")).wantError(http.StatusForbidden, "access_denied")
	h.signed("alice", http.MethodPut, path, body("https://other.example", id, "")).wantError(http.StatusBadRequest, "invalid_request") // N-07
	h.signed("alice", http.MethodPut, path, body(testIssuer, id, "javascript:alert(1)")).wantError(http.StatusBadRequest, "invalid_request")
	h.send(http.MethodPut, path, body(testIssuer, id, ""), append(jsonBody, "Cookie", h.signIn("alice"))...).wantError(http.StatusUnauthorized, "unauthorized")
	h.signed("alice", http.MethodPut, path, body(testIssuer, id, "https://example.org/a.png")).wantOK()
	info := h.userInfo(h.tokens("pub-a", "openid profile", "alice").text("access_token")).wantOK()
	if info.text("name") != "Alice evil" || info.text("given_name") != "Alice" || info.text("picture") != "https://example.org/a.png" ||
		!strings.Contains(info.text("bap"), `"description":"me"`) {
		t.Errorf("%s", info.body)
	}
	target := path + "?bapId=" + id
	if r := h.signed("alice", http.MethodGet, target, "").wantOK(); r.text("name") != "Alice evil" {
		t.Errorf("%s", r.body)
	}
	h.signed("mallory", http.MethodGet, target, "").wantError(http.StatusNotFound, "not_found")
}

func TestN11_N13_ASignedApprovalLeavesAReceipt(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid profile")
	grant := h.approveSigned("alice", d.userCode) // no session, no earlier opening
	tokens := h.poll(d).wantOK()
	if _, payload := claimsOf(t, tokens.text("access_token")); payload["acr"] != authz.ACRSignature || payload["gid"] != grant {
		t.Errorf("%v", payload)
	}
	path := "/api/grants/" + grant + "/receipt"
	file := h.signed("alice", http.MethodGet, path, "").wantOK()
	v, err := receipt.Verify([]byte(file.body))
	if err != nil || v.Statement.Nonce != grant || v.Statement.ClientID != "pub-a" || v.Statement.Scope != "openid profile" {
		t.Errorf("%+v %v", v, err)
	}
	h.signed("mallory", http.MethodGet, path, "").wantError(http.StatusNotFound, "not_found")
	bySession := h.ask("pub-a", "openid")
	h.approve(h.signIn("bob"), bySession.userCode)
	_, payload := claimsOf(t, h.poll(bySession).wantOK().text("access_token"))
	if payload["acr"] != authz.ACRSession {
		t.Errorf("%v", payload)
	}
	gid, _ := payload["gid"].(string)
	h.signed("bob", http.MethodGet, "/api/grants/"+gid+"/receipt", "").wantError(http.StatusNotFound, "not_found")
}

// kubelogin asks for openid last, and a client may be registered in any order.
func TestN11_TheStatementNamesTheScopesInTheOrderInWhichTheyAreShown(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) {
		s.Clients = append(s.Clients, authz.Client{ID: "kubernetes", Scope: "notes:read offline_access profile openid notes:write"})
	})
	for asked, want := range map[string]string{
		"profile offline_access openid": "openid profile offline_access",
		"notes:write openid notes:read": "openid notes:write notes:read",
		"":                              "openid profile offline_access notes:read notes:write",
	} {
		d := h.ask("kubernetes", asked)
		answer := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK()
		var facts struct {
			Scopes []struct{ Scope string }
		}
		if err := json.Unmarshal([]byte(answer.body), &facts); err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, s := range facts.Scopes {
			shown = append(shown, s.Scope)
		}
		signed, err := receipt.ParseStatement(answer.text("statement"))
		if err != nil || signed.Scope != want || strings.Join(shown, " ") != want {
			t.Errorf("%q: %q is signed, and %q shown, %v", asked, signed.Scope, shown, err)
		}
	}
}

// TestN11_AChangedStatementIsRefused signs a statement in which one field is not
// what the server gave.
func TestN11_AChangedStatementIsRefused(t *testing.T) {
	h := newHouse(t)
	d, other := h.askProved("openid profile"), h.ask("pub-b", "openid profile")
	fetch := func(code string) receipt.Statement {
		target := "/api/auth/device/approval?user_code=" + code
		s, err := receipt.ParseStatement(h.signed("alice", http.MethodGet, target, "").wantOK().text("statement"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	send := func(s receipt.Statement) reply {
		body, err := json.Marshal(map[string]string{"userCode": d.userCode, "statement": s.Encode()})
		if err != nil {
			t.Fatal(err)
		}
		return h.signed("alice", http.MethodPost, approvePath, string(body))
	}
	for name, change := range map[string]func(*receipt.Statement){
		"issuer":    func(s *receipt.Statement) { s.Issuer = "https://other.example" },
		"client":    func(s *receipt.Statement) { s.ClientID = "pub-b" },
		"code":      func(s *receipt.Statement) { s.UserCodeHash = receipt.UserCodeHash(other.userCode) },
		"identity":  func(s *receipt.Statement) { s.BAPID = bapIDOf(t, "mallory") },
		"nonce":     func(s *receipt.Statement) { s.Nonce = fetch(other.userCode).Nonce },
		"future":    func(s *receipt.Statement) { s.IssuedAt += 3600; s.ExpiresAt += 3600 },
		"long life": func(s *receipt.Statement) { s.ExpiresAt += 3600 },
		"agent":     func(s *receipt.Statement) { s.Agent = &receipt.Agent{Name: "x", JKT: "y"} },
	} {
		s := fetch(d.userCode)
		change(&s)
		if r := send(s); r.status != http.StatusForbidden || r.text("error") != "access_denied" {
			t.Errorf("%s changed: %d %s", name, r.status, r.body)
		}
	}
	grown := fetch(d.userCode)
	grown.Scope += " email"
	send(grown).wantError(http.StatusBadRequest, "invalid_scope")
	stale := fetch(d.userCode)
	h.advance(5 * time.Minute)
	send(stale).wantError(http.StatusForbidden, "access_denied")
	send(fetch(d.userCode)).wantOK()
}

func TestAClientMayAskForASignature(t *testing.T) {
	h := newHouse(t)
	r := h.postJSON(codePath, map[string]any{"client_id": "pub-a", "scope": "openid", "approval": "signature"}).wantOK()
	cookie := h.signIn("alice")
	h.open(cookie, r.text("user_code")).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": r.text("user_code")}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
	h.approveSigned("alice", r.text("user_code"))
}

func TestAnOwnerSeesAndTakesBackWhatWasAllowed(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid offline_access")
	grant := h.approveSigned("alice", d.userCode)
	tokens := h.poll(d).wantOK()
	list := h.signed("alice", http.MethodGet, "/api/grants", "").wantOK()
	if !strings.Contains(list.body, grant) || !strings.Contains(list.body, "Public A") {
		t.Errorf("%s", list.body)
	}
	if r := h.signed("bob", http.MethodGet, "/api/grants", "").wantOK(); strings.Contains(r.body, grant) {
		t.Error("bob sees alice's grant")
	}
	path := "/api/grants/" + grant + "/revoke"
	h.signed("bob", http.MethodPost, path, `{"aud":"`+testIssuer+`"}`).wantError(http.StatusNotFound, "not_found")
	h.signed("alice", http.MethodPost, path, `{"aud":"https://other.example"}`).wantError(http.StatusBadRequest, "invalid_request")
	h.signed("alice", http.MethodPost, path, `{"aud":"`+testIssuer+`"}`).wantOK()
	h.userInfo(tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
}

func TestAClientMayAuthenticateWithItsMemberKey(t *testing.T) {
	h := newHouse(t)
	body := `{"client_id":"member-a","scope":"openid"}`
	r := h.send(http.MethodPost, codePath, body, jsonBody...)
	if r.wantError(http.StatusUnauthorized, "invalid_client"); !strings.Contains(r.text("error_description"), "this client signs its requests") {
		t.Errorf("%s", r.body)
	}
	h.signed("mallory", http.MethodPost, codePath, body).wantError(http.StatusUnauthorized, "invalid_client")
	h.signed("client", http.MethodPost, codePath, body).wantOK()
}
