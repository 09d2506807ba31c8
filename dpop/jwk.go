package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// coordinate is the length of a coordinate of P-256 and of secp256k1, and of each half of a
// signature.
const coordinate = 32

// publicKey is a key that came in a proof.
type publicKey struct {
	// canonical are the members that RFC 7638 §3.2 names, in its order: what is hashed.
	canonical json.RawMessage
	key       crypto.PublicKey
}

// algorithm is one of JWS, and which keys it takes.
type algorithm struct{ name, kty, crv string }

// algorithms are accepted, the likeliest first. All are asymmetric (RFC 9449 §4.3); Ed25519
// is what RFC 9864 calls EdDSA with that curve, and ES256K is of RFC 8812. Another curve is a
// row here, a case in parseJWK and in verify, and a word in the advice for BadKey.
var algorithms = []algorithm{
	{es256, "EC", "P-256"},
	{edDSA, "OKP", "Ed25519"},
	{"Ed25519", "OKP", "Ed25519"},
	{es256K, "EC", secp256k1},
	{ps256, "RSA", ""},
	{"RS256", "RSA", ""},
}

const (
	es256, es256K, edDSA, ps256 = "ES256", "ES256K", "EdDSA", "PS256"
	secp256k1                   = "secp256k1"
)

// Algorithms are the names of those that Parse accepts, for
// dpop_signing_alg_values_supported (RFC 9449 §5.1).
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

func algorithmCalled(name string) (algorithm, bool) {
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, false
	}
	return algorithms[i], true
}

// verify reports whether a signature of an algorithm that takes the key is the key's. Both
// halves of the range of s count, of secp256k1 too: RFC 8812 asks for none, and libraries make
// either. Who turns one into the other has the same proof, by its ReplayKey.
func (k publicKey) verify(a algorithm, signed, signature []byte) bool {
	digest := sha256.Sum256(signed)
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		r, t, ok := halves(signature)
		return ok && ecdsa.Verify(key, digest[:], r, t)
	case *ec.PublicKey:
		r, t, ok := halves(signature)
		return ok && (&ec.Signature{R: r, S: t}).Verify(digest[:], key)
	case ed25519.PublicKey:
		return ed25519.Verify(key, signed, signature)
	case *rsa.PublicKey:
		if a.name == ps256 {
			return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	default:
		return false
	}
}

// halves are the two numbers of an ECDSA signature as a JWS has it (RFC 7518 §3.4).
func halves(signature []byte) (r, s *big.Int, ok bool) {
	if len(signature) != 2*coordinate {
		return nil, nil, false
	}
	return new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:]), true
}

// privateMembers are those of a JWK that no proof may have (RFC 7518 §6.2.2, §6.3.2,
// §6.4.1; RFC 8037 §2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parseJWK reads the public key of a proof, which must be one of its algorithm, in the one
// encoding that there is of it: another would have another thumbprint.
//
//	*Error: PrivateKey, BadKey
func parseJWK(raw json.RawMessage, a algorithm) (publicKey, error) {
	bad := &Error{Reason: BadKey}
	m, _ := readObject(raw) // what is no object has no kty
	for _, name := range privateMembers {
		if m[name] != nil {
			return publicKey{}, &Error{Reason: PrivateKey}
		}
	}
	if text(m, "kty") != a.kty || text(m, "crv") != a.crv {
		return publicKey{}, bad
	}
	var key publicKey
	switch a.kty {
	case "EC":
		x, y := bytesOf(m, "x"), bytesOf(m, "y")
		if len(x) != coordinate { // then y is as long, or both are no point
			return publicKey{}, bad
		}
		key = ecKey(a.crv, slices.Concat([]byte{uncompressed}, x, y))
	case "OKP":
		key = edKey(bytesOf(m, "x"))
	case "RSA":
		key = rsaKey(bytesOf(m, "n"), text(m, "e"))
	}
	if key.key == nil {
		return publicKey{}, bad
	}
	return key, nil
}

// uncompressed stands before the coordinates of a point (SEC 1 §2.3.3).
const uncompressed = 4

// ecKey is the key of a point of a curve, without a key where it is none.
func ecKey(curve string, point []byte) publicKey {
	var key crypto.PublicKey
	var err error
	if curve == secp256k1 {
		key, err = ec.ParsePubKey(point)
	} else {
		key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}
	if err != nil {
		return publicKey{}
	}
	x, y := point[1:1+coordinate], point[1+coordinate:]
	return publicKey{json.RawMessage(`{"crv":"` + curve + `","kty":"EC","x":"` + encode(x) + `","y":"` + encode(y) + `"}`), key}
}

// compressed is a secp256k1 key in lower-case hex, as bitcoin-auth names it; empty for others.
func (k publicKey) compressed() string {
	if key, ok := k.key.(*ec.PublicKey); ok {
		return hex.EncodeToString(key.Compressed())
	}
	return ""
}

// Secp256k1Thumbprint is the thumbprint of a secp256k1 public key, compressed and in hex: that
// of its JWK by RFC 8812 §3.1, which a proof by the same key has.
func Secp256k1Thumbprint(compressed string) (string, error) {
	raw, err := hex.DecodeString(compressed)
	if err != nil || len(raw) != 1+coordinate {
		return "", errNoPoint
	}
	key, err := ec.ParsePubKey(raw)
	if err != nil || key.X.Cmp(ec.S256().P) >= 0 { // which the library lets pass
		return "", errNoPoint
	}
	return Secp256k1KeyThumbprint(key), nil
}

// Secp256k1KeyThumbprint is Secp256k1Thumbprint of a key that is a point of the curve.
func Secp256k1KeyThumbprint(key *ec.PublicKey) string {
	return ecKey(secp256k1, key.Uncompressed()).thumbprint()
}

var errNoPoint = errors.New("this is no secp256k1 public key: 66 hex characters that begin with 02 or 03")

func edKey(x []byte) publicKey {
	if len(x) != ed25519.PublicKeySize {
		return publicKey{}
	}
	return publicKey{json.RawMessage(`{"crv":"Ed25519","kty":"OKP","x":"` + encode(x) + `"}`), ed25519.PublicKey(x)}
}

// Bounds of an RSA key: what is smaller is too weak, and what is larger costs its verifier
// more than it is worth. Every library makes keys with the one exponent.
const (
	leastRSA, mostRSA = 2048, 4096
	exponent          = 65537
	exponentEncoded   = "AQAB"
)

func rsaKey(n []byte, e string) publicKey {
	modulus := new(big.Int).SetBytes(n)
	if e != exponentEncoded || n == nil || n[0] == 0 || modulus.BitLen() < leastRSA || modulus.BitLen() > mostRSA {
		return publicKey{}
	}
	return publicKey{json.RawMessage(`{"e":"` + e + `","kty":"RSA","n":"` + encode(n) + `"}`), &rsa.PublicKey{N: modulus, E: exponent}}
}

// thumbprint is the key's name (RFC 7638, with SHA-256 as RFC 9449 §6.1 has it).
func (k publicKey) thumbprint() string {
	sum := sha256.Sum256(k.canonical)
	return encode(sum[:])
}

// IsThumbprint reports whether a text can be a thumbprint, as one that comes as dpop_jkt.
func IsThumbprint(text string) bool {
	raw, ok := decode(text)
	return ok && len(raw) == sha256.Size
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode accepts the one encoding of some bytes; empty is none.
func decode(text string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil && text != "" && !strings.ContainsAny(text, "\r\n") // which the library leaves out
}
