//go:build e2e

package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// signedOut is where applications have their users led that they signed out.
const signedOut = "http://127.0.0.1:4000/out"

func TestZ17_U08_X02_OpenIDClientSignsItsUserInHoweverItAuthenticates(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		g := startGate(t, conf, false)
		const redirect = "http://127.0.0.1:4000/back"
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pair, keys := clientKeys(t, ec, jose.ES256)
		key, err := json.Marshal(pair)
		if err != nil {
			t.Fatal(err)
		}
		g.register(t, "notes", "--redirect-uri", "http://127.0.0.1/back") // on any port
		secret := g.register(t, "notes-secret", "--redirect-uri", redirect, "--post-logout-redirect-uri", signedOut, "--confidential")
		g.register(t, "notes-key", "--redirect-uri", redirect, "--jwks", keys)
		service := g.register(t, "nightly", "--confidential", "--grant-type", "client_credentials", "--scope", "reports:read")
		const served = "https://notes.example"
		api := g.register(t, "notes-api", "--confidential", "--resource", served, "--exchange-for", g.issuer, "--scope", "openid profile")
		o := newOwner(t)
		o.signIn(t, g.URL)
		cmd := exec.CommandContext(t.Context(), "node", "openid-client-code.mjs")
		cmd.Dir = "clients"
		cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+g.issuer, "REDIRECT_URI="+redirect,
			"CLIENT_SECRET="+strings.TrimSpace(secret), "SERVICE_SECRET="+strings.TrimSpace(service), "CLIENT_KEY="+string(key),
			"API="+served, "API_SECRET="+strings.TrimSpace(api))
		seen := 0
		for _, s := range journey(t, g, o, cmd) {
			if seen++; s.Event != "done" {
				t.Errorf("%s: %s %s", s.Name, s.Error, s.Text)
				continue
			}
			way, bound := strings.CutSuffix(s.Name, " with DPoP")
			kind := map[bool]string{false: "bearer", true: "dpop"}[bound] // as the library reads it
			if slices.ContainsFunc(s.Types, func(t string) bool { return t != kind }) {
				t.Errorf("%s: tokens of the types %q", s.Name, s.Types)
			}
			told := s.Introspected
			if way == "a service" {
				if told["active"] != true || told["client_id"] != "nightly" || told["scope"] != "reports:read" {
					t.Errorf("of a service's token is said %v", told)
				}
				continue
			}
			if err := o.checkClaims(s.Claims); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
			if s.IDTokenClaims["sub"] != s.Claims["sub"] {
				t.Errorf("%s: U-08: the ID token says %v, userinfo %v", s.Name, s.IDTokenClaims, s.Claims)
			}
			refused := map[string]string{"refresh": "invalid_grant", "userinfo": "invalid_token", "introspected": "not active"}
			if way == "an API" {
				refused = map[string]string{"userinfo": "invalid_token"}
				if act, _ := told["act"].(map[string]any); act["sub"] != "notes-api" || told["client_id"] != "notes-api" {
					t.Errorf("%s: of its token is said %v", s.Name, told)
				}
			}
			if way == "none" {
				delete(refused, "introspected")
				refused["in silence"] = "consent_required"
			} else if _, cnf := told["cnf"]; told["active"] != true || told["sub"] != s.Claims["sub"] || cnf != bound {
				t.Errorf("%s: of its token is said %v", s.Name, told)
			}
			if !maps.Equal(s.Refused, refused) {
				t.Errorf("%s: after revocation it is told %v", s.Name, s.Refused)
			}
		}
		if seen != 11 {
			t.Errorf("%d runs were told of", seen)
		}

		// What openid-client is made of, step by step, and to the end of the session.
		cmd = exec.CommandContext(t.Context(), "node", "oauth4webapi-code.mjs")
		cmd.Dir = "clients"
		cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+g.issuer, "REDIRECT_URI="+redirect, "OUT_URI="+signedOut,
			"CLIENT_ID=notes-secret", "CLIENT_SECRET="+strings.TrimSpace(secret))
		end := journey(t, g, o, cmd)
		if len(end) != 1 {
			t.Fatalf("oauth4webapi told %+v", end)
		}
		if err := o.checkClaims(end[0].Claims); err != nil || end[0].IDTokenClaims["sub"] != end[0].Claims["sub"] || end[0].Refused["userinfo"] != "invalid_token" {
			t.Errorf("oauth4webapi told %+v: %v", end[0], err)
		}
		if !end[0].SignedOut || o.signedIn(t, g.URL) {
			t.Error("oauth4webapi: the session goes on")
		}
	})
}

// clientKeys is a key pair for private_key_jwt, and the file with its public half.
func clientKeys(t *testing.T, key crypto.Signer, alg jose.SignatureAlgorithm) (pair jose.JSONWebKey, file string) {
	t.Helper()
	pair = jose.JSONWebKey{Key: key, KeyID: "of-notes", Algorithm: string(alg), Use: "sig"}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{pair.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	return pair, file
}
