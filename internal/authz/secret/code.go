package secret

import (
	"encoding/base64"

	"countersign.dev/internal/authz"
)

// Code is an authorization code (RFC 6749 §4.1.2).
type Code struct{ authz.Secret }

// AuthorizationCode is the authorization code of a request, the same each time: it is
// given once more to a browser that comes twice, and nothing of it is stored that could be
// given away. Nobody guesses one (requirement T-12).
func (s Secrets) AuthorizationCode(requestID string) Code {
	return Code{codePrefix + authz.Secret(base64.RawURLEncoding.EncodeToString(keyed(s.code, []byte(requestID))))}
}

// KeptAs is the hash by which the request of a code is found. It is not that of a device
// code of the same letters: what came by a redirect is redeemed with its verifier, and
// polled for in no way.
func (c Code) KeptAs() authz.Hash { return ("authorization code " + c.Secret).Hash() }
