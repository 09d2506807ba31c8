package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
)

// assertionType is the client_assertion_type of private_key_jwt.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signer is a client that has key pairs.
type signer struct {
	h    *house
	id   string
	keys map[string]crypto.Signer // by kid
	made int
}

// signer registers a client with key pairs of these algorithms, each the kid of its key.
func (h *house) signer(id string, algs ...string) *signer {
	h.t.Helper()
	s := &signer{h: h, id: id, keys: map[string]crypto.Signer{}}
	var set jose.JSONWebKeySet
	for _, alg := range algs {
		s.keys[alg] = newKey(h.t, alg)
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.keys[alg].Public(), KeyID: alg, Algorithm: alg})
	}
	text, err := json.Marshal(set)
	if err != nil {
		h.t.Fatal(err)
	}
	h.register("database", id, &authz.Client{ID: id, Keys: string(text), AuthMethod: authz.AuthJWT, GrantTypes: []string{deviceGrant, "refresh_token", "client_credentials"}})
	return s
}

func newKey(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// claims are those of a good assertion, with some of them changed; nil takes one out.
func (s *signer) claims(changed map[string]any) map[string]any {
	s.made++
	now := s.h.now().Unix()
	claims := map[string]any{"iss": s.id, "sub": s.id, "aud": testIssuer, "iat": now, "exp": now + 60, "jti": s.id + strings.Repeat("i", s.made)}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// sign signs with one of the keys, and a header with more in it.
func (s *signer) sign(alg string, key any, claims map[string]any, header map[jose.HeaderKey]any) string {
	s.h.t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: header}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, o)
	if err != nil {
		s.h.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.h.t.Fatal(err)
	}
	jws, err := made.Sign(payload)
	if err != nil {
		s.h.t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		s.h.t.Fatal(err)
	}
	return text
}

// assertion is a good one by the key of an algorithm, but for what is changed.
func (s *signer) assertion(alg string, changed map[string]any, header map[jose.HeaderKey]any) string {
	all := map[jose.HeaderKey]any{"kid": alg, "typ": "JWT"}
	maps.Copy(all, header)
	maps.DeleteFunc(all, func(_ jose.HeaderKey, v any) bool { return v == nil })
	return s.sign(alg, s.keys[alg], s.claims(changed), all)
}

func asserted(assertion string) url.Values {
	return url.Values{"client_assertion": {assertion}, "client_assertion_type": {assertionType}}
}

func TestT18_AClientProvesItselfWithItsKey(t *testing.T) {
	h := newHouse(t)
	algs := []string{"ES256", "RS256", "PS256", "EdDSA"}
	s := h.signer("service", algs...)
	for _, alg := range algs {
		h.postForm(codePath, asserted(s.assertion(alg, nil, nil))).wantOK()
	}
	for name, good := range map[string]string{
		"aud as an array":         s.assertion("ES256", map[string]any{"aud": []string{testIssuer}}, nil),
		"without typ":             s.assertion("ES256", nil, map[jose.HeaderKey]any{"typ": nil}),
		"with the typ of the RFC": s.assertion("ES256", nil, map[jose.HeaderKey]any{"typ": "client-authentication+jwt"}),
		"an hour, by its clock":   s.assertion("ES256", map[string]any{"exp": h.now().Unix() + 3630, "iat": h.now().Unix() + 30}, nil),
		"without iat":             s.assertion("ES256", map[string]any{"iat": nil}, nil),
		"a clock that is ahead":   s.assertion("ES256", map[string]any{"iat": h.now().Unix() + 20, "nbf": h.now().Unix() + 20}, nil),
	} {
		form := asserted(good)
		form.Set("client_id", "service")
		if r := h.postForm(codePath, form); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// However long it says, it counts once.
	long := asserted(s.assertion("ES256", map[string]any{"exp": h.now().Unix() + 3600}, nil))
	h.postForm(codePath, long).wantOK()
	h.advance(59 * time.Minute)
	h.postForm(codePath, long).wantError(http.StatusUnauthorized, "invalid_client")
	// It goes at every endpoint, and the id alone does not.
	form := asserted(s.assertion("ES256", nil, nil))
	form.Set("token", "x")
	h.postForm(revokePath, form).wantOK()
	h.postForm(codePath, url.Values{"client_id": {"service"}}).wantError(http.StatusUnauthorized, "invalid_client")
	// A client with one key need not name it.
	one := h.signer("one", "ES256")
	h.postForm(codePath, asserted(one.assertion("ES256", nil, map[jose.HeaderKey]any{"kid": nil}))).wantOK()
	h.postForm(codePath, asserted(s.assertion("ES256", nil, map[jose.HeaderKey]any{"kid": nil}))).wantError(http.StatusUnauthorized, "invalid_client")
}

func TestT18_M10_AnAssertionThatIsWrongInOneThingIsRefused(t *testing.T) {
	h := newHouse(t)
	s, other := h.signer("service", "ES256", "RS256"), h.signer("other", "ES256")
	now, tokens := h.now().Unix(), h.tokens("pub-a", "openid", "alice")
	with := func(name string, value any) string { return s.assertion("ES256", map[string]any{name: value}, nil) }
	good := s.assertion("ES256", nil, nil)
	for name, wrong := range map[string]string{
		"for the endpoint":                with("aud", testIssuer+tokenPath),
		"for two":                         with("aud", []string{testIssuer, "https://other.example"}),
		"for nobody":                      with("aud", nil),
		"for another server":              with("aud", "https://other.example"),
		"for a number":                    with("aud", 1),
		"issued by another":               with("iss", "other"),
		"about another":                   with("sub", "other"),
		"about nobody":                    s.assertion("ES256", map[string]any{"iss": nil, "sub": nil}, nil),
		"about a number":                  with("sub", 1),
		"over":                            with("exp", now),
		"without an end":                  with("exp", nil),
		"for longer than an hour":         with("exp", now+3631),
		"for ever":                        with("exp", 1e300),
		"not yet":                         with("nbf", now+60),
		"made in the future":              with("iat", now+60),
		"without jti":                     with("jti", nil),
		"with a long jti":                 with("jti", strings.Repeat("i", 256)),
		"of another type":                 s.assertion("ES256", nil, map[jose.HeaderKey]any{"typ": "at+jwt"}),
		"of a type that is no text":       s.assertion("ES256", nil, map[jose.HeaderKey]any{"typ": map[string]any{}}),
		"by another's key":                s.sign("ES256", other.keys["ES256"], s.claims(nil), map[jose.HeaderKey]any{"kid": "ES256"}),
		"by a key that is not registered": s.sign("ES256", other.keys["ES256"], s.claims(nil), map[jose.HeaderKey]any{"kid": "new"}),
		"with the key in it":              s.sign("ES256", other.keys["ES256"], s.claims(nil), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.keys["ES256"].Public()}}),
		"by the key of another algorithm": s.sign("PS256", s.keys["RS256"], s.claims(nil), map[jose.HeaderKey]any{"kid": "RS256"}),
		"by a secret":                     s.sign("HS256", []byte(strings.Repeat("k", 32)), s.claims(nil), map[jose.HeaderKey]any{"kid": "ES256"}),
		"critical in what nobody knows":   s.assertion("ES256", nil, map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}),
		"with another signature":          good[:len(good)-4] + "AAAA",
		"without one":                     good[:strings.LastIndex(good, ".")+1],
		"no JWT":                          "x",
		"long":                            strings.Repeat("x", 8<<10+1),
		"our ID token":                    tokens.text("id_token"),
		"our access token":                tokens.text("access_token"),
		"of a client without keys":        (&signer{h: h, id: "conf-a", keys: s.keys}).assertion("ES256", nil, nil),
		"of nobody":                       (&signer{h: h, id: "nobody", keys: s.keys}).assertion("ES256", nil, nil),
	} {
		if r := h.postForm(codePath, asserted(wrong)); r.status != http.StatusUnauthorized || r.text("error") != "invalid_client" || !strings.HasPrefix(r.text("error_description"), "client_assertion ") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	h.postForm(codePath, asserted(good)).wantOK() // none of that used it up

	// In one way, and said once (T-03).
	for name, more := range map[string]url.Values{
		"another id":      {"client_id": {"other"}},
		"a secret":        {"client_secret": {confSecret}},
		"another type":    {"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}},
		"no type":         {"client_assertion_type": {""}},
		"no assertion":    {"client_assertion": {""}},
		"an X-Auth-Token": {},
		"Basic":           {},
	} {
		form := asserted(s.assertion("ES256", nil, nil))
		maps.Copy(form, more)
		header := map[string][]string{"an X-Auth-Token": {"X-Auth-Token", "x"}, "Basic": {"Authorization", basic("service", "")}}[name]
		if r := h.postForm(codePath, form, header...); r.status != http.StatusBadRequest || r.text("error") != "invalid_request" {
			t.Errorf("with %s: %d %s", name, r.status, r.body)
		}
	}
}

func TestT18_AnAssertionCountsOnceWhoeverSendsItAtOnce(t *testing.T) {
	h := newHouse(t)
	s := h.signer("service", "ES256")
	form := asserted(s.assertion("ES256", nil, nil))
	var mu sync.Mutex
	answers := map[int]int{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			r := h.postForm(codePath, form)
			mu.Lock()
			defer mu.Unlock()
			answers[r.status]++
		})
	}
	all.Wait()
	if answers[http.StatusOK] != 1 || answers[http.StatusUnauthorized] != 15 {
		t.Errorf("%v", answers)
	}
	h.advance(59 * time.Second)
	h.postForm(codePath, form).wantError(http.StatusUnauthorized, "invalid_client")
	// Another client's of the same jti is another.
	other := h.signer("other", "ES256")
	h.postForm(codePath, asserted(other.assertion("ES256", map[string]any{"jti": "i"}, nil))).wantOK()
	h.postForm(codePath, asserted(s.assertion("ES256", map[string]any{"jti": "i"}, nil))).wantOK()
}

// Whoever signs in vain is not verified any more, and keeps no other client waiting.
func TestT18_ForgedAssertionsAreBoundedByTheirNetworkAndClient(t *testing.T) {
	h := newHouse(t)
	s, other := h.signer("service", "ES256"), h.signer("other", "ES256")
	forged := func() reply {
		return h.postForm(codePath, asserted(s.sign("ES256", other.keys["ES256"], s.claims(nil), map[jose.HeaderKey]any{"kid": "ES256"})))
	}
	for range 120 {
		h.sentFrom(here, forged).wantError(http.StatusUnauthorized, "invalid_client")
	}
	h.sentFrom(here, forged).wantBusy()
	good := func(s *signer) func() reply {
		return func() reply { return h.postForm(codePath, asserted(s.assertion("ES256", nil, nil))) }
	}
	h.sentFrom(here, good(s)).wantBusy()
	h.sentFrom(here, good(other)).wantOK()
	h.sentFrom(elsewhere, good(s)).wantOK()
}

func FuzzAssertions(f *testing.F) {
	h := newHouse(f)
	s := h.signer("service", "EdDSA")
	f.Add(`{"iss":"service","sub":"service","aud":"`+testIssuer+`","exp":1e10,"jti":"x"}`, "JWT", "a.b.c")
	f.Add(`{"iss":"service","sub":"service","aud":["`+testIssuer+`"],"exp":1795424460.5,"nbf":-1e308,"jti":"x"}`, "client-authentication+jwt", "..")
	f.Add("null", "", "")
	f.Fuzz(func(t *testing.T, payload, typ, raw string) {
		h.t = t
		made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: s.keys["EdDSA"]}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			t.Fatal(err)
		}
		jws, err := made.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		answersInJSON(t, h.postForm(revokePath, url.Values{"client_assertion": {signed}, "client_assertion_type": {assertionType}, "token": {"x"}}))
		answersInJSON(t, h.postForm(revokePath, url.Values{"client_assertion": {raw}, "client_assertion_type": {assertionType}, "token": {"x"}}))
	})
}
