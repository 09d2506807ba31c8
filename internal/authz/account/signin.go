package account

import (
	"bytes"
	"context"
	"errors"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/secret"
)

// SignInRequest is a sign-in as it was received.
type SignInRequest struct {
	authz.SignedRequest
	// BAPID is the identity the body asks for, or empty.
	BAPID string
	Seen  authz.Seen
	// Proof is the same request with a signature over its body, where it is for an account
	// to be made; nil for a sign-in.
	Proof *authz.SignedRequest
	// Replaces is the session token that the browser had before, or empty. That
	// session ends: what somebody planted in the browser is of no use after the
	// sign-in (attack B-03).
	Replaces authz.Secret
}

// SignedIn is a session that has begun. All of it is known before the session is
// stored: nothing that fails later leaves one behind that nobody has.
type SignedIn struct {
	Session  authz.Session
	Token    authz.Secret
	Identity authz.Identity
	News     News
}

// Beginning is a session that is about to be stored, with its token.
type Beginning struct {
	contract.NewSession
	token authz.Secret
	news  News
}

// As completes a beginning with the identity that it is for.
func (b Beginning) As(i authz.Identity) SignedIn { return SignedIn{b.Session, b.token, i, b.news} }

// SignIn signs in the owner of a member key (contract, section 3).
//
//	Unauthorized: the signature is refused
//	Forbidden: BAPID is not an identity of this key, its account is disabled, or the key is a
//	living agent's
//	UserNotFound: no account, and the operator makes none; NoProfile: the same, where it names
//	its identity
//	Unavailable: too many come from this network
func (s *Accounts) SignIn(ctx context.Context, r SignInRequest) (SignedIn, error) {
	signedIn, err := s.signIn(ctx, r)
	s.NoteSignIn(ctx, signedIn.Session, authz.MethodBAP, r.Seen, err)
	return signedIn, err
}

func (s *Accounts) signIn(ctx context.Context, r SignInRequest) (SignedIn, error) {
	r.BodyMayBeUnsigned = unsignedBodyAllowed(r.Body) // the browser plugin signs no body and sends {}
	identity, err := s.provedBy(ctx, r)
	if err != nil {
		return SignedIn{}, err
	}
	if r.BAPID != "" && r.BAPID != identity.BAPID {
		return SignedIn{}, errOtherIdentity
	}
	begin, err := s.Begin(identity, authz.MethodBAP, r.Seen, r.Replaces)
	if err != nil {
		return SignedIn{}, err
	}
	begin.SignedInBefore = begin.Session.CreatedAt.Add(-signedNotesEvery)
	if err := s.TellOfNews(ctx, &begin, s.NewsSince(identity.SignedInAt)); err != nil {
		return SignedIn{}, err
	}
	err = s.store.CreateSession(ctx, begin.NewSession)
	if errors.Is(err, contract.ErrNotFound) { // taken out of its account meanwhile
		return SignedIn{}, authz.Refuse(authz.Unauthorized, "this identity was taken out of its account just now: sign in again")
	}
	return begin.As(identity), err
}

// provedBy is the identity that signed a sign-in. One that asks for an account is signed twice
// by the same key: as a sign-in, which may have been made for a sign-in alone, and as what it is.
func (s *Accounts) provedBy(ctx context.Context, r SignInRequest) (authz.Identity, error) {
	may := func(i authz.Identity) error { return s.guard.AdmitSignIn(i.AccountID, r.From) }
	if r.Proof == nil {
		identity, err := s.signer(ctx, r.SignedRequest, may)
		if errors.Is(err, authz.UserNotFound) && r.BAPID != "" {
			return identity, authz.RefuseBecause(authz.NoProfile, noAccount, err)
		}
		return identity, err
	}
	token, err := bitcoinauth.Parse(r.Token)
	if err != nil {
		return authz.Identity{}, proof.Unauthorized(err)
	}
	proving, err := bitcoinauth.Parse(r.Proof.Token)
	if err != nil {
		return authz.Identity{}, proof.Unauthorized(err)
	}
	bapID, err := proof.BAPID(proving.PublicKey)
	switch { // before an account is made, and before a signature is verified
	case err != nil:
		return authz.Identity{}, err
	case token.PublicKey != proving.PublicKey:
		return authz.Identity{}, errOtherProof
	case bapID != r.BAPID:
		return authz.Identity{}, errOtherIdentity
	}
	v, err := s.proofs.Verify(ctx, *r.Proof)
	if err != nil {
		return authz.Identity{}, proof.Unauthorized(err)
	}
	identity, err := s.signer(ctx, r.SignedRequest, may)
	if authz.CodeOf(err) == authz.Unauthorized { // the proof, which can be sent again, was verified for it
		s.proofs.CountForged(r.From, v.PublicKey)
	}
	if err != nil {
		return authz.Identity{}, err
	}
	return identity, proof.Unauthorized(s.proofs.UseUp(ctx, v))
}

// unsignedBodyAllowed: a body that says nothing needs no signature.
func unsignedBodyAllowed(body []byte) bool {
	return bytes.Equal(bytes.TrimSpace(body), []byte("{}"))
}

// Begin draws a session of an identity that was proved by a method. Each
// sign-in has a session of its own (attack B-03).
func (s *Accounts) Begin(identity authz.Identity, method string, seen authz.Seen, replaces authz.Secret) (Beginning, error) {
	token, err := s.secrets.Draw(secret.SessionTokenPrefix)
	if err != nil {
		return Beginning{}, err
	}
	id, err := s.secrets.NewID()
	if err != nil {
		return Beginning{}, err
	}
	seen = seen.Clean()
	event, err := s.trail.Event(authz.Owner{AccountID: identity.AccountID, BAPID: identity.BAPID, Seen: seen}, authz.EventSignedIn, method)
	if err != nil {
		return Beginning{}, err
	}
	now := s.now()
	b := Beginning{token: token, NewSession: contract.NewSession{Keep: contract.KeepAtMost(authz.SessionsPerAccount), Event: event, Session: authz.Session{
		ID: id, Token: token.Hash(), AccountID: identity.AccountID, BAPID: identity.BAPID, MemberKey: identity.MemberKey,
		Method: method, Network: seen.Network, UserAgent: seen.UserAgent,
		CreatedAt: now, ExpiresAt: now.Add(s.settings.SessionLifetime),
	}}}
	if replaces != "" {
		b.Replaces = replaces.Hash()
	}
	return b, nil
}

// TellOfNews has a session tell of the news since a time, if there are any: others have
// nothing to look up on each of their pages.
func (s *Accounts) TellOfNews(ctx context.Context, b *Beginning, since time.Time) error {
	n := authz.OwnerOf(b.Session)
	n.NewsSince = since
	news, err := s.newsOf(ctx, n)
	if !news.none() {
		b.Session.NewsSince, b.news = since, news
	}
	return err
}

// NoteSignIn says how a sign-in ended.
func (s *Accounts) NoteSignIn(ctx context.Context, session authz.Session, way string, seen authz.Seen, err error) {
	if err != nil {
		s.trail.Refused(ctx, &s.refusedSignIns, "sign-in refused", err, "way", way, "network", seen.Network)
		return
	}
	s.log.InfoContext(ctx, "signed in", "way", way, authz.By(authz.Owner{AccountID: session.AccountID, BAPID: session.BAPID, Seen: seen}), "session", session.ID)
}

var (
	errOtherIdentity = authz.Refuse(authz.Forbidden, "bapId is not the identity of the key that signed: sign with that identity's member key")
	errOtherProof    = authz.Refuse(authz.Unauthorized, "X-Sigma-Enrollment-Proof and X-Auth-Token are by different keys: sign both with the member key of the identity that signs up")
)

const noAccount = "this identity has no account here, and the operator makes accounts by hand"
