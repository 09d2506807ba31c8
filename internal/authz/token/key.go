package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
)

// accessTokenAlg signs access tokens; ID tokens use what their client
// registered for, this otherwise.
const accessTokenAlg = jose.ES256

// signingAlgs are the algorithms there is a key for, in the order advertised. Every
// client of OpenID Connect reads RS256 (requirement M-06).
var signingAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA}

// SigningAlgs are the algorithms ID tokens may be signed with.
func SigningAlgs() []string {
	names := make([]string, len(signingAlgs))
	for i, alg := range signingAlgs {
		names[i] = string(alg)
	}
	return names
}

// newSigningKey draws a key, sealed, without any time. Its id is an argument of commands
// and must not look like a flag.
func newSigningKey(alg string, secrets secret.Secrets) (k authz.SigningKey, err error) {
	var private crypto.Signer
	for k.ID == "" || strings.HasPrefix(k.ID, "-") {
		if private, err = drawKey(jose.SignatureAlgorithm(alg), secrets); err != nil {
			return authz.SigningKey{}, err
		}
		if k.ID, err = thumbprint(private.Public()); err != nil {
			return authz.SigningKey{}, err
		}
	}
	k.Algorithm = alg
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return authz.SigningKey{}, err
	}
	if k.Sealed, err = secrets.SealKey(k.ID, pkcs8); err != nil {
		return authz.SigningKey{}, err
	}
	k.Public, err = x509.MarshalPKIXPublicKey(private.Public())
	return k, err
}

func drawKey(alg jose.SignatureAlgorithm, secrets secret.Secrets) (crypto.Signer, error) {
	const rsaBits = 2048 // NIST SP 800-57: enough until 2030, and what every client reads
	switch alg {
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), secrets.Rand)
	case jose.RS256:
		return rsa.GenerateKey(secrets.Rand, rsaBits)
	case jose.EdDSA:
		_, private, err := ed25519.GenerateKey(secrets.Rand)
		return private, err
	default:
		return nil, fmt.Errorf("no way to make a key for %s", alg)
	}
}

// privateHalf opens a key; nil for one whose private half is gone.
//
//	ErrOtherSecret
func privateHalf(k authz.SigningKey, secrets secret.Secrets) (crypto.Signer, error) {
	if len(k.Sealed) == 0 {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	pkcs8, err := secrets.OpenKey(k.ID, k.Sealed)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ID, err)
	}
	return private.(crypto.Signer), nil // as every key is that can be written so and is no ECDH key
}

// PublicHalf is a key as everybody may see it, whatever its state: with it what the key
// signed can be checked (RFC 7517 §4).
func PublicHalf(k authz.SigningKey) (jose.JSONWebKey, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("key %s: %w", k.ID, err)
	}
	return publicJWK(k, public)
}

func publicJWK(k authz.SigningKey, public crypto.PublicKey) (jose.JSONWebKey, error) {
	id, err := thumbprint(public)
	if err == nil && id != k.ID {
		err = fmt.Errorf("key %s: what is kept under this id is another key", k.ID)
	}
	return jose.JSONWebKey{Key: public, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}, err
}

// thumbprint is the RFC 7638 thumbprint of a key, which serves as its kid.
func thumbprint(public crypto.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: public}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// thumbprintLength is of every kid of ours.
var thumbprintLength = base64.RawURLEncoding.EncodedLen(sha256.Size)

// halfHash is at_hash of OpenID Connect Core §3.1.3.6 for the algorithms with
// SHA-256; for EdDSA (Ed25519, which hashes with SHA-512 inside) §3.1.3.6 has no
// rule, and clients expect SHA-512.
func halfHash(alg jose.SignatureAlgorithm, token string) string {
	if alg == jose.EdDSA {
		sum := crypto.SHA512.New()
		sum.Write([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
