package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
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

// keyring holds the server's signing keys, opened.
type keyring struct {
	signers map[signs]jose.Signer
	byID    map[string]jose.JSONWebKey
	order   []string
}

// signs is what a signer is for: an algorithm and a `typ`.
type signs struct {
	alg jose.SignatureAlgorithm
	typ jose.ContentType
}

// openKeyring reads the signing keys, making those that are missing. Servers
// that start together agree on one set: the store keeps the first.
//
//	ErrOtherSecret
func openKeyring(ctx context.Context, store contract.KeyStore, secrets secret.Secrets, now time.Time) (*keyring, error) {
	stored, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	// Before any is added: one that the other servers could not open would keep
	// them from starting.
	if _, err := openKeys(stored, secrets); err != nil {
		return nil, err
	}
	var missing []authz.SigningKey
	for _, alg := range signingAlgs {
		if hasAlg(stored, alg) {
			continue
		}
		key, err := newSigningKey(alg, secrets, now)
		if err != nil {
			return nil, err
		}
		missing = append(missing, key)
	}
	if missing != nil {
		if stored, err = store.AddSigningKeys(ctx, missing); err != nil {
			return nil, err
		}
	}
	return openKeys(stored, secrets)
}

// openKeys opens stored keys with the server's secret.
//
//	ErrOtherSecret
func openKeys(stored []authz.SigningKey, secrets secret.Secrets) (*keyring, error) {
	ring := &keyring{signers: map[signs]jose.Signer{}, byID: map[string]jose.JSONWebKey{}}
	for _, k := range stored {
		pkcs8, err := secrets.OpenKey(k.ID, k.Sealed)
		if err != nil {
			return nil, err
		}
		private, err := x509.ParsePKCS8PrivateKey(pkcs8)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		jwk := jose.JSONWebKey{Key: private, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
		if err := ring.add(jwk); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	return ring, nil
}

func hasAlg(keys []authz.SigningKey, alg jose.SignatureAlgorithm) bool {
	return slices.ContainsFunc(keys, func(k authz.SigningKey) bool { return k.Algorithm == string(alg) })
}

func newSigningKey(alg jose.SignatureAlgorithm, secrets secret.Secrets, now time.Time) (authz.SigningKey, error) {
	const rsaBits = 2048 // NIST SP 800-57: enough until 2030, and what every client reads
	var private crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), secrets.Rand)
	case jose.RS256:
		private, err = rsa.GenerateKey(secrets.Rand, rsaBits)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(secrets.Rand)
	default:
		err = fmt.Errorf("no way to make a key for %s", alg)
	}
	if err != nil {
		return authz.SigningKey{}, err
	}
	id, err := thumbprint(private.Public())
	if err != nil {
		return authz.SigningKey{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return authz.SigningKey{}, err
	}
	sealed, err := secrets.SealKey(id, pkcs8)
	if err != nil {
		return authz.SigningKey{}, err
	}
	return authz.SigningKey{ID: id, Algorithm: string(alg), Sealed: sealed, CreatedAt: now}, nil
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

// PublicKeys are the keys that verify this server's tokens (RFC 7517 §5), public
// members only (requirement M-07).
func (s *Signer) PublicKeys() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, id := range s.keys.order {
		key := s.keys.byID[id]
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

// add makes the signers of a key; of several keys of one algorithm the latest
// signs.
func (k *keyring) add(key jose.JSONWebKey) error {
	alg := jose.SignatureAlgorithm(key.Algorithm)
	for _, typ := range []jose.ContentType{accessTokenType, idTokenType} {
		options := (&jose.SignerOptions{}).WithType(typ)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID}}, options)
		if err != nil {
			return err
		}
		k.signers[signs{alg, typ}] = signer
	}
	k.byID[key.KeyID] = key
	k.order = append(k.order, key.KeyID)
	return nil
}

// sign makes a JWS in compact form.
func (k *keyring) sign(alg jose.SignatureAlgorithm, typ jose.ContentType, payload []byte) (string, error) {
	signer, ok := k.signers[signs{alg, typ}]
	if !ok {
		return "", fmt.Errorf("no %s key", alg)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

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
