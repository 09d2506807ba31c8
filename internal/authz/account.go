package authz

import (
	"context"
	"errors"
	"net/url"
)

// Identity returns an identity of the owner's account.
//
//	NotFound: there is none with this BAP id, or it is somebody else's
func (s *Service) Identity(ctx context.Context, owner Owner, bapID string) (Identity, error) {
	identity, err := s.store.Identity(ctx, bapID)
	if err != nil {
		return Identity{}, notFound(err, "this account has no such identity")
	}
	if identity.AccountID != owner.AccountID {
		return Identity{}, refuse(NotFound, "this account has no such identity")
	}
	return identity, nil
}

// Identities returns the identities of the owner's account.
func (s *Service) Identities(ctx context.Context, owner Owner) ([]Identity, error) {
	return s.store.Identities(ctx, owner.AccountID)
}

// LinkIdentity adds to the owner's account the identity whose member key signed
// the request. Both are proved: the account by the owner's session, the
// identity by the signature.
//
//	Unauthorized: the signature is refused
//	Forbidden: bapID is not the identity of the key that signed, or it belongs to another account
//	AccountFull: the account has as many as it may
func (s *Service) LinkIdentity(ctx context.Context, owner Owner, r SignedRequest, bapID, name string) (Identity, error) {
	v, err := s.verifySigned(ctx, r)
	if err != nil {
		return Identity{}, unauthorizedBy(err)
	}
	proved, err := bapIDOfKey(v.PublicKey)
	if err != nil {
		return Identity{}, err
	}
	if bapID != proved {
		return Identity{}, refuse(Forbidden, "bapId is not the identity of the key that signed: sign with that identity's member key")
	}
	identity := Identity{
		BAPID: proved, AccountID: owner.AccountID, MemberKey: v.PublicKey, CreatedAt: s.now(),
		Profile: Profile{Name: CleanText(name, maxNameGraphemes)},
	}
	event, err := s.newEventOf(owner, EventIdentityLinked, identity.Profile.Name)
	if err != nil {
		return Identity{}, err
	}
	event.BAPID = proved
	err = s.store.LinkIdentity(ctx, identity, event)
	if errors.Is(err, ErrFull) {
		return Identity{}, errTooManyIdentities
	}
	if err == nil {
		s.log.InfoContext(ctx, "identity linked", by(owner), "linked", proved)
	}
	if !errors.Is(err, ErrExists) {
		return identity, err
	}
	existing, err := s.store.Identity(ctx, proved)
	if err != nil {
		return Identity{}, err
	}
	if existing.AccountID != owner.AccountID {
		return Identity{}, refuse(Forbidden, "this identity belongs to another account here")
	}
	return existing, nil
}

var errTooManyIdentities = refuse(AccountFull, "an account has 20 identities at most: remove one first, or sign in with this one, which makes it an account of its own")

const (
	maxNameGraphemes        = 60
	maxDescriptionGraphemes = 280
	maxPictureURL           = 1024
)

// SetProfile replaces the profile of one of the owner's identities. The request
// must be signed by that very identity, so that a stolen session cannot rename
// its owner.
//
//	Unauthorized: the owner came with a session
//	InvalidRequest: the picture is not an https URL
//	Forbidden: bapID is not the identity that signed
func (s *Service) SetProfile(ctx context.Context, signer Owner, bapID string, p Profile) (Identity, error) {
	if !signer.Signed() {
		return Identity{}, refuse(Unauthorized, "a profile is set by a request signed with the identity's member key: send X-Auth-Token")
	}
	if bapID != signer.BAPID {
		return Identity{}, refuse(Forbidden, "bapId is not the identity that signed")
	}
	p.Name = CleanText(p.Name, maxNameGraphemes)
	p.GivenName = CleanText(p.GivenName, maxNameGraphemes)
	p.FamilyName = CleanText(p.FamilyName, maxNameGraphemes)
	p.Description = CleanText(p.Description, maxDescriptionGraphemes)
	if !validPicture(p.Picture) {
		return Identity{}, refuse(InvalidRequest, "picture must be an https URL of at most 1024 characters")
	}
	event, err := s.newEventOf(signer, EventProfileSet, p.Name)
	if err != nil {
		return Identity{}, err
	}
	if err := s.store.SetProfile(ctx, bapID, p, event); err != nil {
		return Identity{}, err
	}
	s.log.InfoContext(ctx, "profile set", by(signer))
	return s.store.Identity(ctx, bapID)
}

func validPicture(picture string) bool {
	if picture == "" {
		return true
	}
	u, err := url.Parse(picture)
	return err == nil && len(picture) <= maxPictureURL && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// notFound turns a store's ErrNotFound into a refusal with words.
func notFound(err error, description string) error {
	if errors.Is(err, ErrNotFound) {
		return refuse(NotFound, description)
	}
	return err
}
