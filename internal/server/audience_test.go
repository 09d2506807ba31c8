package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/server"
	"countersign.dev/receipt"
)

const anotherServer = "https://other.example"

// ownGrants reads what was allowed, at this server.
const ownGrants = "/api/grants?aud=" + testIssuer

// forServer is the target of a signed request that reads, and the body of one that
// acts, made for a server; an empty one names none. An approval has it in its statement.
func forServer(method, target, issuer string) (string, string) {
	switch {
	case target == approvePath:
		s := receipt.Statement{Version: receipt.StatementVersion, Purpose: receipt.PurposeDeviceApproval, Issuer: issuer, UserCodeHash: receipt.UserCodeHash("BCDF-GHJK")}
		return target, `{"userCode":"BCDF-GHJK","statement":` + inJSON(s.Encode()) + `}`
	case issuer == "" && method == http.MethodGet:
		return target, ""
	case issuer == "":
		return target, `{"userCode":"BCDF-GHJK"}`
	case method == http.MethodGet && strings.Contains(target, "?"):
		return target + "&aud=" + url.QueryEscape(issuer), ""
	case method == http.MethodGet:
		return target + "?aud=" + url.QueryEscape(issuer), ""
	default:
		return target, `{"userCode":"BCDF-GHJK","aud":"` + issuer + `"}`
	}
}

// What a signature is for is its path and its body, and neither says which host was
// meant. So whoever gets a signed request could send it on to another server.
func TestN07_ARequestThatWasSignedForAnotherServerDoesNothing(t *testing.T) {
	h := newHouse(t)
	// Existing clients sign these without a word about the server. What such a request
	// can do anotherServer stands in the risk assessment.
	compatible := map[string]bool{"POST /api/auth/sign-in/sigma": true, "POST /api/auth/sign-up/sigma": true, "POST /api/auth/device/deny": true}
	// A signature is nothing to these.
	unsigned := map[string]bool{
		"GET /api/auth/device": true, "GET /api/auth/get-session": true, "POST /api/auth/sign-out": true,
		"POST /api/auth/sign-in/passkey/options": true, "POST /api/auth/sign-in/passkey": true, "POST /api/passkeys/options": true,
	}
	checked := 0
	for _, route := range server.OwnerRoutes() {
		method, path, _ := strings.Cut(route, " ")
		if unsigned[route] {
			continue
		}
		for _, issuer := range []string{anotherServer, testIssuer + "/", "", testIssuer + " " + anotherServer} {
			if issuer == "" && compatible[route] {
				continue
			}
			target, body := forServer(method, strings.ReplaceAll(path, "{id}", "mzxw6ytboi"), issuer)
			r := h.send(method, target, body, append(jsonBody, bitcoinauth.Header, h.sign("mallory", target, body))...)
			says := r.text("error_description")
			if r.status != http.StatusUnauthorized && !strings.Contains(says, "aud must be") && !strings.Contains(says, "for another server") {
				t.Errorf("%s for %q: %d %s", route, issuer, r.status, r.body)
			}
			checked++
		}
	}
	if checked < 60 {
		t.Errorf("only %d requests were tried", checked)
	}
	if _, err := h.store.Identity(t.Context(), bapIDOf(t, "mallory")); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("a request for another server made an account: %v", err)
	}
}

func TestN07_ARequestForThisServerIsRead(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for _, path := range []string{
		"/api/grants", "/api/sessions", "/api/events", "/api/passkeys", "/api/backups", "/api/user/bap-ids",
		"/api/user/last-oauth-identity?clientId=pub-a", "/api/oauth-clients",
		"/api/bap/profile?bapId=" + bapIDOf(t, "alice"), "/api/auth/device/approval?user_code=" + h.ask("pub-a", "openid").userCode,
	} {
		h.send(http.MethodGet, path, "", "Cookie", cookie).wantOK() // a session is this server's anyway
		target, _ := forServer(http.MethodGet, path, testIssuer)
		h.send(http.MethodGet, target, "", bitcoinauth.Header, h.sign("alice", target, "")).wantOK()
		// It is the signed path that counts: nobody can add the name afterwards.
		h.send(http.MethodGet, target, "", bitcoinauth.Header, h.sign("alice", path, "")).wantError(http.StatusUnauthorized, "unauthorized")
	}
}

// A client with a member key signs what its contract says, which is no server. Where it
// does name one, in what its signature covers, it is held to it.
func TestN07_WhatAClientSignedForAnotherServerIsNotRead(t *testing.T) {
	h := newHouse(t)
	// A client's signature is nothing to these.
	unsigned := map[string]bool{
		"GET /api/auth/oauth2/userinfo": true, "POST /api/auth/oauth2/userinfo": true, "GET /api/auth/jwks": true,
		"GET /.well-known/oauth-authorization-server": true, "GET /.well-known/openid-configuration": true,
		"GET /api/auth/.well-known/openid-configuration": true, "GET /.well-known/oauth-protected-resource": true,
		"GET /.well-known/oauth-protected-resource/api/auth/oauth2/userinfo": true,
		"GET /api/auth/organization/list":                                    true, "POST /api/auth/organization/set-active": true,
		"POST /api/kill": true, // its body is signed by itself, and names the server
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	checked := 0
	for _, route := range server.PublicRoutes() {
		if unsigned[route] {
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		json := `{"client_id":"member-a","scope":"openid","device_code":"x","token":"x","refresh_token":"x","grant_type":"` + authz.GrantDevice + `"`
		for name, asked := range map[string]struct {
			target, body string
			header       []string
		}{
			"a body":         {path, json + `,"aud":"` + anotherServer + `"}`, jsonBody},
			"a slash more":   {path, json + `,"aud":"` + testIssuer + `/"}`, jsonBody},
			"a form":         {path, url.Values{"client_id": {"member-a"}, "grant_type": {authz.GrantDevice}, "device_code": {"x"}, "aud": {anotherServer}}.Encode(), form},
			"a query":        {path + "?aud=" + url.QueryEscape(anotherServer), json + `}`, jsonBody},
			"an empty query": {path + "?aud=", json + `}`, jsonBody},
			"both in one":    {path + "?aud=" + url.QueryEscape(testIssuer) + "&aud=" + url.QueryEscape(anotherServer), json + `}`, jsonBody},
			"one of two":     {path + "?aud=" + url.QueryEscape(anotherServer), json + `,"aud":"` + testIssuer + `"}`, jsonBody},
		} {
			header := append(slices.Clone(asked.header), bitcoinauth.Header, h.sign("client", asked.target, asked.body))
			r := h.send(method, asked.target, asked.body, header...)
			r.wantError(http.StatusUnauthorized, "invalid_client")
			if !strings.Contains(r.text("error_description"), "aud must be "+testIssuer) {
				t.Errorf("%s with another server in %s: %s", route, name, r.body)
			}
			checked++
		}
		lists := json + `,"aud":["` + testIssuer + `"]}`
		h.send(method, path, lists, append(slices.Clone(jsonBody), bitcoinauth.Header, h.sign("client", path, lists))...).wantError(http.StatusBadRequest, "invalid_request")
	}
	if checked < 4*7 {
		t.Errorf("only %d requests were tried", checked)
	}
	h.wantRows("used_once", 0)
	for _, query := range []string{"", "?aud=" + url.QueryEscape(testIssuer)} {
		for _, body := range []string{`{"client_id":"member-a","scope":"openid"}`, `{"client_id":"member-a","scope":"openid","aud":"` + testIssuer + `"}`} {
			h.send(http.MethodPost, codePath+query, body, append(slices.Clone(jsonBody), bitcoinauth.Header, h.sign("client", codePath+query, body))...).wantOK()
		}
	}
}

// Nothing is used up, and no account is made, for what does not say in a form that
// can be read that it is for this server.
func TestN07_AnApprovalWhoseStatementCannotBeReadDoesNothing(t *testing.T) {
	h := newHouse(t)
	good := receipt.Statement{Version: receipt.StatementVersion, Purpose: receipt.PurposeDeviceApproval, Issuer: testIssuer, UserCodeHash: receipt.UserCodeHash("BBBB-BBBB")}.Encode()
	for _, statement := range []string{`{"iss":"` + anotherServer + `"}`, `{"iss":"` + testIssuer + `"}`, "x", " " + good, strings.Replace(good, `"v":1`, `"v":2`, 1)} {
		body := `{"userCode":"BBBB-BBBB","statement":` + inJSON(statement) + `}`
		h.send(http.MethodPost, approvePath, body, append(slices.Clone(jsonBody), bitcoinauth.Header, h.sign("mallory", approvePath, body))...).
			wantError(http.StatusBadRequest, "invalid_request")
	}
	if _, err := h.store.Identity(t.Context(), bapIDOf(t, "mallory")); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("an account was made: %v", err)
	}
	h.wantRows("used_once", 0)
}

// Existing clients name no server when they sign in or deny; who does is held to it.
func TestN07_ASignInOrADenialThatNamesAServerIsForThatOne(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.signed("alice", http.MethodPost, signInPath, `{"bapId":"`+bapIDOf(t, "alice")+`","aud":"`+anotherServer+`"}`).wantError(http.StatusUnauthorized, "unauthorized")
	h.signed("alice", http.MethodPost, signInPath+"?aud="+url.QueryEscape(anotherServer), `{"bapId":"`+bapIDOf(t, "alice")+`"}`).wantError(http.StatusUnauthorized, "unauthorized")
	h.signed("alice", http.MethodPost, denyPath+"?aud="+url.QueryEscape(anotherServer), `{"userCode":"`+d.userCode+`"}`).wantError(http.StatusBadRequest, "invalid_request")
	h.signed("alice", http.MethodPost, signInPath, `{"aud":["`+testIssuer+`"]}`).wantError(http.StatusBadRequest, "invalid_request")
	h.signed("alice", http.MethodPost, signInPath, `{"bapId":"`+bapIDOf(t, "alice")+`","aud":"`+testIssuer+`"}`).wantOK()
	h.signed("alice", http.MethodPost, denyPath, `{"userCode":"`+d.userCode+`","aud":"`+anotherServer+`"}`).wantError(http.StatusBadRequest, "invalid_request")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.signed("alice", http.MethodPost, denyPath, `{"userCode":"`+d.userCode+`","aud":"`+testIssuer+`"}`).wantOK()
	other := h.ask("pub-a", "openid")
	h.signed("alice", http.MethodPost, denyPath, `{"userCode":"`+other.userCode+`"}`).wantOK()
}
