package protect_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/protect"
)

const resource = "https://api.example"

// issuer is an authorization server as small as the API sees it, which signs whatever a test
// wants: what the real one never would. The real one is in internal/server/protect_test.go.
type issuer struct {
	*httptest.Server
	ns    atomic.Int64
	asked atomic.Int64

	mu    sync.Mutex // guards all below
	keys  map[string]crypto.Signer
	serve map[string]http.HandlerFunc // by path, in the place of what is right
	cache string
}

func (i *issuer) now() time.Time          { return time.Unix(0, i.ns.Load()) }
func (i *issuer) advance(d time.Duration) { i.ns.Add(int64(d)) }

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// exampleIssuer is one for examples, which have no test, and a token of it.
func exampleIssuer() (i *issuer, accessToken string) {
	t := &testing.T{}
	i = newIssuer(t)
	return i, i.good(t)
}

// newIssuer starts one with a key for each algorithm.
func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{keys: maps.Clone(signers(t)), serve: map[string]http.HandlerFunc{}, cache: "public, max-age=300"}
	i.ns.Store(time.Unix(1_800_000_000, 0).UnixNano())
	i.Server = httptest.NewServer(i.answering(t))
	t.Cleanup(i.Close)
	return i
}

// answering is what an issuer answers, by HTTP or without.
func (i *issuer) answering(t testing.TB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		if other := i.serve[r.URL.Path]; other != nil {
			other(w, r)
			return
		}
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"introspection_endpoint":%q}`, i.URL, i.URL+"/jwks", i.URL+"/introspect")
		case "/jwks":
			w.Header().Set("Cache-Control", i.cache)
			_, _ = w.Write(i.keySet(t))
		case "/introspect":
			_, _ = io.WriteString(w, `{"active":true}`)
		default:
			http.NotFound(w, r)
		}
	}
}

var signers = func() func(t testing.TB) map[string]crypto.Signer {
	made := sync.OnceValues(func() (map[string]crypto.Signer, error) {
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		_, ed, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		r, err := rsa.GenerateKey(rand.Reader, 2048)
		return map[string]crypto.Signer{"ES256": ec, "EdDSA": ed, "RS256": r}, err
	})
	return func(t testing.TB) map[string]crypto.Signer {
		t.Helper()
		keys, err := made()
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
}()

func (i *issuer) keySet(t testing.TB) []byte {
	var set jose.JSONWebKeySet
	for name, private := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: name, Key: private.Public()})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Error(err)
	}
	return b
}

// keyOf is one of them.
func (i *issuer) keyOf(t testing.TB, name string) []byte {
	b, err := json.Marshal(jose.JSONWebKey{KeyID: name, Key: i.keys[name].Public()})
	if err != nil {
		t.Error(err)
	}
	return b
}

// api is one that accepts the issuer's tokens.
func (i *issuer) api(t testing.TB, options ...protect.Option) http.Handler {
	t.Helper()
	api, err := protect.New(t.Context(), i.URL, resource, append([]protect.Option{protect.Clock(i.now), protect.Log(slog.New(slog.DiscardHandler))}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return api.Require("notes:read", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, protect.FromContext(r.Context()).Subject, string(body))
	}))
}

// claims are those of a good token, with some changed; one that is nil is left out.
func (i *issuer) claims(changed map[string]any) map[string]any {
	all := map[string]any{
		"iss": i.URL, "sub": "satoshi", "aud": resource, "client_id": "app", "scope": "openid notes:read", "exp": i.now().Add(time.Hour).Unix(), "iat": i.now().Unix(), "jti": rand.Text(),
	}
	maps.Copy(all, changed)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign signs any payload, with members of the header changed. A key is named like its algorithm.
func (i *issuer) sign(t testing.TB, key string, header, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, key, key, signers(t)[key], header, payload)
}

func signed(t testing.TB, alg, kid string, key any, header map[string]any, payload []byte) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", kid)
	for name, value := range header {
		options = options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// good is a token as it should be.
func (i *issuer) good(t testing.TB) string { return i.sign(t, "ES256", nil, i.claims(nil)) }

// call sends an API a request with a token.
func call(api http.Handler, token string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/notes", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

func want(t *testing.T, name string, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, status)
	}
}
