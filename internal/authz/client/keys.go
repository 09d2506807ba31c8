package client

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz/proof"
)

const (
	maxKeys   = 10
	maxKeySet = 16 << 10 // bytes
)

// checkKeys says what is wrong with a client's public keys, of which it may have none.
func checkKeys(text string) error {
	if text == "" {
		return nil
	}
	var set jose.JSONWebKeySet
	if len(text) > maxKeySet || json.Unmarshal([]byte(text), &set) != nil || len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return fmt.Errorf(`must be a JWK set as JSON (RFC 7517 §5), {"keys":[…]}, with 1 to %d public keys`, maxKeys)
	}
	seen := map[string]bool{}
	for _, key := range set.Keys {
		if err := checkKey(key); err != nil {
			return err
		}
		if seen[key.KeyID] {
			return errors.New("must give each key a kid of its own")
		}
		seen[key.KeyID] = true
	}
	return nil
}

func checkKey(key jose.JSONWebKey) error {
	alg := proof.KeyAlg(key)
	switch _, symmetric := key.Key.([]byte); {
	case !symmetric && !key.IsPublic():
		return errors.New("has a private key in it, which is known to others now: make another one, and give its public half")
	case symmetric || alg == "":
		return errors.New("must have keys that sign: EC on P-256, RSA of 2048 bits or more, or Ed25519")
	case key.Use != "" && key.Use != "sig":
		return errors.New("must have keys for signatures: use is sig")
	case key.Algorithm != "" && key.Algorithm != string(alg):
		return errors.New("must have keys for ES256, RS256, PS256 or EdDSA, and each for the one that it is made for")
	default:
		return nil
	}
}
