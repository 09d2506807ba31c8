package protect_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
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

func TestU04_P10_AChallengeIsInTheSchemeOfTheRequest(t *testing.T) {
	i := newIssuer(t)
	api, err := protect.New(t.Context(), i.URL, resource, protect.Clock(i.now))
	if err != nil {
		t.Fatal(err)
	}
	// What no scope can have (RFC 6749 §3.3) is left out, so that it ends no text in the header.
	h := api.Require("a\"b \\c é\x7f\x01 ~!", http.NotFoundHandler())
	const described = `resource_metadata="` + resource + `/.well-known/oauth-protected-resource"`
	algs := `algs="` + strings.Join(dpop.Algorithms(), " ") + `"`
	for authorization, wanted := range map[string][]string{
		"":       {`Bearer scope="ab c  ~!", ` + described, "DPoP " + algs},
		"dpop x": {`DPoP error="invalid_token", error_description="the access token is malformed, expired or revoked, or no access token of this API's issuer: get a new one", scope="ab c  ~!", ` + described + ", " + algs},
	} {
		r := httptest.NewRequest(http.MethodGet, "/notes", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Values("WWW-Authenticate"); w.Code != http.StatusUnauthorized || !slices.Equal(got, wanted) {
			t.Errorf("%q: %d %q", authorization, w.Code, got)
		}
	}
}

// What is proved by one thing does not stand for the other.
func TestP10_N01_AProofThatDoesNotCountIsNotMadeGoodByWhatElseIsWanted(t *testing.T) {
	i := newIssuer(t)
	owner, _ := ec.PrivateKeyFromBytes([]byte{31: 7})
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token := i.sign(t, "ES256", nil, i.claims(map[string]any{"pubkey": bap.FormatPublicKey(owner.PubKey()), "cnf": map[string]any{"jkt": key.Thumbprint()}}))
	ask := func(api http.Handler, url string) *httptest.ResponseRecorder {
		i.advance(time.Millisecond)
		proof, err := key.Sign(dpop.Signing{Method: http.MethodGet, URL: url, AccessToken: token, Time: i.now()})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := bitcoinauth.Sign(owner, bitcoinauth.Signing{Path: "/notes", Time: i.now()})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/notes", nil)
		r.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}, bitcoinauth.Header: {signature}}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w
	}
	for name, option := range map[string]protect.Option{"signed": protect.Signed(), "introspected": protect.Introspect("api", "secret")} {
		api := i.api(t, option)
		want(t, name, ask(api, resource+"/notes"), http.StatusOK)
		asked := i.asked.Load()
		want(t, name+", with a proof for another address", ask(api, resource+"/other"), http.StatusUnauthorized)
		if i.asked.Load() != asked {
			t.Error("the issuer was asked for who proved nothing")
		}
	}
	// Nor is a signature that does not count made good by the issuer's word.
	api := i.api(t, protect.Signed(), protect.Introspect("api", "secret"))
	want(t, "unsigned", call(api, i.good(t)), http.StatusUnauthorized)
	r := httptest.NewRequest(http.MethodPost, "/notes", iotest.ErrReader(io.ErrUnexpectedEOF))
	r.Header = http.Header{"Authorization": {"Bearer " + i.good(t)}, bitcoinauth.Header: {"x"}}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	want(t, "a body that ends too soon", w, http.StatusBadRequest)
}
