package passkey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// relyingParty is this server in the words of WebAuthn. Its id is the issuer's
// host name, so that passkeys stay valid when a port or path changes.
type relyingParty struct {
	*webauthn.WebAuthn
	// decoy is the public key, of a pair whose private half nobody kept, that
	// stands in for a passkey that is not there, so that refusing takes the same
	// work (attack B-17).
	decoy []byte
}

// errNoPasskeys: WebAuthn §5.1.2 has no relying party without a domain.
var errNoPasskeys = authz.Refuse(authz.InvalidRequest, "this server has no passkeys: its issuer names an address, and passkeys need a host name such as localhost")

// newRelyingParty returns nil for an issuer that can have no passkeys.
func newRelyingParty(issuer string, random io.Reader) (*relyingParty, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	if possible := protocol.ValidateRPID(u.Hostname()) == nil; !possible {
		return nil, nil
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: u.Hostname(), RPOrigins: []string{u.Scheme + "://" + u.Host},
		// Nobody asks for a certain make of authenticator here.
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationPreferred,
		},
		// No extension is asked for; some password managers answer one all the same.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
		// Our own clock says when a ceremony is over; these are for the browser.
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: ceremonyLifetime, TimeoutUVD: ceremonyLifetime},
			Registration: webauthn.TimeoutConfig{Timeout: ceremonyLifetime, TimeoutUVD: ceremonyLifetime},
		},
	})
	if err != nil {
		return nil, err
	}
	decoy, err := decoyKey(random)
	return &relyingParty{w, decoy}, err
}

func decoyKey(random io.Reader) ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	return webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
	})
}

// Possible reports whether this server's issuer can have passkeys.
func (s *Passkeys) Possible() bool { return s.party != nil }

const (
	// ceremonyLifetime is how long a person may take to find and touch their
	// authenticator.
	ceremonyLifetime = 5 * time.Minute
	challengeLength  = 32
)

// ceremonyPurpose keeps what else is handed out from passing as a ceremony.
const ceremonyPurpose = "passkey-ceremony"

// Ceremony is the beginning of adding a passkey or signing in with one.
type Ceremony struct {
	// Options is what navigator.credentials takes, as JSON: an object with the
	// member publicKey (WebAuthn §5.1.8, §5.1.9).
	Options []byte
	// State is for the browser to hand back: sealed, of no use to anybody else.
	State authz.Secret
}

// ceremonyState is what is sealed in a Ceremony.
type ceremonyState struct {
	// AccountID is whose passkey is added, and empty for a sign-in: one never
	// passes as the other, and neither is a session (requirement Z-30).
	AccountID string               `json:"account,omitempty"`
	Expires   int64                `json:"expires"` // Unix milliseconds
	Session   webauthn.SessionData `json:"session"`
}

func (s *Passkeys) begin(accountID string, options any, session *webauthn.SessionData) (Ceremony, error) {
	state, err := json.Marshal(ceremonyState{
		AccountID: accountID, Session: *session, Expires: s.now().Add(ceremonyLifetime).UnixMilli(),
	})
	if err != nil {
		return Ceremony{}, err
	}
	sealed, err := s.secrets.Seal(ceremonyPurpose, state)
	if err != nil {
		return Ceremony{}, err
	}
	c := Ceremony{State: authz.Secret(sealed)}
	c.Options, err = json.Marshal(options)
	return c, err
}

// errCeremonyOver is for a ceremony that is not ours, another kind's, another
// person's, too old, or used before.
var errCeremonyOver = authz.Refuse(authz.InvalidRequest, "this took too long or was done before: ask for new options and try again")

// resume opens the state of a ceremony.
//
//	InvalidRequest: it is over, or not this account's
func (s *Passkeys) resume(sealed authz.Secret, accountID string) (ceremonyState, error) {
	raw, err := s.secrets.Open(ceremonyPurpose, sealed.Reveal())
	if errors.Is(err, secret.ErrNotSealed) {
		return ceremonyState{}, errCeremonyOver
	}
	if err != nil {
		return ceremonyState{}, err
	}
	var state ceremonyState
	if err := json.Unmarshal(raw, &state); err != nil {
		return ceremonyState{}, err
	}
	if state.AccountID != accountID || s.now().UnixMilli() >= state.Expires {
		return ceremonyState{}, errCeremonyOver
	}
	return state, nil
}

// useUp makes a ceremony count once.
//
//	InvalidRequest: it was used before
func (s *Passkeys) useUp(ctx context.Context, state ceremonyState) error {
	key := authz.Secret("passkey-challenge:" + state.Session.Challenge).Hash()
	err := s.store.UseOnce(ctx, key, s.now(), time.UnixMilli(state.Expires))
	if errors.Is(err, contract.ErrExists) {
		return errCeremonyOver
	}
	return err
}

// passkeyUser is an account in the words of WebAuthn.
type passkeyUser struct {
	handle      []byte
	name        string
	credentials []webauthn.Credential
}

// WebAuthnID is the user handle: the account's id.
func (u passkeyUser) WebAuthnID() []byte { return u.handle }

// WebAuthnName is what authenticators show where an account has several passkeys.
func (u passkeyUser) WebAuthnName() string { return u.name }

// WebAuthnDisplayName is the same: an identity has one name.
func (u passkeyUser) WebAuthnDisplayName() string { return u.name }

// WebAuthnCredentials are the passkeys that the ceremony may be done with.
func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// credentialRecord is a passkey's credential record (WebAuthn §4) as it is kept:
// without the attestation, which was not asked for and names the device.
func credentialRecord(c webauthn.Credential) ([]byte, error) {
	c.Attestation = webauthn.CredentialAttestation{}
	return json.Marshal(c)
}

func recordOf(p authz.Passkey) (c webauthn.Credential, err error) {
	err = json.Unmarshal(p.Credential, &c)
	return c, err
}

// descriptors name passkeys to a browser that must not make another on the same
// authenticator.
func descriptors(passkeys []authz.Passkey) ([]protocol.CredentialDescriptor, error) {
	var all []protocol.CredentialDescriptor
	for _, p := range passkeys {
		c, err := recordOf(p)
		if err != nil {
			return nil, err
		}
		all = append(all, c.Descriptor())
	}
	return all, nil
}
