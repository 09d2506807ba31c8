package dpop

import (
	"crypto/ecdsa"
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
)

// Header carries a proof, NonceHeader what a server wants to find in the next one, and
// Scheme is how an access token is sent that is bound to a key.
const (
	Header      = "DPoP"
	NonceHeader = "DPoP-Nonce"
	Scheme      = "DPoP"
)

// Key is a private key that makes proofs: ES256, which every verifier knows. It prints as
// [redacted], however it is printed.
type Key struct {
	private    *ecdsa.PrivateKey
	jwk        json.RawMessage // its public part
	thumbprint string
}

// NewKey makes a key.
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
	public := ecKey(point)
	return &Key{private: private, jwk: public.canonical, thumbprint: public.thumbprint()}, nil
}

// savedAs is what stands before a key that Save wrote.
const savedAs = "ES256:"

var errNoKey = errors.New("this is no key that was saved here")

// LoadKey reads what Save wrote.
func LoadKey(saved string) (*Key, error) {
	text, ours := strings.CutPrefix(saved, savedAs)
	raw, ok := decode(text)
	if !ours || !ok {
		return nil, errNoKey
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return nil, errNoKey
	}
	return newKey(private)
}

// Save writes the key in the clear: whoever reads it makes proofs with it. It is short, for
// keyrings that hold little.
func (k *Key) Save() (string, error) {
	raw, err := k.private.Bytes()
	if err != nil {
		return "", err
	}
	return savedAs + encode(raw), nil
}

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
	head, err := json.Marshal(map[string]any{"typ": proofType, "alg": "ES256", "jwk": k.jwk})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode(head) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, t, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + encode(fixed(r, t)), nil
}

// fixed is an ES256 signature as a JWS has it (RFC 7518 §3.4).
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
