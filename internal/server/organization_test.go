package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

func TestExistingClientsAreToldOfTheIdentityOfTheirGrant(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "openid profile", "alice")
	bearer := "Bearer " + tokens.text("access_token")
	r := h.send(http.MethodGet, "/api/auth/organization/list", "", "Authorization", bearer, "Origin", "https://app.example").wantOK()
	var list []struct{ ID, Name, Slug, Metadata string }
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list) != 1 || list[0].ID != bapIDOf(t, "alice") || list[0].Name == "" || list[0].Slug == "" {
		t.Fatalf("answered %s, %v", r.body, err)
	}
	var metadata map[string]string
	if err := json.Unmarshal([]byte(list[0].Metadata), &metadata); err != nil || metadata["type"] != "bap_identity" {
		t.Errorf("the metadata is %s, %v", list[0].Metadata, err)
	}
	if r.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page may not read it")
	}
	choose := func(id, authorization string) reply {
		return h.postJSON("/api/auth/organization/set-active", map[string]any{"organizationId": id}, "Authorization", authorization)
	}
	if got := choose(list[0].ID, bearer).wantOK(); got.text("id") != list[0].ID {
		t.Errorf("chosen: %s", got.body)
	}
	choose(bapIDOf(t, "bob"), bearer).wantError(404, "not_found")
	choose(list[0].ID, "Bearer x").wantError(401, "invalid_token")
	choose(list[0].ID, "").wantError(401, "unauthorized")
	h.send(http.MethodGet, "/api/auth/organization/list", "", "Cookie", h.signIn("alice")).wantError(401, "unauthorized")
	without := h.tokens("pub-a", "openid", "alice")
	if r := h.send(http.MethodGet, "/api/auth/organization/list", "", "Authorization", "Bearer "+without.text("access_token")).wantOK(); r.body != "[]" {
		t.Errorf("without the profile: %s", r.body)
	}
}
