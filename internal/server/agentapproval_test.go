package server_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/receipt"
)

const agentDetails = `[{"currency":"USD","payees":["https://shop.example"],"per_day":"20.00","per_transaction":"5.00","redelegate":true,"type":"spend"},` +
	`{"actions":["orders.create","orders.read"],"constraints":{"amount":{"max":1000}},"resource":"https://api.example","type":"call"}]`

// agentHouse is a house where agents may ask.
func agentHouse(t *testing.T, change ...func(*authz.Settings)) *house {
	t.Helper()
	return newHouse(t, append([]func(*authz.Settings){func(s *authz.Settings) {
		s.Agents = authz.AgentSettings{
			Clients: authz.AgentsOfAny, MaxLifetime: 30 * 24 * time.Hour, AccessTokenLifetime: 15 * time.Minute, MaxDepth: 3, MaxPerOwner: 100, Presence: authz.PresencePassword,
		}
		s.Clients = append(s.Clients, authz.Client{ID: "api", Name: "The API", Resources: []string{"https://api.example"}, Secret: sha256.Sum256([]byte(confSecret)), AuthMethod: authz.AuthBasic})
	}}, change...)...)
}

// agentKey is the key of an agent: that of a person of its name.
func agentKey(t testing.TB, name string) authz.AgentKey {
	t.Helper()
	d, err := receipt.NewDelegate("Shopper", person(name).PubKey())
	if err != nil {
		t.Fatal(err)
	}
	return authz.AgentKey{ID: d.ID, Name: d.Name, PublicKey: d.PublicKey, Thumbprint: d.JKT}
}

// agentAsks stores what an agent asks, and returns its user code. It comes from another network than its owner's.
func (h *house) agentAsks(name string, change ...func(*authz.DeviceRequest)) (r authz.DeviceRequest, userCode string) {
	h.t.Helper()
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := secrets.NewID()
	if err != nil {
		h.t.Fatal(err)
	}
	var letters [8]byte
	_, _ = rand.Read(letters[:])
	for i := range letters {
		letters[i] = "BCDFGHJKLMNPQRSTVWXZ"[int(letters[i])%20]
	}
	userCode = string(letters[:4]) + "-" + string(letters[4:])
	key := agentKey(h.t, name)
	r = authz.DeviceRequest{
		ID: id, DeviceCode: authz.Secret("device code of " + id).Hash(), UserCode: secrets.HashUserCode(userCode), ClientID: "pub-a", Scope: "openid profile", State: authz.Pending,
		CreatedAt: h.now(), ExpiresAt: h.now().Add(15 * time.Minute), Resources: []string{"https://api.example"}, Thumbprint: key.Thumbprint,
		Seen:  authz.Seen{Network: "203.0.113.0/24", UserAgent: "agent/1"},
		Asked: authz.Asked{Agent: key, Reason: "Buy paper", Details: agentDetails, Lifetime: time.Hour, Depth: 2},
	}
	for _, c := range change {
		c(&r)
	}
	if err := h.store.CreateDeviceRequest(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
	return r, userCode
}

// offered is the statement that a person is given for a code, read.
func (h *house) offered(name, userCode string) receipt.Delegation {
	h.t.Helper()
	d, err := receipt.ParseDelegation(h.statementOf(name, userCode))
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// signs approves with a statement that a person signs.
func (h *house) signs(name, userCode, statement string) reply {
	h.t.Helper()
	body, token := h.signedStatement(name, userCode, statement)
	return h.send(http.MethodPost, approvePath, body, append(slices.Clone(jsonBody), bitcoinauth.Header, token)...)
}

// confirms approves with a session and what a passkey answers over a statement.
func (h *house) confirms(cookie, userCode, statement string, a *authenticator, header ...string) reply {
	h.t.Helper()
	challenge := sha256.Sum256([]byte(statement))
	var o publicKeyOptions
	o.PublicKey.Challenge = b64(challenge[:])
	return h.postJSON(approvePath, map[string]any{
		"userCode": userCode, "statement": statement, "match": userCode[len(userCode)-4:], "assertion": a.get(o),
	}, append([]string{"Cookie", cookie}, header...)...)
}

// wantPresence is the refusal of an approval with which too little of a person came.
func (r reply) wantPresence(least authz.Presence) {
	r.t.Helper()
	r.wantError(http.StatusForbidden, "access_denied")
	if r.text("presence") != string(least) {
		r.t.Errorf("%s, want presence %s", r.body, least)
	}
}

func (h *house) wantPending(r authz.DeviceRequest) {
	h.t.Helper()
	now, err := h.store.DeviceRequestByID(h.t.Context(), r.ID)
	if err != nil || now.State != authz.Pending {
		h.t.Errorf("it is %s: %v", now.State, err)
	}
}

// grant is a grant as it is kept.
func (h *house) grant(id string) authz.Grant {
	h.t.Helper()
	g, err := h.store.Grant(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

func TestK16_WhatTheOwnerOfAnAgentNarrowedIsWhatIsSignedAndGranted(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	h.signIn("alice")
	r, code := h.agentAsks("bot")
	shown := h.facts("alice", code).wantOK().members()
	agent, _ := shown["agent"].(map[string]any)
	if agent["id"] != r.Asked.Agent.ID || agent["jkt"] != r.Asked.Agent.Thumbprint || agent["pubkey"] != r.Asked.Agent.PublicKey || agent["name"] != "Shopper" || agent["reason"] != "Buy paper" ||
		shown["presence"] != "password" || shown["depth"] != 2.0 || shown["not_after"] != float64(h.now().Add(time.Hour).Unix()) || shown["replaces"] != nil || shown["lasts"] != 3600.0 {
		t.Errorf("%v", shown)
	}
	if given, _ := json.Marshal(shown["authorization_details"]); string(given) != agentDetails {
		t.Errorf("%s", given)
	}
	s := h.offered("alice", code)
	s.Scope, s.Depth, s.NotAfter = "openid", 1, s.NotAfter-600
	s.Details = json.RawMessage(strings.Replace(agentDetails[:strings.Index(agentDetails, ",{")]+"]", "20.00", "19.99", 1))
	approved := h.signs("alice", code, s.Encode()).wantOK()
	g := h.grant(approved.text("grant_id"))
	if g.ID != r.ID || g.Scope != "openid" || g.Presence != authz.PresencePassword || g.ACR != authz.ACRSignature || g.ExpiresAt.Unix() != s.NotAfter || g.BAPID != bapIDOf(t, "alice") {
		t.Errorf("%+v", g)
	}
	text := h.signed("alice", http.MethodGet, "/api/grants/"+g.ID+"/receipt", "").wantOK().body
	want := authz.Delegated{
		Kind: authz.OfAgent, Agent: r.Asked.Agent, Line: g.ID, Details: string(s.Details), Depth: 1, Delegation: receipt.Hash(text),
	}
	if g.Delegated != want {
		t.Errorf("%+v, want %+v", g.Delegated, want)
	}
	v, err := receipt.Verify([]byte(text))
	if err != nil || v.Delegation.Encode() != s.Encode() || v.PublicKey != bap.FormatPublicKey(person("alice").PubKey()) {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := receipt.VerifyChain([]byte(receipt.EncodeChain([]string{text})), h.now()); err != nil {
		t.Error(err)
	}
}

// Each mutation of the statement leaves the request as it was.
func TestN11_AWidenedOrChangedStatementAboutAnAgentIsRefused(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	h.signIn("alice")
	h.signIn("bob")
	r, code := h.agentAsks("bot")
	detailsOf := func(from, to string) func(*receipt.Delegation) {
		return func(d *receipt.Delegation) {
			d.Details = json.RawMessage(strings.Replace(string(d.Details), from, to, 1))
		}
	}
	for name, change := range map[string]func(*receipt.Delegation){
		"one scope":        func(d *receipt.Delegation) { d.Scope += " email" },
		"another order":    func(d *receipt.Delegation) { d.Scope = "profile openid" },
		"one cent":         detailsOf(`"20.00"`, `"20.01"`),
		"a limit gone":     detailsOf(`"per_day":"20.00",`, ``),
		"another payee":    detailsOf(`shop.example`, `shop2.example`),
		"one constraint":   detailsOf(`"max":1000`, `"max":1001`),
		"another action":   detailsOf(`"orders.read"`, `"orders.void"`),
		"one second":       func(d *receipt.Delegation) { d.NotAfter++ },
		"one generation":   func(d *receipt.Delegation) { d.Depth++ },
		"another resource": func(d *receipt.Delegation) { d.Resource = []string{"https://other.example"} },
		"another agent":    func(d *receipt.Delegation) { d.Agent, _ = receipt.NewDelegate("Shopper", person("mallory").PubKey()) },
		"another name":     func(d *receipt.Delegation) { d.Agent.Name = "Bank" },
		"another client":   func(d *receipt.Delegation) { d.ClientID = "pub-b" },
		"another request":  func(d *receipt.Delegation) { d.Nonce = strings.Repeat("0", 32) },
		"another server":   func(d *receipt.Delegation) { d.Issuer = "https://id.example.org" },
		"another identity": func(d *receipt.Delegation) { d.BAPID = bapIDOf(t, "bob") },
		"another code":     func(d *receipt.Delegation) { d.UserCodeHash = receipt.UserCodeHash("BCDF-GHJK") },
		"longer to sign":   func(d *receipt.Delegation) { d.ExpiresAt++ },
		"an hour ahead": func(d *receipt.Delegation) {
			d.IssuedAt, d.ExpiresAt, d.NotAfter = d.IssuedAt+3600, d.ExpiresAt+3600, d.NotAfter+3600
		},
		"an hour behind": func(d *receipt.Delegation) {
			d.IssuedAt, d.ExpiresAt, d.NotAfter = d.IssuedAt-3600, d.ExpiresAt-3600, d.NotAfter-3600
		},
		"over already":         func(d *receipt.Delegation) { d.NotAfter = d.IssuedAt },
		"presence":             func(d *receipt.Delegation) { d.Presence = "presence" },
		"another device":       func(d *receipt.Delegation) { d.Presence = "other-device" },
		"a sub-delegation":     func(d *receipt.Delegation) { d.Purpose = receipt.PurposeSubdelegation },
		"an unknown presence":  func(d *receipt.Delegation) { d.Presence = "session" },
		"unreadable details":   func(d *receipt.Delegation) { d.Details = json.RawMessage(`[{"type":"lend"}]`) },
		"nothing but a scope ": func(d *receipt.Delegation) { d.Scope = "" },
	} {
		s := h.offered("alice", code)
		change(&s)
		if got := h.signs("alice", code, s.Encode()); got.status < 400 || got.status >= 500 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.wantPending(r)
	s := h.offered("alice", code)
	s.Presence = "key"
	h.signs("alice", code, s.Encode()).wantPresence(authz.PresencePassword)
	h.wantPending(r)
	h.signs("alice", code, h.statementOf("alice", code)).wantOK()
}

func TestStatementsOfOneVersionSayNothingOfTheOther(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	h.signIn("alice")
	r, code := h.agentAsks("bot")
	d := h.askProved("openid profile")
	device, err := receipt.ParseStatement(h.statementOf("alice", d.userCode))
	if err != nil {
		t.Fatal(err)
	}
	device.Nonce, device.ClientID, device.UserCodeHash = r.ID, r.ClientID, receipt.UserCodeHash(code)
	device.Resource = r.Resources
	h.signs("alice", code, device.Encode()).wantError(http.StatusBadRequest, "invalid_request")
	h.wantPending(r)
	agent := h.offered("alice", code)
	agent.Nonce, agent.ClientID, agent.UserCodeHash = device.Nonce, "conf-a", receipt.UserCodeHash(d.userCode)
	h.signs("alice", d.userCode, agent.Encode()).wantError(http.StatusBadRequest, "invalid_request")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

// K-17: whoever holds the owner's browser session and all that the agent knows approves
// nothing, denies by no wrong match, and adds no way in.
func TestK17_ASessionAndAllThatTheAgentKnowsApproveNothing(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	cookie := h.signIn("alice")
	r, code := h.agentAsks("bot")
	h.open(cookie, code).wantOK()
	statement := h.send(http.MethodGet, "/api/auth/device/approval?user_code="+code, "", "Cookie", cookie).wantOK().text("statement")
	match := code[len(code)-4:]
	h.postJSON(approvePath, map[string]any{"userCode": code}, "Cookie", cookie).wantPresence(authz.PresencePassword)
	h.postJSON(approvePath, map[string]any{"userCode": code, "match": match}, "Cookie", cookie).wantPresence(authz.PresencePassword)
	h.postJSON(approvePath, map[string]any{"userCode": code, "match": "ZZZZ"}, "Cookie", cookie).wantPresence(authz.PresencePassword)
	h.postJSON(approvePath, map[string]any{"userCode": code, "match": match, "statement": statement}, "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
	h.postJSON(approvePath, map[string]any{"userCode": code, "match": match, "assertion": "{}"}, "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
	h.postJSON(approvePath, map[string]any{"userCode": code, "match": match, "statement": statement, "assertion": "{}"}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
	stranger := newAuthenticator(t) // one that the agent made itself
	stranger.handle = []byte("x")
	h.confirms(cookie, code, statement, stranger).wantError(http.StatusForbidden, "access_denied")
	body, token := h.signedStatement("bot", code, statement)
	h.send(http.MethodPost, approvePath, body, append(slices.Clone(jsonBody), bitcoinauth.Header, token, "Cookie", cookie)...).wantError(http.StatusForbidden, "access_denied")
	h.wantPending(r)

	link := `{"aud":"` + testIssuer + `","bapId":"` + bapIDOf(t, "mallory") + `"}`
	h.send(http.MethodPost, "/api/user/bap-ids", link, append(slices.Clone(jsonBody), "Cookie", cookie, bitcoinauth.Header, h.sign("mallory", "/api/user/bap-ids", link))...).wantVouch()
	c := h.passkeyOptions(cookie)
	h.postJSON(passkeysPath, map[string]any{"aud": testIssuer, "ceremony": c.Ceremony, "name": "x", "credential": stranger.create(c.Options)}, "Cookie", cookie).
		wantError(http.StatusUnauthorized, "unauthorized")
}

// The page cannot show all that an agent asks: it says with what its owner approves it, and has
// no button for it.
func TestThePageLeavesAnAgentsApprovalToTheCommand(t *testing.T) {
	h := agentHouse(t)
	r, userCode := h.agentAsks("carol")
	alice := h.signIn("alice")
	page, transaction := h.review(alice, userCode)
	page.wantPage(http.StatusOK, "calls itself “<bdi>Shopper</bdi>”", "countersign approve "+userCode, `class="approve" hidden disabled`)
	h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}}).wantPage(http.StatusForbidden, "You may not do this.")
	h.wantPending(r)
	device, _ := h.review(alice, h.ask("pub-a", "openid").userCode)
	device.wantPage(http.StatusOK, `class="approve">`)
}

func TestK16_APasskeyWithItsUserVerifiedIsPresence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claims  string
		peer    string
		browser string
		refused bool
	}{
		"here":                                  {claims: "presence", peer: "203.0.113.7:1", browser: "Browser/1"},
		"here, claiming another device":         {claims: "other-device", peer: "203.0.113.7:1", browser: "Browser/1", refused: true},
		"elsewhere":                             {claims: "other-device", peer: "198.51.100.9:1", browser: "Browser/1"},
		"elsewhere, in the very same browser":   {claims: "other-device", peer: "198.51.100.9:1", browser: "agent/1", refused: true},
		"elsewhere, claiming presence":          {claims: "presence", peer: "198.51.100.9:1", browser: "Browser/1"},
		"a passkey that claims a mere password": {claims: "password", peer: "198.51.100.9:1", browser: "Browser/1", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := agentHouse(t, func(s *authz.Settings) { s.Agents.Presence = authz.PresencePerson })
			a := h.registered("alice")
			h.peer = c.peer
			cookie := cookieOf(h.passkeySignIn(a).wantOK())
			r, code := h.agentAsks("bot")
			h.open(cookie, code).wantOK()
			facts := h.send(http.MethodGet, "/api/auth/device/approval?user_code="+code, "", "Cookie", cookie, "User-Agent", c.browser).wantOK()
			s, err := receipt.ParseDelegation(facts.text("statement"))
			if err != nil || s.Presence != "presence" || facts.text("presence") != "presence" {
				t.Fatalf("%s %v", facts.body, err)
			}
			if other := facts.members()["other_device"]; other != (c.peer[:3] == "198" && c.browser != "agent/1") {
				t.Errorf("other_device: %v", other)
			}
			s.Presence = c.claims
			got := h.confirms(cookie, code, s.Encode(), a, "User-Agent", c.browser)
			if c.refused {
				if got.status != http.StatusForbidden && got.status != http.StatusBadRequest {
					t.Errorf("%d %s", got.status, got.body)
				}
				h.wantPending(r)
				return
			}
			g := h.grant(got.wantOK().text("grant_id"))
			if g.Presence != authz.Presence(c.claims) || g.Passkey != b64(a.id) || g.ACR != authz.ACRSignature || !g.AuthTime.Equal(g.CreatedAt) {
				t.Errorf("%+v", g)
			}
			text := h.send(http.MethodGet, "/api/grants/"+g.ID+"/receipt", "", "Cookie", cookie).wantOK().body
			v, err := receipt.Verify([]byte(text))
			if err != nil || v.Passkey != b64(a.id) || v.PublicKey != bap.FormatPublicKey(person("alice").PubKey()) || receipt.Hash(text) != g.Delegated.Delegation {
				t.Errorf("%+v %v", v, err)
			}
		})
	}
}

func TestK16_APasskeysAnswerToAnythingElseIsRefused(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	a := h.registered("alice")
	cookie := cookieOf(h.passkeySignIn(a).wantOK())
	bobs := h.registered("bob")
	h.link(h.signIn("alice"), "alice-work", "alice").wantOK()
	works, workCookie := newAuthenticator(t), h.signIn("alice")
	c := h.passkeyOptions(workCookie)
	h.addPasskey(workCookie, "alice-work", c, works.create(c.Options)).wantOK()
	r, code := h.agentAsks("bot")
	h.open(cookie, code).wantOK()
	s, err := receipt.ParseDelegation(h.send(http.MethodGet, "/api/auth/device/approval?user_code="+code, "", "Cookie", cookie).wantOK().text("statement"))
	if err != nil {
		t.Fatal(err)
	}
	s.Presence = "presence"
	statement := s.Encode()
	for name, wrong := range map[string]func(a *authenticator) *authenticator{
		"no user verified": func(a *authenticator) *authenticator { a.flags = userPresent; return a },
		"another site":     func(a *authenticator) *authenticator { a.origin = "https://evil.example"; return a },
		"a creation": func(a *authenticator) *authenticator {
			a.changes = func(m map[string]any) { m["type"] = "webauthn.create" }
			return a
		},
		"another statement": func(a *authenticator) *authenticator {
			a.changes = func(m map[string]any) { m["challenge"] = b64(make([]byte, 32)) }
			return a
		},
		"bob's":           func(*authenticator) *authenticator { return bobs },
		"another of hers": func(*authenticator) *authenticator { return works },
	} {
		copied := *a
		copied.count += 10
		if got := h.confirms(cookie, code, statement, wrong(&copied)); got.status != http.StatusForbidden || got.text("error") != "access_denied" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.wantPending(r)
	h.confirms(cookie, code, statement, a).wantOK()
}

// What the operator settled on, and what it lets through.
func TestK16_TheOperatorSaysHowPresentAnOwnerMustBe(t *testing.T) {
	t.Parallel()
	for least, c := range map[authz.Presence]struct{ key, password int }{
		authz.PresenceNone:        {http.StatusForbidden, http.StatusOK}, // nobody said
		authz.PresenceSession:     {http.StatusOK, http.StatusOK},        // never less than a key
		authz.PresenceKey:         {http.StatusOK, http.StatusOK},
		authz.PresencePassword:    {http.StatusForbidden, http.StatusOK},
		authz.PresencePerson:      {http.StatusForbidden, http.StatusForbidden},
		authz.PresenceOtherDevice: {http.StatusForbidden, http.StatusForbidden},
	} {
		h := agentHouse(t, func(s *authz.Settings) { s.Agents.Presence = least })
		cookie := h.signIn("alice")
		for claimed, want := range map[string]int{"key": c.key, "password": c.password} {
			r, code := h.agentAsks("bot-" + claimed)
			h.open(cookie, code).wantOK()
			h.postJSON(approvePath, map[string]any{"userCode": code, "match": code[5:]}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
			s := h.offered("alice", code)
			s.Presence = claimed
			got := h.signs("alice", code, s.Encode())
			if got.status != want {
				t.Errorf("%s, claimed %s: %d %s", least, claimed, got.status, got.body)
			}
			if want == http.StatusOK && h.grant(r.ID).Presence != authz.Presence(claimed) {
				t.Errorf("%s, claimed %s: kept %q", least, claimed, h.grant(r.ID).Presence)
			}
		}
	}
}

// K-16 for what is no agent's: the word of each way.
func TestK16_EachWayOfApprovingADeviceIsRecorded(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	h.approve(cookie, d.userCode)
	signed := h.ask("pub-a", "openid")
	id := h.approveSigned("alice", signed.userCode)
	passkey := h.ask("pub-a", "openid")
	h.approve(cookieOf(h.passkeySignIn(h.registered("alice")).wantOK()), passkey.userCode)
	owner, err := h.store.Identity(t.Context(), bapIDOf(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	grants, _, err := h.service.Grants.List(t.Context(), authz.Owner{AccountID: owner.AccountID}, "", 10)
	if err != nil || len(grants) != 3 {
		t.Fatal(grants, err)
	}
	for _, g := range grants {
		want := authz.PresenceSession
		if g.ID == id {
			want = authz.PresenceKey
		}
		if g.Presence != want {
			t.Errorf("%s by %s: %q", g.ID, g.ACR, g.Presence)
		}
	}
}

// A key is an owner's or an agent's, never both.
func TestAnAgentsKeyIsNobodysMemberKey(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	cookie := h.signIn("alice")
	h.signIn("bob")
	for _, owner := range []string{"alice", "bob"} {
		r, code := h.agentAsks(owner)
		h.signs("alice", code, h.statementOf("alice", code)).wantError(http.StatusBadRequest, "invalid_request")
		h.wantPending(r)
	}
	_, code := h.agentAsks("bot")
	grant := h.signs("alice", code, h.statementOf("alice", code)).wantOK().text("grant_id")
	h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("bot", signInPath, "")).wantError(http.StatusForbidden, "access_denied")
	h.signed("bot", http.MethodGet, "/api/grants", "").wantError(http.StatusForbidden, "access_denied")
	h.link(cookie, "bot", "alice").wantError(http.StatusForbidden, "access_denied")
	if _, err := h.store.Identity(t.Context(), bapIDOf(t, "bot")); err == nil {
		t.Error("the agent has an account")
	}
	h.postJSON("/api/grants/"+grant+"/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	h.signIn("bot") // it is an agent's no more
}

func TestAnApprovalOfAnAgentEndsTheOneBefore(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	h.signIn("alice")
	_, code := h.agentAsks("bot")
	first := h.signs("alice", code, h.statementOf("alice", code)).wantOK().text("grant_id")
	_, code = h.agentAsks("bot", func(r *authz.DeviceRequest) { r.Scope, r.Asked.Details, r.Asked.Depth = "openid", "", 0 })
	replaces, _ := h.facts("alice", code).wantOK().members()["replaces"].(map[string]any)
	if replaces["id"] != first || replaces["scope"] != "openid profile" || replaces["depth"] != 2.0 || fmt.Sprint(replaces["resource"]) != "[https://api.example]" {
		t.Errorf("%v", replaces)
	}
	second := h.signs("alice", code, h.statementOf("alice", code)).wantOK().text("grant_id")
	if h.grant(first).AliveAt(h.now()) || !h.grant(second).AliveAt(h.now()) || h.grant(second).Delegated.Details != "[]" {
		t.Errorf("%+v %+v", h.grant(first), h.grant(second))
	}
}

// Two approvals race the revocation of everything: one of them at most is alive, and only if it came after.
func TestTwoApprovalsOfAnAgentRaceARevocation(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	cookie := h.signIn("alice")
	for range 5 {
		first, code := h.agentAsks("bot")
		second, other := h.agentAsks("bot")
		sends := []func() reply{}
		for _, c := range []string{code, other} {
			body, token := h.signedStatement("alice", c, h.statementOf("alice", c))
			sends = append(sends, func() reply {
				return h.send(http.MethodPost, approvePath, body, append(slices.Clone(jsonBody), bitcoinauth.Header, token)...)
			})
		}
		var all sync.WaitGroup
		for _, send := range sends {
			all.Go(func() {
				if r := send(); r.status != http.StatusOK {
					t.Errorf("%d %s", r.status, r.body)
				}
			})
		}
		all.Go(func() { h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK() })
		all.Wait()
		if h.grant(first.ID).AliveAt(h.now()) && h.grant(second.ID).AliveAt(h.now()) {
			t.Error("both are alive")
		}
		h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
		for _, id := range []string{first.ID, second.ID} {
			if h.grant(id).AliveAt(h.now()) {
				t.Errorf("%s is alive", id)
			}
		}
	}
}

func TestASignedReceiptOfAPasskeyWithoutVouchIsVerifiedAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	h := agentHouse(t)
	a := h.registered("alice")
	h.breaker().do("UPDATE passkeys SET vouch = ''", nil)
	cookie := cookieOf(h.passkeySignIn(a).wantOK())
	_, code := h.agentAsks("bot")
	h.open(cookie, code).wantOK()
	s, err := receipt.ParseDelegation(h.send(http.MethodGet, "/api/auth/device/approval?user_code="+code, "", "Cookie", cookie).wantOK().text("statement"))
	if err != nil {
		t.Fatal(err)
	}
	s.Presence = "presence"
	id := h.confirms(cookie, code, s.Encode(), a).wantOK().text("grant_id")
	text := h.send(http.MethodGet, "/api/grants/"+id+"/receipt", "", "Cookie", cookie).wantOK().body
	if v, err := receipt.Verify([]byte(text)); !errors.Is(err, receipt.ErrUnvouched) || v == nil || v.Passkey != b64(a.id) {
		t.Errorf("%+v %v", v, err)
	}
}
