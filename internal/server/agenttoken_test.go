package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// agentGrant is the grant of what an agent asked, once its owner has signed the whole of it.
func (h *house) agentGrant(owner string, asked reply) (device, authz.Grant) {
	h.t.Helper()
	h.signIn(owner)
	code := asked.wantOK().text("user_code")
	approved := h.signs(owner, code, h.statementOf(owner, code)).wantOK()
	d := device{asked.text("device_code"), code, ""}
	r, err := h.store.DeviceRequest(h.t.Context(), authz.Secret(d.deviceCode).Hash())
	if err != nil {
		h.t.Fatal(err)
	}
	d.client = r.ClientID
	return d, h.grant(approved.text("grant_id"))
}

// pollsAs polls as an agent.
func (k *keyHolder) pollsAs(d device, more ...string) reply {
	k.t.Helper()
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {d.client}}
	if d.client == "app" {
		form.Set("client_secret", confSecret)
	}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return k.with(pollPath, form)
}

// renews uses a refresh token as an agent.
func (k *keyHolder) renews(client, token string, more ...string) reply {
	k.t.Helper()
	form := refreshForm(client, token)
	if client == "app" {
		form.Set("client_secret", confSecret)
	}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return k.with(tokenPath, form)
}

// about reports whether a time is left but for the part of a second that a statement, which has
// whole ones, left out.
func about(left any, want float64) bool {
	seconds, _ := left.(float64)
	return seconds == want || seconds == want-1
}

// accessClaims are the claims of an access token.
func accessClaims(t *testing.T, r reply) map[string]any {
	t.Helper()
	_, claims := claimsOf(t, r.wantOK().text("access_token"))
	return claims
}

func TestN12_P08_AnAgentsTokenSaysWhoActsForWhomWithWhichKey(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	s := h.keySigner("agent")
	d, g := h.agentGrant("alice", s.asksAs("app", map[string]any{
		"scope": "openid profile spend", "authorization_details": json.RawMessage(agentSpend), "resource": agentShop, "lifetime": 7200,
	}))
	r := s.pollsAs(d)
	claims := accessClaims(t, r)
	for name, want := range map[string]any{
		"sub": g.AccountID, "bap_id": bapIDOf(t, "alice"), "pubkey": bap.FormatPublicKey(person("alice").PubKey()), "client_id": "app", "scope": "openid profile spend", "gid": g.ID, "aud": agentShop,
		"act": map[string]any{"sub": bapIDOf(t, "agent"), "agent_name": "Shopper", "pubkey": s.key.PublicKey()}, "cnf": map[string]any{"jkt": s.key.Thumbprint()},
		"presence": "password", "delegation": g.Delegated.Delegation,
		"authorization_details": []any{map[string]any{"type": "spend", "currency": "USD", "per_day": "20.00", "payees": []any{agentShop}}},
	} {
		if !reflect.DeepEqual(claims[name], want) {
			t.Errorf("%s: %v, want %v", name, claims[name], want)
		}
	}
	m := r.members()
	if m["agent_id"] != bapIDOf(t, "agent") || m["expires_in"] != 900.0 || !about(m["authorization_expires_in"], 7200.0) || m["token_type"] != "DPoP" || m["id_token"] != nil ||
		!reflect.DeepEqual(m["authorization_details"], claims["authorization_details"]) || r.text("refresh_token") == "" {
		t.Errorf("%s", r.body)
	}
	for name := range maps.Keys(claims) {
		if slices.Contains([]string{"nonce", "at_hash"}, name) {
			t.Errorf("it has %s, as an ID token", name)
		}
	}
	// The key's other proof gets a token that goes as Bearer; one that is over sooner is good for less long.
	d, _ = h.agentGrant("alice", s.asksSigned("pub-a", map[string]any{"lifetime": 60}))
	r = s.sends(pollPath, s.pollBody(d)).wantOK()
	if claims := accessClaims(t, r); r.text("token_type") != "Bearer" || !about(r.members()["expires_in"], 60.0) || claims["aud"] != testIssuer || claims["authorization_details"] != nil ||
		r.members()["authorization_details"] != nil {
		t.Errorf("%s %v", r.body, claims)
	}
	// Of a key of another kind there is only the thumbprint.
	k := h.holder()
	d, _ = h.agentGrant("alice", k.asksAs("pub-a", nil))
	claims = accessClaims(t, k.pollsAs(d))
	if want := map[string]any{"sub": k.key.Thumbprint(), "agent_name": "Shopper"}; !reflect.DeepEqual(claims["act"], want) || claims["authorization_details"] != nil {
		t.Errorf("%v", claims)
	}
	// A bound device has no agent, and an ID token as ever.
	bound := k.asks("pub-a")
	h.approve(h.signIn("alice"), bound.userCode)
	if r := k.polls(bound).wantOK(); r.members()["agent_id"] != nil || r.text("id_token") == "" || accessClaims(t, r)["act"] != nil {
		t.Errorf("%s", r.body)
	}
}

func TestX11_X12_AnAgentsTokenIsForTheResourcesThatItsRequestNames(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k := h.holder()
	both := map[string]any{"resource": []string{agentShop, agentShop + "/stock"}}
	d, _ := h.agentGrant("alice", k.asksAs("app", both))
	for _, wrong := range []string{"https://other.example", testIssuer, "x"} {
		k.pollsAs(d, "resource", wrong).wantError(400, "invalid_target")
		h.advance(5 * time.Second)
	}
	r := k.pollsAs(d, "resource", agentShop+"/stock")
	if aud := accessClaims(t, r)["aud"]; aud != agentShop+"/stock" {
		t.Errorf("%v", aud)
	}
	k.renews("app", r.text("refresh_token"), "resource", testIssuer).wantError(400, "invalid_target")
	r = k.renews("app", r.text("refresh_token"))
	if aud := accessClaims(t, r)["aud"]; !reflect.DeepEqual(aud, []any{agentShop, agentShop + "/stock"}) {
		t.Errorf("%v", aud)
	}
	// It is good here all the same, by a proof that is for this server.
	k.uses(http.MethodGet, userinfoPath, r.text("access_token")).wantOK()
	h.userInfo(r.text("access_token")).wantError(401, "invalid_token")

	s := h.keySigner("agent")
	d, _ = h.agentGrant("alice", s.asksSigned("pub-a", map[string]any{"resource": agentShop}))
	access := s.sends(pollPath, s.pollBody(d)).wantOK().text("access_token")
	s.reads(userinfoPath, access).wantError(401, "invalid_token") // the shop could send this on
	body := forUs(t, nil)
	s.byToken(access, http.MethodPost, userinfoPath, body, append([]string{bitcoinauth.Header, s.sign("agent", userinfoPath, body)}, jsonBody...)...).wantOK()
	s.uses(http.MethodGet, userinfoPath, access).wantOK()
	d, _ = h.agentGrant("alice", s.asksSigned("pub-a", nil))
	s.reads(userinfoPath, s.sends(pollPath, s.pollBody(d)).wantOK().text("access_token")).wantOK()
}

func TestR18_R07_AnAgentRenewsItsTokensWithItsKeyAsLongAsItsGrantLives(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k, thief := h.holder(), h.holder()
	for _, client := range []string{"app", "pub-a", "nobody"} { // none asks for offline_access
		d, _ := h.agentGrant("alice", k.asksAs(client, map[string]any{"lifetime": 3600}))
		first := k.pollsAs(d).wantOK()
		if !about(first.members()["refresh_token_expires_in"], 3600.0) || !about(first.members()["authorization_expires_in"], 3600.0) {
			t.Errorf("%s", first.body)
		}
		stolen := func(token string) {
			thief.renews(client, token).wantError(400, "invalid_grant")
			form := refreshForm(client, token)
			if client == "app" {
				form.Set("client_secret", confSecret)
			}
			h.postForm(tokenPath, form).wantError(400, "invalid_grant")
		}
		stolen(first.text("refresh_token"))
		h.advance(30 * time.Minute)
		second := k.renews(client, first.text("refresh_token")).wantOK()
		if second.text("agent_id") != k.key.Thumbprint() || !about(second.members()["authorization_expires_in"], 1800.0) || second.text("id_token") != "" || accessClaims(t, second)["act"] == nil {
			t.Errorf("%s", second.body)
		}
		h.advance(10 * time.Minute)
		third := k.renews(client, second.text("refresh_token")).wantOK()
		h.advance(10 * time.Minute)
		stolen(first.text("refresh_token")) // whose row is gone: no reuse is counted of who has not the key
		stolen(second.text("refresh_token"))
		h.advance(time.Minute)
		fourth := k.renews(client, third.text("refresh_token")).wantOK()
		if !about(fourth.members()["expires_in"], 540.0) {
			t.Errorf("%s", fourth.body)
		}
		h.advance(9 * time.Minute)
		k.renews(client, fourth.text("refresh_token")).wantError(400, "invalid_grant")
		k.uses(http.MethodGet, userinfoPath, fourth.text("access_token")).wantError(401, "invalid_token")
	}
	d, _ := h.agentGrant("alice", k.asksAs("plain", nil))
	if r := k.pollsAs(d).wantOK(); r.text("refresh_token") != "" || !about(r.members()["authorization_expires_in"], 86400.0) {
		t.Errorf("a client that is registered without refresh_token: %s", r.body)
	}
	// A reuse by the key itself ends the grant, as any.
	d, _ = h.agentGrant("alice", k.asksAs("pub-a", nil))
	first := k.pollsAs(d).text("refresh_token")
	second := k.renews("pub-a", first).wantOK()
	h.advance(time.Minute)
	k.renews("pub-a", first).wantError(400, "invalid_grant")
	k.renews("pub-a", second.text("refresh_token")).wantError(400, "invalid_grant")
}

func TestR06_ScopeAndDetailsOfAnAgentShrinkAndNeverGrow(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k := h.holder()
	d, _ := h.agentGrant("alice", k.asksAs("app", map[string]any{"scope": "openid spend orders", "authorization_details": json.RawMessage(agentSpend)}))
	token := k.pollsAs(d).text("refresh_token")
	for _, wider := range []string{
		`[{"type":"spend","currency":"USD","per_day":"20.01","payees":["https://shop.example"]}]`,
		`[{"type":"spend","currency":"USD","per_day":"20"}]`,
		`[{"type":"spend","currency":"EUR","per_day":"1","payees":["https://shop.example"]}]`,
		`[{"type":"spend","currency":"USD","per_day":"20","payees":["https://shop.example"],"redelegate":true}]`,
		`[{"type":"call","resource":"https://shop.example","actions":["a"]}]`,
		`[{"type":"spend"}]`, `{}`, `x`,
	} {
		k.renews("app", token, "authorization_details", wider).wantError(400, "invalid_authorization_details")
	}
	k.renews("app", token, "scope", "openid keys:export").wantError(400, "invalid_scope")
	r := k.renews("app", token, "scope", "orders", "authorization_details", `[{"type":"spend","currency":"USD","per_day":"3.5","once":true,"payees":["https://shop.example"]}]`)
	claims := accessClaims(t, r)
	want := []any{map[string]any{"type": "spend", "currency": "USD", "per_day": "3.50", "once": true, "payees": []any{agentShop}}}
	if !reflect.DeepEqual(claims["authorization_details"], want) || !reflect.DeepEqual(r.members()["authorization_details"], want) || claims["scope"] != "orders" || r.text("scope") != "orders" {
		t.Errorf("%s %v", r.body, claims)
	}
	r = k.renews("app", r.text("refresh_token"), "authorization_details", "[]")
	if claims := accessClaims(t, r); claims["authorization_details"] != nil || claims["scope"] != "openid spend orders" {
		t.Errorf("%v", claims)
	}
	r = k.renews("app", r.text("refresh_token")) // the grant has it still
	if claims := accessClaims(t, r); !strings.Contains(string(mustJSON(t, claims["authorization_details"])), `"20.00"`) {
		t.Errorf("%v", claims)
	}
	// A device has no details.
	bound := h.tokens("pub-a", boundScope, "alice")
	form := refreshForm("pub-a", bound.text("refresh_token"))
	form.Set("authorization_details", agentSpend)
	h.postForm(tokenPath, form).wantError(400, "invalid_authorization_details")
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestR14_R15_IntrospectionTellsOfAnAgent(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k := h.holder()
	d, g := h.agentGrant("alice", k.asksAs("app", map[string]any{"authorization_details": json.RawMessage(agentSpend), "resource": agentShop}))
	r := k.pollsAs(d).wantOK()
	as := func(client, token string) reply {
		return h.postForm(introspectPath, url.Values{"client_id": {client}, "client_secret": {confSecret}, "token": {token}})
	}
	m := as("shop", r.text("access_token")).wantOK().members()
	for name, want := range map[string]any{
		"active": true, "act": map[string]any{"sub": k.key.Thumbprint(), "agent_name": "Shopper"}, "cnf": map[string]any{"jkt": k.key.Thumbprint()}, "gid": g.ID, "presence": "password", "aud": agentShop,
		"token_type": "DPoP", "delegation": g.Delegated.Delegation, "authorization_details": []any{map[string]any{"type": "spend", "currency": "USD", "per_day": "20.00", "payees": []any{agentShop}}},
	} {
		if !reflect.DeepEqual(m[name], want) {
			t.Errorf("%s: %v, want %v", name, m[name], want)
		}
	}
	if m := as("app", r.text("refresh_token")).wantOK().members(); m["active"] != true || !reflect.DeepEqual(m["cnf"], map[string]any{"jkt": k.key.Thumbprint()}) {
		t.Errorf("of the refresh token: %v", m)
	}
	as("conf-a", r.text("access_token")).wantInactive()
	h.postJSON("/api/grants/"+g.ID+"/revoke", map[string]any{}, "Cookie", h.signIn("alice")).wantOK()
	as("shop", r.text("access_token")).wantInactive()
	as("app", r.text("refresh_token")).wantInactive()
	k.renews("app", r.text("refresh_token")).wantError(400, "invalid_grant")
}

func TestAPausedAgentIsToldSoAndLosesNothing(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k, thief := h.holder(), h.holder()
	d, g := h.agentGrant("alice", k.asksAs("pub-a", nil))
	later, pending := h.agentGrant("alice", k.asksAs("pub-b", nil))
	r := k.pollsAs(d).wantOK()
	paused := func(g authz.Grant) contract.Pausing {
		return contract.Pausing{AccountID: g.AccountID, GrantID: g.ID, At: h.now(), Event: contract.NewEvent{
			Event: authz.Event{ID: "pause-" + g.ID + h.now().String(), AccountID: g.AccountID, At: h.now(), Kind: authz.EventApproved, GrantID: g.ID}, Keep: contract.KeepAtMost(1000),
		}}
	}
	for _, g := range []authz.Grant{g, pending} {
		if n, err := h.store.PauseAgents(t.Context(), paused(g)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	k.pollsAs(later).wantError(400, "agent_paused")
	form, proof := refreshForm("pub-a", r.text("refresh_token")), k.proof(http.MethodPost, tokenPath, "")
	h.postForm(tokenPath, form, dpop.Header, proof).wantError(400, "agent_paused")
	thief.renews("pub-a", r.text("refresh_token")).wantError(400, "invalid_grant")
	k.uses(http.MethodGet, userinfoPath, r.text("access_token")).wantError(401, "invalid_token")
	h.advance(5 * time.Second)
	for _, g := range []authz.Grant{g, pending} {
		if err := h.store.ResumeAgent(t.Context(), paused(g)); err != nil {
			t.Fatal(err)
		}
	}
	k.pollsAs(later).wantOK()
	k.uses(http.MethodGet, userinfoPath, r.text("access_token")).wantOK()
	h.postForm(tokenPath, form, dpop.Header, proof).wantOK() // the very request: its proof was not used up either
}

func TestM02_TheMetadataNameTheTypesOfDetails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.send(http.MethodGet, "/.well-known/oauth-authorization-server", "").wantOK().members()["authorization_details_types_supported"]
	if !reflect.DeepEqual(got, []any{"call", "skill", "spend"}) {
		t.Errorf("%v", got)
	}
}
