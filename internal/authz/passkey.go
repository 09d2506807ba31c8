package authz

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// maxPasskeys is how many passkeys an account may have.
const maxPasskeys = 20

// passkeys are the WebAuthn credentials of accounts.
type passkeys struct {
	store    Store
	now      func() time.Time
	log      *slog.Logger
	secrets  serverSecrets
	trail    trail
	guard    *guard
	accounts *accounts
	party    *relyingParty // nil where the issuer can have none
}

func newPasskeys(store Store, trail trail, guard *guard, accounts *accounts, party *relyingParty) *passkeys {
	return &passkeys{store: store, now: trail.now, log: trail.log, secrets: trail.secrets, trail: trail, guard: guard, accounts: accounts, party: party}
}

// Passkeys returns the passkeys of the owner's account, oldest first.
func (s *passkeys) Passkeys(ctx context.Context, owner Owner) ([]Passkey, error) {
	return s.store.Passkeys(ctx, owner.AccountID, ListedAtMost)
}

// RemovePasskey removes a passkey of the owner's account: it signs in no more, and
// its sessions and what they allowed are over. Any session may do that: whoever has
// one takes away nothing that its owner cannot add again.
//
//	NotFound: there is none with this id, or it is somebody else's
func (s *passkeys) RemovePasskey(ctx context.Context, owner Owner, id string) error {
	p, err := s.store.Passkey(ctx, id) // for its name; whose it is, the removal checks
	if err != nil {
		return notFound(err, noSuchPasskey)
	}
	event, err := s.accounts.newWayEvent(ctx, owner, EventPasskeyRemoved, p.Name)
	if err != nil {
		return err
	}
	event.BAPID = p.BAPID
	if err := s.store.RemovePasskey(ctx, owner.AccountID, id, s.now(), event); err != nil {
		return notFound(err, noSuchPasskey)
	}
	s.log.InfoContext(ctx, "passkey removed", "passkey", id, by(owner))
	return nil
}

const noSuchPasskey = "you have no such passkey"

var (
	errTooManyPasskeys = refuse(AccountFull, "an account has 20 passkeys at most: remove one first")
	errPasskeyExists   = refuse(InvalidRequest, "this passkey is here already")
)

// PasskeyOptions begins adding a passkey to the owner's account.
//
//	InvalidRequest: the account has as many as it may, or this server has none
//	Forbidden: a passkey began the session
func (s *passkeys) PasskeyOptions(ctx context.Context, owner Owner) (Ceremony, error) {
	if s.party == nil {
		return Ceremony{}, errNoPasskeys
	}
	if err := mayAdd(owner); err != nil {
		return Ceremony{}, err
	}
	there, err := s.store.Passkeys(ctx, owner.AccountID, ListedAtMost)
	if err != nil {
		return Ceremony{}, err
	}
	if len(there) >= maxPasskeys {
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
	challenge, err := s.secrets.random(challengeLength)
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

// NewPasskey is a passkey as a browser hands it in.
type NewPasskey struct {
	Ceremony Secret
	Name     string
	// Credential is the JSON of the PublicKeyCredential (WebAuthn §5.1).
	Credential string
}

// AddPasskey adds a passkey to the owner's account. The owner's session began the
// ceremony, and the member key of one of the account's identities signed the
// request that carries the credential: the passkey acts as that identity (requirements
// N-09, L-05).
//
//	Unauthorized: the signature is refused
//	Forbidden: the key that signed is of no identity of this account, or a passkey
//	began the session
//	InvalidRequest: the ceremony is over, the credential does not fit it or is
//	known here, or the account has as many as it may
func (s *passkeys) AddPasskey(ctx context.Context, owner Owner, signed SignedRequest, in NewPasskey) (Passkey, error) {
	if s.party == nil {
		return Passkey{}, errNoPasskeys
	}
	if err := mayAdd(owner); err != nil {
		return Passkey{}, err
	}
	identity, err := s.accounts.signerOf(ctx, owner, signed)
	if err != nil {
		return Passkey{}, err
	}
	state, err := s.resume(in.Ceremony, owner.AccountID)
	if err != nil {
		return Passkey{}, err
	}
	credential, err := s.created(state, in.Credential)
	if err != nil {
		return Passkey{}, err
	}
	if err := s.useUp(ctx, state); err != nil {
		return Passkey{}, err
	}
	p := Passkey{
		ID: base64.RawURLEncoding.EncodeToString(credential.ID), AccountID: owner.AccountID, BAPID: identity.BAPID, MemberKey: identity.MemberKey,
		Name: CleanText(in.Name, maxNameGraphemes), CreatedAt: s.now(), SignCount: credential.Authenticator.SignCount,
		Network: owner.Seen.clean().Network,
	}
	if p.Credential, err = credentialRecord(*credential); err != nil {
		return Passkey{}, err
	}
	event, err := s.trail.newEventOf(owner, EventPasskeyAdded, p.Name)
	if err != nil {
		return Passkey{}, err
	}
	event.BAPID, event.Standing = p.BAPID, identity.FirstHere()
	switch err := s.store.AddPasskey(ctx, p, maxPasskeys, event); {
	case errors.Is(err, ErrExists):
		return Passkey{}, errPasskeyExists
	case errors.Is(err, ErrFull):
		return Passkey{}, errTooManyPasskeys
	case errors.Is(err, ErrNotFound): // the identity was taken out meanwhile
		return Passkey{}, errForeignKey
	case err != nil:
		return Passkey{}, err
	}
	s.log.InfoContext(ctx, "passkey added", "passkey", p.ID, by(owner), "signs_in_as", p.BAPID)
	return p, nil
}

// created checks a new credential against its ceremony (WebAuthn §7.1).
func (s *passkeys) created(state ceremonyState, credential string) (*webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(credential))
	if err != nil {
		return nil, refuseBecause(InvalidRequest, "credential cannot be read: send the JSON of the PublicKeyCredential as a text", err)
	}
	c, err := s.party.CreateCredential(passkeyUser{handle: []byte(state.AccountID)}, state.Session, parsed)
	if err != nil {
		return nil, refuseBecause(InvalidRequest, "the credential does not fit the options that it was made for: ask for new ones and try again", err)
	}
	return c, nil
}

// PasskeySignInOptions begins a sign-in with whichever passkey of this server the
// person picks.
//
//	InvalidRequest: this server has no passkeys
func (s *passkeys) PasskeySignInOptions(context.Context) (Ceremony, error) {
	if s.party == nil {
		return Ceremony{}, errNoPasskeys
	}
	challenge, err := s.secrets.random(challengeLength)
	if err != nil {
		return Ceremony{}, err
	}
	assertion, session, err := s.party.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	if err != nil {
		return Ceremony{}, err
	}
	return s.begin("", assertion, session)
}

// PasskeySignIn is a sign-in with a passkey as a browser hands it in.
type PasskeySignIn struct {
	Ceremony Secret
	// Credential is the JSON of the PublicKeyCredential (WebAuthn §5.1).
	Credential string
	From       Source
	Seen       Seen
	// Replaces is the session token that the browser had before, or empty.
	Replaces Secret
}

// errPasskey says the same whether the passkey is unknown, was removed, is
// somebody's whose account is disabled, or did not sign this.
var errPasskey = refuse(Unauthorized, "this passkey is not accepted here: try another, or sign in with your identity's key")

// SignInWithPasskey signs in the owner of a passkey as the identity that linked
// it, and returns the session and its token.
//
//	Unauthorized: the passkey is not accepted
//	InvalidRequest: the ceremony is over
//	Unavailable: too many come from this network
func (s *passkeys) SignInWithPasskey(ctx context.Context, in PasskeySignIn) (SignedIn, error) {
	signedIn, err := s.signInWithPasskey(ctx, in)
	s.accounts.noteSignIn(ctx, signedIn.Session, MethodPasskey, in.Seen, err)
	return signedIn, err
}

func (s *passkeys) signInWithPasskey(ctx context.Context, in PasskeySignIn) (SignedIn, error) {
	if s.party == nil {
		return SignedIn{}, errNoPasskeys
	}
	state, err := s.resume(in.Ceremony, "")
	if err != nil {
		return SignedIn{}, err
	}
	p, credential, err := s.asserted(ctx, state, in.Credential)
	if err != nil {
		return SignedIn{}, err
	}
	if err := s.guard.admitSignIn(p.AccountID, in.From); err != nil {
		return SignedIn{}, err
	}
	if err := s.useUp(ctx, state); err != nil {
		return SignedIn{}, err
	}
	identity, err := s.store.Identity(ctx, p.BAPID)
	if err != nil {
		return SignedIn{}, err
	}
	begin, err := s.accounts.newSession(identity, MethodPasskey, in.Seen, in.Replaces)
	if err != nil {
		return SignedIn{}, err
	}
	record, err := credentialRecord(*credential)
	if err != nil {
		return SignedIn{}, err
	}
	begin.Session.Passkey = p.ID
	if err := s.accounts.tellOfNews(ctx, &begin, s.accounts.newsSince(p.LastUsedAt)); err != nil {
		return SignedIn{}, err
	}
	begin.Passkey = &PasskeyUse{ID: p.ID, SignCount: credential.Authenticator.SignCount, Credential: record}
	switch err := s.store.CreateSession(ctx, begin.NewSession); {
	case errors.Is(err, ErrNotFound): // removed meanwhile
		return SignedIn{}, errPasskey
	case errors.Is(err, ErrCounter): // of two sign-ins at once, the one with the older counter
		return SignedIn{}, s.cloned(ctx, p)
	case err != nil:
		return SignedIn{}, err
	}
	return begin.signedIn(identity), nil
}

// cloned refuses a passkey whose counter did not grow: there may be a copy of it
// (WebAuthn §6.1.1).
func (s *passkeys) cloned(ctx context.Context, p Passkey) error {
	s.log.WarnContext(ctx, "passkey refused: its signature counter did not grow, there may be a copy of it", "passkey", p.ID, "account", p.AccountID)
	return errPasskey
}

// asserted checks what a passkey signed (WebAuthn §7.2). Each refusal has the
// same words, and comes after the same work, whether or not the passkey is
// known here (attack B-17).
//
//	Unauthorized
func (s *passkeys) asserted(ctx context.Context, state ceremonyState, credential string) (Passkey, *webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(credential))
	if err != nil {
		return Passkey{}, nil, refuseBecause(Unauthorized, errPasskey.Description, err)
	}
	p, err := s.store.Passkey(ctx, base64.RawURLEncoding.EncodeToString(parsed.RawID))
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Passkey{}, nil, err
	}
	record := webauthn.Credential{ID: parsed.RawID, PublicKey: s.party.decoy}
	if known {
		if record, err = recordOf(p); err != nil {
			return Passkey{}, nil, err
		}
	}
	// Whose handle the authenticator gave is compared afterwards: here it would be
	// compared before the signature is verified.
	user := passkeyUser{handle: parsed.Response.UserHandle, credentials: []webauthn.Credential{record}}
	_, signed, err := s.party.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return user, nil }, state.Session, parsed)
	if err != nil || !known || string(parsed.Response.UserHandle) != p.AccountID {
		return Passkey{}, nil, refuseBecause(Unauthorized, errPasskey.Description, err)
	}
	if signed.Authenticator.CloneWarning {
		return Passkey{}, nil, s.cloned(ctx, p)
	}
	account, err := s.store.Account(ctx, p.AccountID)
	if err != nil {
		return Passkey{}, nil, err
	}
	if account.Disabled {
		return Passkey{}, nil, errPasskey
	}
	return p, signed, nil
}
