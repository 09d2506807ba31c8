package issuer_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/authz/secret"
)

// TestM09_EachClaimOfAnAccessTokenIsCheckedByItself: what we sign has them all
// right or all wrong, so that each check could be missed behind another.
func TestM09_EachClaimOfAnAccessTokenIsCheckedByItself(t *testing.T) {
	w := newWorld(t, t.TempDir())
	d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{Scope: "openid"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.signedApproval(w.service, 0, d.UserCode); err != nil {
		t.Fatal(err)
	}
	tokens, err := w.service.Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 0, authz.Proofs{})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.AccessToken.Reveal(), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	second := w.clock.Now().Unix()
	for _, c := range []struct {
		typ, claim string
		value      any
		good       bool
	}{
		{"at+jwt", "jti", "another", true},
		{"at+jwt", "exp", second + 1, true},
		{"JWT", "jti", "another", false},
		{"at+jwt", "iss", "https://other.example", false},
		{"at+jwt", "aud", "my-app", false},
		{"at+jwt", "exp", second, false},
		{"at+jwt", "gid", "another", false},
		{"at+jwt", "iat", "now", false},
	} {
		changed := maps.Clone(claims)
		changed[c.claim] = c.value
		token, err := w.token(c.typ, changed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.Grants.UserInfo(t.Context(), authz.Presented{Token: token}); c.good != (err == nil) || (!c.good && !errors.Is(err, authz.InvalidToken)) {
			t.Errorf("typ %s, %s %v: %v", c.typ, c.claim, c.value, err)
		}
	}
	token, err := w.token("at+jwt", map[string]any{"iss": issuerURL, "aud": issuerURL, "gid": claims["gid"], "scope": "openid", "exp": second + 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{time.Second, time.Second} { // remembered the second time, and over the third
		if _, err := w.service.Grants.UserInfo(t.Context(), authz.Presented{Token: token}); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(wait)
	}
	if _, err := w.service.Grants.UserInfo(t.Context(), authz.Presented{Token: token}); !errors.Is(err, authz.InvalidToken) {
		t.Errorf("a token that is over: %v", err)
	}
}

// token is one of a type and with claims of the test's own, signed with the key that
// access tokens of the world are signed with.
func (w *world) token(typ string, claims map[string]any) (authz.Secret, error) {
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		return "", err
	}
	keys, err := w.store.SigningKeys(context.Background(), time.Time{})
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(keys, func(k authz.SigningKey) bool { return k.Algorithm == string(jose.ES256) })
	pkcs8, err := secrets.OpenKey(keys[i].ID, keys[i].Sealed)
	if err != nil {
		return "", err
	}
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return "", err
	}
	key := jose.JSONWebKey{Key: private, KeyID: keys[i].ID}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	token, err := jws.CompactSerialize()
	return authz.Secret(token), err
}
