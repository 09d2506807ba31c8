package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"countersign.dev/internal/authz"
)

// RefreshToken makes a token of a grant: the hash of the token that it replaces, or
// for the first something random, the grant, and a MAC over both that nobody else
// can make. Being derived, two parallel uses of one token give the same successor
// without the server ever storing a token (requirements ); naming its
// grant, it is known for ours when no row of it is kept any more (decision 0024).
func (s Secrets) RefreshToken(replaces authz.Hash, grantID string) authz.Secret {
	raw := append(replaces[:], grantID...)
	return refreshTokenPrefix + authz.Secret(base64.RawURLEncoding.EncodeToString(append(raw, s.refreshMAC(raw)...)))
}

func (s Secrets) refreshMAC(over []byte) []byte { return keyed(s.refresh, over) }

// ReadRefreshToken reads what a refresh token says of itself; ok is false for one that
// this server did not make, or made when they still said nothing.
func (s Secrets) ReadRefreshToken(token authz.Secret) (replaces authz.Hash, grantID string, ok bool) {
	text, prefixed := strings.CutPrefix(token.Reveal(), refreshTokenPrefix.Reveal())
	raw, whole := Decode(text)
	if !prefixed || !whole || len(raw) <= 2*sha256.Size {
		return authz.Hash{}, "", false
	}
	said, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !hmac.Equal(mac, s.refreshMAC(said)) {
		return authz.Hash{}, "", false
	}
	return authz.Hash(said[:sha256.Size]), string(said[sha256.Size:]), true
}

// Successor is the token that follows another of a grant. One that says nothing of
// itself is known by its row only, which must stay: its successor names no row.
func (s Secrets) Successor(token authz.Secret, grantID string) authz.Secret {
	if _, _, ok := s.ReadRefreshToken(token); !ok {
		return s.RefreshToken(authz.Hash(s.refreshMAC([]byte(token.Reveal()))), grantID)
	}
	return s.RefreshToken(token.Hash(), grantID)
}
