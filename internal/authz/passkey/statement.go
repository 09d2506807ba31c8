package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign.dev/internal/authz"
)

// Confirmed verifies that a person confirmed a statement with a passkey: one that acts as the
// owner's very identity signed the SHA-256 of it, and verified its user (requirement K-16).
// assertion is the JSON of the PublicKeyCredential (WebAuthn §5.1). There is no ceremony to use
// up: what the statement is about is decided once.
//
//	InvalidRequest: this server has no passkeys
//	Forbidden: the passkey is none of this identity's, or did not sign this
func (s *Passkeys) Confirmed(ctx context.Context, owner authz.Owner, statement, assertion string) (authz.Passkey, error) {
	if s.party == nil {
		return authz.Passkey{}, errNoPasskeys
	}
	challenge := sha256.Sum256([]byte(statement))
	p, _, err := s.asserted(ctx, ceremonyState{Session: webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(challenge[:]), RelyingPartyID: s.party.Config.RPID,
		UserVerification: protocol.VerificationRequired,
	}}, assertion)
	if errors.Is(err, authz.Unauthorized) {
		return authz.Passkey{}, authz.RefuseBecause(authz.Forbidden, errUnconfirmed.Description, err)
	}
	if err != nil {
		return authz.Passkey{}, err
	}
	if p.AccountID != owner.AccountID || p.BAPID != owner.BAPID {
		return authz.Passkey{}, errUnconfirmed
	}
	return p, nil
}

var errUnconfirmed = authz.Refuse(authz.Forbidden,
	"the assertion is not by a passkey of the identity that is signed in, with its user verified, over the SHA-256 of this statement as its challenge")
