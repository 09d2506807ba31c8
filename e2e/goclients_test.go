//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// goClient is an application of goclients, and the client that it is.
type goClient struct {
	application, id, secret, keyFile string
	// refused is how its library says what it cannot do any longer.
	refused map[string]string
}

func TestL01_L02_ApplicationsInGoSignTheirUsersIn(t *testing.T) {
	t.Parallel() // so that others run while it is built
	program := filepath.Join(t.TempDir(), "goclients")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir, build.Env = "goclients", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building goclients: %v: %s", err, out)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pair, keys := clientKeys(t, key, jose.RS256)
	private := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		const redirect = "http://127.0.0.1:4000/back"
		g := startGate(t, conf, false, "--device-poll-interval", "1s")
		out := []string{"--redirect-uri", redirect, "--post-logout-redirect-uri", signedOut}
		g.register(t, "native", out...)
		g.register(t, "native-ed", "--redirect-uri", redirect, "--id-token-alg", "EdDSA")
		secret := strings.TrimSpace(g.register(t, "web", append(out, "--confidential", "--id-token-alg", "RS256")...))
		g.register(t, "web-key", append(out, "--jwks", keys)...)
		o := newOwner(t)
		revoked := map[string]string{"refresh": "invalid_grant", "userinfo": "invalid_token"}
		for _, c := range []goClient{
			{application: "go-oidc", id: "native", refused: map[string]string{"the code again": "invalid_grant", "userinfo": "invalid_token"}},
			{application: "go-oidc", id: "web", secret: secret, refused: map[string]string{"the code again": "invalid_grant", "userinfo": "invalid_token"}},
			{application: "zitadel", id: "native", refused: revoked},
			{application: "zitadel", id: "web", secret: secret, refused: revoked},
			{application: "zitadel", id: "web-key", keyFile: private, refused: revoked},
			{application: "zitadel-device", id: "native", refused: revoked},
			{application: "cap", id: "native-ed"},
			{application: "cap", id: "web", secret: secret},
		} {
			t.Run(c.application+" "+c.id, func(t *testing.T) {
				o.signIn(t, g.URL) // some sign them out
				cmd := exec.CommandContext(t.Context(), program, c.application)
				cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+g.issuer, "REDIRECT_URI="+redirect, "OUT_URI="+signedOut, "CLIENT_ID="+c.id,
					"CLIENT_SECRET="+c.secret, "CLIENT_KEY_FILE="+c.keyFile, "CLIENT_KEY_ID="+pair.KeyID)
				told := journey(t, g, o, cmd)
				if len(told) != 1 || told[0].Event != "done" {
					t.Fatalf("told %+v", told)
				}
				end := told[0]
				if err := o.checkClaims(end.Claims); err != nil {
					t.Error(err)
				}
				if end.IDTokenClaims["sub"] != end.Claims["sub"] {
					t.Errorf("the ID token says %v", end.IDTokenClaims)
				}
				if ends, goesOn := strings.HasPrefix(c.application, "zitadel"), o.signedIn(t, g.URL); end.SignedOut != ends || goesOn == ends {
					t.Errorf("it had the session ended: %v; it goes on: %v", end.SignedOut, goesOn)
				}
				for what, says := range c.refused {
					if !strings.Contains(end.Refused[what], says) {
						t.Errorf("%s: %s", what, end.Refused[what])
					}
				}
			})
		}
	})
}
