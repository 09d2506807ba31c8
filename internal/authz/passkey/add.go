package passkey

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/authz/contract"
)

// Options begins adding a passkey to the owner's account.
//
//	InvalidRequest: this server has no passkeys
//	AccountFull: the account has as many as it may
//	Forbidden: a passkey began the session
func (s *Passkeys) Options(ctx context.Context, owner authz.Owner) (Ceremony, error) {
	if s.party == nil {
		return Ceremony{}, errNoPasskeys
	}
	if err := account.MayAdd(owner); err != nil {
		return Ceremony{}, err
	}
	there, err := s.store.Passkeys(ctx, owner.AccountID, authz.ListedAtMost)
	if err != nil {
		return Ceremony{}, err
	}
	if len(there) >= most {
		return Ceremony{}, errTooManyPasskeys
	}
	exclude, err := descriptors(there)
	if err != nil {
		return Ceremony{}, err
	}
	identity, err := s.store.Identity(ctx, owner.BAPID)
	if err != nil {
		return Ceremony{}, err
	}
	challenge, err := s.secrets.Random(challengeLength)
	if err != nil {
		return Ceremony{}, err
	}
	user := passkeyUser{handle: []byte(owner.AccountID), name: identity.DisplayName()}
	creation, session, err := s.party.BeginRegistration(user, webauthn.WithExclusions(exclude),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = challenge
			return nil
		})
	if err != nil {
		return Ceremony{}, err
	}
	return s.begin(owner.AccountID, creation, session)
}

// maxVouch bounds what is kept of the request that adds a passkey, in bytes: twice what
// browsers send. A longer one adds it all the same, and what it approves later is not verified
// offline.
const maxVouch = 8 << 10

// Addition is a passkey as a browser hands it in.
type Addition struct {
	Ceremony authz.Secret
	Name     string
	// Credential is the JSON of the PublicKeyCredential (WebAuthn §5.1).
	Credential string
}

// Add adds a passkey to the owner's account. The owner's session began the
// ceremony, and the member key of one of the account's identities signed the
// request that carries the credential: the passkey acts as that identity (requirements
// N-09, L-05, K-17). That request is kept, for the receipts of what the passkey approves.
//
//	Unauthorized: the signature is refused
//	Forbidden: the key that signed is of no identity of this account, or a passkey
//	began the session
//	InvalidRequest: the ceremony is over, or the credential does not fit it or is
//	known here
//	AccountFull: the account has as many as it may
func (s *Passkeys) Add(ctx context.Context, owner authz.Owner, signed authz.SignedRequest, in Addition) (authz.Passkey, error) {
	if s.party == nil {
		return authz.Passkey{}, errNoPasskeys
	}
	if err := account.MayAdd(owner); err != nil {
		return authz.Passkey{}, err
	}
	identity, err := s.accounts.SignerOf(ctx, owner, signed)
	if err != nil {
		return authz.Passkey{}, err
	}
	state, err := s.resume(in.Ceremony, owner.AccountID)
	if err != nil {
		return authz.Passkey{}, err
	}
	credential, err := s.created(state, in.Credential)
	if err != nil {
		return authz.Passkey{}, err
	}
	if err := s.useUp(ctx, state); err != nil {
		return authz.Passkey{}, err
	}
	p := authz.Passkey{
		ID: base64.RawURLEncoding.EncodeToString(credential.ID), AccountID: owner.AccountID, BAPID: identity.BAPID, MemberKey: identity.MemberKey,
		Name: authz.CleanText(in.Name, account.MaxName), CreatedAt: s.now(), SignCount: credential.Authenticator.SignCount,
		Network: owner.Seen.Clean().Network,
	}
	if len(signed.Body) <= maxVouch {
		p.Vouch = authz.Vouch{Path: signed.Path, Body: string(signed.Body), Token: signed.Token}
	}
	if p.Credential, err = credentialRecord(*credential); err != nil {
		return authz.Passkey{}, err
	}
	event, err := s.trail.Event(owner, authz.EventPasskeyAdded, p.Name)
	if err != nil {
		return authz.Passkey{}, err
	}
	event.BAPID, event.Standing = p.BAPID, identity.FirstHere()
	switch err := s.store.AddPasskey(ctx, p, most, event); {
	case errors.Is(err, contract.ErrExists):
		return authz.Passkey{}, errPasskeyExists
	case errors.Is(err, contract.ErrFull):
		return authz.Passkey{}, errTooManyPasskeys
	case errors.Is(err, contract.ErrNotFound): // the identity was taken out meanwhile
		return authz.Passkey{}, account.ErrForeignKey
	case err != nil:
		return authz.Passkey{}, err
	}
	s.log.InfoContext(ctx, "passkey added", "passkey", p.ID, authz.By(owner), "signs_in_as", p.BAPID)
	return p, nil
}

// created checks a new credential against its ceremony (WebAuthn §7.1).
func (s *Passkeys) created(state ceremonyState, credential string) (*webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(credential))
	if err != nil {
		return nil, authz.RefuseBecause(authz.InvalidRequest, "credential cannot be read: send the JSON of the PublicKeyCredential as a text", err)
	}
	c, err := s.party.CreateCredential(passkeyUser{handle: []byte(state.AccountID)}, state.Session, parsed)
	if err != nil {
		return nil, authz.RefuseBecause(authz.InvalidRequest, "the credential does not fit the options that it was made for: ask for new ones and try again", err)
	}
	return c, nil
}
