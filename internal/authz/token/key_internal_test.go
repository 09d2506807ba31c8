package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
)

func TestAKeyThatIsNotOneIsNotUsed(t *testing.T) {
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	others, err := secret.Derive([]byte("another secret of thirty-two bytes"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := newSigningKey("ES256", secrets)
	if err != nil {
		t.Fatal(err)
	}
	if ring, err := openKeys([]authz.SigningKey{good}, secrets); err != nil || len(ring.kept) != 1 {
		t.Fatalf("%v", err)
	}
	noKey, err := secrets.SealKey("x", []byte("no key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   authz.SigningKey
		other bool // another secret is to blame
	}{
		"another id":             {authz.SigningKey{ID: "x", Algorithm: good.Algorithm, Sealed: good.Sealed}, true},
		"cut":                    {authz.SigningKey{ID: good.ID, Algorithm: good.Algorithm, Sealed: good.Sealed[:5]}, true},
		"nothing":                {authz.SigningKey{ID: good.ID, Algorithm: good.Algorithm}, false},
		"another's public half":  {authz.SigningKey{ID: "x", Algorithm: good.Algorithm, Public: good.Public}, false},
		"no key inside":          {authz.SigningKey{ID: "x", Algorithm: good.Algorithm, Sealed: noKey}, false},
		"for another algorithm":  {authz.SigningKey{ID: good.ID, Algorithm: string(jose.RS256), Sealed: good.Sealed}, false},
		"for an algorithm of no": {authz.SigningKey{ID: good.ID, Algorithm: "XS256", Sealed: good.Sealed}, false},
	} {
		if _, err := openKeys([]authz.SigningKey{good, c.key}, secrets); err == nil || errors.Is(err, authz.ErrOtherSecret) != c.other {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openKeys([]authz.SigningKey{good}, others); !errors.Is(err, authz.ErrOtherSecret) {
		t.Errorf("another secret: %v", err)
	}
}

func TestAKeyIsMadeOfAKnownAlgorithmAndOfRandomness(t *testing.T) {
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newSigningKey("XS256", secrets); err == nil {
		t.Error("of an algorithm that nobody knows")
	}
	for range 1000 {
		k, err := newSigningKey("ES256", secrets)
		if err != nil || strings.HasPrefix(k.ID, "-") || len(k.ID) != thumbprintLength {
			t.Fatalf("%q would be taken for a flag: %v", k.ID, err)
		}
	}
	if _, err := (&Keys{secrets: secrets}).publicOf(authz.SigningKey{ID: "x"}); err == nil {
		t.Error("the public half of nothing")
	}
	secrets.Rand = iotest.ErrReader(io.ErrUnexpectedEOF)
	if _, err := newSigningKey("ES256", secrets); err == nil {
		t.Error("without randomness")
	}
	ring, err := openKeys(nil, secrets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.sign(jose.ES256, accessTokenType, nil, time.Now()); err == nil {
		t.Error("signed without a key")
	}
}

// OpenID Connect Core §3.1.3.6, and what clients expect of EdDSA.
func TestTheHalfHashOfATokenIsOfItsAlgorithmsHash(t *testing.T) {
	long, short := sha512.Sum512([]byte("token")), sha256.Sum256([]byte("token"))
	for alg, want := range map[jose.SignatureAlgorithm][]byte{jose.ES256: short[:16], jose.RS256: short[:16], jose.EdDSA: long[:32]} {
		if got := halfHash(alg, "token"); got != base64.RawURLEncoding.EncodeToString(want) {
			t.Errorf("%s: %s", alg, got)
		}
	}
}
