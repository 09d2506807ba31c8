package authz_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

// TestM09_EachClaimOfAnAccessTokenIsCheckedByItself: what we sign has them all
// right or all wrong, so that each check could be missed behind another.
func TestM09_EachClaimOfAnAccessTokenIsCheckedByItself(t *testing.T) {
	w := newWorld(t, t.TempDir())
	d, err := w.service.StartDevice(t.Context(), client("my-app"), authz.DeviceAsk{Scope: "openid"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.signedApproval(w.service, 0, d.UserCode); err != nil {
		t.Fatal(err)
	}
	tokens, err := w.service.RedeemDevice(t.Context(), client("my-app"), d.DeviceCode, 0)
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
		token, err := w.service.Signed(c.typ, changed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.UserInfo(t.Context(), token); c.good != (err == nil) || (!c.good && !errors.Is(err, authz.InvalidToken)) {
			t.Errorf("typ %s, %s %v: %v", c.typ, c.claim, c.value, err)
		}
	}
	token, err := w.service.Signed("at+jwt", map[string]any{"iss": issuerURL, "aud": issuerURL, "gid": claims["gid"], "scope": "openid", "exp": second + 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{time.Second, time.Second} { // remembered the second time, and over the third
		if _, err := w.service.UserInfo(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(wait)
	}
	if _, err := w.service.UserInfo(t.Context(), token); !errors.Is(err, authz.InvalidToken) {
		t.Errorf("a token that is over: %v", err)
	}
}
