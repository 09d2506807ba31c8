package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
)

const serviceSecret = "a secret that was made for services"

// made is a client that has something to prove itself with, and may do what services do.
func made(id string, change func(*authz.Client)) *authz.Client {
	c := &authz.Client{
		ID: id, Name: id, Secret: authz.Secret(serviceSecret).Hash(), Scope: "openid profile offline_access jobs:run jobs:read",
		GrantTypes: []string{deviceGrant, "refresh_token", "client_credentials"},
	}
	if change != nil {
		change(c)
	}
	return c
}

// as sends a form as a client that made has the secret of.
func (h *house) as(id, target string, form url.Values) reply {
	h.t.Helper()
	return h.postForm(target, form, "Authorization", basic(id, serviceSecret))
}

func (h *house) introspect(id, token string) reply {
	h.t.Helper()
	return h.as(id, introspectPath, url.Values{"token": {token}})
}

func (r reply) wantInactive() {
	r.t.Helper()
	if r.wantOK(); strings.TrimSpace(r.body) != `{"active":false}` {
		r.t.Errorf("%s", r.body)
	}
}

func (r reply) wantActive() reply {
	r.t.Helper()
	if r.wantOK(); r.members()["active"] != true {
		r.t.Errorf("%s", r.body)
	}
	return r
}

func credentials(more url.Values) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, values := range more {
		form[name] = values
	}
	return form
}

func TestZ24_AClientGetsATokenOfItsOwn(t *testing.T) {
	h := newHouse(t)
	apis(h)
	h.register("database", "job", made("job", nil))
	for name, c := range map[string]struct {
		form  url.Values
		scope string
		aud   []string
	}{
		"all that it may":    {nil, "jobs:run jobs:read", []string{testIssuer}},
		"less":               {url.Values{"scope": {"jobs:read"}}, "jobs:read", []string{testIssuer}},
		"for somebody's API": {url.Values{"resource": {"https://two.example", "https://one.example/"}}, "jobs:run jobs:read", []string{"https://two.example", "https://one.example"}},
	} {
		tokens := h.as("job", tokenPath, credentials(c.form)).wantOK()
		header, payload := claimsOf(t, tokens.text("access_token"))
		if tokens.text("scope") != c.scope || tokens.text("refresh_token") != "" || tokens.text("id_token") != "" || !slices.Equal(audienceOf(t, tokens.text("access_token")), c.aud) {
			t.Errorf("%s: %s %v", name, tokens.body, payload)
		}
		if header["typ"] != "at+jwt" || payload["sub"] != "job" || payload["client_id"] != "job" || payload["jti"] == "" {
			t.Errorf("%s: %v %v", name, header, payload)
		}
		for _, person := range []string{"gid", "acr", "amr", "auth_time", "bap_id", "pubkey"} { // it is told from a person's
			if _, there := payload[person]; there {
				t.Errorf("%s: a token of no person has %s", name, person)
			}
		}
		// It speaks for nobody, and is its client's only at our doors.
		h.userInfo(tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
		h.send(http.MethodGet, "/api/grants", "", "Authorization", "Bearer "+tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
		h.introspect("job", tokens.text("access_token")).wantActive()
		h.as("job", revokePath, url.Values{"token": {tokens.text("access_token")}}).wantError(http.StatusBadRequest, "unsupported_token_type")
	}
	for name, c := range map[string]struct {
		form   url.Values
		status int
		error  string
	}{
		"more":             {url.Values{"scope": {"jobs:read admin:all"}}, http.StatusBadRequest, "invalid_scope"},
		"a person's":       {url.Values{"scope": {"openid"}}, http.StatusBadRequest, "invalid_scope"},
		"a long scope":     {url.Values{"scope": {strings.Repeat("x", 1025)}}, http.StatusBadRequest, "invalid_scope"},
		"nobody's API":     {url.Values{"resource": {"https://three.example"}}, http.StatusBadRequest, "invalid_target"},
		"without a secret": {url.Values{"client_id": {"job"}}, http.StatusUnauthorized, "invalid_client"},
	} {
		header := []string{"Authorization", basic("job", serviceSecret)}
		if c.status == http.StatusUnauthorized {
			header = nil
		}
		if r := h.postForm(tokenPath, credentials(c.form), header...); r.status != c.status || r.text("error") != c.error {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// Who is not registered for it, or proves nothing, gets none.
	h.register("database", "other", made("other", func(c *authz.Client) { c.GrantTypes = nil }))
	h.as("other", tokenPath, credentials(nil)).wantError(http.StatusBadRequest, "unauthorized_client")
	h.register("database", "public", &authz.Client{ID: "public", GrantTypes: []string{"client_credentials"}})
	h.postForm(tokenPath, credentials(url.Values{"client_id": {"public"}})).wantError(http.StatusBadRequest, "unauthorized_client")
	h.postForm(tokenPath, credentials(url.Values{"client_id": {"anybody"}})).wantError(http.StatusBadRequest, "unauthorized_client")
	// And with keys instead of a secret.
	s := h.signer("signer", "ES256")
	form := asserted(s.assertion("ES256", nil, nil))
	form.Set("grant_type", "client_credentials")
	if r := h.postForm(tokenPath, form).wantOK(); r.text("scope") != "" {
		t.Errorf("a client without scopes of its own: %s", r.body)
	}
}

func TestZ24_NoClientIsRegisteredUnderAnAccountsNumber(t *testing.T) {
	h := newHouse(t)
	_, claims := claimsOf(t, h.tokens("pub-a", "openid", "alice").text("access_token"))
	account, _ := claims["sub"].(string)
	if member, err := (client.Registration{ID: account}).Check(); err == nil || member != "client_id" {
		t.Errorf("%q: %s %v", account, member, err)
	}
}

func TestZ24_AClientsTokenEndsWithItsRegistration(t *testing.T) {
	for name, to := range map[string]*authz.Client{
		"removed":                    nil,
		"no longer for that":         made("job", func(c *authz.Client) { c.GrantTypes = []string{deviceGrant} }),
		"with nothing to prove with": made("job", func(c *authz.Client) { c.Secret = authz.Hash{} }),
	} {
		h := newHouse(t)
		h.register("database", "job", made("job", nil))
		h.register("configuration", "rs-1", made("rs-1", func(c *authz.Client) { c.Resources = []string{"https://one.example"} }))
		token := h.as("job", tokenPath, credentials(url.Values{"resource": {"https://one.example"}})).wantOK().text("access_token")
		if r := h.introspect("rs-1", token).wantActive(); r.text("sub") != "job" || r.text("scope") != "jobs:run jobs:read" {
			t.Errorf("%s", r.body)
		}
		h.register("database", "job", made("job", func(c *authz.Client) { c.Scope = "jobs:read" }))
		if r := h.introspect("rs-1", token).wantActive(); r.text("scope") != "jobs:read" {
			t.Errorf("registered for less: %s", r.body)
		}
		h.register("database", "job", to)
		if r := h.introspect("rs-1", token); strings.Contains(r.body, "true") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

func TestR13_R15_WhoAsksAboutTokensAuthenticatesAndIsTold(t *testing.T) {
	h := newHouse(t)
	h.register("database", "app", made("app", nil))
	tokens := h.tokensOf("app")
	access := tokens.text("access_token")
	for name, r := range map[string]reply{
		"nobody":           h.postForm(introspectPath, url.Values{"token": {access}}),
		"a public client":  h.postForm(introspectPath, url.Values{"token": {access}, "client_id": {"pub-a"}}),
		"an open client":   h.postForm(introspectPath, url.Values{"token": {access}, "client_id": {"anybody"}}),
		"with no secret":   h.postForm(introspectPath, url.Values{"token": {access}, "client_id": {"app"}}),
		"the wrong secret": h.postForm(introspectPath, url.Values{"token": {access}}, "Authorization", basic("app", "wrong")),
	} {
		if r.status != http.StatusUnauthorized || r.text("error") != "invalid_client" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	h.send(http.MethodGet, introspectPath+"?token="+access, "").wantError(http.StatusMethodNotAllowed, "invalid_request")
	h.as("app", introspectPath, url.Values{}).wantError(http.StatusBadRequest, "invalid_request")
	h.as("app", introspectPath+"?token="+access, url.Values{}).wantError(http.StatusBadRequest, "invalid_request")

	r := h.introspect("app", access).wantActive()
	_, claims := claimsOf(t, access)
	for name, want := range claims {
		if got := r.members()[name]; name != "amr" && got != want {
			t.Errorf("%s is %v, in the token %v", name, got, want)
		}
	}
	if r.text("token_type") != "Bearer" || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v %s", r.header, r.body)
	}
	// Its refresh token, by JSON, with a hint that is wrong.
	refresh := h.send(http.MethodPost, introspectPath, `{"token":"`+tokens.text("refresh_token")+`","token_type_hint":"access_token"}`,
		"Content-Type", "application/json", "Authorization", basic("app", serviceSecret)).wantActive()
	if refresh.text("client_id") != "app" || refresh.text("sub") != claims["sub"] || refresh.text("scope") != "openid profile offline_access" || refresh.text("token_type") != "" ||
		refresh.members()["exp"] != float64(h.now().Add(30*24*time.Hour).Unix()) {
		t.Errorf("%s", refresh.body)
	}
}

// tokensOf are the tokens of a client that made has the secret of.
func (h *house) tokensOf(id string, resources ...string) reply {
	h.t.Helper()
	r := h.as(id, codePath, url.Values{"scope": {"openid profile offline_access"}, "resource": resources}).wantOK()
	h.approveSigned("alice", r.text("user_code"))
	return h.as(id, tokenPath, url.Values{"grant_type": {deviceGrant}, "device_code": {r.text("device_code")}}).wantOK()
}

func TestR14_OfWhatIsNoLivingTokenNothingIsSaid(t *testing.T) {
	h := newHouse(t)
	h.register("database", "app", made("app", nil))
	d := h.as("app", codePath, url.Values{"scope": {"openid"}}).wantOK()
	tokens := h.tokensOf("app")
	access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
	h.introspect("app", access).wantActive()
	for _, no := range []string{
		"x", d.text("device_code"), d.text("user_code"), tokens.text("id_token"), access + "x", access[:len(access)-1], refresh[:len(refresh)-1], strings.Repeat("x", 5000),
	} {
		h.introspect("app", no).wantInactive()
	}
	// One that was replaced gives its successor again for a while; then it is of no use.
	fresh := h.as("app", tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}).wantOK()
	h.advance(30 * time.Second)
	h.introspect("app", refresh).wantActive()
	h.advance(time.Second)
	h.introspect("app", refresh).wantInactive()
	h.introspect("app", fresh.text("refresh_token")).wantActive()
	h.advance(time.Hour - 31*time.Second)
	h.introspect("app", access).wantInactive() // over
	h.introspect("app", fresh.text("refresh_token")).wantActive()
	h.advance(30 * 24 * time.Hour)
	h.introspect("app", fresh.text("refresh_token")).wantInactive()
}

// A refresh token is of no use, and said to be of none, while its client may not renew.
func TestR14_ARefreshTokenOfAClientThatRenewsNoLongerIsInactive(t *testing.T) {
	h := newHouse(t)
	h.register("configuration", "app", made("app", nil))
	refresh := h.tokensOf("app").text("refresh_token")
	for _, without := range []func(*authz.Client){
		func(c *authz.Client) { c.GrantTypes = []string{deviceGrant, "client_credentials"} },
		func(c *authz.Client) { c.Scope = "openid profile" },
	} {
		h.register("configuration", "app", made("app", without))
		h.introspect("app", refresh).wantInactive()
		h.register("configuration", "app", made("app", nil))
		h.introspect("app", refresh).wantActive()
	}
}

func TestR16_AnAPISeesTokensThatAreForItAndNobodyElses(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"app", "other"} {
		h.register("database", id, made(id, nil))
	}
	for id, uri := range map[string]string{"rs-1": "https://one.example", "rs-2": "https://two.example"} {
		h.register("database", id, made(id, func(c *authz.Client) { c.Resources = []string{uri, "https://" + id + ".example"} }))
	}
	tokens := h.tokensOf("app", "https://one.example")
	access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
	if r := h.introspect("rs-1", access).wantActive(); r.text("client_id") != "app" || !strings.Contains(r.body, `"https://one.example"`) {
		t.Errorf("%s", r.body)
	}
	h.introspect("app", access).wantActive()
	h.introspect("app", refresh).wantActive()
	for _, stranger := range []string{"rs-2", "other"} {
		h.introspect(stranger, access).wantInactive()
		h.introspect(stranger, refresh).wantInactive()
	}
	h.introspect("rs-1", refresh).wantInactive() // which is the application's own
	// A token for no API is its client's only; one of the API's own is its.
	plain := h.tokensOf("app").text("access_token")
	h.introspect("rs-1", plain).wantInactive()
	h.introspect("app", plain).wantActive()
	own := h.as("rs-1", tokenPath, credentials(nil)).wantOK().text("access_token")
	h.introspect("rs-1", own).wantActive()
	h.introspect("app", own).wantInactive()
}

// Whatever ends what was allowed ends it at every door.
func TestR17_U14_WhatEndsATokenEndsItEverywhere(t *testing.T) {
	for name, end := range map[string]func(h *house, grant, cookie string, tokens reply){
		"its owner takes it back": func(h *house, grant, cookie string, _ reply) {
			h.postJSON("/api/grants/"+grant+"/revoke", map[string]any{}, "Cookie", cookie).wantOK()
		},
		"its owner takes all back": func(h *house, _, cookie string, _ reply) {
			h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
		},
		"its client gives it back": func(h *house, _, _ string, tokens reply) {
			h.as("app", revokePath, url.Values{"token": {tokens.text("access_token")}}).wantOK()
		},
		"its client gives the other": func(h *house, _, _ string, tokens reply) {
			h.as("app", revokePath, url.Values{"token": {tokens.text("refresh_token")}}).wantOK()
		},
		"its refresh token is reused": reuse,
		"its client is removed and another comes": func(h *house, _, _ string, _ reply) {
			h.register("database", "app", nil)
			h.register("database", "app", made("app", nil))
		},
		"its owner takes the identity out": func(h *house, _, cookie string, _ reply) {
			h.link(cookie, "bob", "alice").wantOK()
			h.removeIdentity("alice", "bob").wantOK()
		},
		"the grant is over": func(h *house, _, _ string, _ reply) { h.advance(180 * 24 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.register("database", "app", made("app", nil))
			h.register("database", "rs-1", made("rs-1", func(c *authz.Client) { c.Resources = []string{"https://one.example"} }))
			tokens := h.tokensOf("app", "https://one.example")
			access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
			cookie := h.signIn("alice")
			h.userInfo(access).wantOK()
			h.introspect("rs-1", access).wantActive()
			_, claims := claimsOf(t, access)
			end(h, claims["gid"].(string), cookie, tokens) //nolint:forcetypeassert // or the test fails
			h.userInfo(access).wantError(http.StatusUnauthorized, "invalid_token")
			for _, asker := range []string{"rs-1", "app"} {
				h.introspect(asker, access).wantInactive()
			}
			h.introspect("app", refresh).wantInactive()
			h.as("app", tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}).wantError(http.StatusBadRequest, "invalid_grant")
		})
	}
}

func reuse(h *house, _, _ string, tokens reply) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}}
	h.as("app", tokenPath, form).wantOK()
	h.advance(time.Minute)
	h.as("app", tokenPath, form).wantError(http.StatusBadRequest, "invalid_grant")
}

func TestR15_P08_ABoundTokenSaysToWhichKey(t *testing.T) {
	h := newHouse(t)
	h.register("database", "app", made("app", func(c *authz.Client) { c.DPoPBound = true }))
	k := h.holder()
	form := credentials(url.Values{"client_id": {"app"}, "client_secret": {serviceSecret}})
	h.postForm(tokenPath, form).wantError(http.StatusBadRequest, "invalid_dpop_proof") // P-12
	tokens := k.with(tokenPath, form).wantOK()
	r := h.introspect("app", tokens.text("access_token")).wantActive()
	cnf, _ := r.members()["cnf"].(map[string]any)
	if tokens.text("token_type") != "DPoP" || r.text("token_type") != "DPoP" || cnf["jkt"] != k.key.Thumbprint() {
		t.Errorf("%s %s", tokens.body, r.body)
	}
}
