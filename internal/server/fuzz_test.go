package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

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
	f.Add("%zz=&&=;", "application/x-www-form-urlencoded; charset=utf-8")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		h.t = t
		for _, path := range []string{codePath, pollPath, tokenPath, revokePath} {
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
