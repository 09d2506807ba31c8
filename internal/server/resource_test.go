package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// apis are clients that serve something, of the configuration and of the database.
func apis(h *house) {
	h.register("configuration", "rs-1", &authz.Client{ID: "rs-1", Name: "First API", Resources: []string{"https://one.example", "https://shared.example/v1"}})
	h.register("database", "rs-2", &authz.Client{ID: "rs-2", Name: "Second API", Resources: []string{"https://two.example", "https://shared.example/v1"}})
	h.register("database", "rs-1", &authz.Client{ID: "rs-1", Resources: []string{"https://hidden.example"}}) // that of the configuration counts
}

func TestX09_X10_AResourceIsOneThatARegisteredClientServes(t *testing.T) {
	h := newHouse(t)
	apis(h)
	clients := h.service.Clients
	registered, unregistered := authz.Client{ID: "tool", Registered: true}, authz.Client{ID: "anybody"}
	many := make([]string, 9)
	for i := range many {
		many[i] = fmt.Sprintf("https://one.example?%d", i)
	}
	for _, c := range []struct {
		client    authz.Client
		asked     []string
		resources []string // nil: refused
	}{
		{registered, []string{"https://one.example"}, []string{"https://one.example"}},
		{registered, []string{"HTTPS://TWO.example:443/", "https://one.example", "https://two.example"}, []string{"https://two.example", "https://one.example"}},
		{registered, []string{"https://shared.example/v1/"}, []string{"https://shared.example/v1"}},
		{registered, []string{testIssuer + "/", "https://one.example"}, []string{testIssuer, "https://one.example"}},
		{unregistered, []string{"https://one.example"}, nil},
		{registered, []string{"https://one.example", "https://three.example"}, nil},
		{registered, []string{"https://hidden.example"}, nil},
		{registered, []string{"https://shared.example"}, nil},
		{registered, []string{"one.example"}, nil},
		{registered, []string{"https://one.example#x"}, nil},
		{registered, many, nil},
	} {
		got, err := clients.Resources(t.Context(), c.client, c.asked)
		if !slices.Equal(got, c.resources) || (c.resources == nil) != errors.Is(err, authz.InvalidTarget) {
			t.Errorf("%s asks for %.80q: %q %v", c.client.ID, c.asked, got, err)
		}
	}
	for _, asked := range [][]string{nil, {testIssuer}} { // which is the same
		if got, err := clients.Resources(t.Context(), unregistered, asked); got != nil || err != nil {
			t.Errorf("%q: %q %v", asked, got, err)
		}
	}
	serving, err := clients.Serving(t.Context(), []string{"https://one.example", "https://two.example", "https://shared.example/v1", "https://three.example"})
	if err != nil || len(serving) != 3 || serving["https://one.example"].Name != "First API" || serving["https://two.example"].Name != "Second API" ||
		serving["https://shared.example/v1"].ID != "rs-1" {
		t.Errorf("%+v %v", serving, err)
	}
}

// asks is an application that asks for access to others' APIs.
func (h *house) askFor(scope string, resources ...string) device {
	h.t.Helper()
	return h.deviceOf(h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {scope}, "resource": resources}))
}

func (h *house) deviceOf(r reply) device {
	r.wantOK()
	return device{client: "pub-a", deviceCode: r.text("device_code"), userCode: r.text("user_code")}
}

// audienceOf is for whom an access token is.
func audienceOf(t *testing.T, accessToken string) []string {
	t.Helper()
	_, payload := claimsOf(t, accessToken)
	switch aud := payload["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		var all []string
		for _, a := range aud {
			all = append(all, a.(string)) //nolint:forcetypeassert // or the test fails
		}
		return all
	default:
		t.Fatalf("%v", payload)
		return nil
	}
}

func TestX12_ADeviceAsksForAccessToAnAPI(t *testing.T) {
	h := newHouse(t)
	apis(h)
	for _, wrong := range [][]string{{"https://three.example"}, {"one.example"}, {"https://one.example#x"}, {"https://one.example", "https://three.example"}} {
		h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "resource": wrong}).wantError(http.StatusBadRequest, "invalid_target")
	}
	h.postForm(codePath, url.Values{"client_id": {"anybody"}, "resource": {"https://one.example"}}).wantError(http.StatusBadRequest, "invalid_target")
	h.postJSON(codePath, map[string]any{"client_id": "pub-a", "resource": "https://three.example"}).wantError(http.StatusBadRequest, "invalid_target")
	h.postJSON(codePath, map[string]any{"client_id": "pub-a", "resource": []any{1}}).wantError(http.StatusBadRequest, "invalid_request")
	h.postJSON(codePath, map[string]any{"client_id": "pub-a", "resource": []string{"https://one.example\x00"}}).wantError(http.StatusBadRequest, "invalid_request")

	// What is asked for is told to the owner, and signed.
	d := h.deviceOf(h.postJSON(codePath, map[string]any{"client_id": "pub-a", "scope": "profile", "resource": []string{"https://two.example/", "https://one.example"}}))
	alice := h.signIn("alice")
	page, _ := h.review(alice, d.userCode)
	for _, said := range []string{"Second API", "two.example", "First API", "one.example", `data-resource="https://two.example"`} {
		if !strings.Contains(page.body, said) {
			t.Errorf("the page does not say %q:\n%s", said, page.body)
		}
	}
	var facts struct {
		Resources []struct{ Resource, Name, Host string }
		Statement string
	}
	told := h.facts("alice", d.userCode).wantOK()
	if err := json.Unmarshal([]byte(told.body), &facts); err != nil || len(facts.Resources) != 2 || facts.Resources[0].Name != "Second API" || facts.Resources[1].Host != "one.example" {
		t.Errorf("%v %s", err, told.body)
	}
	resources := []string{"https://two.example", "https://one.example"}
	if s, err := receipt.ParseStatement(facts.Statement); err != nil || !slices.Equal(s.Resource, resources) {
		t.Errorf("the statement says %s: %v", facts.Statement, err)
	}
	h.signStatement("alice", d.userCode, strings.Replace(facts.Statement, "https://two.example", "https://shared.example/v1", 1)).wantError(http.StatusForbidden, "access_denied")
	grant := h.signStatement("alice", d.userCode, facts.Statement).wantOK().text("grant_id")
	s, err := receipt.Verify([]byte(h.signed("alice", http.MethodGet, "/api/grants/"+grant+"/receipt", "").wantOK().body))
	if err != nil || !slices.Equal(s.Statement.Resource, resources) {
		t.Errorf("the receipt says %+v: %v", s, err)
	}
	if list := h.send(http.MethodGet, "/api/grants", "", "Cookie", alice).wantOK(); !strings.Contains(list.body, `"resources":["https://two.example","https://one.example"]`) {
		t.Errorf("%s", list.body)
	}
	if aud := audienceOf(t, h.poll(d).wantOK().text("access_token")); !slices.Equal(aud, resources) {
		t.Errorf("the token is for %q", aud)
	}
}

func TestX12_WhatNobodyServesAnyMoreIsNotApproved(t *testing.T) {
	h := newHouse(t)
	apis(h)
	gone, renamed := h.askFor("profile", "https://two.example"), h.askFor("profile", "https://two.example")
	alice := h.signIn("alice")
	_, transaction := h.review(alice, renamed.userCode)
	h.register("database", "rs-2", &authz.Client{ID: "rs-2", Name: "Another name", Resources: []string{"https://two.example"}})
	decision := url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"profile"}, "match": {renamed.userCode[5:]}}
	if r := h.page("/device/decide", alice, decision); strings.HasPrefix(r.header.Get("Location"), "/device/done/") {
		t.Error("what was shown under another name was approved")
	}
	h.open(alice, gone.userCode).wantOK()
	h.register("database", "rs-2", nil)
	h.postJSON(approvePath, map[string]any{"userCode": gone.userCode}, "Cookie", alice).wantError(http.StatusNotFound, "not_found")
	h.facts("alice", gone.userCode).wantError(http.StatusNotFound, "not_found")
}

func TestX10_X11_ATokenIsForWhatWasApprovedAndNothingElse(t *testing.T) {
	h := newHouse(t)
	apis(h)
	const one, two = "https://one.example", "https://two.example"
	redeem := func(d device, resources ...string) reply {
		h.advance(5 * time.Second)
		return h.postForm(tokenPath, url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {"pub-a"}, "resource": resources})
	}
	for name, c := range map[string]struct {
		scope           string
		approved, asked []string
		aud             []string
	}{
		"for one":                         {"profile", []string{one}, nil, []string{one}},
		"for one, said again":             {"profile", []string{one}, []string{"HTTPS://ONE.example/"}, []string{one}},
		"for one, who may be asked about": {"openid profile", []string{one}, nil, []string{one, testIssuer}},
		"for less":                        {"profile", []string{one, two}, []string{two}, []string{two}},
		"for this server only":            {"openid profile", []string{one}, []string{testIssuer}, []string{testIssuer}},
		"for this server":                 {"openid profile", nil, []string{testIssuer}, []string{testIssuer}},
		"for nobody else":                 {"profile", nil, nil, []string{testIssuer}},
	} {
		d := h.askFor(c.scope+" offline_access", c.approved...)
		h.approveSigned("alice", d.userCode)
		for _, other := range []string{"https://shared.example/v1", "one.example"} { // nothing is used up
			redeem(d, other).wantError(http.StatusBadRequest, "invalid_target")
		}
		tokens := redeem(d, c.asked...).wantOK()
		if aud := audienceOf(t, tokens.text("access_token")); !slices.Equal(aud, c.aud) {
			t.Errorf("%s: %q", name, aud)
		}
		// At userinfo what is for others counts for nothing.
		if r := h.userInfo(tokens.text("access_token")); (r.status == http.StatusUnauthorized) == slices.Contains(c.aud, testIssuer) {
			t.Errorf("%s: userinfo says %d %s", name, r.status, r.body)
		}
		refresh := refreshForm("pub-a", tokens.text("refresh_token"))
		refresh["resource"] = []string{"https://shared.example/v1"}
		h.postForm(tokenPath, refresh).wantError(http.StatusBadRequest, "invalid_target")
		refresh["resource"] = c.asked
		fresh := h.postForm(tokenPath, refresh).wantOK()
		if aud := audienceOf(t, fresh.text("access_token")); !slices.Equal(aud, c.aud) {
			t.Errorf("%s, refreshed: %q", name, aud)
		}
		// Its client may take any of them back.
		h.postForm(revokePath, url.Values{"client_id": {"pub-a"}, "token": {fresh.text("access_token")}}).wantOK()
		h.postForm(tokenPath, refreshForm("pub-a", fresh.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	}
}

// A token that others have too acts for the owner nowhere here.
func TestX11_ATokenThatAnAPIHasTooSeesNoGrants(t *testing.T) {
	h := newHouse(t)
	apis(h)
	h.register("database", "tool", &authz.Client{ID: "tool", Scope: "openid grants", GrantTypes: []string{deviceGrant}})
	for resource, status := range map[string]int{testIssuer: http.StatusOK, "https://one.example": http.StatusUnauthorized} {
		r := h.postForm(codePath, url.Values{"client_id": {"tool"}, "scope": {"openid grants"}, "resource": {resource}}).wantOK()
		d := device{client: "tool", deviceCode: r.text("device_code"), userCode: r.text("user_code")}
		h.approveSigned("alice", d.userCode)
		token := h.poll(d).wantOK().text("access_token")
		h.userInfo(token).wantOK()
		if r := h.send(http.MethodGet, "/api/grants", "", "Authorization", "Bearer "+token); r.status != status {
			t.Errorf("%s: %d %s", resource, r.status, r.body)
		}
	}
}

// userInfoMetadata is where the metadata of the UserInfo endpoint are.
const userInfoMetadata = testIssuer + "/.well-known/oauth-protected-resource" + userinfoPath

func TestS01_S02_S03_S09_WhatTheServerProtectsIsDescribed(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "profile", "alice").text("access_token")
	for target, resource := range map[string]string{userinfoPath: testIssuer + userinfoPath, "/api/grants": testIssuer} {
		for name, bearer := range map[string]string{"invalid_token": "nonsense", "insufficient_scope": tokens} {
			challenge := h.send(http.MethodGet, target, "", "Authorization", "Bearer "+bearer).header.Get("WWW-Authenticate")
			for _, said := range []string{`error="` + name + `"`, map[string]string{userinfoPath: `scope="openid"`, "/api/grants": `scope="grants"`}[target]} {
				if !strings.Contains(challenge, said) {
					t.Errorf("%s says %q, and not %s", target, challenge, said)
				}
			}
			_, address, _ := strings.Cut(challenge, `resource_metadata="`+testIssuer)
			r := h.send(http.MethodGet, strings.TrimSuffix(address, `"`), "", "Origin", "https://x.example").wantOK()
			var about struct {
				Resource string
				Servers  []string `json:"authorization_servers"`
				Scopes   []string `json:"scopes_supported"`
			}
			if err := json.Unmarshal([]byte(r.body), &about); err != nil || about.Resource != resource || !slices.Equal(about.Servers, []string{testIssuer}) {
				t.Errorf("%s: %v %s", target, err, r.body)
			}
			if slices.Contains(about.Scopes, "offline_access") || r.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %v %s", target, r.header, r.body)
			}
		}
	}
	// Who names a resource as its metadata do gets a token that is good there.
	d := h.askFor("openid", testIssuer+userinfoPath)
	h.approveSigned("alice", d.userCode)
	h.userInfo(h.poll(d).wantOK().text("access_token")).wantOK()
}

func TestR18_ATokenResponseSaysHowLongWhatItGaveLasts(t *testing.T) {
	h := newHouse(t)
	const day = 24 * time.Hour
	in := func(r reply, name string) time.Duration {
		t.Helper()
		n, there := r.wantOK().members()[name].(float64)
		if !there {
			t.Errorf("%s has no %s", r.body, name)
		}
		return time.Duration(n) * time.Second
	}
	if r := h.tokens("pub-a", "openid", "alice"); strings.Contains(r.body, "refresh_token_expires_in") || strings.Contains(r.body, "authorization_expires_in") {
		t.Errorf("without a refresh token: %s", r.body)
	}
	tokens := h.tokens("pub-a", "openid offline_access", "alice")
	for age, n := 0*day, 0; n < 6; n++ { // refreshed every 29 days and a bit, to the end of the grant
		if got, want := in(tokens, "authorization_expires_in"), 180*day-age; got != want {
			t.Errorf("after %v what was allowed lasts %v, want %v", age, got, want)
		}
		if got, want := in(tokens, "refresh_token_expires_in"), min(30*day, 180*day-age); got != want {
			t.Errorf("after %v the refresh token lasts %v, want %v", age, got, want)
		}
		age += 29 * day
		h.advance(29 * day)
		first := h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token")))
		h.advance(10 * time.Second) // asked again, it is the same token, of then
		again := h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token")))
		if in(first, "refresh_token_expires_in")-in(again, "refresh_token_expires_in") != 10*time.Second || first.text("refresh_token") != again.text("refresh_token") {
			t.Errorf("%s\n%s", first.body, again.body)
		}
		h.advance(-10 * time.Second)
		tokens = first
	}
	// And so it is.
	h.advance(in(tokens, "refresh_token_expires_in") - time.Second)
	tokens = h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token"))).wantOK()
	h.advance(in(tokens, "refresh_token_expires_in"))
	h.postForm(tokenPath, refreshForm("pub-a", tokens.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
}
