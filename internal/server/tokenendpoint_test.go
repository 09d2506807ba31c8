package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

// granting are a form for each grant that succeeds, of a client that made has the secret of.
func granting(h *house) map[string]func() url.Values {
	h.t.Helper()
	chain(h)
	return map[string]func() url.Values{
		"device": func() url.Values {
			r := h.as("app", codePath, url.Values{"scope": {"openid profile offline_access"}}).wantOK()
			h.approveSigned("alice", r.text("user_code"))
			return url.Values{"client_id": {"app"}, "grant_type": {deviceGrant}, "device_code": {r.text("device_code")}}
		},
		"refresh": func() url.Values {
			return url.Values{"client_id": {"app"}, "grant_type": {"refresh_token"}, "refresh_token": {h.allowsApp("openid offline_access").text("refresh_token")}}
		},
		"credentials": func() url.Values { return credentials(url.Values{"client_id": {"app"}}) },
		"exchange": func() url.Values {
			form := exchange(h.subject())
			form.Set("client_id", "rs-1")
			return form
		},
		"code": func() url.Values {
			h.register("database", "web", made("web", func(c *authz.Client) {
				c.GrantTypes, c.RedirectURIs = append(c.GrantTypes, "authorization_code"), []string{webBack}
			}))
			cookie := h.signIn("alice")
			_, transaction := h.reviewFor(cookie, authorization("client_id", "web"))
			return redemption(h.decide(cookie, transaction, "approve", "openid", "profile").back(webBack).Get("code"), "client_id", "web")
		},
	}
}

func TestT01_T02_T07_T08_T11_T17_EachGrantIsAskedForInOneWay(t *testing.T) {
	h := newHouse(t)
	for name, ask := range granting(h) {
		form := ask()
		id := form.Get("client_id")
		post := func(form url.Values) reply { return h.as(id, tokenPath, form) }
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodHead} {
			if r := h.send(method, tokenPath+"?"+form.Encode(), "", "Authorization", basic(id, serviceSecret)); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
				t.Errorf("%s: %s: %d %q", name, method, r.status, r.header.Get("Allow"))
			}
		}
		h.send(http.MethodPost, tokenPath+"?"+form.Encode(), "", "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic(id, serviceSecret)).
			wantError(http.StatusBadRequest, "invalid_request")
		h.postForm(tokenPath, form).wantError(http.StatusUnauthorized, "invalid_client") // an id is no proof
		for member := range form {
			twice := url.Values{}
			for m, values := range form {
				twice[m] = slices.Clone(values)
			}
			twice.Add(member, form.Get(member))
			post(twice).wantError(http.StatusBadRequest, "invalid_request")
			empty := url.Values{}
			for m := range form {
				empty.Set(m, form.Get(m))
			}
			if empty.Set(member, ""); member != "client_id" && member != "code_verifier" && member != "redirect_uri" {
				post(empty).wantError(http.StatusBadRequest, "invalid_request")
			}
		}
		form.Set("foo", "1") // what is not known
		form.Set("scope", "")
		r := post(form).wantOK()
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Pragma") != "no-cache" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", name, r.header)
		}
		var answer struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int    `json:"expires_in"`
			Scope       string `json:"scope"`
		}
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil || answer.AccessToken == "" || answer.TokenType != "Bearer" || answer.ExpiresIn < 3590 || answer.Scope == "" {
			t.Errorf("%s: %v %s", name, err, r.body)
		}
	}
}

func TestT08_WhatIsLessThanWasAskedForIsSaid(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid profile email")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"profile"}, "match": {d.userCode[5:]}})
	if r := h.poll(d).wantOK(); r.text("scope") != "openid profile" {
		t.Errorf("%s", r.body)
	}
}

// What is a secret by itself has 256 bits of randomness, in base64url 43 characters.
func TestT12_WhatIsGivenOutCannotBeGuessed(t *testing.T) {
	h := newHouse(t, codeClients)
	random := regexp.MustCompile(`[A-Za-z0-9_-]{43}`)
	seen := map[string]bool{}
	for range 3 {
		d := h.ask("pub-a", "openid offline_access")
		cookie := h.signIn("alice")
		h.approve(cookie, d.userCode)
		tokens := h.poll(d).wantOK()
		h.advance(time.Second)
		_, transaction := h.reviewFor(cookie, authorization())
		code := h.decide(cookie, transaction, "approve", "openid").back(webBack).Get("code")
		_, session, _ := strings.Cut(cookie, "=")
		for what, secret := range map[string]string{"a device code": d.deviceCode, "a refresh token": tokens.text("refresh_token"), "a code": code, "a session": session} {
			if !random.MatchString(secret) || seen[secret] || seen[secret[len(secret)-16:]] {
				t.Fatalf("%s has %d characters, or came before", what, len(secret))
			}
			seen[secret], seen[secret[len(secret)-16:]] = true, true
		}
	}
}

// No address was verified by this server, so none is told, whatever was allowed.
func TestU16_NoAddressIsToldThatNobodyVerified(t *testing.T) {
	h := newHouse(t)
	h.register("database", "app", made("app", func(c *authz.Client) { c.Scope = "openid profile email" }))
	body := `{"aud":"` + testIssuer + `","bapId":"` + bapIDOf(t, "alice") + `","name":"Alice","email":"alice@elsewhere.example","email_verified":true}`
	cookie := h.signIn("alice")
	h.signed("alice", http.MethodPut, "/api/bap/profile", body)
	r := h.as("app", codePath, url.Values{"scope": {"openid profile email"}}).wantOK()
	h.approveSigned("alice", r.text("user_code"))
	tokens := h.as("app", tokenPath, url.Values{"grant_type": {deviceGrant}, "device_code": {r.text("device_code")}}).wantOK()
	if tokens.text("scope") != "openid profile email" {
		t.Fatal(tokens.body)
	}
	_, id := claimsOf(t, tokens.text("id_token"))
	_, access := claimsOf(t, tokens.text("access_token"))
	for where, claims := range map[string]map[string]any{
		"userinfo": h.userInfo(tokens.text("access_token")).wantOK().members(), "the ID token": id, "the access token": access,
		"introspection": h.introspect("app", tokens.text("access_token")).wantActive().members(),
	} {
		for _, claim := range []string{"email", "email_verified"} {
			if value, there := claims[claim]; there {
				t.Errorf("%s says %s: %v", where, claim, value)
			}
		}
	}
	if session := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK(); strings.Contains(session.body, "@") {
		t.Errorf("%s", session.body)
	}
	if m := h.send(http.MethodGet, "/.well-known/openid-configuration", "").wantOK(); slices.Contains(m.members()["claims_supported"].([]any), any("email")) { //nolint:forcetypeassert // or the test fails
		t.Error("the metadata promise it")
	}
}

// A subject is one account's for good: whoever is told it, and whoever leaves the account.
func TestL03_ASubjectStaysItsAccountsAndIsNobodyElses(t *testing.T) {
	h := newHouse(t)
	subject := func(client, owner string) string {
		_, claims := claimsOf(t, h.tokens(client, "openid", owner).text("id_token"))
		return claims["sub"].(string) //nolint:forcetypeassert // or the test fails
	}
	alice := subject("pub-a", "alice")
	if len(alice) > 255 || strings.ContainsFunc(alice, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		t.Errorf("%q", alice)
	}
	if h.restart(); subject("pub-b", "alice") != alice || subject("pub-a", "bob") == alice {
		t.Error("it is another client's or another owner's")
	}
	h.link(h.signIn("alice"), "carol", "alice").wantOK()
	if subject("pub-a", "carol") != alice {
		t.Error("of two identities of one account it is not the same")
	}
	h.removeIdentity("carol", "alice").wantOK()
	if later := subject("pub-a", "carol"); later == alice || subject("pub-a", "alice") != alice {
		t.Error("who left the account still has its subject, or took it along")
	}
}

func TestM05_S04_TheMetadataSayWhatApplicationsMustDo(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		m := h.send(http.MethodGet, path, "", "Origin", "https://x.example").wantOK().members()
		for name, want := range map[string]any{
			"code_challenge_methods_supported": []any{"S256"}, "authorization_response_iss_parameter_supported": true, "response_types_supported": []any{"code"},
			"request_parameter_supported": false, "request_uri_parameter_supported": false,
		} {
			if got, _ := json.Marshal(m[name]); string(got) != inJSONOf(t, want) {
				t.Errorf("%s: %s is %s", path, name, got)
			}
		}
		if methods, _ := m["token_endpoint_auth_methods_supported"].([]any); !slices.Contains(methods, any("none")) {
			t.Errorf("%s: %v", path, methods)
		}
	}
}

func inJSONOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
