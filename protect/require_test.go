package protect_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign.dev/dpop"
	"countersign.dev/protect"
)

// asking is an API that needs one scope for all and another for some.
func (i *issuer) asking(t *testing.T, outer, inner string) http.Handler {
	t.Helper()
	api, err := protect.New(t.Context(), i.URL, resource, protect.Clock(i.now))
	if err != nil {
		t.Fatal(err)
	}
	return api.Require(outer, api.Require(inner, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, protect.FromContext(r.Context()).Scope)
	})))
}

func TestS03_RequireInsideRequireAsksForMoreOfTheSameToken(t *testing.T) {
	i := newIssuer(t)
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	bound := func(scope string) string {
		return i.sign(t, "ES256", nil, i.claims(map[string]any{"scope": scope, "cnf": map[string]any{"jkt": key.Thumbprint()}}))
	}
	ask := func(api http.Handler, token string) *httptest.ResponseRecorder {
		proof, err := key.Sign(dpop.Signing{Method: http.MethodGet, URL: resource + "/notes", AccessToken: token, Time: i.now()})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/notes", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set(dpop.Header, proof)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w
	}
	api := i.asking(t, "notes:read", "notes:write notes:read")
	if w := ask(api, bound("notes:read notes:write")); w.Code != http.StatusOK || w.Body.String() != "notes:read notes:write" {
		t.Errorf("with a proof, which counts once: %d %s", w.Code, w.Body)
	}
	// Who is asked for more asks for all of it: a client that asked for the one alone would
	// be refused for want of the other.
	for scope, needed := range map[string]string{"notes:read": `scope="notes:read notes:write"`, "notes:write": `scope="notes:read"`} {
		w := ask(api, bound(scope))
		if c := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusForbidden || !strings.Contains(c, needed) {
			t.Errorf("with %s alone: %d %s", scope, w.Code, c)
		}
	}
	// What another API let through is judged anew, for each has its own issuer and resource.
	other, err := protect.New(t.Context(), i.URL, "https://other.example", protect.Clock(i.now))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "inside another API", call(other.Require("", api), i.sign(t, "ES256", nil, i.claims(map[string]any{"aud": "https://other.example"}))), http.StatusUnauthorized)
}
