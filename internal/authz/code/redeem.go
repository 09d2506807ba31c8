package code

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
)

// Redemption is what a client sends to the token endpoint for a code (RFC 6749 §4.1.3,
// RFC 7636 §4.5).
type Redemption struct {
	Code        authz.Secret
	RedirectURI string
	Verifier    authz.Secret
	// Resources narrow what was approved (RFC 8707 §2.2).
	Resources []string
}

var (
	errCode         = authz.Refuse(authz.InvalidGrant, "the authorization code is unknown, expired, already used or another client's: send the person to the authorization endpoint again")
	errNotRedirect  = authz.Refuse(authz.InvalidGrant, "redirect_uri is not the one of the authorization request")
	errVerifier     = authz.Refuse(authz.InvalidGrant, "code_verifier does not fit the code_challenge of the authorization request; the code is used up")
	errVerifierForm = authz.Refuse(authz.InvalidRequest, "code_verifier must be 43 to 128 unreserved characters (RFC 7636)")
)

// Redeem trades an authorization code for tokens, once, of however many that come at the
// same moment (requirement Z-15). A code that comes a second time is
// taken for stolen, and what it gave is taken back (requirement Z-14); so is one that comes
// without its verifier (requirement Z-10). Each thing that a code is bound to is checked by
// itself (requirement Z-13).
//
//	InvalidRequest, UnauthorizedClient, InvalidGrant
//	InvalidProof, UseNonce: the code is then as good as before
//	InvalidTarget: a resource that was not approved; so is it then
func (s *Codes) Redeem(ctx context.Context, c authz.Client, given Redemption, proofs authz.Proofs) (*authz.Tokens, error) {
	switch {
	case given.Code == "":
		return nil, authz.Refuse(authz.InvalidRequest, "code is missing")
	case !c.Allows(authz.GrantCode):
		return nil, authz.Refuse(authz.UnauthorizedClient, "this client is not registered for authorization_code")
	case !isVerifier(given.Verifier.Reveal()):
		return nil, errVerifierForm
	}
	r, err := s.store.DeviceRequest(ctx, secret.Code{Secret: given.Code}.KeptAs())
	if errors.Is(err, contract.ErrNotFound) || (err == nil && (r.ClientID != c.ID || !r.ByRedirect())) {
		return nil, errCode
	}
	if err != nil {
		return nil, err
	}
	if r.Redirect.URI != given.RedirectURI || !client.LeadsTo(c.RedirectURIs, r.Redirect.URI) {
		return nil, errNotRedirect
	}
	// Before a code is used up: who has not its key takes nothing from who has (requirement
	// P-11), and who is told a nonce comes again.
	key, err := s.proofs.Possession(ctx, proofs, proof.Wanted{Thumbprint: r.Thumbprint, Required: c.DPoPBound})
	if err != nil {
		return nil, err
	}
	now := s.now()
	g, err := s.store.Grant(ctx, r.ID)
	if errors.Is(err, contract.ErrNotFound) { // not approved, or forgotten since
		return nil, errCode
	}
	if err != nil {
		return nil, err
	}
	if r.State == authz.Redeemed {
		return nil, s.stolen(ctx, g, errCode)
	}
	if !verifies(given.Verifier, r.Redirect.CodeChallenge) {
		return nil, s.stolen(ctx, g, errVerifier)
	}
	if !now.Before(g.CreatedAt.Add(codeLifetime)) {
		return nil, errCode
	}
	tokens, err := s.device.Redeem(ctx, c, r, key, given.Resources...)
	if errors.Is(err, authz.InvalidGrant) || errors.Is(err, authz.ExpiredToken) || errors.Is(err, authz.AccessDenied) {
		if again, unread := s.store.DeviceRequestByID(ctx, r.ID); unread == nil && again.State == authz.Redeemed {
			return nil, s.stolen(ctx, g, errCode) // somebody else was first, at the same moment
		}
		return nil, errCode
	}
	return tokens, err
}

// stolen takes back what a code gave, and refuses.
func (s *Codes) stolen(ctx context.Context, g authz.Grant, refusal error) error {
	if err := s.grants.EndReused(ctx, g); err != nil {
		return err
	}
	return refusal
}

// verifies compares in constant time (RFC 7636 §4.6).
func verifies(verifier authz.Secret, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// isVerifier is RFC 7636 §4.1 (requirement Z-12).
func isVerifier(text string) bool {
	const least, most = 43, 128
	return len(text) >= least && len(text) <= most && !strings.ContainsFunc(text, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c))
	})
}
