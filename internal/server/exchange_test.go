package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/protect"
)

const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	apiOne, apiTwo  = "https://one.example", "https://two.example"
	apiThree        = "https://three.example"
)

// chain are an application and three APIs, of which each calls the next one for who called it.
func chain(h *house) {
	h.t.Helper()
	h.register("database", "app", made("app", nil))
	calls := func(id, serves string, next ...string) {
		h.register("database", id, made(id, func(c *authz.Client) {
			c.GrantTypes, c.Resources, c.ExchangeFor = append(c.GrantTypes, exchangeGrant), []string{serves}, next
			c.Scope += " grants"
			c.ExchangeActors = []string{"worker"}
		}))
	}
	calls("rs-1", apiOne, apiTwo, apiThree, testIssuer)
	calls("rs-2", apiTwo, apiThree)
	calls("rs-3", apiThree, apiThree)
	for _, id := range []string{"worker", "stranger"} {
		h.register("database", id, made(id, nil))
	}
}

// subject is an access token that alice let the application have, for all three APIs and this
// server.
func (h *house) subject() string {
	h.t.Helper()
	return h.allowsApp("openid profile offline_access jobs:run jobs:read", apiOne, apiTwo, apiThree).text("access_token")
}

func (h *house) allowsApp(scope string, resources ...string) reply {
	h.t.Helper()
	r := h.as("app", codePath, url.Values{"scope": {scope}, "resource": resources}).wantOK()
	h.approveSigned("alice", r.text("user_code"))
	return h.as("app", tokenPath, url.Values{"grant_type": {deviceGrant}, "device_code": {r.text("device_code")}}).wantOK()
}

// exchange is the form of an exchange, with more members.
func exchange(subject string, members ...string) url.Values {
	form := url.Values{"grant_type": {exchangeGrant}, "subject_token": {subject}, "subject_token_type": {accessTokenType}}
	for i := 0; i+1 < len(members); i += 2 {
		form.Add(members[i], members[i+1])
	}
	return form
}

func (h *house) exchanges(id, subject string, members ...string) reply {
	h.t.Helper()
	return h.as(id, tokenPath, exchange(subject, members...))
}

// itself is a client's own token for a resource.
func (h *house) itself(id string, resource ...string) string {
	h.t.Helper()
	return h.as(id, tokenPath, credentials(url.Values{"resource": resource})).wantOK().text("access_token")
}

// actors are who acts with a token, the latest first.
func actors(t *testing.T, token string) (ids []string) {
	t.Helper()
	_, payload := claimsOf(t, token)
	for act, ok := payload["act"].(map[string]any); ok; act, ok = act["act"].(map[string]any) {
		ids = append(ids, act["sub"].(string)) //nolint:forcetypeassert // or the test fails
		if by, named := act["client_id"].(string); named {
			ids[len(ids)-1] += " by " + by
		}
	}
	return ids
}

func TestX02_X04_AnAPIGetsATokenThatSaysWhoActsForItsOwner(t *testing.T) {
	h := newHouse(t)
	chain(h)
	subject := h.subject()
	_, had := claimsOf(t, subject)
	for name, r := range map[string]reply{
		"by form": h.exchanges("rs-1", subject, "resource", apiTwo),
		"by JSON": h.postJSON(tokenPath, map[string]any{
			"grant_type": exchangeGrant, "subject_token": subject, "subject_token_type": accessTokenType, "requested_token_type": accessTokenType, "audience": []string{apiTwo + "/"},
		}, "Authorization", basic("rs-1", serviceSecret)),
	} {
		m := r.wantOK().members()
		if m["issued_token_type"] != accessTokenType || m["token_type"] != "Bearer" || m["scope"] != "openid profile jobs:run jobs:read" ||
			m["expires_in"] != float64(3599) || // of a second that has begun
			len(m) != 5 { // no refresh token, and no ID token, which would pass for the owner's
			t.Errorf("%s: %s", name, r.body)
		}
		_, got := claimsOf(t, r.text("access_token"))
		if got["aud"] != apiTwo || got["client_id"] != "rs-1" || got["exp"] != had["exp"] || got["jti"] == had["jti"] {
			t.Errorf("%s: %v", name, got)
		}
		for _, same := range []string{"sub", "bap_id", "pubkey", "gid", "auth_time", "acr", "iss"} {
			if got[same] != had[same] || got[same] == nil {
				t.Errorf("%s: %s is %v, and was %v", name, same, got[same], had[same])
			}
		}
		if a := actors(t, r.text("access_token")); !slices.Equal(a, []string{"rs-1"}) {
			t.Errorf("%s: %q act", name, a)
		}
	}

	// Each who acts after another says for whom, and ends no later.
	h.advance(10 * time.Minute)
	token := h.exchanges("rs-1", subject).wantOK().text("access_token")
	want := []string{"rs-1"}
	for _, next := range []string{"rs-2", "rs-3", "rs-3"} {
		r := h.exchanges(next, token).wantOK()
		token, want = r.text("access_token"), append([]string{next}, want...)
		_, got := claimsOf(t, token)
		if a := actors(t, token); !slices.Equal(a, want) || got["exp"] != had["exp"] || got["sub"] != had["sub"] || r.members()["expires_in"] != float64(3000-1) {
			t.Errorf("%q act, want %q: %v %s", a, want, got, r.body)
		}
		if r := h.introspect(next, token).wantActive(); !strings.Contains(r.body, `"act":{"sub":"`+next+`"`) || r.text("client_id") != next {
			t.Errorf("%s", r.body)
		}
	}
	h.exchanges("rs-3", token).wantError(http.StatusBadRequest, "invalid_request") // a fifth
}

func TestX01_X03_WhatIsNoTokenToBeExchangedIsRefused(t *testing.T) {
	h := newHouse(t)
	chain(h)
	tokens := h.allowsApp("openid profile offline_access jobs:run", apiOne, apiTwo)
	subject, own := tokens.text("access_token"), h.itself("worker", apiOne)
	code := h.as("app", codePath, url.Values{"scope": {"openid"}}).wantOK()
	revoked := h.allowsApp("profile offline_access jobs:run", apiOne, apiTwo)
	h.as("app", revokePath, url.Values{"token": {revoked.text("refresh_token")}}).wantOK()
	for name, form := range map[string]url.Values{
		"without a token":             exchange(""),
		"without its type":            {"grant_type": {exchangeGrant}, "subject_token": {subject}},
		"its type alone":              {"grant_type": {exchangeGrant}, "subject_token_type": {accessTokenType}},
		"of another type":             {"grant_type": {exchangeGrant}, "subject_token": {subject}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}},
		"an actor without its type":   exchange(subject, "actor_token", own),
		"an actor's type alone":       exchange(subject, "actor_token_type", accessTokenType),
		"an actor of another type":    exchange(subject, "actor_token", own, "actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
		"for a refresh token":         exchange(subject, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
		"for an ID token":             exchange(subject, "requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
		"nonsense":                    exchange("x"),
		"cut off":                     exchange(subject[:len(subject)-1]),
		"a refresh token":             exchange(tokens.text("refresh_token")),
		"an ID token":                 exchange(tokens.text("id_token")),
		"a device code":               exchange(code.text("device_code")),
		"a client's own":              exchange(own),
		"taken back":                  exchange(revoked.text("access_token")),
		"for another API":             exchange(h.allowsApp("profile jobs:run", apiTwo).text("access_token")),
		"for this server alone":       exchange(h.allowsApp("openid profile").text("access_token")),
		"the actor is nonsense":       exchange(subject, "actor_token", "x", "actor_token_type", accessTokenType),
		"the actor is a person":       exchange(subject, "actor_token", subject, "actor_token_type", accessTokenType),
		"the actor came to nobody":    exchange(subject, "actor_token", h.itself("worker"), "actor_token_type", accessTokenType),
		"the actor came to another":   exchange(subject, "actor_token", h.itself("worker", apiTwo), "actor_token_type", accessTokenType),
		"the subject is there twice":  {"grant_type": {exchangeGrant}, "subject_token": {subject, subject}, "subject_token_type": {accessTokenType}},
		"the scope is there twice":    exchange(subject, "scope", "profile", "scope", "profile"),
		"X-05: the actor may not act": exchange(subject, "actor_token", h.itself("stranger", apiOne), "actor_token_type", accessTokenType),
	} {
		r := h.as("rs-1", tokenPath, form)
		if r.status != http.StatusBadRequest || r.text("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := h.as("rs-1", tokenPath, url.Values{"grant_type": {exchangeGrant}}); r.text("error") != "invalid_request" || !strings.Contains(r.text("error_description"), "subject_token is missing") {
		t.Errorf("%s", r.body)
	}
	h.exchanges("rs-1", subject).wantOK()
	h.exchanges("rs-2", subject).wantError(http.StatusBadRequest, "invalid_target") // it is for it, but for none that it may call
	h.advance(time.Hour)
	h.exchanges("rs-1", subject).wantError(http.StatusBadRequest, "invalid_request") // over
}

func TestX05_OnlyWhoIsNamedActs(t *testing.T) {
	h := newHouse(t)
	chain(h)
	subject := h.subject()
	by := func(actor string) []string {
		return []string{"resource", apiTwo, "actor_token", actor, "actor_token_type", accessTokenType}
	}
	token := h.exchanges("rs-1", subject, by(h.itself("worker", apiOne))...).wantOK().text("access_token")
	if a := actors(t, token); !slices.Equal(a, []string{"worker by rs-1"}) {
		t.Errorf("%q act", a)
	}
	h.introspect("rs-2", token).wantActive()
	// Who is the actor anyway may say so.
	if a := actors(t, h.exchanges("rs-1", subject, by(h.itself("rs-1"))...).wantOK().text("access_token")); !slices.Equal(a, []string{"rs-1"}) {
		t.Errorf("%q act", a)
	}
	worker := h.itself("worker", apiOne)
	rs1, err := h.store.Client(t.Context(), "rs-1")
	if err != nil {
		t.Fatal(err)
	}
	nobody := rs1
	nobody.ExchangeActors = nil
	h.register("database", "rs-1", &nobody)
	h.introspect("rs-2", token).wantInactive()
	h.register("database", "rs-1", &rs1)
	h.introspect("rs-2", token).wantActive()
	for name, c := range map[string]*authz.Client{
		"registered for nothing of its own": made("worker", func(c *authz.Client) { c.GrantTypes = []string{deviceGrant} }),
		"public":                            {ID: "worker", GrantTypes: []string{"client_credentials"}},
		"gone":                              nil,
	} {
		h.register("database", "worker", c)
		h.exchanges("rs-1", subject, by(worker)...).wantError(http.StatusBadRequest, "invalid_request")
		if active := h.introspect("rs-2", token).wantOK().members()["active"]; active != (c != nil) {
			t.Errorf("where its actor is %s: %v", name, active)
		}
	}
}

func TestX06_X11_S08_WhatIsExchangedIsGoodForNoMoreThanItWas(t *testing.T) {
	h := newHouse(t)
	chain(h)
	h.register("database", "app", made("app", func(c *authz.Client) { c.Scope += " grants admin:all" }))
	const scope = "openid profile jobs:run grants admin:all offline_access"
	token := func(r reply) string { return r.wantOK().text("access_token") }
	toBoth := token(h.allowsApp(scope, apiOne, apiTwo))
	toOne := token(h.allowsApp(scope, apiOne))
	for name, c := range map[string]struct {
		subject string
		members []string
		code    string // empty: it is given
		scope   string
		aud     []string
	}{
		"all that it may":              {toBoth, nil, "", "openid profile jobs:run", []string{apiTwo, testIssuer}},
		"less":                         {toBoth, []string{"scope", "jobs:run profile", "resource", apiTwo}, "", "profile jobs:run", []string{apiTwo}},
		"this server":                  {toOne, nil, "", "openid profile jobs:run", []string{testIssuer}},
		"userinfo":                     {toOne, []string{"resource", testIssuer + userinfoPath}, "", "openid profile jobs:run", []string{testIssuer}},
		"what was not approved":        {toOne, []string{"resource", apiTwo}, "invalid_target", "", nil},
		"that and more":                {toOne, []string{"resource", testIssuer, "audience", apiTwo}, "invalid_target", "", nil},
		"what it may not exchange for": {toBoth, []string{"resource", apiOne}, "invalid_target", "", nil},
		"nobody's":                     {toBoth, []string{"audience", "https://nobody.example"}, "invalid_target", "", nil},
		"a name":                       {toBoth, []string{"audience", "rs-2"}, "invalid_target", "", nil},
		"a part of an address":         {toBoth, []string{"resource", apiTwo + "#x"}, "invalid_target", "", nil},
		"the owner's grants":           {toBoth, []string{"scope", "grants"}, "invalid_scope", "", nil},
		"to renew it":                  {toBoth, []string{"scope", "profile offline_access"}, "invalid_scope", "", nil},
		"what was not granted":         {toBoth, []string{"scope", "profile jobs:read"}, "invalid_scope", "", nil},
		"what it is not registered to": {toBoth, []string{"scope", "admin:all"}, "invalid_scope", "", nil},
		"of what has nothing for it":   {token(h.allowsApp("admin:all grants", apiOne, apiTwo)), nil, "invalid_scope", "", nil},
	} {
		r := h.exchanges("rs-1", c.subject, c.members...)
		if c.code != "" {
			if r.status != http.StatusBadRequest || r.text("error") != c.code {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
			continue
		}
		if aud := audienceOf(t, token(r)); !slices.Equal(aud, c.aud) || r.text("scope") != c.scope {
			t.Errorf("%s: for %q, %q", name, aud, r.text("scope"))
		}
		// What acts for the owner here takes none of them.
		if r := h.send(http.MethodGet, "/api/grants", "", "Authorization", "Bearer "+token(r)); r.status != http.StatusUnauthorized && r.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// The next one has no more than the one before, whatever the owner said.
	narrowed := token(h.exchanges("rs-1", toBoth, "scope", "profile", "resource", apiTwo))
	h.exchanges("rs-1", narrowed, "scope", "jobs:run").wantError(http.StatusBadRequest, "invalid_scope")
	h.exchanges("rs-1", narrowed, "resource", testIssuer).wantError(http.StatusBadRequest, "invalid_target")
	if again := h.exchanges("rs-1", narrowed).wantOK(); again.text("scope") != "profile" {
		t.Errorf("%s", again.body)
	}
}

func TestX07_OnlyClientsThatAreRegisteredForItExchangeTokens(t *testing.T) {
	h := newHouse(t)
	chain(h)
	subject := h.subject()
	h.register("database", "public", &authz.Client{ID: "public", Resources: []string{apiOne}, GrantTypes: []string{exchangeGrant}, ExchangeFor: []string{apiTwo}})
	for _, id := range []string{"public", "pub-b", "anybody"} {
		form := exchange(subject)
		form.Set("client_id", id)
		h.postForm(tokenPath, form).wantError(http.StatusBadRequest, "unauthorized_client")
	}
	h.exchanges("app", subject).wantError(http.StatusBadRequest, "unauthorized_client")
	named := exchange(subject)
	named.Set("client_id", "rs-1") // a name is no proof
	h.postForm(tokenPath, named).wantError(http.StatusUnauthorized, "invalid_client")
	h.postForm(pollPath, named).wantError(http.StatusBadRequest, "unsupported_grant_type")
	// One that names resources needs no more to be registered for it.
	h.register("database", "rs-1", made("rs-1", func(c *authz.Client) {
		c.GrantTypes, c.Resources, c.ExchangeFor = nil, []string{apiOne}, []string{apiTwo}
	}))
	if aud := audienceOf(t, h.exchanges("rs-1", subject).wantOK().text("access_token")); !slices.Equal(aud, []string{apiTwo}) {
		t.Errorf("for %q", aud)
	}
	if m := h.send(http.MethodGet, "/.well-known/oauth-authorization-server", "").wantOK(); !strings.Contains(m.body, `"`+exchangeGrant+`"`) {
		t.Error("the metadata do not say so")
	}
}

// Whatever ends what was allowed, or the part that somebody had in it, ends what was exchanged.
func TestX08_R17_WhatEndsTheFirstTokenEndsWhatItWasExchangedFor(t *testing.T) {
	without := func(id string, change func(*authz.Client)) func(*house, string, reply) {
		return func(h *house, _ string, _ reply) {
			c, err := h.store.Client(h.t.Context(), id)
			if err != nil {
				h.t.Fatal(err)
			}
			change(&c)
			h.register("database", id, &c)
		}
	}
	ends := map[string]func(h *house, grant string, tokens reply){
		"its owner takes it back": func(h *house, grant string, _ reply) {
			h.postJSON("/api/grants/"+grant+"/revoke", map[string]any{}, "Cookie", h.signIn("alice")).wantOK()
		},
		"its client gives it back": func(h *house, _ string, tokens reply) {
			h.as("app", revokePath, url.Values{"token": {tokens.text("refresh_token")}}).wantOK()
		},
		"a refresh token is reused":           func(h *house, _ string, tokens reply) { reuse(h, "", "", tokens) },
		"its client is gone":                  func(h *house, _ string, _ reply) { h.register("database", "app", nil) },
		"the first API is gone":               func(h *house, _ string, _ reply) { h.register("database", "rs-1", nil) },
		"the second API is gone":              func(h *house, _ string, _ reply) { h.register("database", "rs-2", nil) },
		"the first API may not exchange":      without("rs-1", func(c *authz.Client) { c.GrantTypes, c.ExchangeFor = []string{deviceGrant}, nil }),
		"nor for that":                        without("rs-1", func(c *authz.Client) { c.ExchangeFor = []string{apiTwo} }),
		"it may not exchange":                 without("rs-2", func(c *authz.Client) { c.GrantTypes = []string{deviceGrant} }),
		"it may not exchange for that":        without("rs-2", func(c *authz.Client) { c.ExchangeFor = []string{apiTwo} }),
		"it has nothing to prove itself with": without("rs-2", func(c *authz.Client) { c.Secret = authz.Hash{} }),
		"the hour is over":                    func(h *house, _ string, _ reply) { h.advance(time.Hour) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			chain(h)
			h.register("database", "rs-2", made("rs-2", func(c *authz.Client) {
				c.GrantTypes, c.Resources, c.ExchangeFor = []string{exchangeGrant}, []string{apiTwo}, []string{apiThree, testIssuer}
			}))
			tokens := h.allowsApp("openid profile offline_access jobs:run", apiOne, apiTwo, apiThree)
			h.advance(6 * time.Minute)
			first := h.exchanges("rs-1", tokens.text("access_token")).wantOK().text("access_token")
			_, claims := claimsOf(t, first)
			grant := claims["gid"].(string) //nolint:forcetypeassert // or the test fails
			if g, err := h.store.Grant(t.Context(), grant); err != nil || !g.LastUsedAt.Equal(h.now()) {
				t.Errorf("its owner is not told that it was used: %+v %v", g, err)
			}
			second := h.exchanges("rs-2", first).wantOK().text("access_token")
			h.userInfo(second).wantOK()
			h.introspect("rs-3", second).wantActive()
			end(h, grant, tokens)
			h.userInfo(second).wantError(http.StatusUnauthorized, "invalid_token")
			h.introspect("rs-3", second).wantInactive()
			h.exchanges("rs-3", second).wantError(http.StatusBadRequest, "invalid_request")
		})
	}
}

func TestX08_WhatAClientMayHaveLessOfIsLessForThoseWhomItCalls(t *testing.T) {
	h := newHouse(t)
	chain(h)
	token := h.exchanges("rs-1", h.subject()).wantOK().text("access_token")
	for id, left := range map[string]string{"app": "openid profile jobs:run", "rs-1": "openid profile"} {
		c, err := h.store.Client(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		c.Scope = left + " offline_access"
		// Under the same id, and without what the removal of the old one ends.
		h.settings.Clients = append(h.settings.Clients, c)
	}
	h.restart()
	if r := h.introspect("rs-2", token).wantActive(); r.text("scope") != "openid profile" {
		t.Errorf("%s", r.body)
	}
	if r := h.exchanges("rs-2", token).wantOK(); r.text("scope") != "openid profile" {
		t.Errorf("%s", r.body)
	}
}

func TestX04_R09_AnExchangedTokenIsNotRevokedByItself(t *testing.T) {
	h := newHouse(t)
	chain(h)
	subject := h.subject()
	token := h.exchanges("rs-1", subject, "resource", testIssuer).wantOK().text("access_token")
	for _, id := range []string{"rs-1", "app", "stranger"} {
		h.as(id, revokePath, url.Values{"token": {token}}).wantError(http.StatusBadRequest, "unsupported_token_type")
	}
	h.userInfo(token).wantOK()
	h.userInfo(subject).wantOK()
}

// The API of a token that is bound to a device's key has not that key: what it gets for the token
// is bound to its own, and nobody makes a bearer token of it.
func TestP12_X06_NoBearerTokenComesOfABoundOne(t *testing.T) {
	h := newHouse(t)
	chain(h)
	k, api := h.holder(), h.holder()
	secret := func(form url.Values, id string) url.Values {
		form = maps.Clone(form)
		form.Set("client_id", id)
		form.Set("client_secret", serviceSecret)
		return form
	}
	d := k.with(codePath, secret(url.Values{"scope": {"openid profile"}, "resource": {apiOne, apiTwo}}, "app")).wantOK()
	h.approveSigned("alice", d.text("user_code"))
	bound := k.with(tokenPath, secret(url.Values{"grant_type": {deviceGrant}, "device_code": {d.text("device_code")}}, "app")).wantOK().text("access_token")
	h.exchanges("rs-1", bound).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	r := api.with(tokenPath, secret(exchange(bound, "resource", testIssuer), "rs-1")).wantOK()
	if r.text("token_type") != "DPoP" {
		t.Errorf("%s", r.body)
	}
	_, claims := claimsOf(t, r.text("access_token"))
	if cnf, _ := claims["cnf"].(map[string]any); cnf["jkt"] != api.key.Thumbprint() {
		t.Errorf("%v", claims)
	}
	use := func(k *keyHolder) reply {
		token := r.text("access_token")
		return h.send(http.MethodGet, userinfoPath, "", "Authorization", "DPoP "+token, "DPoP", k.proof(http.MethodGet, userinfoPath, token))
	}
	use(api).wantOK()
	use(k).wantError(http.StatusUnauthorized, "invalid_token")
	h.userInfo(r.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	// So it is with an actor's, and with a client that takes no others.
	plain := h.subject()
	worker := k.with(tokenPath, secret(credentials(url.Values{"resource": {apiOne}}), "worker")).wantOK().text("access_token")
	h.exchanges("rs-1", plain, "actor_token", worker, "actor_token_type", accessTokenType).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	h.register("database", "rs-1", made("rs-1", func(c *authz.Client) {
		c.GrantTypes, c.Resources, c.ExchangeFor, c.DPoPBound = []string{exchangeGrant}, []string{apiOne}, []string{apiTwo}, true
	}))
	h.exchanges("rs-1", plain).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	// A proof that came is used up.
	form, proof := exchange(plain), api.proof(http.MethodPost, tokenPath, "")
	h.postForm(tokenPath, form, "Authorization", basic("rs-1", serviceSecret), "DPoP", proof).wantOK()
	h.postForm(tokenPath, form, "Authorization", basic("rs-1", serviceSecret), "DPoP", proof).wantError(http.StatusBadRequest, "invalid_dpop_proof")
}

func TestX04_AnAPIBehindProtectKnowsWhoActs(t *testing.T) {
	h := newHouse(t)
	chain(h)
	n := h.serveNotes(protect.Introspect("notes", serviceSecret))
	h.register("database", "rs-1", made("rs-1", func(c *authz.Client) {
		c.GrantTypes, c.Resources, c.ExchangeFor = []string{exchangeGrant}, []string{apiOne}, []string{notesAPI}
	}))
	tokens := h.allowsApp("profile offline_access", apiOne, notesAPI)
	access := tokens.text("access_token")
	for token, actor := range map[string]string{access: "", h.exchanges("rs-1", access).wantOK().text("access_token"): "rs-1"} {
		r := n.bearing(token).wantOK()
		if r.text("Actor") != actor || r.text("Subject") == "" || r.text("ClientID") != map[string]string{"": "app", "rs-1": "rs-1"}[actor] {
			t.Errorf("%s", r.body)
		}
		defer func() { n.bearing(token).wantError(http.StatusUnauthorized, "invalid_token") }()
	}
	h.as("app", revokePath, url.Values{"token": {tokens.text("refresh_token")}}).wantOK()
	h.advance(6 * time.Second)
}

func TestB16_A4_AnExchangeLeavesOneLineAndIsBounded(t *testing.T) {
	h := newHouse(t)
	chain(h)
	subject := h.subject()
	token := h.exchanges("rs-1", subject, "resource", apiTwo).wantOK().text("access_token")
	_, claims := claimsOf(t, token)
	h.wantLine("INFO", "token exchanged", "grant", claims["gid"], "client_id", "rs-1", "actor", "rs-1", "of_client", "app", "account", claims["sub"], "bap_id", bapIDOf(t, "alice"),
		"scope", "openid profile jobs:run jobs:read", "dpop", false)
	if log := h.log.String(); strings.Contains(log, token) || strings.Contains(log, subject) {
		t.Error("the log has a token in it")
	}
	inFull(t)
	form := exchange(subject, "resource", apiTwo)
	for range 1200 - 1 {
		h.as("rs-1", tokenPath, form).wantOK()
	}
	h.as("rs-1", tokenPath, form).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	h.exchanges("rs-2", subject).wantOK() // whoever else acts for the same owner has their own
	h.exchanges("rs-1", h.subject()).wantOK()
	h.advance(time.Second)
	h.as("rs-1", tokenPath, form).wantOK()
}
