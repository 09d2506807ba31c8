package token

import (
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev/internal/authz"
)

// Hint is what an ID token of this server says of a past sign-in.
type Hint struct{ Subject, Audience string }

// maxHint bounds an ID token that comes back, in bytes, before any parsing.
const maxHint = 8 << 10

// ReadHint reads an ID token that comes back as a hint (OpenID Connect RP-Initiated Logout §2).
// It may be over long since (requirement L-07). Of a token whose key has gone since the hint is
// empty: nobody can tell any more whether it is ours.
//
//	InvalidToken: it is not an ID token of this server
func (s *Signer) ReadHint(raw string) (Hint, error) {
	if len(raw) > maxHint || !canonicalJWS(raw) {
		return Hint{}, ErrInvalid
	}
	jws, err := jose.ParseSignedCompact(raw, signingAlgs)
	if err != nil {
		return Hint{}, ErrInvalid
	}
	header := jws.Signatures[0].Protected
	var claims idClaims
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil || claims.Issuer != s.settings.Issuer || header.ExtraHeaders[jose.HeaderType] != string(idTokenType) {
		return Hint{}, ErrInvalid
	}
	key := s.ring.Load().byID[header.KeyID]
	if key == nil || key.StateAt(s.now()) == authz.KeyGone {
		return Hint{}, nil
	}
	if key.Algorithm != header.Algorithm {
		return Hint{}, ErrInvalid
	}
	if _, err := jws.Verify(key.public); err != nil {
		return Hint{}, ErrInvalid
	}
	return Hint{Subject: claims.Subject, Audience: claims.Audience}, nil
}
