package token

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
)

// keyring holds the server's signing keys, opened. It is never written once it is made;
// when the keys have changed, another takes its place.
type keyring struct {
	kept []authz.SigningKey
	// set is the key set as it is published (RFC 7517 §5), public members only.
	set  []byte
	byID map[string]*openKey
	// signing are those with a private half, in the order in which they begin to sign.
	signing map[jose.SignatureAlgorithm][]*openKey
	// known are access tokens whose signature one of these keys is known to have made;
	// whether their grant is alive is asked each time.
	known *lru.Cache[authz.Hash, *Claims]
}

type openKey struct {
	authz.SigningKey
	public  jose.JSONWebKey
	signers map[jose.ContentType]jose.Signer
}

// openKeys opens the keys that are kept with the server's secret.
//
//	ErrOtherSecret
func openKeys(kept []authz.SigningKey, secrets secret.Secrets) (*keyring, error) {
	known, err := lru.New[authz.Hash, *Claims](tokensRemembered)
	if err != nil {
		return nil, err
	}
	ring := &keyring{kept: kept, byID: map[string]*openKey{}, signing: map[jose.SignatureAlgorithm][]*openKey{}, known: known}
	var set jose.JSONWebKeySet
	for _, k := range kept {
		key, err := openOne(k, secrets)
		if err != nil {
			return nil, err
		}
		ring.add(key)
		set.Keys = append(set.Keys, key.public)
	}
	ring.set, err = json.MarshalIndent(set, "", "  ")
	return ring, err
}

func (r *keyring) add(key *openKey) {
	r.byID[key.ID] = key
	if key.signers == nil {
		return
	}
	alg := jose.SignatureAlgorithm(key.Algorithm)
	r.signing[alg] = append(r.signing[alg], key)
	slices.SortStableFunc(r.signing[alg], func(a, b *openKey) int { return a.SignsFrom.Compare(b.SignsFrom) })
}

func openOne(k authz.SigningKey, secrets secret.Secrets) (*openKey, error) {
	private, err := privateHalf(k, secrets)
	if err != nil {
		return nil, err
	}
	key := &openKey{SigningKey: k}
	if private == nil {
		key.public, err = PublicHalf(k)
		return key, err
	}
	if key.public, err = publicJWK(k, private.Public()); err != nil {
		return nil, err
	}
	key.signers = map[jose.ContentType]jose.Signer{}
	for _, typ := range []jose.ContentType{accessTokenType, idTokenType, exportType} {
		options := (&jose.SignerOptions{}).WithType(typ)
		signing := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: jose.JSONWebKey{Key: private, KeyID: k.ID}}
		if key.signers[typ], err = jose.NewSigner(signing, options); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	return key, nil
}

// complete reports whether there is a key for each algorithm.
func (r *keyring) complete() bool {
	return !slices.ContainsFunc(signingAlgs, func(alg jose.SignatureAlgorithm) bool { return len(r.signing[alg]) == 0 })
}

// holds reports whether the ring is of these keys.
func (r *keyring) holds(kept []authz.SigningKey) bool { return reflect.DeepEqual(r.kept, kept) }

// verifier is the key that a token names, or nil: a key that is gone verifies nothing.
func (r *keyring) verifier(id string, now time.Time) *openKey {
	key := r.byID[id]
	if key == nil || key.StateAt(now) == authz.KeyGone {
		return nil
	}
	return key
}

// signer is the key of an algorithm that signs now. Where the clock was set back to before
// any of them began, the last one does.
func (r *keyring) signer(alg jose.SignatureAlgorithm, now time.Time) (*openKey, error) {
	keys := r.signing[alg]
	for _, key := range slices.Backward(keys) {
		if key.StateAt(now) == authz.KeyActive {
			return key, nil
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no %s key", alg)
	}
	return keys[len(keys)-1], nil
}

// sign makes a JWS in compact form.
func (r *keyring) sign(alg jose.SignatureAlgorithm, typ jose.ContentType, payload []byte, now time.Time) (string, error) {
	key, err := r.signer(alg, now)
	if err != nil {
		return "", err
	}
	jws, err := key.signers[typ].Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}
