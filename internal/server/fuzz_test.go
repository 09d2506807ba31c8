package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/receipt"
)

// answersInJSON: whatever comes in, the answer is JSON with error, and never a
// failure of ours.
func answersInJSON(t *testing.T, r reply) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%d %q", r.status, r.body)
	}
	if r.status >= http.StatusInternalServerError || (r.status != http.StatusOK && m["error"] == nil) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// answered is the status of a page that is asked with a text: what no database
// keeps ends at the door.
func answered(text string) int {
	if !receipt.IsText(text) {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

func FuzzBodies(f *testing.F) {
	h := newHouse(f)
	f.Add(`{"client_id":"pub-a","scope":"openid"}`, "application/json")
	f.Add(`{"client_id":"pub-a","client_id":"x"}`, "application/json")
	f.Add("client_id=pub-a&scope=openid&number_match=true", "application/x-www-form-urlencoded")
	f.Add(`{"client_id":"pub-a","agent_name":"a","agent_reason":"r","authorization_details":[{"type":"skill","names":["x"]}],"lifetime":60,"depth":1,"resource":["x"]}`, "application/json")
	f.Add("client_id=pub-a&agent_name=%E2%80%AE&lifetime=0&authorization_details=%5B%5D", "application/x-www-form-urlencoded")
	f.Add("%zz=&&=;", "application/x-www-form-urlencoded; charset=utf-8")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		h.t = t
		for _, path := range []string{codePath, pollPath, tokenPath, revokePath, introspectPath} {
			answersInJSON(t, h.send(http.MethodPost, path, body, "Content-Type", contentType))
		}
	})
}

func FuzzHeaders(f *testing.F) {
	h := newHouse(f)
	f.Add("wait=10", "Basic cHViLWE6", "x|brc77|y|z|w")
	f.Add("respond-async, wait=\"5\"; foo", "Bearer x", "")
	f.Fuzz(func(t *testing.T, prefer, authorization, token string) {
		h.t = t
		form := url.Values{"grant_type": {deviceGrant}, "device_code": {"csd_x"}, "client_id": {"pub-a"}}
		answersInJSON(t, h.postForm(pollPath, form, "Prefer", prefer, "Authorization", authorization, "X-Auth-Token", token))
		answersInJSON(t, h.send(http.MethodGet, userinfoPath, "", "Authorization", authorization))
		answersInJSON(t, h.send(http.MethodGet, "/api/grants?aud="+testIssuer, "", "X-Auth-Token", token))
	})
}

func FuzzTypedCodes(f *testing.F) {
	h := newHouse(f)
	f.Add("BCDF-GHJK")
	f.Add("http://localhost:8628/device?code=BCDF-GHJK")
	f.Fuzz(func(t *testing.T, typed string) {
		h.t = t
		answersInJSON(t, h.send(http.MethodGet, "/api/auth/device?user_code="+url.QueryEscape(typed), ""))
		if r := h.send(http.MethodGet, "/device?code="+url.QueryEscape(typed), ""); r.status != answered(typed) {
			t.Errorf("%d", r.status)
		}
	})
}

// FuzzExchanges: whatever is asked for a token, what comes of it is for no others and good for no
// more, and nobody but its client acts.
func FuzzExchanges(f *testing.F) {
	h := newHouse(f)
	chain(h)
	subject := h.subject()
	f.Add("", "", "", "", "", "")
	f.Add(apiTwo, "", "jobs:run profile", accessTokenType, "", "")
	f.Add(testIssuer+"/", apiTwo, "grants", "", subject, accessTokenType)
	f.Fuzz(func(t *testing.T, resource, audience, scope, requested, actor, actorType string) {
		h.t = t
		form := exchange(subject, "resource", resource, "audience", audience, "scope", scope, "requested_token_type", requested, "actor_token", actor, "actor_token_type", actorType)
		r := h.as("rs-1", tokenPath, form)
		if r.status == http.StatusTooManyRequests { // so many were right
			h.advance(time.Second)
			return
		}
		answersInJSON(t, r)
		if r.status != http.StatusOK {
			return
		}
		for _, aud := range audienceOf(t, r.text("access_token")) {
			if aud != apiTwo && aud != apiThree && aud != testIssuer {
				t.Errorf("for %q", aud)
			}
		}
		for s := range strings.FieldsSeq(r.text("scope")) {
			if !slices.Contains([]string{"openid", "profile", "jobs:run", "jobs:read"}, s) {
				t.Errorf("%q", s)
			}
		}
		if a := actors(t, r.text("access_token")); !slices.Equal(a, []string{"rs-1"}) {
			t.Errorf("%q act", a)
		}
	})
}

// FuzzAuthorizationRequests: a browser is led nowhere but to what is registered, and a person
// is never told of a failure of ours.
func FuzzAuthorizationRequests(f *testing.F) {
	h := newHouse(f, logoutClients)
	f.Add(authorization().Encode(), webBack)
	f.Add(authorization("client_id", "native-a", "prompt", "none login", "max_age", "1").Encode(), "http://127.0.0.1:51004/cb")
	f.Add("client_id=web-a&redirect_uri=https://rp.example@evil.example/cb", `https://rp.example\.evil.example/`)
	f.Add("id_token_hint=x&post_logout_redirect_uri="+url.QueryEscape(goodbye), goodbye)
	f.Fuzz(func(t *testing.T, query, redirect string) {
		h.t = t
		for _, target := range []string{
			authorizePath + "?" + url.PathEscape(query),
			authorizePath + "?" + authorization("redirect_uri", redirect).Encode(),
			authorizePath + "?" + authorization("client_id", "native-a", "redirect_uri", redirect, "state", query, "response_type", "token").Encode(),
			logoutPath + "?" + url.Values{"client_id": {"web-a"}, "post_logout_redirect_uri": {redirect}, "state": {query}, "id_token_hint": {query}}.Encode(),
			logoutPath + "?" + url.Values{"client_id": {"web-a"}, "post_logout_redirect_uri": {redirect}, "state": {query}}.Encode(),
		} {
			r := h.send(http.MethodGet, target, "")
			to, err := url.Parse(r.header.Get("Location"))
			if err != nil || r.status >= http.StatusInternalServerError {
				t.Fatalf("%q: %d %q %s", target, r.status, r.header.Get("Location"), r.body)
			}
			where := to.Scheme + "://" + to.Host + to.Path
			if known := where == webBack || where == "https://rp.example/bye" || where == "https://rp.example/other" || to.Scheme == "com.example.app"; r.header.Get("Location") != "" && !known && !leadsHome(to) {
				t.Fatalf("%q leads to %q", target, r.header.Get("Location"))
			}
		}
	})
}

// leadsHome reports whether an address is native-a's, at whatever port of the loopback
// interface.
func leadsHome(to *url.URL) bool {
	return to.Scheme == "http" && (to.Hostname() == "127.0.0.1" || to.Hostname() == "::1") && to.Path == "/cb" && to.User == nil
}
