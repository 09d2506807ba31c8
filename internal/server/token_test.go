package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

func refreshForm(client, token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {client}}
}

// claimsOf decodes a JWT without verifying it.
func claimsOf(t *testing.T, token string) (header, payload map[string]any) {
	t.Helper()
	part := strings.Split(token, ".")
	for i, into := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

func TestT02_NothingIsTakenFromTheURL(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	query := url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {"pub-a"}}
	h.send(http.MethodPost, tokenPath+"?"+query.Encode(), "").wantError(http.StatusBadRequest, "invalid_request")
}

func TestT03_T04_T06_OneWayOfAuthenticating(t *testing.T) {
	h := newHouse(t)
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {"csd_x"}}
	h.postForm(tokenPath, form, "Authorization", basic("conf-a", confSecret)).wantError(http.StatusBadRequest, "invalid_grant")
	form.Set("client_secret", confSecret)
	h.postForm(tokenPath, form, "Authorization", basic("conf-a", confSecret)).wantError(http.StatusBadRequest, "invalid_request")
	form.Set("client_id", "conf-a")
	h.postForm(tokenPath, form).wantError(http.StatusBadRequest, "invalid_grant")
	form.Del("client_secret")
	h.postForm(tokenPath, form, "Authorization", basic("conf-a", confSecret)).wantError(http.StatusBadRequest, "invalid_grant") // said twice, and alike
	h.postForm(tokenPath, form).wantError(http.StatusUnauthorized, "invalid_client")                                            // T-17
	form.Set("client_id", "pub-a")
	h.postForm(tokenPath, form, "Authorization", basic("conf-a", confSecret)).wantError(http.StatusBadRequest, "invalid_request")
}

func TestT09_T10_DescriptionsKeepToTheirCharactersAndQuoteNothing(t *testing.T) {
	h := newHouse(t)
	evil := "x\n\"<b>é\\"
	for _, r := range []reply{
		h.postForm(codePath, url.Values{"client_id": {evil}}),
		h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {evil}}),
		h.postForm(tokenPath, url.Values{"client_id": {"pub-a"}, "grant_type": {evil}}),
		h.postForm(tokenPath, url.Values{"client_id": {"pub-a"}, "grant_type": {deviceGrant}, "device_code": {evil}}),
	} {
		description := r.text("error_description")
		if description == "" || strings.ContainsFunc(description, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) || strings.Contains(description, "<b>") {
			t.Errorf("%q", description)
		}
	}
}

func TestT13_ThereIsNoPasswordGrant(t *testing.T) {
	h := newHouse(t)
	h.postForm(tokenPath, url.Values{"grant_type": {"password"}, "client_id": {"pub-a"}}).wantError(http.StatusBadRequest, "unsupported_grant_type")
}

func TestT14_T15_MalformedInputIsRefusedInJSON(t *testing.T) {
	h := newHouse(t)
	asJSON := []string{"Content-Type", "application/json"}
	deep := strings.Repeat("[", 60) + strings.Repeat("]", 60)
	malformed := []string{
		`{`, `[1]`, `"x"`, `null`, `{"client_id":5}`, `{"client_id":{"a":1}}`, `{"client_id":"pub-a"} x`, "{\"client_id\":\"\xff\"}",
		`{"client_id":"pub-a","x":` + deep + `}`, `{"client_id":"pub-a","scope":"` + strings.Repeat("x", 60<<10) + `"}`,
	}
	large := `{"client_id":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, path := range []string{codePath, pollPath, tokenPath, revokePath, introspectPath} {
		for _, body := range malformed {
			// Who asks about tokens is asked who that is before all else.
			r := h.send(http.MethodPost, path, body, append(asJSON, "Authorization", basic("conf-a", confSecret))...)
			if r.status != http.StatusBadRequest || r.text("error") == "" {
				t.Errorf("%s: %.40q… answered %d %s", path, body, r.status, r.body)
			}
		}
		h.send(http.MethodPost, path, large, asJSON...).wantError(http.StatusRequestEntityTooLarge, "invalid_request")
		h.send(http.MethodPost, path, `{"client_id":"pub-a"}`, "Content-Type", "text/plain").wantError(http.StatusUnsupportedMediaType, "invalid_request")
		h.send(http.MethodPost, path, `{"client_id":"pub-a"}`, "Content-Type", "application/json", "Content-Encoding", "gzip").
			wantError(http.StatusUnsupportedMediaType, "invalid_request")
	}
}

func TestT16_UnknownClientAndWrongSecretLookAlike(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.OpenClients = false })
	wrong := h.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {"wrong"}})
	unknown := h.postForm(codePath, url.Values{"client_id": {"nobody"}, "client_secret": {"wrong"}})
	if wrong.status != unknown.status || wrong.body != unknown.body || wrong.status != http.StatusUnauthorized {
		t.Errorf("%d %s\n%d %s", wrong.status, wrong.body, unknown.status, unknown.body)
	}
	h.postForm(codePath, url.Values{"client_id": {"nobody"}}).wantError(http.StatusBadRequest, "invalid_client")
}

func TestU01_U07_U08_U09_UserInfoFollowsTheScopes(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "openid", "alice")
	get := h.send(http.MethodGet, userinfoPath, "", "Authorization", "bearer "+tokens.text("access_token")).wantOK()
	post := h.send(http.MethodPost, userinfoPath, "", "Authorization", "Bearer "+tokens.text("access_token")).wantOK()
	form := h.postForm(userinfoPath, url.Values{"access_token": {tokens.text("access_token")}}).wantOK()
	_, id := claimsOf(t, tokens.text("id_token"))
	if get.body != post.body || get.body != form.body || len(get.members()) != 1 || get.text("sub") == "" || get.text("sub") != id["sub"] {
		t.Errorf("%s\n%s\n%v", get.body, post.body, id)
	}
}

func TestU10_TheProfileScopeGivesTheIdentity(t *testing.T) {
	h := newHouse(t)
	info := h.userInfo(h.tokens("pub-a", "openid profile", "alice").text("access_token")).wantOK()
	var profile struct {
		IDKey          string
		RootAddress    string
		CurrentAddress string
		Addresses      []struct{ Address string }
		Identity       map[string]any
	}
	if err := json.Unmarshal([]byte(info.text("bap")), &profile); err != nil {
		t.Fatal(err)
	}
	if info.text("bap_id") != bapIDOf(t, "alice") || profile.IDKey != info.text("bap_id") || len(info.text("pubkey")) != 66 || info.text("name") == "" ||
		profile.RootAddress == "" || len(profile.Addresses) != 1 || profile.Identity["@type"] != "Person" {
		t.Errorf("%s", info.body)
	}
	if _, there := info.members()["email"]; there {
		t.Error("an address nobody verified")
	}
}

func TestU02_U03_U04_U05_U12_U15_WhatIsNoBearerTokenIsRefused(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "openid offline_access", "alice")
	good := tokens.text("access_token")
	if r := h.send(http.MethodGet, userinfoPath+"?access_token="+good, ""); r.status == http.StatusOK {
		t.Error("a token in the URL was accepted")
	}
	h.postForm(userinfoPath, url.Values{"access_token": {good}}, "Authorization", "Bearer "+good).wantError(http.StatusBadRequest, "invalid_request")
	for _, header := range [][]string{nil, {"Cookie", h.signIn("alice")}, {"Authorization", "Basic x"}} {
		r := h.send(http.MethodGet, userinfoPath, "", header...)
		challenge := r.header.Get("WWW-Authenticate")
		if r.status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer") || strings.Contains(challenge, "error=") {
			t.Errorf("%v: %d %q", header, r.status, challenge)
		}
	}
	last := good[len(good)-1]
	flipped := good[:len(good)-1] + string("ABCD"[strings.IndexByte("ABCD", last)&1^1])
	for _, bad := range []string{"x", good + "A", good + "=", good[:len(good)-1], flipped, tokens.text("id_token"), tokens.text("refresh_token"), strings.Repeat("a.", 5000)} {
		r := h.userInfo(bad)
		if r.status != http.StatusUnauthorized || !strings.Contains(r.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%.20q…: %d %q", bad, r.status, r.header.Get("WWW-Authenticate"))
		}
	}
	h.advance(time.Hour)
	h.userInfo(good).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestU06_UserInfoNeedsOpenID(t *testing.T) {
	h := newHouse(t)
	r := h.userInfo(h.tokens("pub-a", "profile", "alice").text("access_token"))
	r.wantError(http.StatusForbidden, "insufficient_scope")
	if want := `Bearer error="insufficient_scope", scope="openid", resource_metadata="` + userInfoMetadata + `"`; r.header.Get("WWW-Authenticate") != want {
		t.Errorf("%q", r.header.Get("WWW-Authenticate"))
	}
}

func TestU14_ADeadClientOrGrantEndsItsTokensAtOnce(t *testing.T) {
	h := newHouse(t)
	if err := h.store.AddClient(context.Background(), authz.Client{ID: "short-lived", Scope: "openid"}); err != nil {
		t.Fatal(err)
	}
	token := h.tokens("short-lived", "openid", "alice").text("access_token")
	h.userInfo(token).wantOK()
	if err := h.store.RemoveClient(context.Background(), "short-lived", h.now()); err != nil {
		t.Fatal(err)
	}
	h.userInfo(token).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestM09_M10_M11_AlgorithmAndTypeComeFromUs(t *testing.T) {
	h := newHouse(t)
	good := h.tokens("pub-a", "openid", "alice").text("access_token")
	header, payload := claimsOf(t, good)
	part := strings.Split(good, ".")
	with := func(change func(map[string]any)) string {
		changed := map[string]any{}
		for k, v := range header {
			changed[k] = v
		}
		change(changed)
		b, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b) + "." + part[1] + "." + part[2]
	}
	for name, change := range map[string]func(map[string]any){
		"none":  func(m map[string]any) { m["alg"] = "none" },
		"HS256": func(m map[string]any) { m["alg"] = "HS256" },
		"kid":   func(m map[string]any) { m["kid"] = "../../dev/null" },
		"jku":   func(m map[string]any) { m["jku"] = "https://evil.example/" },
		"crit":  func(m map[string]any) { m["crit"] = []string{"x"} },
		"typ":   func(m map[string]any) { m["typ"] = "JWT" },
	} {
		if r := h.userInfo(with(change)); r.status != http.StatusUnauthorized {
			t.Errorf("%s: answered %d", name, r.status)
		}
	}
	for _, claim := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "auth_time", "scope", "gid", "bap_id", "pubkey", "acr"} { // M-11
		if payload[claim] == nil {
			t.Errorf("the access token lacks %s", claim)
		}
	}
	if header["typ"] != "at+jwt" || payload["iss"] != testIssuer {
		t.Errorf("%v %v", header, payload)
	}
}

func TestR01_R02_RefreshTokensRotateAndReuseEndsTheGrant(t *testing.T) {
	h := newHouse(t)
	first := h.tokens("pub-a", "openid offline_access", "alice")
	second := h.postForm(tokenPath, refreshForm("pub-a", first.text("refresh_token"))).wantOK()
	if second.text("refresh_token") == first.text("refresh_token") || second.text("refresh_token") == "" {
		t.Error("the refresh token was not replaced")
	}
	h.advance(31 * time.Second)
	h.postForm(tokenPath, refreshForm("pub-a", first.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	h.postForm(tokenPath, refreshForm("pub-a", second.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	for _, access := range []string{first.text("access_token"), second.text("access_token")} {
		h.userInfo(access).wantError(http.StatusUnauthorized, "invalid_token")
	}
}

func TestR03_R04_ParallelRefreshesEndWithOneSuccessor(t *testing.T) {
	h := newHouse(t)
	first := h.tokens("pub-a", "openid offline_access", "alice")
	var mu sync.Mutex
	successors := map[string]int{}
	var together sync.WaitGroup
	for range 32 {
		together.Go(func() {
			r := h.postForm(tokenPath, refreshForm("pub-a", first.text("refresh_token")))
			mu.Lock()
			defer mu.Unlock()
			if r.status != http.StatusOK {
				t.Errorf("%d %s", r.status, r.body)
				return
			}
			successors[r.text("refresh_token")]++
		})
	}
	together.Wait()
	if len(successors) != 1 {
		t.Errorf("%d successors", len(successors))
	}
	for successor := range successors {
		h.postForm(tokenPath, refreshForm("pub-a", successor)).wantOK()
	}
	// Now the successor has been used: the first token is no longer in grace.
	h.postForm(tokenPath, refreshForm("pub-a", first.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
}

func TestR05_R06_R07_R08_RefreshKeepsToItsClientScopeAndTime(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "openid profile offline_access", "alice")
	refresh := tokens.text("refresh_token")
	h.postForm(tokenPath, refreshForm("pub-b", refresh)).wantError(http.StatusBadRequest, "invalid_grant")
	grow := refreshForm("pub-a", refresh)
	grow.Set("scope", "openid email")
	h.postForm(tokenPath, grow).wantError(http.StatusBadRequest, "invalid_scope")
	shrink := refreshForm("pub-a", refresh)
	shrink.Set("scope", "openid")
	r := h.postForm(tokenPath, shrink).wantOK()
	if r.text("scope") != "openid" || len(h.userInfo(r.text("access_token")).wantOK().members()) != 1 {
		t.Errorf("%s", r.body)
	}
	d := h.ask("pub-a", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	late := url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {d.client}, "scope": {"openid profile offline_access"}} // the owner saw none of it
	if r := h.postForm(tokenPath, late).wantOK(); r.text("refresh_token") != "" || r.text("scope") != "openid" {
		t.Errorf("what nobody granted: %s", r.body)
	}
	h.advance(31 * 24 * time.Hour) // idle expiry
	h.postForm(tokenPath, refreshForm("pub-a", r.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
}

func TestR08_AGrantEndsHoweverOftenItIsRenewed(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	for range 8 {
		h.advance(22 * 24 * time.Hour)
		refresh = h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK().text("refresh_token")
	}
	h.advance(22 * 24 * time.Hour)
	h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantError(http.StatusBadRequest, "invalid_grant")
}

func TestR09_R10_R11_R12_Revocation(t *testing.T) {
	h := newHouse(t)
	revoke := func(client, token, hint string) reply {
		return h.postForm(revokePath, url.Values{"client_id": {client}, "token": {token}, "token_type_hint": {hint}})
	}
	for _, which := range []string{"refresh_token", "access_token"} {
		tokens := h.tokens("pub-a", "openid offline_access", "alice")
		revoke("pub-b", tokens.text(which), "").wantError(http.StatusBadRequest, "invalid_grant")
		h.userInfo(tokens.text("access_token")).wantOK()
		revoke("pub-a", "some-random-string", "").wantOK()
		hint := map[string]string{"refresh_token": "access_token", "access_token": "nonsense"}[which]
		revoke("pub-a", tokens.text(which), hint).wantOK()
		h.userInfo(tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
		h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	}
	h.postForm(revokePath, url.Values{"token": {"x"}}).wantError(http.StatusBadRequest, "invalid_request")
	h.postForm(revokePath, url.Values{"client_id": {"conf-a"}, "token": {"x"}}).wantError(http.StatusUnauthorized, "invalid_client")
}

func TestM06_IDTokensAreSignedAsTheClientRegistered(t *testing.T) {
	h := newHouse(t)
	for client, alg := range map[string]string{"pub-a": "ES256", "rsa-a": "RS256"} {
		d := h.ask(client, "openid profile")
		h.approve(h.signIn("alice"), d.userCode)
		header, payload := claimsOf(t, h.poll(d).wantOK().text("id_token"))
		if header["alg"] != alg || payload["aud"] != client || payload["at_hash"] == nil || payload["bap_id"] != bapIDOf(t, "alice") {
			t.Errorf("%s: %v %v", client, header, payload)
		}
	}
}

func TestL01_TheNonceOfTheDeviceRequestIsEchoed(t *testing.T) {
	h := newHouse(t)
	r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {"openid"}, "nonce": {"n-0S6_WzA2Mj"}}).wantOK()
	h.approve(h.signIn("alice"), r.text("user_code"))
	_, payload := claimsOf(t, h.poll(device{r.text("device_code"), r.text("user_code"), "pub-a"}).wantOK().text("id_token"))
	if payload["nonce"] != "n-0S6_WzA2Mj" {
		t.Errorf("%v", payload)
	}
	if r := h.tokens("pub-a", "profile offline_access", "alice"); r.text("id_token") != "" {
		t.Errorf("without openid: %s", r.body)
	}
}

func TestR06_AScopeThatNamesNoneIsNone(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	form := refreshForm("pub-a", refresh)
	form.Set("scope", " ")
	h.postForm(tokenPath, form).wantError(http.StatusBadRequest, "invalid_scope")
	h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK()
}

// Where there is no key to sign one with, there is no half of an answer.
func TestAClientOfAnUnknownAlgorithmGetsNoTokens(t *testing.T) {
	h := newHouse(t, with(authz.Client{ID: "odd", IDTokenAlg: "HS256"}))
	d := h.ask("odd", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	h.poll(d).wantError(http.StatusInternalServerError, "server_error")
	if lines := h.lines("panic"); len(lines) > 0 {
		t.Errorf("%v", lines)
	}
}
