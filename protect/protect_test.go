package protect_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"github.com/go-jose/go-jose/v4"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/protect"
)

func TestM09_M10_OnlyAnAccessTokenThatTheIssuerSignedForThisAPICounts(t *testing.T) {
	i := newIssuer(t)
	api := i.api(t, protect.AlsoFor("https://old.example"))
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(signers(t)["RS256"].Public())
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(i.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	good := i.good(t)
	part := strings.Split(good, ".")
	with := func(name string, value any) string {
		return i.sign(t, "ES256", nil, i.claims(map[string]any{name: value}))
	}
	head := func(header map[string]any) string { return i.sign(t, "ES256", header, i.claims(nil)) }
	raw := func(head, payload string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + part[2]
	}
	for name, token := range map[string]string{
		"ES256": good, "RS256": i.sign(t, "RS256", nil, i.claims(nil)), "EdDSA": i.sign(t, "EdDSA", nil, i.claims(nil)), "for several": with("aud", []string{"https://x.example", resource}),
		"for its former name": with("aud", "https://old.example"), "the long name of the type": head(map[string]any{"typ": "application/at+jwt"}), "with a fraction": with("exp", float64(i.now().Unix())+.5),
		"what nobody knows": with("x", map[string]any{"y": 1}), "a key of its own": head(map[string]any{"jwk": jose.JSONWebKey{Key: other.Public()}, "jku": "https://evil.example"}),
		"an end far off": with("exp", 1<<40-1), "as long as can be": i.long(t, 8<<10),
	} {
		if w := call(api, token); w.Code != http.StatusOK || w.Body.String() != "satoshi" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	asked := i.asked.Load()
	for name, token := range map[string]string{
		"nothing": "", "a word": "token", "two parts": part[0] + "." + part[1], "four parts": good + "." + part[2], "padding": good + "=", "a line break": part[0] + ".\n" + part[1] + "." + part[2],
		"another last bit": respelled(good), "two tokens": good + " " + good, "too long": with("x", strings.Repeat("x", 8<<10)), "another payload": part[0] + "." + part[0] + "." + part[2],
		"alg none": raw(`{"alg":"none","typ":"at+jwt","kid":"ES256"}`, string(payload)), "the public key as a secret": signed(t, "HS256", "RS256", public, nil, payload),
		"another key": signed(t, "ES256", "ES256", other, nil, payload), "another algorithm of the key": signed(t, "PS256", "RS256", signers(t)["RS256"], nil, payload),
		"the name of another key": signed(t, "ES256", "EdDSA", signers(t)["ES256"], nil, payload), "an ID token": head(map[string]any{"typ": "JWT"}), "no type": head(map[string]any{"typ": nil}),
		"a logout token": head(map[string]any{"typ": "logout+jwt"}), "crit": head(map[string]any{"crit": []string{"b64"}, "b64": true}), "no kid": head(map[string]any{"kid": ""}),
		"a header that is a list": raw(`[]`, string(payload)), "a member twice": raw(`{"typ":"at+jwt","typ":"at+jwt","alg":"ES256","kid":"ES256"}`, string(payload)),
		"another case":   raw(`{"TYP":"at+jwt","alg":"ES256","KID":"ES256"}`, string(payload)),
		"another issuer": with("iss", "https://evil.example"), "a slash more": with("iss", i.URL+"/"), "no issuer": with("iss", nil),
		"another audience": with("aud", "https://other.example"), "a longer audience": with("aud", resource+"/notes"), "no audience": with("aud", nil), "an empty list": with("aud", []string{}),
		"longer than can be": i.long(t, 8<<10+1), "an end too far off": with("exp", 1<<40), "over": with("exp", i.now().Unix()), "no end": with("exp", nil), "an end that is a text": with("exp", "9999999999"), "no end in sight": with("exp", 1e300), "not yet": with("nbf", i.now().Unix()+1),
		"nobody": with("sub", ""), "no client": with("client_id", nil), "a subject that is none": with("sub", []string{"satoshi"}), "bound by a certificate": with("cnf", map[string]any{"x5t#S256": "x"}),
		"bound to no thumbprint": with("cnf", map[string]any{"jkt": "x"}), "claims twice": signed(t, "ES256", "ES256", signers(t)["ES256"], nil, append(payload[:len(payload)-1:len(payload)-1], `,"sub":"satoshi"}`...)),
		"claims that are none": signed(t, "ES256", "ES256", signers(t)["ES256"], nil, []byte(`[]`)),
	} {
		w := call(api, token)
		if w.Code != http.StatusUnauthorized || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	if i.asked.Load() != asked {
		t.Error("the issuer, or somebody else, was asked about one of them")
	}
}

// long is a good token of so many bytes.
func (i *issuer) long(t *testing.T, size int) string {
	t.Helper()
	least := (size - len(i.good(t))) * 3 / 4
	for h := range 4 { // three bytes are four characters: there are sizes that a payload alone does not make
		for x := least; ; x++ {
			token := i.sign(t, "ES256", map[string]any{"x": strings.Repeat("x", h)}, i.claims(map[string]any{"jti": strings.Repeat("x", x)}))
			if len(token) == size {
				return token
			} else if len(token) > size {
				break
			}
		}
	}
	t.Fatal("there is no such token")
	return ""
}

// respelled is a token whose last character has a bit that decodes to nothing.
func respelled(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last^1:last^1+1]
}

func TestX04_WhoActsIsNamedOrTheTokenIsNone(t *testing.T) {
	i := newIssuer(t)
	api, err := protect.New(t.Context(), i.URL, resource, protect.Clock(i.now))
	if err != nil {
		t.Fatal(err)
	}
	said := api.Require("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, protect.FromContext(r.Context()).Actor)
	}))
	chain := map[string]any{"sub": "second", "act": map[string]any{"sub": "first"}}
	for name, c := range map[string]struct {
		act   any
		actor string
	}{
		"nobody but its client":       {nil, ""},
		"who acts now":                {chain, "second"},
		"somebody who is not named":   {map[string]any{"client_id": "second"}, "refused"},
		"somebody without a name":     {map[string]any{"sub": ""}, "refused"},
		"a text":                      {"second", "refused"},
		"somebody for nobody's sake":  {map[string]any{"act": chain}, "refused"},
		"somebody with a name of two": {map[string]any{"sub": []string{"first", "second"}}, "refused"},
	} {
		w := call(said, i.sign(t, "ES256", nil, i.claims(map[string]any{"act": c.act})))
		if c.actor == "refused" {
			want(t, name, w, http.StatusUnauthorized)
		} else if w.Code != http.StatusOK || w.Body.String() != c.actor {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestALeewayIsWhatItSays(t *testing.T) {
	i := newIssuer(t)
	strict, lenient := i.api(t), i.api(t, protect.Leeway(time.Minute))
	i.api(t, protect.Leeway(5*time.Minute)) // no more, but as much
	soon := i.sign(t, "ES256", nil, i.claims(map[string]any{"nbf": i.now().Unix() + 60}))
	want(t, "not yet", call(lenient, soon), http.StatusOK)
	token := i.good(t)
	i.advance(time.Hour)
	want(t, "over", call(strict, token), http.StatusUnauthorized)
	want(t, "within the leeway", call(lenient, token), http.StatusOK)
	i.advance(time.Minute)
	want(t, "beyond it", call(lenient, token), http.StatusUnauthorized)
}

func TestU04_ATokenComesInOneHeader(t *testing.T) {
	i := newIssuer(t)
	api := i.api(t)
	want(t, "twice", call(api, i.good(t), "Authorization", "Bearer "+i.good(t)), http.StatusBadRequest)
	for target, status := range map[string]int{"/notes?access_token=" + i.good(t): http.StatusBadRequest, "/notes?%61ccess_token=" + i.good(t): http.StatusBadRequest, "/notes?of=access_token": http.StatusUnauthorized} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		want(t, target, w, status)
	}
	for _, none := range []string{"", "Basic YTpi", "Bearer", "bearerx y"} {
		r := httptest.NewRequest(http.MethodGet, "/notes", nil)
		r.Header.Set("Authorization", none)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if c := w.Header().Values("WWW-Authenticate"); w.Code != http.StatusUnauthorized || none != "Bearer" && strings.Contains(strings.Join(c, ","), "error") {
			t.Errorf("%q: %d %q", none, w.Code, c)
		}
	}
	anybody, err := protect.New(t.Context(), i.URL, resource, protect.Clock(i.now))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	anybody.Require("", api).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/notes", nil))
	if c := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusUnauthorized || strings.Contains(c, "scope") {
		t.Errorf("where no scope is needed: %d %s", w.Code, c)
	}
	if token := protect.FromContext(t.Context()); token != (protect.Token{}) || token.May("") {
		t.Errorf("%+v", token)
	}
}

func TestB20_AnUnknownKeyCostsTheIssuerAFewQuestionsOnly(t *testing.T) {
	i := newIssuer(t)
	api := i.api(t)
	i.advance(10 * time.Second)
	before := i.asked.Load()
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			call(api, signed(t, "ES256", fmt.Sprint("../../dev/null", n), signers(t)["ES256"], nil, []byte("{}")))
		})
	}
	all.Wait()
	if n := i.asked.Load() - before; n != 2 {
		t.Errorf("50 forged key ids cost %d questions", n)
	}
	// A new key is found as soon as a question may be asked, and freshness is bounded.
	i.set(func() { i.keys["new"], i.cache = signers(t)["ES256"], "max-age=999999999" })
	payload, err := json.Marshal(i.claims(map[string]any{"exp": i.now().Add(9 * time.Hour).Unix()}))
	if err != nil {
		t.Fatal(err)
	}
	token := signed(t, "ES256", "new", signers(t)["ES256"], nil, payload)
	want(t, "too soon", call(api, token), http.StatusUnauthorized)
	i.advance(10 * time.Second)
	want(t, "a new key", call(api, token), http.StatusOK)
	i.set(func() { delete(i.keys, "new"); i.cache = "no-store" })
	i.advance(time.Hour - time.Second)
	want(t, "within an hour", call(api, token), http.StatusOK)
	i.advance(time.Second)
	want(t, "after an hour", call(api, token), http.StatusUnauthorized)
	for cache, fresh := range map[string]time.Duration{"no-store": time.Minute, "max-age=1": time.Minute, "": 5 * time.Minute, "public, Max-Age=\"120\"": 2 * time.Minute, "max-age=x": time.Minute, "max-age=99999999999": time.Hour} {
		i.set(func() { i.cache = cache })
		i.advance(time.Hour)
		good := i.good(t)
		want(t, cache, call(api, good), http.StatusOK)
		before = i.asked.Load()
		i.advance(fresh - time.Second)
		want(t, cache, call(api, good), http.StatusOK)
		if i.asked.Load() != before {
			t.Errorf("%q: asked again before %v", cache, fresh)
		}
		i.advance(time.Second)
		if call(api, good); i.asked.Load() == before {
			t.Errorf("%q: not asked again after %v", cache, fresh)
		}
	}
}

func TestB19_KeysThatAreNoneChangeNothing(t *testing.T) {
	i := newIssuer(t)
	api := i.api(t)
	const metadata, jwks = "/.well-known/oauth-authorization-server", "/jwks"
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	elsewhere := httptest.NewServer(say(`{"keys":[]}`))
	defer elsewhere.Close()
	good := string(i.keySet(t))
	sized := func(n string) string { return `{"kty":"RSA","kid":"x","e":"AQAB","n":"` + n + `"}` }
	weak, huge := sized(strings.Repeat("A", 43)), sized(strings.Repeat("_", 684)) // 4104 bits
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := json.Marshal(jose.JSONWebKey{Key: curve.Public(), KeyID: "large"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		by   http.HandlerFunc
	}{
		"an error":       {jwks, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
		"no key":         {jwks, say(`{"keys":[]}`)},
		"no JSON":        {jwks, say(`<html>`)},
		"keys of no use": {jwks, say(`{"keys":[{"kty":"oct","kid":"x","k":"AAAA"},{"kty":"EC"},7,` + weak + "," + huge + "," + string(large) + `]}`)},
		"a short answer": {jwks, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(good)+1))
			_, _ = io.WriteString(w, good)
		}},
		"endless headers": {jwks, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			_, _ = io.WriteString(w, good)
		}},
		"too many":           {jwks, say(strings.Replace(good, "[", "["+strings.Repeat("{},", 64), 1))},
		"too much":           {jwks, say(good + strings.Repeat(" ", 256<<10))},
		"a redirect":         {jwks, http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP},
		"nothing":            {jwks, http.NotFound},
		"another issuer":     {metadata, say(`{"issuer":"` + i.URL + `/","jwks_uri":"` + i.URL + `/jwks"}`)},
		"no keys' address":   {metadata, say(`{"issuer":"` + i.URL + `"}`)},
		"keys by plain http": {metadata, say(`{"issuer":"` + i.URL + `","jwks_uri":"http://id.example/jwks"}`)},
		"metadata of none":   {metadata, say(`[]`)},
	} {
		i.set(func() { i.serve = map[string]http.HandlerFunc{c.path: c.by} })
		i.advance(10 * time.Minute)
		before := i.asked.Load()
		want(t, name, call(api, i.good(t)), http.StatusOK)
		if i.asked.Load() == before {
			t.Errorf("%s: nobody asked", name)
		}
		if _, err := protect.New(t.Context(), i.URL, resource, protect.Clock(i.now)); err == nil || strings.HasPrefix(name, "keys by") && !strings.Contains(err.Error(), "jwks_uri") {
			t.Errorf("%s: an API began with that: %v", name, err)
		}
	}
	// What is no key of ours does not spoil the others, nor what is just not too much.
	serve := func(set string) http.Handler {
		t.Helper()
		i.set(func() { i.serve = map[string]http.HandlerFunc{jwks: say(set)} })
		i.advance(10 * time.Minute)
		return i.api(t)
	}
	before := func(key string) string { return strings.Replace(good, `{"keys":[`, `{"keys":[`+key+`,`, 1) }
	for name, set := range map[string]string{
		"a key of another kind": before(`{"kty":"AKP","kid":"pq","alg":"ML-DSA-44"}`), "as many as may be": before(strings.Repeat("{},", 60) + "{}"), "as much as may be": good + strings.Repeat(" ", 256<<10-len(good)),
		"the same name again": strings.Replace(good, `]}`, `,`+strings.Replace(string(i.keyOf(t, "EdDSA")), `"kid":"EdDSA"`, `"kid":"ES256"`, 1)+`]}`, 1),
		"as a server says it": strings.ReplaceAll(good, `"kty":"EC",`, `"kty":"EC","alg":"ES256","use":"sig",`),
	} {
		want(t, name, call(serve(set), i.good(t)), http.StatusOK)
	}
	serve(`{"keys":[` + sized(strings.Repeat("_", 682)+"8") + `]}`) // 4096 bits are enough to begin with
	for name, change := range map[string]string{"another algorithm": `"alg":"PS256",`, "encryption": `"use":"enc",`} {
		want(t, "a key for "+name, call(serve(strings.Replace(good, `"kty":"RSA",`, `"kty":"RSA",`+change, 1)), i.sign(t, "RS256", nil, i.claims(nil))), http.StatusUnauthorized)
	}
	want(t, "a key without a name", call(serve(before(strings.Replace(string(i.keyOf(t, "EdDSA")), `"kid":"EdDSA",`, "", 1))), i.sign(t, "EdDSA", map[string]any{"kid": ""}, i.claims(nil))), http.StatusUnauthorized)
}

func TestNobodyWaitsForAnIssuerThatIsKnownToBeAway(t *testing.T) {
	i := newIssuer(t)
	api := i.api(t)
	const metadata = "/.well-known/oauth-authorization-server"
	i.set(func() {
		i.serve[metadata] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	i.advance(10 * time.Minute)
	want(t, "the first, who finds out", call(api, i.good(t)), http.StatusOK)
	asked, answer := make(chan struct{}), make(chan struct{})
	i.set(func() {
		i.serve[metadata] = func(_ http.ResponseWriter, r *http.Request) {
			close(asked)
			select {
			case <-answer:
			case <-r.Context().Done():
				t.Error("somebody waited for as long as an answer may take")
			}
		}
	})
	i.advance(10 * time.Second)
	want(t, "the others", call(api, i.good(t)), http.StatusOK) // and there is no answer yet
	<-asked
	close(answer)
}

func TestAnAPIThatIsSetUpWrongDoesNotBegin(t *testing.T) {
	i := newIssuer(t)
	for name, c := range map[string]struct {
		issuer, resource string
		option           protect.Option
	}{
		"an issuer by plain http":   {"http://id.example", resource, protect.Leeway(0)},
		"another spelling":          {i.URL + "/", resource, protect.Leeway(0)},
		"a resource with a slash":   {i.URL, resource + "/", protect.Leeway(0)},
		"one with a query":          {i.URL, resource + "?a=b", protect.Leeway(0)},
		"one with a fragment":       {i.URL, resource + "#", protect.Leeway(0)},
		"one in upper case":         {i.URL, "https://API.example", protect.Leeway(0)},
		"a port that says nothing":  {i.URL, resource + ":443", protect.Leeway(0)},
		"one by plain http":         {i.URL, "http://api.example", protect.Leeway(0)},
		"another that is none":      {i.URL, resource, protect.AlsoFor("notes")},
		"an address that is none":   {i.URL, resource, protect.At("/v1")},
		"one that asks something":   {i.URL, resource, protect.At(resource + "?a=b")},
		"a leeway without end":      {i.URL, resource, protect.Leeway(time.Hour)},
		"a leeway below nothing":    {i.URL, resource, protect.Leeway(-1)},
		"an issuer that is not up":  {"http://127.0.0.1:1", resource, protect.Leeway(0)},
		"an issuer that is no text": {"https://id.example/%zz", resource, protect.Leeway(0)},
		"a resource of nowhere":     {i.URL, "https:///notes", protect.Leeway(0)},
		"somebody's":                {i.URL, "https://me@api.example", protect.Leeway(0)},
		"one on another machine":    {i.URL, "http://10.0.0.7", protect.Leeway(0)},
		"one by another scheme":     {i.URL, resource, protect.At("ftp://localhost")},
	} {
		if _, err := protect.New(t.Context(), c.issuer, c.resource, protect.Clock(i.now), c.option); err == nil || !strings.HasPrefix(err.Error(), "protect: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	nobody := protect.Client(&http.Client{Transport: &line{answers: func(http.ResponseWriter, *http.Request) { t.Error("an issuer was asked that anybody can answer for") }}})
	if _, err := protect.New(t.Context(), "http://id.example", resource, nobody); err == nil {
		t.Error("an API began whose issuer anybody can answer for")
	}
	local := &line{answers: func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/jwks") {
			_, _ = io.WriteString(w, `{"issuer":"http://id.localhost:8628","jwks_uri":"http://[::1]:8628/jwks"}`)
			return
		}
		_, _ = w.Write(i.keySet(t))
	}}
	if _, err := protect.New(t.Context(), "http://id.localhost:8628", "http://127.0.0.1:9000/mcp", protect.At("http://localhost:9000"), protect.Client(&http.Client{Transport: local})); err != nil {
		t.Errorf("on this machine: %v", err)
	}
	i.set(func() {
		i.serve["/.well-known/oauth-authorization-server"] = func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/jwks")
		}
	})
	if _, err := protect.New(t.Context(), i.URL, resource, protect.Introspect("api", "secret")); err == nil {
		t.Error("an API began that nobody answers")
	}
}

func TestAnIssuerWithAPathIsFoundWhereverItsMetadataLie(t *testing.T) {
	i := newIssuer(t)
	id := i.URL + "/realm"
	for _, path := range []string{"/.well-known/oauth-authorization-server/realm", "/realm/.well-known/openid-configuration"} {
		i.set(func() {
			i.serve = map[string]http.HandlerFunc{path: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, id, i.URL+"/jwks")
			}}
		})
		if _, err := protect.New(t.Context(), id, resource); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestR17_WhatTheIssuerSaysNowCounts(t *testing.T) {
	i := newIssuer(t)
	const secret = "p:s w/ö"
	api := i.api(t, protect.Introspect("my api", secret))
	answer := func(text string) {
		i.set(func() {
			i.serve["/introspect"] = func(w http.ResponseWriter, r *http.Request) {
				if id, s, _ := r.BasicAuth(); r.Method != http.MethodPost || id != "my+api" || s != "p%3As+w%2F%C3%B6" || r.PostFormValue("token") == "" {
					t.Errorf("asked by %s as %s: %s", r.Method, id, s)
				}
				_, _ = io.WriteString(w, text)
			}
		})
	}
	for text, status := range map[string]int{
		`{"active":true}`: http.StatusOK, `{"active":true,"scope":"notes:read"}`: http.StatusOK, `{"active":true,"scope":"openid admin"}`: http.StatusForbidden, `{"active":false}`: http.StatusUnauthorized,
		`{}`: http.StatusUnauthorized, `{"active":"true"}`: http.StatusServiceUnavailable, `nonsense`: http.StatusServiceUnavailable,
	} {
		answer(text)
		want(t, text, call(api, i.good(t)), status)
	}
	more := i.sign(t, "ES256", nil, i.claims(map[string]any{"scope": "openid"}))
	answer(`{"active":true,"scope":"openid notes:read"}`)
	want(t, "more than the token has", call(api, more), http.StatusForbidden)
	token := i.good(t)
	want(t, "alive", call(api, token), http.StatusOK)
	answer(`{"active":false}`)
	i.advance(5 * time.Second)
	want(t, "for five seconds", call(api, token), http.StatusOK)
	i.advance(time.Millisecond)
	want(t, "and no longer", call(api, token), http.StatusUnauthorized)
}

func TestN04_ASignatureCoversPathAndBody(t *testing.T) {
	i := newIssuer(t)
	key, _ := ec.PrivateKeyFromBytes([]byte{31: 7})
	owned := i.sign(t, "ES256", nil, i.claims(map[string]any{"pubkey": bap.FormatPublicKey(key.PubKey())}))
	api := i.api(t, protect.Signed(), protect.At("https://api.example/v1/"))
	post := func(token, body, signedPath, signedBody string) *httptest.ResponseRecorder {
		i.advance(time.Millisecond)
		signature, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: signedPath, Body: []byte(signedBody), Time: i.now()})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/notes?a=b", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set(bitcoinauth.Header, signature)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w
	}
	if w := post(owned, " said this", "/v1/notes?a=b", " said this"); w.Code != http.StatusOK || w.Body.String() != "satoshi said this" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	want(t, "another body", post(owned, "that", "/v1/notes?a=b", "this"), http.StatusUnauthorized)
	want(t, "another path", post(owned, "", "/notes?a=b", ""), http.StatusUnauthorized)
	want(t, "a token of nobody", post(i.good(t), "", "/v1/notes?a=b", ""), http.StatusUnauthorized)
	large := strings.Repeat("x", 1<<20+1)
	want(t, "a large body", post(owned, large, "/v1/notes?a=b", large), http.StatusRequestEntityTooLarge)
	want(t, "a megabyte", post(owned, large[1:], "/v1/notes?a=b", large[1:]), http.StatusOK)
	want(t, "none", call(api, owned), http.StatusUnauthorized)
}

// No secret and no token is printed, whatever is printed.
func TestSecretsArePrintedByNobody(t *testing.T) {
	i := newIssuer(t)
	const secret = "correct horse battery staple"
	api, err := protect.New(t.Context(), i.URL, resource, protect.Introspect("api", secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, api); strings.Contains(text, secret) {
			t.Error(text)
		}
	}
}

func FuzzTokens(f *testing.F) {
	i := newIssuer(f)
	api := i.api(f)
	for _, seed := range []string{i.good(f), "a.b.c", "", "..", "e30.e30.e30"} {
		f.Add("Bearer "+seed, "proof")
		f.Add("DPoP "+seed, seed)
	}
	f.Fuzz(func(t *testing.T, authorization, proof string) {
		r := httptest.NewRequest(http.MethodGet, "/notes", nil)
		r.Header["Authorization"], r.Header["Dpop"] = []string{authorization}, []string{proof}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzClaims(f *testing.F) {
	i := newIssuer(f)
	api := i.api(f)
	for _, changed := range []map[string]any{nil, {"aud": []string{resource}}, {"cnf": map[string]any{"jkt": "x"}}, {"exp": 1e300}, {"scope": 7}, {"act": map[string]any{"sub": "x"}}} {
		payload, err := json.Marshal(i.claims(changed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if w := call(api, signed(t, "EdDSA", "EdDSA", signers(t)["EdDSA"], nil, payload)); w.Code == http.StatusOK && !json.Valid(payload) {
			t.Errorf("%q was taken for claims", payload)
		}
	})
}
