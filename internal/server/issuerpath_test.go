package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// longIssuer is the issuer that servers with the path have.
const longIssuer = testIssuer + authz.IssuerPath

// newHouseWithPath is a server whose issuer has the path.
func newHouseWithPath(t *testing.T) *house {
	t.Helper()
	return newHouse(t, codeClients, func(s *authz.Settings) { s.Issuer = longIssuer })
}

func TestM01_M02_M04_AnIssuerWithThePathIsDescribedWhereverClientsLook(t *testing.T) {
	h := newHouseWithPath(t)
	// The three of the MCP order come first.
	documents := []string{
		"/.well-known/oauth-authorization-server/api/auth", "/.well-known/openid-configuration/api/auth", "/api/auth/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
	}
	first := h.send(http.MethodGet, documents[0], "").wantOK()
	for _, path := range documents {
		if r := h.send(http.MethodGet, path, "", "Origin", "https://x.example").wantOK(); r.body != first.body || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s differs: %v", path, r.header)
		}
	}
	for name, value := range first.members() {
		switch address, _ := value.(string); {
		case name == "issuer":
			if address != longIssuer {
				t.Errorf("issuer %s", address)
			}
		case strings.HasSuffix(name, "_endpoint") || name == "jwks_uri":
			path := strings.TrimPrefix(address, testIssuer)
			if r := h.send(http.MethodGet, path, ""); path == address || strings.Contains(path, "/api/auth/api/auth") || r.status == http.StatusNotFound {
				t.Errorf("%s: nothing at %s", name, address)
			}
		}
	}
	greeting := h.send(http.MethodGet, authz.IssuerPath, "", "Accept", "application/json").wantOK()
	links, _ := greeting.members()["links"].(map[string]any)
	if links["metadata"] != testIssuer+documents[0] || links["device"] != testIssuer+"/device" || greeting.text("issuer") != longIssuer {
		t.Errorf("%s", greeting.body)
	}
	h.send(http.MethodGet, authz.IssuerPath, "", "Accept", "text/html").wantPage(http.StatusOK)

	// A server without the path has nothing there.
	plain := newHouse(t)
	for _, path := range append(documents[:2], "/.well-known/oauth-protected-resource"+authz.IssuerPath, authz.IssuerPath) {
		plain.send(http.MethodGet, path, "").wantError(http.StatusNotFound, "not_found")
	}
}

func TestM02_Z17_WhatIsIssuedNamesTheIssuerWithItsPathAndAddressesTheOrigin(t *testing.T) {
	h := newHouseWithPath(t)
	asked := h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {"openid profile"}}).wantOK()
	if asked.text("verification_uri") != testIssuer+"/device" || !strings.HasPrefix(asked.text("verification_uri_complete"), testIssuer+"/device?code=") {
		t.Errorf("%s", asked.body)
	}
	d := device{asked.text("device_code"), asked.text("user_code"), "pub-a"}
	grant := h.approveSigned("alice", d.userCode)
	tokens := h.poll(d).wantOK()
	for _, name := range []string{"access_token", "id_token"} {
		_, claims := claimsOf(t, tokens.text(name))
		if claims["iss"] != longIssuer {
			t.Errorf("%s is by %v", name, claims["iss"])
		}
		if audience, _ := claims["aud"].([]any); name == "access_token" && claims["aud"] != longIssuer && !slices.Contains(audience, any(longIssuer)) {
			t.Errorf("it is for %v", claims["aud"])
		}
	}
	h.userInfo(tokens.text("access_token")).wantOK()
	v, err := receipt.Verify([]byte(h.signed("alice", http.MethodGet, "/api/grants/"+grant+"/receipt", "").wantOK().body))
	if err != nil || v.Statement.Issuer != longIssuer {
		t.Errorf("%+v %v", v, err)
	}
	cookie := h.signIn("alice")
	_, transaction := h.reviewFor(cookie, authorization("scope", "openid offline_access"))
	led, err := url.Parse(h.decide(cookie, transaction, "approve", "openid", "offline_access").header.Get("Location"))
	if err != nil || led.Query().Get("iss") != longIssuer {
		t.Fatalf("led to %s: %v", led, err)
	}
	tokens = h.redeem(led.Query().Get("code")).wantOK()
	h.postForm(tokenPath, refreshForm("web-a", tokens.text("refresh_token"))).wantOK()
	k := h.holder() // whose proofs are for addresses
	h.userInfo(k.allowed("pub-a").text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	k.uses(http.MethodGet, userinfoPath, k.allowed("pub-a").text("access_token")).wantOK()
	h.registered("alice") // a passkey, which is bound to the origin
}

func TestN07_S01_WhatIsForAnIssuerWithThePathIsNotForItsOrigin(t *testing.T) {
	h := newHouseWithPath(t)
	for _, c := range []struct {
		aud    string
		status int
	}{{longIssuer, http.StatusOK}, {testIssuer, http.StatusBadRequest}, {longIssuer + "/", http.StatusBadRequest}} {
		target, _ := forServer(http.MethodGet, "/api/grants", c.aud)
		if r := h.send(http.MethodGet, target, "", "X-Auth-Token", h.sign("alice", target, "")); r.status != c.status {
			t.Errorf("%s: %d %s", c.aud, r.status, r.body)
		}
	}
	tokens := h.tokens("pub-a", "profile", "alice").text("access_token")
	for target, resource := range map[string]string{userinfoPath: testIssuer + userinfoPath, "/api/grants": longIssuer} {
		challenge := h.send(http.MethodGet, target, "", "Authorization", "Bearer "+tokens).header.Get("WWW-Authenticate")
		_, address, _ := strings.Cut(challenge, `resource_metadata="`+testIssuer)
		// RFC 9728 §3.3: it is where the resource's own path is put.
		if want := "/.well-known/oauth-protected-resource" + strings.TrimPrefix(resource, testIssuer) + `"`; address != want {
			t.Errorf("%s: %s, want %s", target, address, want)
			continue
		}
		var about struct {
			Resource string
			Servers  []string `json:"authorization_servers"`
		}
		r := h.send(http.MethodGet, strings.TrimSuffix(address, `"`), "").wantOK()
		if err := json.Unmarshal([]byte(r.body), &about); err != nil || about.Resource != resource || !slices.Equal(about.Servers, []string{longIssuer}) {
			t.Errorf("%s: %v %s", target, err, r.body)
		}
		d := h.askFor("openid", resource)
		h.approveSigned("alice", d.userCode)
		h.userInfo(h.poll(d).wantOK().text("access_token")).wantOK()
	}
	h.send(http.MethodGet, "/.well-known/oauth-protected-resource", "").wantError(http.StatusNotFound, "not_found")
	// A browser knows origins, and none has a path.
	cookie := h.signIn("alice")
	h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", cookie, "Origin", "https://evil.example")...).wantError(http.StatusForbidden, "access_denied")
	h.send(http.MethodPost, "/api/auth/sign-out", "{}", append(jsonBody, "Cookie", cookie, "Origin", testIssuer)...).wantOK()
}
