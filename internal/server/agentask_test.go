package server_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
)

const (
	agentShop  = "https://shop.example"
	agentSpend = `[{"type":"spend","currency":"USD","per_day":"20","payees":["https://shop.example"]}]`
)

// agentsAsk is a house with clients whose agents ask: "app" is registered for much, and "plain"
// without refresh_token.
func agentsAsk(t testing.TB, change ...func(*authz.Settings)) *house {
	t.Helper()
	return newHouse(t, append([]func(*authz.Settings){func(s *authz.Settings) {
		s.Clients = append(s.Clients,
			authz.Client{
				ID: "app", Name: "Assistant", GrantTypes: []string{deviceGrant, "refresh_token", "client_credentials"}, Scope: "openid profile offline_access spend keys:export orders",
				Secret: sha256.Sum256([]byte(confSecret)), AuthMethod: authz.AuthPost, Agents: true,
			},
			authz.Client{ID: "plain", Name: "Plain", GrantTypes: []string{deviceGrant}, Scope: "openid orders"},
			authz.Client{ID: "shop", Name: "Shop", Resources: []string{agentShop, agentShop + "/stock"}, Secret: sha256.Sum256([]byte(confSecret)), AuthMethod: authz.AuthPost},
		)
	}}, change...)...)
}

// agentMembers are what an agent of a client asks, with some members in place of others; nil
// takes one out.
func agentMembers(client string, edit map[string]any) map[string]any {
	m := map[string]any{"client_id": client, "agent_name": "Shopper", "scope": "openid", "aud": testIssuer}
	if client == "app" {
		m["client_secret"] = confSecret
	}
	for name, value := range edit {
		m[name] = value
		if value == nil {
			delete(m, name)
		}
	}
	return m
}

// asksAs asks as an agent, by a DPoP proof.
func (k *keyHolder) asksAs(client string, edit map[string]any) reply {
	k.t.Helper()
	return k.postJSON(codePath, agentMembers(client, edit), dpop.Header, k.proof(http.MethodPost, codePath, ""))
}

// asksSigned asks as an agent, by an X-Auth-Token.
func (s *keySigner) asksSigned(client string, edit map[string]any, header ...string) reply {
	s.t.Helper()
	b, err := json.Marshal(agentMembers(client, edit))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.sends(codePath, string(b), header...)
}

func TestP13_AnAgentAsksWithAKeyOfAnyKindAndIsNamedByIt(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	p256, secp := h.holder(), h.keySigner("agent")
	r := p256.asksAs("pub-a", nil).wantOK()
	if id := r.text("agent_id"); id != p256.key.Thumbprint() || r.members()["lifetime"] != 86400.0 || r.members()["depth"] != 0.0 {
		t.Errorf("%s", r.body)
	}
	for _, r := range []reply{secp.asksAs("pub-a", nil), secp.asksSigned("pub-a", nil)} {
		if id := r.wantOK().text("agent_id"); id != bapIDOf(t, "agent") {
			t.Errorf("%s", r.body)
		}
	}
	if r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}}).wantOK(); r.members()["agent_id"] != nil || r.members()["lifetime"] != nil {
		t.Errorf("a device is told of an agent: %s", r.body)
	}
}

func TestX12_P13_WhatAnAgentAsksIsKeptAsItWasCleanedAndCut(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k := h.holder()
	edit := map[string]any{
		"agent_name": "  Shop\u202eper \n", "agent_reason": strings.Repeat("r", 300), "scope": "orders spend openid", "resource": agentShop + "/",
		"authorization_details": json.RawMessage(agentSpend), "lifetime": 3600, "depth": 2,
	}
	form := url.Values{}
	for name, value := range agentMembers("app", edit) {
		switch value := value.(type) {
		case string:
			form.Set(name, value)
		case json.RawMessage:
			form.Set(name, string(value))
		default:
			b, _ := json.Marshal(value)
			form.Set(name, string(b))
		}
	}
	want := authz.Asked{
		Agent:  authz.AgentKey{ID: k.key.Thumbprint(), Name: "Shopper", Thumbprint: k.key.Thumbprint()},
		Reason: strings.Repeat("r", 200), Details: `[{"currency":"USD","payees":["https://shop.example"],"per_day":"20.00","type":"spend"}]`,
		Lifetime: time.Hour, Depth: 2,
	}
	for _, r := range []reply{k.asksAs("app", edit), k.with(codePath, form)} {
		if r.wantOK().members()["lifetime"] != 3600.0 || r.members()["depth"] != 2.0 {
			t.Errorf("%s", r.body)
		}
		kept, err := h.store.DeviceRequest(t.Context(), authz.Secret(r.text("device_code")).Hash())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(kept.Asked, want) || kept.Scope != "openid orders spend" || kept.Thumbprint != k.key.Thumbprint() || !reflect.DeepEqual(kept.Resources, []string{agentShop}) {
			t.Errorf("%+v", kept)
		}
	}
	for _, c := range []struct {
		client          string
		edit            map[string]any
		lifetime, depth float64
	}{
		{"app", map[string]any{"lifetime": 9007199254740991, "depth": 9007199254740991}, 30 * 86400, 3},
		{"app", map[string]any{"lifetime": "60", "depth": "1"}, 60, 1},
		{"app", map[string]any{"lifetime": nil, "authorization_details": "[]"}, 86400, 0},
		{"nobody", map[string]any{"lifetime": 86401, "depth": 3}, 86400, 3}, // that no one registered
		{"nobody", map[string]any{"lifetime": 86399}, 86399, 0},
	} {
		if r := k.asksAs(c.client, c.edit).wantOK(); r.members()["lifetime"] != c.lifetime || r.members()["depth"] != c.depth {
			t.Errorf("%s %v: %s", c.client, c.edit, r.body)
		}
	}
}

func TestAnAgentThatAsksWronglyIsToldByNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t, func(s *authz.Settings) { s.Agents.AlwaysAsk = []string{"keys:export"} })
	k := h.holder()
	for _, c := range []struct {
		edit        map[string]any
		wants, says string
	}{
		{map[string]any{"agent_name": " \u200b\u202e "}, "invalid_request", "agent_name"},
		{map[string]any{"agent_name": 5}, "invalid_request", "agent_name must be a text"},
		{map[string]any{"agent_reason": []string{"x"}}, "invalid_request", "agent_reason must be a text"},
		{map[string]any{"lifetime": 0}, "invalid_request", "lifetime"},
		{map[string]any{"lifetime": -1}, "invalid_request", "lifetime"},
		{map[string]any{"lifetime": 1.5}, "invalid_request", "lifetime"},
		{map[string]any{"lifetime": true}, "invalid_request", "lifetime"},
		{map[string]any{"depth": "+1"}, "invalid_request", "depth"},
		{map[string]any{"resource": "shop"}, "invalid_target", "resource"},
		{map[string]any{"resource": agentShop + "#x"}, "invalid_target", "resource"},
		{map[string]any{"resource": "https://unserved.example"}, "invalid_target", "serves"},
		{map[string]any{"authorization_details": json.RawMessage(`{}`)}, "invalid_authorization_details", "array"},
		{map[string]any{"authorization_details": "x"}, "invalid_authorization_details", "array"},
		{map[string]any{"authorization_details": json.RawMessage(`[{"type":"trade"}]`)}, "invalid_authorization_details", "type"},
		{map[string]any{"authorization_details": json.RawMessage(`[{"type":"spend","currency":"USD","per_day":"1.001"}]`)}, "invalid_authorization_details", "per_day"},
		{map[string]any{"authorization_details": json.RawMessage(`[{"type":"spend","currency":"USD"}]`)}, "invalid_authorization_details", "limit"},
		{map[string]any{"scope": "openid admin"}, "invalid_scope", "may ask for"},
		{map[string]any{"scope": "openid keys:export"}, "invalid_scope", "one access token at a time"},
		{map[string]any{"dpop_jkt": h.holder().key.Thumbprint()}, "invalid_dpop_proof", "dpop_jkt"},
		{map[string]any{"dpop_jkt": "x"}, "invalid_request", "dpop_jkt"},
		{map[string]any{"agent_name": nil, "agent_reason": "why"}, "invalid_request", "agent_name"},
		{map[string]any{"agent_name": "", "authorization_details": json.RawMessage(agentSpend)}, "invalid_request", "agent_name"},
		{map[string]any{"agent_name": nil, "lifetime": 60}, "invalid_request", "agent_name"},
		{map[string]any{"agent_name": nil, "depth": 0}, "invalid_request", "agent_name"},
	} {
		r := k.asksAs("app", c.edit)
		r.wantError(http.StatusBadRequest, c.wants)
		if !strings.Contains(r.text("error_description"), c.says) {
			t.Errorf("%v: %s", c.edit, r.body)
		}
	}
	// Nothing asked is all that may be had without asking each time.
	if r := k.asksAs("app", map[string]any{"scope": nil}).wantOK(); !strings.Contains(h.scopeOf(r), "spend") || strings.Contains(h.scopeOf(r), "keys:export") {
		t.Errorf("%q", h.scopeOf(r))
	}
}

// scopeOf is what a device request asks, by its answer.
func (h *house) scopeOf(r reply) string {
	h.t.Helper()
	kept, err := h.store.DeviceRequest(h.t.Context(), authz.Secret(r.text("device_code")).Hash())
	if err != nil {
		h.t.Fatal(err)
	}
	return kept.Scope
}

func TestN07_P13_AnAgentProvesItsKeyInExactlyOneWay(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	s := h.keySigner("agent")
	h.postJSON(codePath, agentMembers("pub-a", nil)).wantError(400, "invalid_request")
	s.asksSigned("pub-a", nil, dpop.Header, s.proof(http.MethodPost, codePath, "")).wantError(400, "invalid_request")
	s.asksSigned("pub-a", map[string]any{"aud": nil}).wantError(400, "invalid_request")
	s.asksSigned("pub-a", map[string]any{"aud": anotherServer}).wantError(400, "invalid_request")
	forged := s.proof(http.MethodPost, codePath, "")
	last := map[bool]string{true: "B", false: "A"}[forged[len(forged)-9] == 'A'] // in the middle of the signature
	forged = forged[:len(forged)-9] + last + forged[len(forged)-8:]
	h.postJSON(codePath, agentMembers("pub-a", nil), dpop.Header, forged).wantError(400, "invalid_dpop_proof")
	used := s.proof(http.MethodPost, codePath, "")
	h.postJSON(codePath, agentMembers("pub-a", nil), dpop.Header, used).wantOK()
	h.postJSON(codePath, agentMembers("pub-a", nil), dpop.Header, used).wantError(400, "invalid_dpop_proof")
	h.postJSON(codePath, agentMembers("pub-a", nil), dpop.Header, s.proof(http.MethodPost, tokenPath, "")).wantError(400, "invalid_dpop_proof")
	body, _ := json.Marshal(agentMembers("pub-a", nil))
	signed := h.sign("agent", codePath, string(body))
	h.send(http.MethodPost, codePath, string(body), append([]string{bitcoinauth.Header, signed}, jsonBody...)...).wantOK()
	h.send(http.MethodPost, codePath, string(body), append([]string{bitcoinauth.Header, signed}, jsonBody...)...).wantError(401, "invalid_client")
	h.send(http.MethodPost, codePath, string(body), append([]string{bitcoinauth.Header, h.sign("agent", pollPath, string(body))}, jsonBody...)...).wantError(401, "invalid_client")

	// Of a client with a member key an X-Auth-Token is the client's, and its agent proves by DPoP.
	client := h.keySigner("client")
	client.asksSigned("member-a", nil).wantError(400, "invalid_request")
	if r := client.asksSigned("member-a", nil, dpop.Header, s.proof(http.MethodPost, codePath, "")).wantOK(); r.text("agent_id") != bapIDOf(t, "agent") {
		t.Errorf("%s", r.body)
	}
	// Without agent_name it proves nothing, and binds nothing.
	if r := s.asksSigned("pub-a", map[string]any{"agent_name": nil}); r.status == http.StatusOK && r.members()["agent_id"] != nil {
		t.Errorf("%s", r.body)
	}
}

func TestN12_AMemberKeyThatSignsInHereIsNoAgents(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	s := h.keySigner("alice")
	s.asksSigned("pub-a", nil).wantOK() // nobody's yet
	h.signIn("alice")
	s.asksSigned("pub-a", nil).wantError(400, "invalid_request")
	s.asksAs("pub-a", nil).wantError(400, "invalid_request")
}

func TestTheOperatorSaysWhoseAgentsMayAsk(t *testing.T) {
	t.Parallel()
	for clients, may := range map[authz.AgentClients][]string{
		"":                       {"app", "pub-a", "nobody"},
		authz.AgentsOfAny:        {"app", "pub-a", "nobody"},
		authz.AgentsOfRegistered: {"app", "pub-a"},
		authz.AgentsOfListed:     {"app"},
	} {
		h := agentsAsk(t, func(s *authz.Settings) { s.Agents.Clients = clients })
		k := h.holder()
		for i, client := range []string{"app", "pub-a", "nobody"} {
			if r := k.asksAs(client, nil); i < len(may) {
				r.wantOK()
			} else {
				r.wantError(400, "unauthorized_client")
			}
			h.postForm(codePath, formOf(agentMembers(client, map[string]any{"agent_name": nil}))).wantOK() // which is no agent
		}
	}
}

// formOf is what members are in a form that are all texts.
func formOf(members map[string]any) url.Values {
	form := url.Values{}
	for name, value := range members {
		text, _ := value.(string)
		form.Set(name, text)
	}
	return form
}

func TestK15_SensitiveScopesGoToAgentsAlone(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t, func(s *authz.Settings) {
		s.Clients = append(s.Clients, authz.Client{
			ID: "web", GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://web.example/cb"}, Scope: "openid spend delegate keys:export export:all",
		})
	})
	k := h.holder()
	for _, scope := range []string{"spend", "delegate", "keys:export", "keys:", "export:all"} {
		for _, client := range []string{"app", "pub-a", "nobody"} {
			form := formOf(agentMembers(client, map[string]any{"scope": "openid " + scope, "agent_name": nil}))
			h.postForm(codePath, form).wantError(400, "invalid_scope")
			k.with(codePath, form).wantError(400, "invalid_scope") // a bound device is no agent
		}
		h.postForm(tokenPath, url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {confSecret}, "scope": {scope}}).wantError(400, "invalid_scope")
		r := h.authorize("", url.Values{
			"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {"https://web.example/cb"}, "scope": {"openid " + scope},
			"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		})
		if to, _ := url.Parse(r.header.Get("Location")); to.Query().Get("error") != "invalid_scope" {
			t.Errorf("%s by a code: %d %s", scope, r.status, r.header.Get("Location"))
		}
	}
	// Nothing asked is nothing of these.
	if r := h.postForm(codePath, url.Values{"client_id": {"app"}, "client_secret": {confSecret}}).wantOK(); h.scopeOf(r) != "openid profile offline_access orders" {
		t.Errorf("%q", h.scopeOf(r))
	}
	if r := h.postForm(tokenPath, url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {confSecret}}).wantOK(); r.text("scope") != "orders" {
		t.Errorf("%s", r.body)
	}
	k.asksAs("app", map[string]any{"scope": "openid spend keys:export"}).wantOK()
	k.asksAs("pub-a", map[string]any{"scope": "openid spend"}).wantError(400, "invalid_scope")
	if r := k.asksAs("nobody", map[string]any{"scope": "openid spend profile"}).wantOK(); h.scopeOf(r) != "openid profile" { // D9's cap
		t.Errorf("%q", h.scopeOf(r))
	}
}

func TestB07_AnAgentThatIsCalledLikeAnotherIsNamed(t *testing.T) {
	t.Parallel()
	h := agentsAsk(t)
	k := h.holder()
	h.signIn("alice")
	for _, c := range []struct {
		client, name, imitates string
		server                 bool
	}{
		{"pub-a", "Shopper", "", false},
		{"pub-a", "Assistant", "Assistant", false},
		{"pub-a", "ASS1STANT", "Assistant", false},
		{"pub-a", "Αѕsіѕtаnt", "Assistant", false}, // Greek and Cyrillic among the letters
		{"pub-a", "Ässistánt", "Assistant", false},
		{"app", "Assistant", "", false}, // its client's own
		{"pub-a", "Public A", "", false},
		{"nobody", "Public A", "Public A", false},
		{"pub-a", "Countersign", "", true},
		{"app", "Сountersign support", "", true},
		{"app", "Security", "", true},
		{"pub-a", "Supporter", "", false},
	} {
		d := k.asksAs(c.client, map[string]any{"agent_name": c.name}).wantOK()
		facts := h.facts("alice", d.text("user_code")).wantOK()
		if server, _ := facts.members()["imitates_server"].(bool); facts.text("imitates") != c.imitates || server != c.server {
			t.Errorf("%s of %s: %s", c.name, c.client, facts.body)
		}
	}
}
