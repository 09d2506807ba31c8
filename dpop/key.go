package dpop

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// Header carries a proof, NonceHeader what a server wants to find in the next one, and
// Scheme is how an access token is sent that is bound to a key.
const (
	Header      = "DPoP"
	NonceHeader = "DPoP-Nonce"
	Scheme      = "DPoP"
)

// Key is a private key that makes proofs. It prints as [redacted], however it is printed.
type Key struct {
	alg        string
	sign       func(signed []byte) ([]byte, error)
	raw        func() ([]byte, error) // what Save writes
	public     publicKey
	thumbprint string
}

// NewKey makes a key for ES256, which every verifier knows.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newKey(private)
}

func newKey(private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	sign := func(signed []byte) ([]byte, error) {
		digest := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		return fixed(r, s), nil
	}
	return made(es256, ecKey("P-256", point), sign, private.Bytes), nil
}

// Ed25519Key makes proofs of an Ed25519 key (EdDSA, RFC 8037).
func Ed25519Key(private ed25519.PrivateKey) (*Key, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, errNoKey
	}
	sign := func(signed []byte) ([]byte, error) { return ed25519.Sign(private, signed), nil }
	raw := func() ([]byte, error) { return private.Seed(), nil }
	return made(edDSA, edKey(private[ed25519.SeedSize:]), sign, raw), nil
}

// Secp256k1Key makes proofs of a secp256k1 key (ES256K, RFC 8812), as a member key of package
// bap is: the key that signs X-Auth-Token then makes proofs too, and is one key to a server.
// Signatures have the lower of the two values of s, which every verifier takes.
func Secp256k1Key(private *ec.PrivateKey) (*Key, error) {
	if private == nil || private.D == nil || private.D.Sign() <= 0 || private.D.Cmp(ec.S256().N) >= 0 {
		return nil, errNoKey
	}
	sign := func(signed []byte) ([]byte, error) {
		digest := sha256.Sum256(signed)
		signature, err := private.Sign(digest[:])
		if err != nil {
			return nil, err
		}
		return fixed(signature.R, signature.S), nil
	}
	raw := func() ([]byte, error) { return private.Serialize(), nil }
	return made(es256K, ecKey(secp256k1, private.PubKey().Uncompressed()), sign, raw), nil
}

func made(alg string, public publicKey, sign func([]byte) ([]byte, error), raw func() ([]byte, error)) *Key {
	return &Key{alg: alg, sign: sign, raw: raw, public: public, thumbprint: public.thumbprint()}
}

var errNoKey = errors.New("this is no key that proofs can be made of, or none that was saved here")

// LoadKey reads what Save wrote.
func LoadKey(saved string) (*Key, error) {
	alg, text, _ := strings.Cut(saved, ":")
	raw, ok := decode(text)
	if !ok || len(raw) != coordinate {
		return nil, errNoKey
	}
	switch alg {
	case es256:
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			return nil, errNoKey
		}
		return newKey(private)
	case es256K:
		private, _ := ec.PrivateKeyFromBytes(raw)
		return Secp256k1Key(private)
	case edDSA:
		return Ed25519Key(ed25519.NewKeyFromSeed(raw))
	default:
		return nil, errNoKey
	}
}

// Save writes the key in the clear: whoever reads it makes proofs with it. It is short, for
// keyrings that hold little.
func (k *Key) Save() (string, error) {
	raw, err := k.raw()
	if err != nil {
		return "", err
	}
	return k.alg + ":" + encode(raw), nil
}

// Algorithm is the JWS algorithm of the key's proofs: ES256, EdDSA or ES256K.
func (k *Key) Algorithm() string { return k.alg }

// PublicKey is the public part of a secp256k1 key, compressed, in lower-case hex; empty for
// other keys.
func (k *Key) PublicKey() string { return k.public.compressed() }

// Thumbprint names the key (RFC 7638), as `jkt` and `dpop_jkt` do.
func (k *Key) Thumbprint() string { return k.thumbprint }

const redacted = "[redacted]"

// Format keeps the key out of what is printed, with any verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps it out of logs.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps it out of any encoding, JSON among them.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Signing is what a proof is made for: one request.
type Signing struct {
	Method string
	// URL is the address of the request; what it asks behind ? is no part of a proof.
	URL string
	// AccessToken is the one that is sent along; empty at a token endpoint.
	AccessToken string
	// Nonce is the server's latest, or empty.
	Nonce string
	Time  time.Time
}

// Sign makes a proof. Each is another: it counts once.
func (k *Key) Sign(s Signing) (string, error) {
	address, ok := normalForm(s.URL)
	if !ok {
		return "", &Error{Reason: WrongURL}
	}
	claims := map[string]any{"jti": rand.Text(), "htm": s.Method, "htu": address, "iat": s.Time.Unix()}
	if s.AccessToken != "" {
		claims["ath"] = tokenHash(s.AccessToken)
	}
	if s.Nonce != "" {
		claims["nonce"] = s.Nonce
	}
	head, err := json.Marshal(map[string]any{"typ": proofType, "alg": k.alg, "jwk": k.public.canonical})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode(head) + "." + encode(payload)
	signature, err := k.sign([]byte(signed))
	if err != nil {
		return "", err
	}
	return signed + "." + encode(signature), nil
}

// fixed is an ECDSA signature as a JWS has it (RFC 7518 §3.4).
func fixed(r, s *big.Int) []byte {
	signature := make([]byte, 2*coordinate)
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	return signature
}

// tokenHash is the `ath` of an access token (RFC 9449 §4.2).
func tokenHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return encode(sum[:])
}
