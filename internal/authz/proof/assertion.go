package proof

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// AssertionType is the client_assertion_type of what a client signs (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	maxAssertion = 8 << 10 // bytes
	maxJTI       = 255
	// assertionLife is how far ahead an assertion's end may be: it is made for one request,
	// but libraries give it up to an hour (zitadel/oidc), which nobody can set there. Until
	// then it is remembered, so that it counts once all the same.
	assertionLife = time.Hour
	// assertionSkew is how far ahead a client's clock may be.
	assertionSkew = 30 * time.Second
	leastRSABits  = 2048 // RFC 7518 §3.3
)

// assertionTypes are the `typ` of an assertion, which need have none (RFC 7523bis §2.2).
// One that was made for something else is not one (requirement M-10).
var assertionTypes = []any{nil, "JWT", "client-authentication+jwt"}

// AssertionAlgs are the algorithms of assertions.
func AssertionAlgs() []string {
	return []string{string(jose.ES256), string(jose.RS256), string(jose.PS256), string(jose.EdDSA)}
}

// KeyAlg is the one algorithm that a client's key is for, or none.
func KeyAlg(key jose.JSONWebKey) jose.SignatureAlgorithm {
	switch k := key.Key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return jose.ES256
		}
	case *rsa.PublicKey:
		switch {
		case k.N.BitLen() < leastRSABits:
		case key.Algorithm == string(jose.PS256):
			return jose.PS256
		default:
			return jose.RS256
		}
	case ed25519.PublicKey:
		return jose.EdDSA
	}
	return ""
}

// Assertion is what somebody says that a client signed, to authenticate (RFC 7523
// §2.2); nothing of it is verified but what no key is needed for.
type Assertion struct {
	ClientID string
	jti      string
	expires  time.Time
	jws      *jose.JSONWebSignature
}

// ReadAssertion reads an assertion, and refuses it for what the client has to mend: it is
// for this server and no other, by its issuer (RFC 7523bis §2.1.1; the address of an
// endpoint, which other servers take too, could be one that an attacker's server has named
// to the client), ends soon, and names the client as issuer and as subject (requirement
// T-18).
//
//	InvalidClient
func (s *Verifier) ReadAssertion(text authz.Secret, issuer string) (*Assertion, error) {
	if len(text) > maxAssertion {
		return nil, errAssertion("is longer than 8 KiB")
	}
	var algs []jose.SignatureAlgorithm
	for _, alg := range AssertionAlgs() {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	jws, err := jose.ParseSignedCompact(text.Reveal(), algs)
	if err != nil {
		return nil, errAssertion("is no JWT signed with ES256, RS256, PS256 or EdDSA")
	}
	var c struct {
		Issuer    string          `json:"iss"`
		Subject   string          `json:"sub"`
		Audience  json.RawMessage `json:"aud"`
		Expires   float64         `json:"exp"`
		NotBefore float64         `json:"nbf"`
		IssuedAt  float64         `json:"iat"`
		ID        string          `json:"jti"`
	}
	if json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c) != nil {
		return nil, errAssertion("has claims that cannot be read")
	}
	now := s.now()
	expires, ahead := atSecond(c.Expires), now.Add(assertionSkew)
	switch {
	case !slices.Contains(assertionTypes, jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]):
		return nil, errAssertion("was made for something else: typ must be JWT, client-authentication+jwt or left out")
	case c.Issuer == "" || c.Issuer != c.Subject:
		return nil, errAssertion("must have the client id as iss and as sub")
	case !audienceIs(c.Audience, issuer):
		return nil, errAssertion("must have aud, and in it nothing but this server's issuer: " + issuer)
	case !now.Before(expires):
		return nil, errAssertion("is over: exp must be ahead; check the clock")
	case expires.After(ahead.Add(assertionLife)):
		return nil, errAssertion("lasts too long: exp must be within an hour; check the clock")
	case atSecond(c.NotBefore).After(ahead) || atSecond(c.IssuedAt).After(ahead):
		return nil, errAssertion("is not good yet: check the clock")
	case c.ID == "" || len(c.ID) > maxJTI:
		return nil, errAssertion("must have a jti of 1 to 255 bytes, another one each time")
	}
	return &Assertion{ClientID: c.Subject, jti: c.ID, expires: expires, jws: jws}, nil
}

// atSecond is a time of a JWT (RFC 7519 §2). One that no clock shows is the farthest.
func atSecond(seconds float64) time.Time {
	const farthest = 1 << 40
	return time.Unix(int64(math.Max(-farthest, math.Min(seconds, farthest))), 0)
}

func audienceIs(aud json.RawMessage, issuer string) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return one == issuer
	}
	var all []string
	return json.Unmarshal(aud, &all) == nil && len(all) == 1 && all[0] == issuer
}

// VerifyAssertion verifies an assertion with the registered keys of its client, by the
// algorithm that the key is for (RFC 8725 §3.1), and uses it up, whoever sends it how often
// at once (requirement T-18). Who sends many that do not hold is not verified any more,
// for this client.
//
//	InvalidClient
//	Unavailable: too many from this network were refused, or came
func (s *Verifier) VerifyAssertion(ctx context.Context, a *Assertion, keys jose.JSONWebKeySet, from authz.Source) error {
	name, now := "client "+a.ClientID, s.now()
	select {
	case s.verifying <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.verifyAssertion(a, keys, name, from, now)
	<-s.verifying
	if err != nil {
		return err
	}
	err = s.used.UseOnce(ctx, authz.Secret("client assertion\x00"+a.ClientID+"\x00"+a.jti).Hash(), now, a.expires)
	if errors.Is(err, contract.ErrExists) {
		return errAssertion("was used before: make one for each request, with a jti of its own")
	}
	return err
}

func (s *Verifier) verifyAssertion(a *Assertion, keys jose.JSONWebKeySet, name string, from authz.Source, now time.Time) error {
	if !s.forged.Left(name, from, now) {
		return errForged
	}
	if !s.signatures.Allow(from, now) {
		return errSigned
	}
	header := a.jws.Signatures[0].Protected
	for _, key := range keys.Keys {
		if header.KeyID != key.KeyID && (header.KeyID != "" || len(keys.Keys) > 1) || string(KeyAlg(key)) != header.Algorithm {
			continue
		}
		if _, err := a.jws.Verify(key.Key); err == nil {
			return nil
		}
	}
	s.forged.AllowIn(name, from, now)
	return ErrNotTheirs
}

// ErrNotTheirs is for an assertion that none of the client's keys signed.
var ErrNotTheirs = errAssertion("is not signed by a key that is registered for the client: check its client id, kid and alg")

func errAssertion(what string) *authz.Error {
	return authz.Refuse(authz.InvalidClient, "client_assertion "+what)
}
