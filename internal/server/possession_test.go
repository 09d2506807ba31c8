package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
)

// keySigner is a device whose key is a person's member key: it proves it by either means.
type keySigner struct {
	*keyHolder
	name string
}

func (h *house) keySigner(name string) *keySigner {
	h.t.Helper()
	key, err := dpop.Secp256k1Key(person(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return &keySigner{&keyHolder{house: h, key: key}, name}
}

// forUs is a JSON body that names this server.
func forUs(t testing.TB, members map[string]string) string {
	t.Helper()
	all := map[string]string{"aud": testIssuer}
	for name, value := range members {
		all[name] = value
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sends posts a JSON body with an X-Auth-Token by the key.
func (s *keySigner) sends(path, body string, header ...string) reply {
	s.t.Helper()
	return s.send(http.MethodPost, path, body, append(append([]string{bitcoinauth.Header, s.sign(s.name, path, body)}, header...), jsonBody...)...)
}

func (s *keySigner) pollBody(d device) string {
	return forUs(s.t, map[string]string{"grant_type": deviceGrant, "device_code": d.deviceCode, "client_id": d.client})
}

func (s *keySigner) refreshBody(client, token string) string {
	return forUs(s.t, map[string]string{"grant_type": "refresh_token", "refresh_token": token, "client_id": client})
}

// reads sends a GET with an access token as Bearer and an X-Auth-Token.
func (s *keySigner) reads(target, token string) reply {
	s.t.Helper()
	return s.byToken(token, http.MethodGet, target, "", bitcoinauth.Header, s.sign(s.name, target, ""))
}

// A code that is bound to a secp256k1 key is polled for with either of its proofs, and with
// nothing else. Who has not the key slows nobody down, and the request is as good as before.
func TestP13_B26_N07_ADeviceCodeIsPolledForWithEitherProofOfItsKey(t *testing.T) {
	h := newHouse(t)
	s, thief := h.keySigner("agent"), h.keySigner("thief")
	d := s.asks("pub-a")
	good := s.pollBody(d)
	other := strings.Replace(good, testIssuer, anotherServer, 1)
	silent := strings.Replace(good, `"aud"`, `"for"`, 1)
	listed := strings.Replace(good, `"`+testIssuer+`"`, `["`+testIssuer+`"]`, 1)
	refused := func() {
		t.Helper()
		h.poll(d).wantError(400, "invalid_grant")
		thief.sends(pollPath, good).wantError(400, "invalid_grant")
		s.sends(pollPath, silent).wantError(400, "invalid_request")
		s.sends(pollPath, other).wantError(400, "invalid_request")
		s.sends(pollPath, listed).wantError(400, "invalid_request")
		s.sends(pollPath, good, bitcoinauth.Header, s.sign("agent", pollPath, good)).wantError(400, "invalid_request")
		s.sends(pollPath, good, dpop.Header, s.proof(http.MethodPost, pollPath, "")).wantError(400, "invalid_request")
		bsm, err := bitcoinauth.Sign(person("agent"), bitcoinauth.Signing{Path: pollPath, Body: []byte(good), Time: h.now(), Scheme: bitcoinauth.BSM})
		if err != nil {
			t.Fatal(err)
		}
		old, err := bitcoinauth.Sign(person("agent"), bitcoinauth.Signing{Path: pollPath, Body: []byte(good), Time: h.now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{
			"nothing": "x", "another path": h.sign("agent", tokenPath, good), "another body": h.sign("agent", pollPath, good+" "), "no body": h.sign("agent", pollPath, ""), "bsm": bsm, "an hour old": old,
			"a key that did not sign": strings.Replace(h.sign("thief", pollPath, good), thief.key.PublicKey(), s.key.PublicKey(), 1),
		} {
			r := h.send(http.MethodPost, pollPath, good, append([]string{bitcoinauth.Header, token}, jsonBody...)...)
			if r.status != 401 || r.text("error") != "invalid_client" {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
	}
	refused() // the first, when nothing is known of the code
	s.sends(pollPath, good).wantError(400, "authorization_pending")
	refused()
	h.advance(5 * time.Second)
	s.polls(d).wantError(400, "authorization_pending")
	refused()
	h.advance(5 * time.Second)
	s.sends(pollPath, good).wantError(400, "authorization_pending")
	s.sends(pollPath, good).wantError(400, "slow_down") // the key's own pace is its own
	h.approve(h.signIn("alice"), d.userCode)
	refused()
	h.advance(15 * time.Second)
	tokens := s.sends(pollPath, good).wantOK()
	_, claims := claimsOf(t, tokens.text("access_token"))
	if confirmed, _ := claims["cnf"].(map[string]any); tokens.text("token_type") != "Bearer" || confirmed["jkt"] != s.key.Thumbprint() {
		t.Errorf("%s: %v", tokens.text("token_type"), claims)
	}
}

func TestP09_P06_N07_ARefreshTokenIsUsedWithEitherProofOfItsKey(t *testing.T) {
	h := newHouse(t)
	s, thief := h.keySigner("agent"), h.keySigner("thief")
	first := s.allowed("pub-a").text("refresh_token")
	stolen := func(token string) {
		t.Helper()
		thief.sends(tokenPath, s.refreshBody("pub-a", token)).wantError(400, "invalid_grant")
		h.postForm(tokenPath, refreshForm("pub-a", token)).wantError(400, "invalid_grant")
		h.sendJSON(tokenPath, s.refreshBody("pub-a", token)).wantError(400, "invalid_grant")
		unaddressed := strings.Replace(s.refreshBody("pub-a", token), `"aud"`, `"for"`, 1)
		s.sends(tokenPath, unaddressed).wantError(400, "invalid_request")
	}
	stolen(first)
	second := s.sends(tokenPath, s.refreshBody("pub-a", first)).wantOK()
	if second.text("token_type") != "Bearer" {
		t.Error(second.body)
	}
	h.advance(time.Minute)
	stolen(first) // no reuse is counted of who has not the key
	third := s.refreshes("pub-a", second.text("refresh_token")).wantOK()
	if third.text("token_type") != "DPoP" {
		t.Error(third.body)
	}
	// A form is as good as JSON, and 16 of one token are one.
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {third.text("refresh_token")}, "client_id": {"pub-a"}, "aud": {testIssuer}}.Encode()
	token := h.sign("agent", tokenPath, form)
	replies := make([]reply, 16)
	var sending sync.WaitGroup
	for i := range replies {
		sending.Go(func() {
			replies[i] = h.send(http.MethodPost, tokenPath, form, "Content-Type", "application/x-www-form-urlencoded", bitcoinauth.Header, token)
		})
	}
	sending.Wait()
	good := slices.DeleteFunc(slices.Clone(replies), func(r reply) bool { return r.status != http.StatusOK })
	if len(good) != 1 {
		t.Fatalf("one X-Auth-Token counted %d times", len(good))
	}
	for _, r := range replies {
		if r.status != http.StatusOK {
			r.wantError(401, "invalid_client")
		}
	}
	s.reads(userinfoPath, good[0].text("access_token")).wantOK()
}

// sendJSON is a POST of JSON without a proof.
func (h *house) sendJSON(path, body string) reply {
	h.t.Helper()
	return h.send(http.MethodPost, path, body, jsonBody...)
}

func TestP10_U13_N07_ABoundTokenGoesAsBearerBesideASignatureByItsKey(t *testing.T) {
	h := newHouse(t)
	s, thief := h.keySigner("agent"), h.keySigner("thief")
	s.asksFor = grantsScope + " profile"
	access := s.allowed("countersign-cli").text("access_token")
	for _, target := range []string{userinfoPath, userinfoPath + "?a=b", "/api/grants", "/api/grants?limit=2", "/api/auth/organization/list"} {
		s.reads(target, access).wantOK()
		s.uses(http.MethodGet, target, access).wantOK()
		used, proof := h.sign("agent", target, ""), func() string { return s.proof(http.MethodGet, target, access) }
		h.byToken(access, http.MethodGet, target, "", bitcoinauth.Header, used).wantOK()
		for name, header := range map[string][]string{
			"alone":                      {"Authorization", "Bearer " + access},
			"alone as DPoP":              {"Authorization", "DPoP " + access},
			"both as Bearer":             {"Authorization", "Bearer " + access, bitcoinauth.Header, h.sign("agent", target, ""), dpop.Header, proof()},
			"both as DPoP":               {"Authorization", "DPoP " + access, bitcoinauth.Header, h.sign("agent", target, ""), dpop.Header, proof()},
			"a signature as DPoP":        {"Authorization", "DPoP " + access, bitcoinauth.Header, h.sign("agent", target, "")},
			"a proof as Bearer":          {"Authorization", "Bearer " + access, dpop.Header, proof()},
			"another key's":              {"Authorization", "Bearer " + access, bitcoinauth.Header, h.sign("thief", target, "")},
			"another key's proof":        {"Authorization", "DPoP " + access, dpop.Header, thief.proof(http.MethodGet, target, access)},
			"its owner's":                {"Authorization", "Bearer " + access, bitcoinauth.Header, h.sign("alice", target, "")},
			"of another path":            {"Authorization", "Bearer " + access, bitcoinauth.Header, h.sign("agent", target+"x", "")},
			"with a body that is none":   {"Authorization", "Bearer " + access, bitcoinauth.Header, h.sign("agent", target, "x")},
			"used before":                {"Authorization", "Bearer " + access, bitcoinauth.Header, used},
			"two of them":                {"Authorization", "Bearer " + access, bitcoinauth.Header, h.sign("agent", target, ""), bitcoinauth.Header, h.sign("agent", target, "")},
			"a signature for nobody yet": {"Authorization", "Bearer " + access, bitcoinauth.Header, "x"},
		} {
			r := h.send(http.MethodGet, target, "", header...)
			if r.status != 401 || r.text("error") != "invalid_token" {
				t.Errorf("%s, %s: %d %s", target, name, r.status, r.body)
			}
			challenges := strings.Join(r.header.Values("WWW-Authenticate"), "\n")
			if len(r.header.Values("WWW-Authenticate")) != 2 || !strings.Contains(challenges, "Bearer ") || !strings.Contains(challenges, "DPoP ") || !strings.Contains(challenges, `algs="ES256 EdDSA Ed25519 ES256K `) {
				t.Errorf("%s, %s: %q", target, name, challenges)
			}
		}
	}
	// A body names this server, in JSON as in a form.
	for contentType, bodies := range map[string][2]string{
		"application/json":                  {`{"aud":"` + testIssuer + `"}`, `{"for":"` + testIssuer + `"}`},
		"application/x-www-form-urlencoded": {"aud=" + url.QueryEscape(testIssuer), "aud=" + url.QueryEscape(anotherServer)},
	} {
		post := func(body string) reply {
			return h.byToken(access, http.MethodPost, userinfoPath, body, bitcoinauth.Header, h.sign("agent", userinfoPath, body), "Content-Type", contentType)
		}
		post(bodies[0]).wantOK()
		post(bodies[1]).wantError(401, "invalid_token")
	}
	h.byToken(access, http.MethodPost, userinfoPath, "", bitcoinauth.Header, h.sign("agent", userinfoPath, "")).wantOK() // says nothing to anybody
}

// An X-Auth-Token of a client with a member key authenticates it, and proves no other key, not
// even where it is the same.
func TestN07_AClientsSignatureIsNoProofOfADevicesKey(t *testing.T) {
	h := newHouse(t)
	agent, client := h.keySigner("agent"), h.keySigner("client")
	for _, s := range []*keySigner{agent, client} {
		ask := forUs(t, map[string]string{"client_id": "member-a", "scope": "openid"})
		r := client.sends(codePath, ask, dpop.Header, s.proof(http.MethodPost, codePath, "")).wantOK()
		poll := s.pollBody(device{r.text("device_code"), r.text("user_code"), "member-a"})
		client.sends(pollPath, poll).wantError(400, "invalid_grant")
		client.sends(pollPath, poll, dpop.Header, s.proof(http.MethodPost, pollPath, "")).wantError(400, "authorization_pending")
	}
	// It is nobody else's authentication either.
	r := agent.with(codePath, url.Values{"client_id": {"member-a"}})
	r.wantError(401, "invalid_client")
	agent.sends(codePath, forUs(t, map[string]string{"client_id": "member-a"})).wantError(401, "invalid_client")
}

// Where nothing is bound to a key an X-Auth-Token binds nothing.
func TestP13_N07_ASignatureAloneBindsNoDevice(t *testing.T) {
	h := newHouse(t)
	s := h.keySigner("agent")
	r := s.sends(codePath, forUs(t, map[string]string{"client_id": "pub-a", "scope": boundScope})).wantOK()
	d := device{r.text("device_code"), r.text("user_code"), "pub-a"}
	h.poll(d).wantError(400, "authorization_pending")
	h.approve(h.signIn("alice"), d.userCode)
	h.advance(5 * time.Second)
	tokens := s.sends(pollPath, s.pollBody(d)).wantOK()
	if _, claims := claimsOf(t, tokens.text("access_token")); claims["cnf"] != nil || tokens.text("token_type") != "Bearer" {
		t.Error(tokens.body)
	}
	h.userInfo(tokens.text("access_token")).wantOK()
	if s.key.PublicKey() != bap.FormatPublicKey(person("agent").PubKey()) {
		t.Error("a key's public part is not the one that X-Auth-Token names")
	}
}
