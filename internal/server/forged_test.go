package server_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// Whoever made a token of their own may put anything into its header.
func TestM09_B20_NamesOfKeysThatThereAreNotCostNoReadEach(t *testing.T) {
	h := newHouse(t)
	h.service.Close()
	store := &failing{Store: h.store}
	h.store = store
	h.start(h.settings)
	good, kid := h.accessToken()
	part := strings.Split(good, ".")
	named := func(kid any) string {
		header, err := json.Marshal(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid})
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(header) + "." + part[1] + "." + part[2]
	}
	use := func(ctx context.Context, access string) error {
		_, err := h.service.Grants.UserInfo(ctx, authz.Presented{Token: authz.Secret(access)})
		return err
	}
	others := h.published()
	tricks := []any{"", "../../dev/null", "/proc/self/environ", "' OR 1=1 --", "https://evil.example/jwks", strings.Repeat("k", 2000), 7, nil, others["RS256"][0], others["EdDSA"][0], kid + "\x00"}
	for _, trick := range tricks {
		h.advance(time.Second) // the keys may be read again
		calls := store.during(nil, func(ctx context.Context) {
			if err := use(ctx, named(trick)); !errors.Is(err, authz.InvalidToken) {
				t.Errorf("kid %.40q: %v", fmt.Sprint(trick), err)
			}
		})
		if len(calls) != 0 {
			t.Errorf("kid %.40q: %v", fmt.Sprint(trick), calls)
		}
		h.userInfo(named(trick)).wantError(http.StatusUnauthorized, "invalid_token")
	}
	h.advance(time.Second)
	forged := func(n int) string {
		return named(base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%032d", n)))) // of the form of ours
	}
	calls := store.during(nil, func(ctx context.Context) {
		var at sync.WaitGroup
		for n := range 8 {
			at.Go(func() {
				for m := range 50 {
					if err := use(ctx, forged(100*n+m)); !errors.Is(err, authz.InvalidToken) {
						t.Error(err)
					}
				}
			})
		}
		at.Wait()
	})
	if len(calls) > 1 {
		t.Errorf("400 forged tokens: %d reads", len(calls))
	}
	h.userInfo(good).wantOK()

	// That the keys cannot be read does not mean that a token is not ours.
	h.advance(time.Second)
	for range 2 { // the second does not ask
		store.during(&fault{"SigningKeys", 1, false, contract.ErrUnreachable}, func(ctx context.Context) {
			if err := use(ctx, forged(1)); !errors.Is(err, contract.ErrUnreachable) && !errors.Is(err, authz.InvalidToken) {
				t.Error(err)
			}
		})
	}
}

// away is a store whose keys cannot be read, which it says after three seconds.
type away struct {
	contract.Store
	house *house
	asked atomic.Int64
}

func (s *away) SigningKeys(ctx context.Context, now time.Time) ([]authz.SigningKey, error) {
	if ctx.Value(watched{}) == nil {
		return s.Store.SigningKeys(ctx, now)
	}
	s.asked.Add(1)
	s.house.advance(3 * time.Second)
	return nil, contract.ErrUnreachable
}

func TestB20_WhoeverNamesAKeyWaitsForADatabaseThatIsAwayOnce(t *testing.T) {
	h := newHouse(t)
	h.service.Close()
	good, _ := h.accessToken()
	part := strings.Split(good, ".")
	store := &away{Store: h.store, house: h}
	h.store = store
	h.start(h.settings)
	h.service.Close() // what it does each second would count
	h.advance(time.Second)
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"` + strings.Repeat("k", 43) + `"}`))
	var at sync.WaitGroup
	for range 20 {
		at.Go(func() {
			_, err := h.service.Grants.UserInfo(context.WithValue(context.Background(), watched{}, true), authz.Presented{Token: authz.Secret(header + "." + part[1] + "." + part[2])})
			if !errors.Is(err, contract.ErrUnreachable) {
				t.Error(err)
			}
		})
	}
	at.Wait()
	if n := store.asked.Load(); n != 1 {
		t.Errorf("20 requests asked %d times", n)
	}
}

// ours is a key of the server's, with its private half.
func (h *house) ours(alg string) (kid string, private any) {
	h.t.Helper()
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := h.store.SigningKeys(h.t.Context(), time.Time{})
	if err != nil {
		h.t.Fatal(err)
	}
	k := keys[slices.IndexFunc(keys, func(k authz.SigningKey) bool { return k.Algorithm == alg })]
	pkcs8, err := secrets.OpenKey(k.ID, k.Sealed)
	if err != nil {
		h.t.Fatal(err)
	}
	if private, err = x509.ParsePKCS8PrivateKey(pkcs8); err != nil {
		h.t.Fatal(err)
	}
	return k.ID, private
}

// Each of these is signed well, by what its own header says; what changes is the header of
// a token that is accepted.
func TestM09_WhatATokenSaysOfItsKeyCountsForNothing(t *testing.T) {
	h := newHouse(t)
	good, _ := h.accessToken()
	_, claims := claimsOf(t, good)
	ours, private := h.ours("ES256")
	oursRSA, privateRSA := h.ours("RS256")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: stranger.Public(), KeyID: ours, Algorithm: "ES256", Use: "sig"}}})
	}))
	defer evil.Close()
	signed := func(alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any) string {
		t.Helper()
		options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "at+jwt", "kid": ours}}
		for name, value := range header {
			options.ExtraHeaders[name] = value
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	public := func(private any) []byte {
		der, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	inPEM := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}) }
	h.userInfo(signed(jose.ES256, private, nil)).wantOK()
	part := strings.Split(signed(jose.ES256, private, nil), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"` + ours + `"}`))
	for name, forged := range map[string]string{
		"HS256 with the RSA key":              signed(jose.HS256, public(privateRSA), map[jose.HeaderKey]any{"kid": oursRSA}),
		"HS256 with the RSA key in PEM":       signed(jose.HS256, inPEM(public(privateRSA)), map[jose.HeaderKey]any{"kid": oursRSA}),
		"HS256 with the EC key":               signed(jose.HS256, public(private), nil),
		"HS256 with the EC key in PEM":        signed(jose.HS256, inPEM(public(private)), nil),
		"RS256 with the key of ID tokens":     signed(jose.RS256, privateRSA, map[jose.HeaderKey]any{"kid": oursRSA}),
		"RS256 under the name of the EC key":  signed(jose.RS256, privateRSA, nil),
		"ES256 under the name of the RSA key": signed(jose.ES256, private, map[jose.HeaderKey]any{"kid": oursRSA}),
		"a key in the token":                  signed(jose.ES256, stranger, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: stranger.Public()}}),
		"a key at an address":                 signed(jose.ES256, stranger, map[jose.HeaderKey]any{"jku": evil.URL}),
		"a certificate at an address":         signed(jose.ES256, stranger, map[jose.HeaderKey]any{"x5u": evil.URL}),
		"an address for a name":               signed(jose.ES256, stranger, map[jose.HeaderKey]any{"kid": evil.URL}),
		"somebody's own key":                  signed(jose.ES256, stranger, nil),
		"what must be understood":             signed(jose.ES256, private, map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}),
		"no signature":                        none + "." + part[1] + ".",
		"no algorithm":                        none + "." + part[1] + "." + part[2],
	} {
		if r := h.userInfo(forged); r.status != http.StatusUnauthorized {
			t.Errorf("%s: answered %d %s", name, r.status, r.body)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a stranger's address was asked %d times", n)
	}
}
