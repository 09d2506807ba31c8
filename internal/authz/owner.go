package authz

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// Owner is a person who has proved control of one identity, by a session or by
// signing the very request; or a program that acts for one, with a token of theirs.
type Owner struct {
	AccountID string
	BAPID     string
	MemberKey string
	// Method is how: MethodBAP, also for a signed request, or MethodPasskey, which is
	// then the passkey with the id Passkey.
	Method  string
	Passkey string
	// AuthTime is when the identity was proved.
	AuthTime time.Time
	// Session is the session's token hash, and SessionID its id; both are empty for
	// a signed request.
	Session   Hash
	SessionID string
	// GrantID is the grant of the token that the owner came with, else empty.
	GrantID string
	// NewsSince is the session's.
	NewsSince time.Time
	// Seen is what the server saw of the request, for the owner's events.
	Seen Seen
	// signed is the very request, when that is what proved the identity. Only
	// SignedOwner fills it: whoever has an owner cannot claim a signature for it.
	signed *SignedRequest
}

// Signed reports whether the owner signed the very request, and did not come with a
// session.
func (o Owner) Signed() bool { return o.signed != nil }

// SignedRequest is a request as it was received, with its X-Auth-Token.
type SignedRequest struct {
	Token string
	// Path is the request target, query included.
	Path string
	Body []byte
	// BodyMayBeUnsigned: a signature without the body will do.
	BodyMayBeUnsigned bool
	// From is where it came from.
	From Source
	// Does is what it is to do. It stores a row at least, lest it come again.
	Does Deed
	// client is the member key of the client that it should be by, or empty.
	client string
}

// SignedOwner returns the owner who signed a request. The first time a key is
// seen its account is made (contract, section 3).
//
//	Unauthorized: the signature is refused
//	UserNotFound: the key has no account and accounts are not made implicitly
//	Unavailable: too much comes from this network
func (s *accounts) SignedOwner(ctx context.Context, r SignedRequest) (Owner, error) {
	owner := Owner{Method: MethodBAP, AuthTime: s.now(), signed: &r}
	_, err := s.signer(ctx, r, func(identity Identity) error {
		owner.AccountID, owner.BAPID, owner.MemberKey = identity.AccountID, identity.BAPID, identity.MemberKey
		return s.guard.Admit(owner, r.From, max(r.Does, Changes))
	})
	if err != nil {
		return Owner{}, err
	}
	return owner, nil
}

// signer verifies a signed request and returns the identity that signed it. Its token is
// used up, which stores a row, only when it may.
//
//	Unauthorized, UserNotFound, Unavailable, and what may returns
func (s *accounts) signer(ctx context.Context, r SignedRequest, may func(Identity) error) (Identity, error) {
	v, err := s.proofs.verify(ctx, r)
	if err != nil {
		return Identity{}, unauthorizedBy(err)
	}
	identity, err := s.identityOfKey(ctx, v.PublicKey, r.From)
	if err != nil {
		return Identity{}, err
	}
	if err := may(identity); err != nil {
		if errors.Is(err, errTooMuch) { // it cost as much as a forged one
			s.proofs.countForged(r.From, v.PublicKey)
		}
		return Identity{}, err
	}
	return identity, unauthorizedBy(s.proofs.useUpSigned(ctx, v))
}

// SessionOwner returns the owner of the first session that some tokens belong to.
//
//	Unauthorized: there is no such session, or it is over
func (s *accounts) SessionOwner(ctx context.Context, tokens ...Secret) (Owner, error) {
	session, err := s.session(ctx, tokens)
	if err != nil {
		return Owner{}, err
	}
	return OwnerOf(session), nil
}

// OwnerOf is the owner that a session stands for.
func OwnerOf(session Session) Owner {
	return Owner{
		AccountID: session.AccountID, BAPID: session.BAPID, MemberKey: session.MemberKey,
		Method: session.Method, Passkey: session.Passkey, AuthTime: session.CreatedAt, Session: session.Token, SessionID: session.ID,
		NewsSince: session.NewsSince,
	}
}

// identityOfKey returns the identity a member key controls, making its account
// the first time: its random id is what clients know the owner by (requirement L-03).
// The BAP id is computed from the key, never taken from a
// client (requirement N-09).
func (s *accounts) identityOfKey(ctx context.Context, memberKey string, from Source) (Identity, error) {
	bapID, err := bapIDOfKey(memberKey)
	if err != nil {
		return Identity{}, err
	}
	identity, err := s.store.Identity(ctx, bapID)
	if err == nil {
		return s.enabled(ctx, identity)
	}
	if !errors.Is(err, ErrNotFound) {
		return Identity{}, err
	}
	if !s.settings.SignUp {
		s.proofs.countForged(from, memberKey)
		return Identity{}, refuse(UserNotFound, "this identity has no account here, and the operator makes accounts by hand")
	}
	if !s.newcomers.allow(from, s.now()) {
		s.proofs.countForged(from, memberKey)
		return Identity{}, refuse(Unavailable, "too many new accounts come from this network: try again in a minute")
	}
	id, err := s.secrets.newID()
	if err != nil {
		return Identity{}, err
	}
	now := s.now()
	identity = Identity{BAPID: bapID, AccountID: id, MemberKey: memberKey, CreatedAt: now}
	err = s.store.CreateAccount(ctx, Account{ID: id, CreatedAt: now}, identity)
	if errors.Is(err, ErrExists) { // another request of the same key was first
		return s.store.Identity(ctx, bapID)
	}
	if err != nil {
		return Identity{}, err
	}
	s.log.InfoContext(ctx, "account made", by(Owner{AccountID: id, BAPID: bapID, Seen: Seen{Network: s.guard.NetworkOf(from)}}))
	return identity, nil
}

// enabled refuses the identities of an account that was disabled.
func (s *accounts) enabled(ctx context.Context, identity Identity) (Identity, error) {
	account, err := s.store.Account(ctx, identity.AccountID)
	if err != nil {
		return Identity{}, err
	}
	if account.Disabled {
		return Identity{}, refuse(Forbidden, "this account is disabled: ask the operator")
	}
	return identity, nil
}

// SignInRequest is a sign-in as it was received.
type SignInRequest struct {
	SignedRequest
	// BAPID is the identity the body asks for, or empty.
	BAPID string
	Seen  Seen
	// Replaces is the session token that the browser had before, or empty. That
	// session ends: what somebody planted in the browser is of no use after the
	// sign-in (attack B-03).
	Replaces Secret
}

// SignedIn is a session that has begun. All of it is known before the session is
// stored: nothing that fails later leaves one behind that nobody has.
type SignedIn struct {
	Session  Session
	Token    Secret
	Identity Identity
	News     News
}

func (b beginning) signedIn(i Identity) SignedIn { return SignedIn{b.Session, b.token, i, b.news} }

// SignIn signs in the owner of a member key (contract, section 3).
//
//	Unauthorized: the signature is refused
//	Forbidden: BAPID is not an identity of this key
//	UserNotFound: no account, and none is made implicitly
//	Unavailable: too many come from this network
func (s *accounts) SignIn(ctx context.Context, r SignInRequest) (SignedIn, error) {
	signedIn, err := s.signIn(ctx, r)
	s.noteSignIn(ctx, signedIn.Session, MethodBAP, r.Seen, err)
	return signedIn, err
}

func (s *accounts) signIn(ctx context.Context, r SignInRequest) (SignedIn, error) {
	r.BodyMayBeUnsigned = unsignedBodyAllowed(r.Body) // the browser plugin signs no body and sends {}
	identity, err := s.signer(ctx, r.SignedRequest, func(i Identity) error { return s.guard.admitSignIn(i.AccountID, r.From) })
	if err != nil {
		return SignedIn{}, err
	}
	if r.BAPID != "" && r.BAPID != identity.BAPID {
		return SignedIn{}, refuse(Forbidden, "bapId is not an identity of the key that signed: sign with that identity's member key")
	}
	begin, err := s.newSession(identity, MethodBAP, r.Seen, r.Replaces)
	if err != nil {
		return SignedIn{}, err
	}
	begin.SignedInBefore = begin.Session.CreatedAt.Add(-signedNotesEvery)
	if err := s.tellOfNews(ctx, &begin, s.newsSince(identity.SignedInAt)); err != nil {
		return SignedIn{}, err
	}
	err = s.store.CreateSession(ctx, begin.NewSession)
	if errors.Is(err, ErrNotFound) { // taken out of its account meanwhile
		return SignedIn{}, refuse(Unauthorized, "this identity was taken out of its account just now: sign in again")
	}
	return begin.signedIn(identity), err
}

// unsignedBodyAllowed: a body that says nothing needs no signature.
func unsignedBodyAllowed(body []byte) bool {
	return bytes.Equal(bytes.TrimSpace(body), []byte("{}"))
}

// noteSignIn says how a sign-in ended.
func (s *accounts) noteSignIn(ctx context.Context, session Session, way string, seen Seen, err error) {
	if err != nil {
		s.trail.noteRefused(ctx, &s.refusedSignIns, "sign-in refused", err, "way", way, "network", seen.Network)
		return
	}
	s.log.InfoContext(ctx, "signed in", "way", way, by(Owner{AccountID: session.AccountID, BAPID: session.BAPID, Seen: seen}), "session", session.ID)
}

// signerOf returns the identity of the owner's account whose key signed a request.
//
//	Unauthorized, Forbidden
func (s *accounts) signerOf(ctx context.Context, owner Owner, signed SignedRequest) (Identity, error) {
	v, err := s.proofs.verifySigned(ctx, signed)
	if err != nil {
		return Identity{}, unauthorizedBy(err)
	}
	return s.identityOf(ctx, owner, v.PublicKey)
}

// identityOf returns the identity of the owner's account whose key this is.
//
//	Forbidden
func (s *accounts) identityOf(ctx context.Context, owner Owner, memberKey string) (Identity, error) {
	bapID, err := bapIDOfKey(memberKey)
	if err != nil {
		return Identity{}, err
	}
	identity, err := s.store.Identity(ctx, bapID)
	if errors.Is(err, ErrNotFound) || (err == nil && identity.AccountID != owner.AccountID) {
		return Identity{}, errForeignKey
	}
	return identity, err
}

var errForeignKey = refuse(Forbidden, "the key that signed is of no identity of this account: sign with the member key of one")
