package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

func TestAReceiptIsExportedAsAJWSThatSaysThatTheServerSignedIt(t *testing.T) {
	t.Parallel()
	h := agentHouse(t)
	h.signIn("alice")
	_, code := h.agentAsks("bot")
	path := "/api/grants/" + h.signs("alice", code, h.statementOf("alice", code)).wantOK().text("grant_id") + "/receipt"
	original := h.signed("alice", http.MethodGet, path, "").wantOK().body
	got := h.signed("alice", http.MethodGet, path+"?format=jws", "").wantOK()
	jws, err := jose.ParseSignedCompact(got.body, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || got.header.Get("Content-Type") != "application/jose" || got.header.Get("Content-Disposition") != `attachment; filename="receipt.jws"` {
		t.Fatal(err, got.header)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(h.service.Tokens.KeySet(), &keys); err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(&keys)
	if err != nil {
		t.Fatal(err)
	}
	want, err := receipt.ExportPayload([]byte(original), h.now())
	if err != nil || string(payload) != want {
		t.Errorf("%s, want %s: %v", payload, want, err)
	}
	header, claims := claimsOf(t, got.body)
	if header["typ"] != receipt.ExportType || claims["signed_by"] != "server" || claims["receipt"] != original {
		t.Errorf("%v %v", header, claims)
	}
	if _, err := h.service.Tokens.Verify(t.Context(), authz.Secret(got.body)); err == nil {
		t.Error("it passes for an access token")
	}
	h.signed("alice", http.MethodGet, path+"?format=pdf", "").wantError(http.StatusBadRequest, "invalid_request")
}
