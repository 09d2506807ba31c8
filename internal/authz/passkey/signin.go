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

// SignInOptions begins a sign-in with whichever passkey of this server the
// person picks.
//
//	InvalidRequest: this server has no passkeys
func (s *Passkeys) SignInOptions(context.Context) (Ceremony, error) {
	if s.party == nil {
		return Ceremony{}, errNoPasskeys
	}
	challenge, err := s.secrets.Random(challengeLength)
	if err != nil {
		return Ceremony{}, err
	}
	assertion, session, err := s.party.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	if err != nil {
		return Ceremony{}, err
	}
	return s.begin("", assertion, session)
}

// SignIn is a sign-in with a passkey as a browser hands it in.
type SignIn struct {
	Ceremony authz.Secret
	// Credential is the JSON of the PublicKeyCredential (WebAuthn §5.1).
	Credential string
	From       authz.Source
	Seen       authz.Seen
	// Replaces is the session token that the browser had before, or empty.
	Replaces authz.Secret
}

// errPasskey says the same whether the passkey is unknown, was removed, is
// somebody's whose account is disabled, or did not sign this.
var errPasskey = authz.Refuse(authz.Unauthorized, "this passkey is not accepted here: try another, or sign in with your identity's key")

// SignIn signs in the owner of a passkey as the identity that linked
// it, and returns the session and its token.
//
//	Unauthorized: the passkey is not accepted
//	InvalidRequest: the ceremony is over
//	Unavailable: too many come from this network
func (s *Passkeys) SignIn(ctx context.Context, in SignIn) (account.SignedIn, error) {
	signedIn, err := s.signIn(ctx, in)
	s.accounts.NoteSignIn(ctx, signedIn.Session, authz.MethodPasskey, in.Seen, err)
	return signedIn, err
}

func (s *Passkeys) signIn(ctx context.Context, in SignIn) (account.SignedIn, error) {
	if s.party == nil {
		return account.SignedIn{}, errNoPasskeys
	}
	state, err := s.resume(in.Ceremony, "")
	if err != nil {
		return account.SignedIn{}, err
	}
	p, credential, err := s.asserted(ctx, state, in.Credential)
	if err != nil {
		return account.SignedIn{}, err
	}
	if err := s.guard.AdmitSignIn(p.AccountID, in.From); err != nil {
		return account.SignedIn{}, err
	}
	if err := s.useUp(ctx, state); err != nil {
		return account.SignedIn{}, err
	}
	identity, err := s.store.Identity(ctx, p.BAPID)
	if err != nil {
		return account.SignedIn{}, err
	}
	begin, err := s.accounts.Begin(identity, authz.MethodPasskey, in.Seen, in.Replaces)
	if err != nil {
		return account.SignedIn{}, err
	}
	record, err := credentialRecord(*credential)
	if err != nil {
		return account.SignedIn{}, err
	}
	begin.Session.Passkey = p.ID
	if err := s.accounts.TellOfNews(ctx, &begin, s.accounts.NewsSince(p.LastUsedAt)); err != nil {
		return account.SignedIn{}, err
	}
	begin.Passkey = &contract.PasskeyUse{ID: p.ID, SignCount: credential.Authenticator.SignCount, Credential: record}
	switch err := s.store.CreateSession(ctx, begin.NewSession); {
	case errors.Is(err, contract.ErrNotFound): // removed meanwhile
		return account.SignedIn{}, errPasskey
	case errors.Is(err, contract.ErrCounter): // of two sign-ins at once, the one with the older counter
		return account.SignedIn{}, s.cloned(ctx, p)
	case err != nil:
		return account.SignedIn{}, err
	}
	return begin.As(identity), nil
}

// cloned refuses a passkey whose counter did not grow: there may be a copy of it
// (WebAuthn §6.1.1).
func (s *Passkeys) cloned(ctx context.Context, p authz.Passkey) error {
	s.log.WarnContext(ctx, "passkey refused: its signature counter did not grow, there may be a copy of it", "passkey", p.ID, "account", p.AccountID)
	return errPasskey
}

// asserted checks what a passkey signed (WebAuthn §7.2). Each refusal has the
// same words, and comes after the same work, whether or not the passkey is
// known here (attack B-17).
//
//	Unauthorized
func (s *Passkeys) asserted(ctx context.Context, state ceremonyState, credential string) (authz.Passkey, *webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(credential))
	if err != nil {
		return authz.Passkey{}, nil, authz.RefuseBecause(authz.Unauthorized, errPasskey.Description, err)
	}
	p, err := s.store.Passkey(ctx, base64.RawURLEncoding.EncodeToString(parsed.RawID))
	known := err == nil
	if err != nil && !errors.Is(err, contract.ErrNotFound) {
		return authz.Passkey{}, nil, err
	}
	record := webauthn.Credential{ID: parsed.RawID, PublicKey: s.party.decoy}
	if known {
		if record, err = recordOf(p); err != nil {
			return authz.Passkey{}, nil, err
		}
	}
	// Whose handle the authenticator gave is compared afterwards: here it would be
	// compared before the signature is verified.
	user := passkeyUser{handle: parsed.Response.UserHandle, credentials: []webauthn.Credential{record}}
	_, signed, err := s.party.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return user, nil }, state.Session, parsed)
	if err != nil || !known || string(parsed.Response.UserHandle) != p.AccountID {
		return authz.Passkey{}, nil, authz.RefuseBecause(authz.Unauthorized, errPasskey.Description, err)
	}
	if signed.Authenticator.CloneWarning {
		return authz.Passkey{}, nil, s.cloned(ctx, p)
	}
	account, err := s.store.Account(ctx, p.AccountID)
	if err != nil {
		return authz.Passkey{}, nil, err
	}
	if account.Disabled {
		return authz.Passkey{}, nil, errPasskey
	}
	return p, signed, nil
}
