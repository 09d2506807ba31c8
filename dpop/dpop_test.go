package dpop_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	secp "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"github.com/go-jose/go-jose/v4"

	"countersign.dev/dpop"
)

var now = time.Unix(1_800_000_000, 0)

const (
	address = "https://id.example.org/api/auth/oauth2/token"
	// rfcProof and rfcThumbprint are the example of RFC 9449 §4.1 and §6.1.
	rfcProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdC" +
		"RnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9T" +
		"VCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSs" +
		"X0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

func newKey(t testing.TB) *dpop.Key {
	t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func wantReason(t *testing.T, err error, want dpop.Reason) {
	t.Helper()
	refused, ok := errors.AsType[*dpop.Error](err)
	if !ok || refused.Reason != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTheExampleOfTheRFCVerifies(t *testing.T) {
	check := dpop.Check{Method: "POST", URL: "https://server.example.com/token", Now: time.Unix(1562262616, 0)}
	p, err := dpop.Verify(rfcProof, check)
	if err != nil {
		t.Fatal(err)
	}
	if p.Thumbprint != rfcThumbprint || !dpop.IsThumbprint(p.Thumbprint) || p.ID != "-BwC3ESc6acc2lTc" || p.Nonce != "" || p.TokenHash != "" {
		t.Errorf("%+v", p)
	}
}

func TestAKeyMakesProofsThatVerify(t *testing.T) {
	key := newKey(t)
	signing := dpop.Signing{Method: "POST", URL: address + "?a=b#c", AccessToken: "token", Nonce: "nonce", Time: now}
	proof, err := key.Sign(signing)
	if err != nil {
		t.Fatal(err)
	}
	p, err := dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, AccessToken: "token", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if p.Thumbprint != key.Thumbprint() || p.Nonce != "nonce" || p.URL != address || !p.Time.Equal(now) {
		t.Errorf("%+v", p)
	}
	again, err := key.Sign(signing)
	if err != nil {
		t.Fatal(err)
	}
	second, err := dpop.Parse(again)
	if err != nil || second.ReplayKey() == p.ReplayKey() {
		t.Error("two proofs are one", err)
	}
	if _, err := key.Sign(dpop.Signing{Method: "POST", URL: "/token"}); err == nil {
		t.Error("a proof was made for no address")
	}
}

func TestP03_AProofOfAnotherLibraryVerifies(t *testing.T) {
	for alg, private := range signers(t) {
		proof := made(t, alg, private, nil, nil)
		if _, err := dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, Now: now}); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		at := strings.LastIndexByte(proof, '.') + 1
		signature, _ := base64.RawURLEncoding.DecodeString(proof[at:])
		for _, other := range [][]byte{flipped(signature), signature[1:], append([]byte{0}, signature...), {1}} {
			_, err := dpop.Verify(proof[:at]+base64.RawURLEncoding.EncodeToString(other), dpop.Check{Method: "POST", URL: address, Now: now})
			wantReason(t, err, dpop.SignatureMismatch)
		}
	}
}

func flipped(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[len(b)/2] ^= 1
	return b
}

// signers has a private key for each algorithm.
func signers(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	member, err := secp.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ES256": ec, "EdDSA": ed, "Ed25519": ed, "ES256K": (*ecdsa.PrivateKey)(member), "PS256": r, "RS256": r}
}

// public is the JWK of a key: go-jose's, or where it has none, of RFC 8812.
func public(t testing.TB, private crypto.Signer) json.RawMessage {
	t.Helper()
	if key, ok := private.(*ecdsa.PrivateKey); ok && key.Curve == secp.S256() {
		point := (*secp.PublicKey)(&key.PublicKey).Uncompressed()
		return encoded(t, map[string]any{
			"kty": "EC", "crv": "secp256k1", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		})
	}
	return encoded(t, jose.JSONWebKey{Key: private.Public()})
}

// made is a proof as go-jose signs it, with members of header and payload changed; one that
// is nil is left out.
func made(t testing.TB, alg string, private crypto.Signer, head, claims map[string]any) string {
	t.Helper()
	header := with(map[string]any{"typ": "dpop+jwt", "alg": alg, "jwk": public(t, private)}, head)
	payload := with(map[string]any{"jti": rand.Text(), "htm": "POST", "htu": address, "iat": now.Unix()}, claims)
	return signed(t, alg, private, encoded(t, header), encoded(t, payload))
}

func with(members, changed map[string]any) map[string]any {
	maps.Copy(members, changed)
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	return members
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signed signs any header and payload.
func signed(t testing.TB, alg string, private crypto.Signer, header, payload []byte) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		r, s, failed := ecdsa.Sign(rand.Reader, key, digest[:])
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), failed
	case ed25519.PrivateKey:
		signature, err = key.Sign(nil, []byte(text), crypto.Hash(0))
	case *rsa.PrivateKey:
		opts := crypto.SignerOpts(crypto.SHA256)
		if alg == "PS256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		signature, err = key.Sign(rand.Reader, digest[:], opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestP02_OnlyAPublicKeyOfAnAsymmetricAlgorithmCounts(t *testing.T) {
	keys := signers(t)
	ec, r := keys["ES256"].(*ecdsa.PrivateKey), keys["RS256"].(*rsa.PrivateKey)
	jwk := func(key any) map[string]any {
		m := map[string]any{}
		if err := json.Unmarshal(encoded(t, jose.JSONWebKey{Key: key}), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, koblitz := jwk(&ec.PublicKey), membersOf(t, public(t, keys["ES256K"]))
	koblitzAnd := func(changed map[string]any) map[string]any {
		return map[string]any{"alg": "ES256K", "jwk": with(maps.Clone(koblitz), changed)}
	}
	order := base64.RawURLEncoding.EncodeToString(secp.S256().P.Bytes())
	for name, row := range map[string]struct {
		head map[string]any
		want dpop.Reason
	}{
		"no typ":                    {map[string]any{"typ": nil}, dpop.WrongType},
		"another typ":               {map[string]any{"typ": "JWT"}, dpop.WrongType},
		"alg none":                  {map[string]any{"alg": "none"}, dpop.UnknownAlgorithm},
		"alg HS256":                 {map[string]any{"alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}}, dpop.UnknownAlgorithm},
		"alg ES384":                 {map[string]any{"alg": "ES384"}, dpop.UnknownAlgorithm},
		"no alg":                    {map[string]any{"alg": nil}, dpop.UnknownAlgorithm},
		"alg of another key":        {map[string]any{"alg": "RS256"}, dpop.BadKey},
		"no jwk":                    {map[string]any{"jwk": nil}, dpop.BadKey},
		"a jwk that is a text":      {map[string]any{"jwk": "key"}, dpop.BadKey},
		"a private key":             {map[string]any{"jwk": jwk(ec)}, dpop.PrivateKey},
		"a private RSA key":         {map[string]any{"alg": "RS256", "jwk": jwk(r)}, dpop.PrivateKey},
		"a symmetric key":           {map[string]any{"jwk": map[string]any{"kty": "oct", "k": "AAAA"}}, dpop.PrivateKey},
		"another curve":             {map[string]any{"jwk": jwk(&p384.PublicKey)}, dpop.BadKey},
		"a point off it":            {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"x": public["y"]})}, dpop.BadKey},
		"half a point":              {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"y": nil})}, dpop.BadKey},
		"a zero before x":           {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"x": "AA" + public["x"].(string)})}, dpop.BadKey},
		"a point cut elsewhere":     {map[string]any{"jwk": with(maps.Clone(public), cutElsewhere(t, public))}, dpop.BadKey},
		"a short y":                 {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"y": "AAAA"})}, dpop.BadKey},
		"padding":                   {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"x": public["x"].(string) + "="})}, dpop.BadKey},
		"a weak RSA key":            {map[string]any{"alg": "RS256", "jwk": jwk(&weak.PublicKey)}, dpop.BadKey},
		"an exponent of 3":          {map[string]any{"alg": "RS256", "jwk": with(jwk(&r.PublicKey), map[string]any{"e": "Aw"})}, dpop.BadKey},
		"a crit header":             {map[string]any{"crit": []string{"b64"}, "b64": false}, dpop.Malformed},
		"a zero before n":           {map[string]any{"alg": "RS256", "jwk": with(jwk(&r.PublicKey), map[string]any{"n": base64.RawURLEncoding.EncodeToString(append([]byte{0}, r.N.Bytes()...))})}, dpop.BadKey},
		"a huge RSA key":            {map[string]any{"alg": "RS256", "jwk": with(jwk(&r.PublicKey), map[string]any{"n": strings.Repeat("_", 684)})}, dpop.BadKey},
		"another kty":               {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"kty": "RSA"})}, dpop.BadKey},
		"another curve's name":      {map[string]any{"jwk": with(maps.Clone(public), map[string]any{"crv": "P-384"})}, dpop.BadKey},
		"a short Ed25519 key":       {map[string]any{"alg": "EdDSA", "jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}}, dpop.BadKey},
		"ES256K of P-256":           {map[string]any{"alg": "ES256K"}, dpop.BadKey},
		"ES256 of secp256k1":        {map[string]any{"jwk": koblitz}, dpop.BadKey},
		"secp256k1's name on P-256": {koblitzAnd(map[string]any{"x": public["x"], "y": public["y"]}), dpop.BadKey},
		"P-256's name on secp256k1": {map[string]any{"jwk": with(maps.Clone(koblitz), map[string]any{"crv": "P-256"})}, dpop.BadKey},
		"the old name P-256K":       {koblitzAnd(map[string]any{"crv": "P-256K"}), dpop.BadKey},
		"no point of secp256k1":     {koblitzAnd(map[string]any{"y": koblitz["x"]}), dpop.BadKey},
		"half of such a point":      {koblitzAnd(map[string]any{"y": nil}), dpop.BadKey},
		"x beyond the field":        {koblitzAnd(map[string]any{"x": order}), dpop.BadKey},
		"a private secp256k1 key":   {koblitzAnd(map[string]any{"d": koblitz["x"]}), dpop.PrivateKey},
		"a key of no modulus":       {map[string]any{"alg": "PS256", "jwk": map[string]any{"kty": "RSA", "e": "AQAB"}}, dpop.BadKey},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dpop.Verify(made(t, "ES256", ec, row.head, nil), dpop.Check{Method: "POST", URL: address, Now: now})
			wantReason(t, err, row.want)
		})
	}
}

func membersOf(t *testing.T, raw json.RawMessage) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// RFC 8812 asks for no half of the range of s, and libraries make either: both count, as one
// proof. What is no number of the range counts nowhere.
func TestP06_P03_BothFormsOfAnES256KSignatureAreOneProof(t *testing.T) {
	private := signers(t)["ES256K"]
	proof := made(t, "ES256K", private, nil, nil)
	at := strings.LastIndexByte(proof, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(proof[at:])
	if err != nil {
		t.Fatal(err)
	}
	n := secp.S256().N
	withS := func(r, s *big.Int) string {
		b := make([]byte, 64)
		r.FillBytes(b[:32])
		s.FillBytes(b[32:])
		return proof[:at] + base64.RawURLEncoding.EncodeToString(b)
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	check := dpop.Check{Method: "POST", URL: address, Now: now}
	first, err := dpop.Verify(proof, check)
	if err != nil {
		t.Fatal(err)
	}
	other, err := dpop.Verify(withS(r, new(big.Int).Sub(n, s)), check)
	if err != nil {
		t.Fatal(err)
	}
	if first.ReplayKey() != other.ReplayKey() {
		t.Error("who changes the form of a signature has another proof")
	}
	zero := new(big.Int)
	for name, bad := range map[string]string{"s is 0": withS(r, zero), "r is 0": withS(zero, s), "r is n": withS(n, s), "s is n": withS(r, n), "both are 0": withS(zero, zero)} {
		_, err := dpop.Verify(bad, check)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantReason(t, err, dpop.SignatureMismatch)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	_, err = dpop.Verify(proof[:at]+base64.RawURLEncoding.EncodeToString(der), check)
	wantReason(t, err, dpop.SignatureMismatch)
}

// ownKeys are keys of each algorithm that proofs are made with here.
func ownKeys(t testing.TB) map[string]*dpop.Key {
	t.Helper()
	private := signers(t)
	ed, err := dpop.Ed25519Key(private["EdDSA"].(ed25519.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	member, err := dpop.Secp256k1Key((*secp.PrivateKey)(private["ES256K"].(*ecdsa.PrivateKey)))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*dpop.Key{"ES256": newKey(t), "EdDSA": ed, "ES256K": member}
}

func TestTheKeyThatSomebodyHasMakesProofs(t *testing.T) {
	for alg, key := range ownKeys(t) {
		proof, err := key.Sign(dpop.Signing{Method: "POST", URL: address, Time: now})
		if err != nil {
			t.Fatal(err)
		}
		p, err := dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, Now: now})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if key.Algorithm() != alg || p.Thumbprint != key.Thumbprint() || p.PublicKey != key.PublicKey() || (p.PublicKey != "") != (alg == "ES256K") {
			t.Errorf("%s: %s, %+v", alg, key.Algorithm(), p)
		}
	}
	for _, none := range []*secp.PrivateKey{nil, {}, {D: new(big.Int)}, {D: secp.S256().N}, {D: big.NewInt(-1)}} {
		if _, err := dpop.Secp256k1Key(none); err == nil {
			t.Error("a key was made of none")
		}
	}
	for _, none := range []ed25519.PrivateKey{nil, make(ed25519.PrivateKey, 32)} {
		if _, err := dpop.Ed25519Key(none); err == nil {
			t.Error("a key was made of none")
		}
	}
}

// The thumbprint of the key 1 was computed by hand from RFC 8812 §3.1 and RFC 7638 §3.
func TestAMemberKeysThumbprintIsThatOfItsJWK(t *testing.T) {
	const g = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
	if got, err := dpop.Secp256k1Thumbprint(g); err != nil || got != "2JF8vg9etJzjFwZwmkvhBLLZ0bfMVVOPivYR5lFtcec" {
		t.Errorf("%s %v", got, err)
	}
	// The keys of the contract's vectors, 12 and 13.
	for public, want := range map[string]string{
		"03d01115d548e7561b15c38f004d734633687cf4419620095bc5b0f47070afe85a": "pdDgc_f_vbvPDhNSPBBkyLYq1qpgxa7zqbuV7jrfxJg",
		"03f28773c2d975288bc7d1d205c3748651b075fbc6610e58cddeeddf8f19405aa8": "9Wy8W_LNlxhUj8emU0Ym0IJ_K8EQ2pCW9WtbnKs0lfY",
	} {
		if got, err := dpop.Secp256k1Thumbprint(public); err != nil || got != want {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	key := ownKeys(t)["ES256K"]
	if got, err := dpop.Secp256k1Thumbprint(strings.ToUpper(key.PublicKey())); err != nil || got != key.Thumbprint() {
		t.Errorf("%s %v, want %s", got, err, key.Thumbprint())
	}
	for _, none := range []string{"", g[2:], g + "00", "04" + g[2:], "xx" + g[2:], "02" + strings.Repeat("00", 31) + "05", "02" + secp.S256().P.Text(16)} {
		if got, err := dpop.Secp256k1Thumbprint(none); err == nil {
			t.Errorf("%q has the thumbprint %s", none, got)
		}
	}
}

func TestP01_WhatIsNoWellFormedProofIsRefused(t *testing.T) {
	ec := signers(t)["ES256"]
	good := made(t, "ES256", ec, nil, nil)
	parts := strings.Split(good, ".")
	twice := signed(t, "ES256", ec, []byte(`{"typ":"dpop+jwt","typ":"dpop+jwt","alg":"ES256"}`), []byte("{}"))
	for name, text := range map[string]string{
		"nothing": "", "a word": "proof", "two parts": parts[0] + "." + parts[1], "four parts": good + "." + parts[2], "an empty part": parts[0] + ".." + parts[2],
		"two of them": good + "," + good, "a space": " " + good, "padding": good + "=", "a line break": parts[0] + "\n." + parts[1] + "." + parts[2],
		"a header that is a list": signed(t, "ES256", ec, []byte("[]"), []byte("{}")), "a member twice": twice, "no JSON": signed(t, "ES256", ec, []byte("{"), []byte("{}")),
		"something behind the header": signed(t, "ES256", ec, []byte(`{"typ":"dpop+jwt"} x`), []byte("{}")), "no UTF-8": signed(t, "ES256", ec, []byte("{\"a\":\"\xff\"}"), []byte("{}")),
		"too long": made(t, "ES256", ec, nil, map[string]any{"x": strings.Repeat("x", 8<<10)}),
	} {
		_, err := dpop.Parse(text)
		if err == nil {
			t.Errorf("%s: was read", name)
			continue
		}
		wantReason(t, err, dpop.Malformed)
	}
	for name, claims := range map[string]map[string]any{
		"no jti": {"jti": nil}, "an empty jti": {"jti": ""}, "a long jti": {"jti": strings.Repeat("x", 256)}, "a number for jti": {"jti": 1}, "no htm": {"htm": nil}, "no htu": {"htu": nil},
		"no iat": {"iat": nil}, "a text for iat": {"iat": "1800000000"}, "an iat beyond time": {"iat": 1e300}, "an ath that is none": {"ath": 1}, "an empty nonce": {"nonce": ""},
		"a long nonce": {"nonce": strings.Repeat("x", 256)},
	} {
		_, err := dpop.Parse(made(t, "ES256", ec, nil, claims))
		if err == nil {
			t.Errorf("%s: was read", name)
			continue
		}
		wantReason(t, err, dpop.BadClaims)
	}
	if _, err := dpop.Verify(made(t, "ES256", ec, nil, map[string]any{"iat": 1800000000.5, "exp": 1}), dpop.Check{Method: "POST", URL: address, Now: now}); err != nil {
		t.Error("a fraction of a second, or a claim that means nothing here:", err)
	}
}

// cutElsewhere is a point with a byte of y behind x: together they are the point's bytes.
func cutElsewhere(t *testing.T, public map[string]any) map[string]any {
	t.Helper()
	var point []byte
	for _, name := range []string{"x", "y"} {
		b, err := base64.RawURLEncoding.DecodeString(public[name].(string))
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, b...)
	}
	return map[string]any{"x": base64.RawURLEncoding.EncodeToString(point[:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])}
}

func TestP01_WhatIsAsMuchAsMayBeIsRead(t *testing.T) {
	ec := signers(t)["ES256"]
	large := map[string]any{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 512))}
	for name, proof := range map[string]string{
		"a long jti": made(t, "ES256", ec, nil, map[string]any{"jti": strings.Repeat("x", 255)}), "a long nonce": made(t, "ES256", ec, nil, map[string]any{"nonce": strings.Repeat("x", 255)}),
		"the end of time": made(t, "ES256", ec, nil, map[string]any{"iat": 1 << 40}), "its beginning": made(t, "ES256", ec, nil, map[string]any{"iat": -1 << 40}),
		"a large key": made(t, "ES256", ec, map[string]any{"alg": "RS256", "jwk": large}, nil), "a long proof": long(t, ec, 8<<10),
	} {
		if _, err := dpop.Parse(proof); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := dpop.Parse(long(t, ec, 8<<10+1))
	wantReason(t, err, dpop.Malformed)
}

// long is a proof of so many bytes.
func long(t *testing.T, key crypto.Signer, size int) string {
	t.Helper()
	least := (size - len(made(t, "ES256", key, nil, nil))) * 3 / 4
	for h := range 4 { // three bytes are four characters: there are sizes that a payload alone does not make
		for x := least - 20; ; x++ {
			proof := made(t, "ES256", key, map[string]any{"x": strings.Repeat("x", h)}, map[string]any{"x": strings.Repeat("x", x)})
			if len(proof) == size {
				return proof
			} else if len(proof) > size {
				break
			}
		}
	}
	t.Fatal("there is no such proof")
	return ""
}

func TestP04_MethodAndAddressMustBeTheRequests(t *testing.T) {
	key := newKey(t)
	verify := func(method, address, asked string) error {
		proof, err := key.Sign(dpop.Signing{Method: method, URL: address, Time: now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = dpop.Verify(proof, dpop.Check{Method: "POST", URL: asked, Now: now})
		return err
	}
	for _, method := range []string{"GET", "post", "POST "} {
		wantReason(t, verify(method, address, address), dpop.WrongMethod)
	}
	const asked = "https://id.example.org/a/token"
	for _, same := range []string{
		asked, "HTTPS://ID.Example.ORG/a/token", "https://id.example.org:443/a/token", asked + "?x=1", asked + "#x", "https://id.example.org/%61/t%6Fken", "https://id.example.org/b/../a/./token",
		"https://id.example.org/b/%2e%2E/a/token", "https://id.example.org/../a/token",
	} {
		if err := verify("POST", same, asked); err != nil {
			t.Errorf("%s: %v", same, err)
		}
	}
	for _, other := range []string{
		"http://id.example.org/a/token", "https://id.example.org:8443/a/token", "https://example.org/a/token", "https://id.example.org/a/token/", "https://id.example.org/A/token",
		"https://id.example.org//a/token", "https://id.example.org/a%2Ftoken", "https://id.example.org/a/token%20", "https://id.example.org", "https://id.example.org/a/token/..",
	} {
		wantReason(t, verify("POST", other, asked), dpop.WrongURL)
	}
	if err := verify("POST", "http://localhost:80", "http://LOCALHOST/"); err != nil {
		t.Error(err)
	}
	if err := verify("POST", "http://[::1]:8628/%7eada/%c3%a9/.", "http://[::1]:8628/~ada/%C3%A9/"); err != nil {
		t.Error(err)
	}
	ec := signers(t)["ES256"]
	for _, mine := range []string{"/a/token", "https:///a/token"} {
		if err := verify("POST", asked, mine); err == nil {
			t.Error("a server without an address of its own takes proofs")
		}
		_, err := dpop.Verify(made(t, "ES256", ec, nil, map[string]any{"htu": mine}), dpop.Check{Method: "POST", URL: mine, Now: now})
		wantReason(t, err, dpop.WrongURL)
	}
	for _, none := range []string{"https://:443/a/token", "/a/token", "id.example.org/a/token", "https:///a/token", "https://ada@id.example.org/a/token", "ftp://id.example.org/a", "https://id.example.org/%zz", "mailto:a"} {
		_, err := dpop.Verify(made(t, "ES256", ec, nil, map[string]any{"htu": none}), dpop.Check{Method: "POST", URL: asked, Now: now})
		wantReason(t, err, dpop.WrongURL)
	}
}

func TestP05_AProofCountsForMinutes(t *testing.T) {
	key := newKey(t)
	for _, row := range []struct {
		off  time.Duration
		want dpop.Reason
	}{{10 * time.Minute, dpop.TooNew}, {5*time.Minute + time.Second, dpop.TooNew}, {5 * time.Minute, ""}, {0, ""}, {-5 * time.Minute, ""}, {-5*time.Minute - time.Second, dpop.TooOld}, {-10 * time.Minute, dpop.TooOld}} {
		proof, err := key.Sign(dpop.Signing{Method: "POST", URL: address, Time: now.Add(row.off)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, Now: now})
		if row.want == "" && err != nil {
			t.Errorf("%v: %v", row.off, err)
		} else if row.want != "" {
			wantReason(t, err, row.want)
		}
		_, err = dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, Now: now, Window: time.Hour})
		if err != nil {
			t.Errorf("%v, though the window is an hour: %v", row.off, err)
		}
		if _, err = dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, Now: now, Fresh: true}); err != nil {
			t.Errorf("%v, though it is known to be fresh: %v", row.off, err)
		}
	}
}

func TestP10_AnAccessTokenIsProvedByItsHash(t *testing.T) {
	key := newKey(t)
	for _, hashed := range []string{"", "another token"} {
		proof, err := key.Sign(dpop.Signing{Method: "GET", URL: address, AccessToken: hashed, Time: now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = dpop.Verify(proof, dpop.Check{Method: "GET", URL: address, AccessToken: "token", Now: now})
		wantReason(t, err, dpop.WrongToken)
	}
}

func TestP10_AProofWithoutATokenHashesNone(t *testing.T) {
	signed, err := newKey(t).Sign(dpop.Signing{Method: "POST", URL: address, Time: now})
	if err != nil {
		t.Fatal(err)
	}
	if proof, err := dpop.Parse(signed); err != nil || proof.TokenHash != "" || proof.Nonce != "" {
		t.Errorf("%+v %v", proof, err)
	}
}

func TestAThumbprintIsThatOfAHash(t *testing.T) {
	good := newKey(t).Thumbprint()
	for text, is := range map[string]bool{good: true, "": false, good[4:]: false, good + "AA": false, good[:43-3] + "\n" + good[40:]: false, good + "=": false} {
		if dpop.IsThumbprint(text) != is {
			t.Errorf("%q: %v", text, !is)
		}
	}
}

func TestAKeyIsSavedAndLoaded(t *testing.T) {
	var saved string
	for alg, key := range ownKeys(t) {
		text, err := key.Save()
		if err != nil {
			t.Fatal(err)
		}
		again, err := dpop.LoadKey(text)
		if err != nil || again.Thumbprint() != key.Thumbprint() || again.Algorithm() != alg {
			t.Fatalf("another key: %v", err)
		}
		if len(text) > 64 {
			t.Errorf("%d bytes: too many for a keyring that holds little", len(text))
		}
		if alg == "ES256" {
			saved = text
		}
	}
	zero := strings.Repeat("A", 43)
	for _, text := range []string{
		"", "ES256:", saved[1:], saved + "A", saved[:len(saved)-1], saved + "\n", "ES256:" + zero, "ES256K:" + zero, "ES384" + saved[5:], saved[len("ES256:"):], "EdDSA:" + zero[4:], "ES256K:" + zero[4:],
		"ES256K:" + base64.RawURLEncoding.EncodeToString(secp.S256().N.Bytes()), "PS256" + saved[5:],
	} {
		if _, err := dpop.LoadKey(text); err == nil {
			t.Errorf("%d bytes were read as a key", len(text))
		}
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	key := newKey(t)
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&b, verb+"|"+verb+"\n", key, *key)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("made", "key", key, "copy", *key)
	text, err := json.Marshal(map[string]any{"key": key, "in": struct{ Key *dpop.Key }{key}})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	want := strings.Repeat("[redacted]|[redacted]\n", 7)
	if got := b.String(); !strings.HasPrefix(got, want) || strings.Count(got, "[redacted]") != 18 || strings.Contains(got, "big.Int") {
		t.Error(got)
	}
}

func TestEveryReasonSaysWhatToChange(t *testing.T) {
	for _, reason := range []dpop.Reason{
		dpop.Malformed, dpop.WrongType, dpop.UnknownAlgorithm, dpop.BadKey, dpop.PrivateKey, dpop.BadClaims, dpop.WrongMethod, dpop.WrongURL, dpop.TooOld, dpop.TooNew,
		dpop.WrongToken, dpop.SignatureMismatch,
	} {
		if (&dpop.Error{Reason: reason}).Error() == "" {
			t.Errorf("%s has no advice", reason)
		}
	}
}

// What was read says the same however it is compared, and nothing that anybody sends
// makes the reader panic.
func FuzzParse(f *testing.F) {
	f.Add(rfcProof)
	for alg, private := range signers(f) {
		f.Add(made(f, alg, private, nil, map[string]any{"ath": "hash", "nonce": "nonce"}))
	}
	f.Add("e30.e30.AA")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := dpop.Parse(text)
		if err != nil {
			if _, ok := errors.AsType[*dpop.Error](err); !ok {
				t.Fatal(err)
			}
			return
		}
		if !dpop.IsThumbprint(p.Thumbprint) || p.ID == "" || strings.Count(text, ".") != 2 {
			t.Fatalf("%+v", p)
		}
		_ = p.VerifySignature() // nearly always none
		_ = p.Check(dpop.Check{Method: p.Method, URL: p.URL, Now: p.Time})
	})
}

func FuzzAddress(f *testing.F) {
	for _, text := range []string{address, "http://[::1]:80/a/../b/%7e%2f?x#y", "https://h/%2e%2e/..", "HTTP://H:443"} {
		f.Add(text)
	}
	key := newKey(f)
	f.Fuzz(func(t *testing.T, text string) {
		proof, err := key.Sign(dpop.Signing{Method: "GET", URL: text, Time: now})
		if err != nil {
			return
		}
		p, err := dpop.Verify(proof, dpop.Check{Method: "GET", URL: text, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(dpop.Check{Method: "GET", URL: p.URL, Now: now}); err != nil {
			t.Fatalf("%q is not its own form: %v", p.URL, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for alg, private := range signers(b) {
		proof := made(b, alg, private, nil, nil)
		for name, do := range map[string]func() error{
			"parse": func() error { _, err := dpop.Parse(proof); return err },
			"verify": func() error {
				_, err := dpop.Verify(proof, dpop.Check{Method: "POST", URL: address, Now: now})
				return err
			},
		} {
			b.Run(alg+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
