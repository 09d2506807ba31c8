package authz

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"countersign.dev/bitcoinauth"
)

// newcomersPerMinute is how many accounts an address may bring: a key costs
// nothing, and each account may keep a backup here for good. A classroom that
// signs up together is served by the burst.
const newcomersPerMinute = 10

// accounts are the people who say yes: their identities, sign-ins, sessions and backups.
type accounts struct {
	store    Store
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	secrets  serverSecrets
	trail    trail
	guard    *guard
	proofs   *verifier
	// newcomers bounds the accounts that a network brings.
	newcomers      *allowance
	refusedSignIns sparing
	fetched        *lru.Cache[string, time.Time] // when the line of a backup was said last
}

func newAccounts(store Store, settings Settings, trail trail, bounds *guard, proofs *verifier) *accounts {
	fetched, _ := lru.New[string, time.Time](fetchesRemembered) // which fails for a size below one
	return &accounts{
		store: store, settings: settings, now: trail.now, log: trail.log, secrets: trail.secrets, trail: trail, guard: bounds, proofs: proofs,
		newcomers: newAllowance(newcomersPerMinute), fetched: fetched,
	}
}

// Identity returns an identity of the owner's account.
//
//	NotFound: there is none with this BAP id, or it is somebody else's
func (s *accounts) Identity(ctx context.Context, owner Owner, bapID string) (Identity, error) {
	identity, err := s.store.Identity(ctx, bapID)
	if err != nil {
		return Identity{}, notFound(err, noSuchIdentity)
	}
	if identity.AccountID != owner.AccountID {
		return Identity{}, refuse(NotFound, noSuchIdentity)
	}
	return identity, nil
}

const noSuchIdentity = "this account has no such identity"

// Identities returns the identities of the owner's account.
func (s *accounts) Identities(ctx context.Context, owner Owner) ([]Identity, error) {
	return s.store.Identities(ctx, owner.AccountID, ListedAtMost)
}

// Linking is an identity that is to be linked to an account: one request with two
// signatures.
type Linking struct {
	BAPID string
	Name  string
	// VouchedBy is the identity of the account that vouches, as both sign it, so that it is
	// linked to no other account; empty where a client does not say.
	VouchedBy string
	// Signed is the request with the signature of the new identity, Vouch the same
	// with that of one that the account has.
	Signed SignedRequest
	Vouch  SignedRequest
}

// LinkIdentity adds an identity to the owner's account. All are proved: the account by a
// session that a key began, the new identity by its signature, and that a key which the
// account has wants it by another (requirement N-07). What the new key signed is used up
// by being verified, whatever comes of it: nobody else links it elsewhere (decision
// 0047).
//
//	Unauthorized: the new identity's signature is refused
//	VouchRequired: the account's signature is missing or refused
//	Forbidden: bapID is not the identity of the key that signed, or it belongs to
//	another account, or a passkey began the session
//	AccountFull: the account has as many as it may
func (s *accounts) LinkIdentity(ctx context.Context, owner Owner, in Linking) (Identity, error) {
	signed, err := s.proofs.verifySigned(ctx, in.Signed)
	if err != nil {
		return Identity{}, unauthorizedBy(err)
	}
	if err := mayAdd(owner); err != nil {
		return Identity{}, err
	}
	proved, err := bapIDOfKey(signed.PublicKey)
	if err != nil {
		return Identity{}, err
	}
	if in.BAPID != proved {
		return Identity{}, refuse(Forbidden, "bapId is not the identity of the key that signed: sign with that identity's member key")
	}
	voucher, err := s.voucher(ctx, owner, in)
	if err != nil {
		return Identity{}, err
	}
	return s.link(ctx, owner, voucher, Identity{
		BAPID: proved, AccountID: owner.AccountID, MemberKey: signed.PublicKey, CreatedAt: s.now(), Network: owner.Seen.clean().Network,
		Profile: Profile{Name: CleanText(in.Name, maxNameGraphemes)},
	})
}

// voucher is the identity of the owner's account that vouches, whose signature is used up.
//
//	VouchRequired
func (s *accounts) voucher(ctx context.Context, owner Owner, in Linking) (Identity, error) {
	if in.Vouch.Token == "" {
		return Identity{}, errNoVouch
	}
	vouch, err := s.proofs.verify(ctx, in.Vouch)
	if refused := new(bitcoinauth.Error); errors.As(err, &refused) {
		return Identity{}, refuseBecause(VouchRequired, errBadVouch, err)
	}
	if err != nil {
		return Identity{}, err
	}
	voucher, err := s.identityOf(ctx, owner, vouch.PublicKey)
	if errors.Is(err, Forbidden) {
		return Identity{}, refuseBecause(VouchRequired, errBadVouch, err)
	}
	if err != nil {
		return Identity{}, err
	}
	if in.VouchedBy != "" && in.VouchedBy != voucher.BAPID {
		return Identity{}, errOtherVoucher
	}
	err = s.proofs.useUpSigned(ctx, vouch)
	if errors.Is(err, errTokenUsed) {
		return Identity{}, refuseBecause(VouchRequired, errBadVouch, err)
	}
	return voucher, err
}

func (s *accounts) link(ctx context.Context, owner Owner, voucher, identity Identity) (Identity, error) {
	since, err := s.beenHere(ctx, owner.AccountID, identity.BAPID)
	if err != nil {
		return Identity{}, err
	}
	identity.Since = since
	event, err := s.trail.newEventOf(owner, EventIdentityLinked, identity.Profile.Name)
	if err != nil {
		return Identity{}, err
	}
	event.BAPID, event.Standing = identity.BAPID, earliest(voucher.FirstHere(), identity.FirstHere())
	switch err := s.store.LinkIdentity(ctx, identity, voucher.BAPID, IdentitiesPerAccount, event); {
	case errors.Is(err, ErrNotFound): // the voucher was taken out meanwhile
		return Identity{}, refuse(VouchRequired, errBadVouch)
	case errors.Is(err, ErrExists):
		return s.linkedMeanwhile(ctx, owner, identity.BAPID)
	case errors.Is(err, ErrFull):
		return Identity{}, errTooManyIdentities
	case err != nil:
		return Identity{}, err
	}
	s.log.InfoContext(ctx, "identity linked", by(owner), "linked", identity.BAPID, "vouched_by", voucher.BAPID)
	return identity, nil
}

// beenHere is when an identity that is in no account, or in another, came into this one
// for the first time; zero: it was never here. Whoever was here and is not has a departure.
func (s *accounts) beenHere(ctx context.Context, accountID, bapID string) (time.Time, error) {
	departures, err := s.store.Departures(ctx, bapID, ListedAtMost)
	for _, d := range departures {
		if d.AccountID == accountID {
			return d.Since, err
		}
	}
	return time.Time{}, err
}

// linkedMeanwhile is an identity that was not the account's a moment ago and has an
// account now.
func (s *accounts) linkedMeanwhile(ctx context.Context, owner Owner, bapID string) (Identity, error) {
	identity, err := s.Identity(ctx, owner, bapID)
	if errors.Is(err, NotFound) {
		return Identity{}, refuse(OtherAccount, "this identity belongs to another account here")
	}
	return identity, err
}

// RemoveIdentity takes an identity out of the account of the one that signed, and
// ends what it alone carried: its sessions, passkeys and backup, and what was
// allowed as it. It takes another identity's signature: a session alone could throw
// its owner out, and the last identity would leave nobody.
//
//	VouchRequired: a session asks
//	Forbidden: it is the identity that signed
//	NotFound: there is none with this BAP id, or it is somebody else's
func (s *accounts) RemoveIdentity(ctx context.Context, signer Owner, bapID string) error {
	if !signer.Signed() {
		return errOnlySigned
	}
	identity, err := s.Identity(ctx, signer, bapID)
	if err != nil {
		return err
	}
	if bapID == signer.BAPID {
		return refuse(Forbidden, "an identity does not take itself out: sign with another identity of the account")
	}
	event, err := s.newWayEvent(ctx, signer, EventIdentityRemoved, identity.DisplayName())
	if err != nil {
		return err
	}
	event.BAPID, event.Standing = bapID, earliest(event.Standing, identity.FirstHere())
	err = s.store.RemoveIdentity(ctx, IdentityRemoval{
		AccountID: signer.AccountID, BAPID: bapID, Signer: signer.BAPID, At: s.now(), Since: identity.FirstHere(), Network: event.Network,
		Keep: KeepAtMost(DeparturesPerAccount), Event: event,
	})
	if err != nil {
		return notFound(err, noSuchIdentity)
	}
	s.log.InfoContext(ctx, "identity removed", by(signer), "removed", bapID)
	return nil
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
func (s *accounts) SetProfile(ctx context.Context, signer Owner, bapID string, p Profile) (Identity, error) {
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
	event, err := s.trail.newEventOf(signer, EventProfileSet, p.Name)
	if err != nil {
		return Identity{}, err
	}
	identity, err := s.store.Identity(ctx, bapID)
	if err != nil {
		return Identity{}, err
	}
	identity.Profile = p
	if err := s.store.SetProfile(ctx, bapID, p, event); err != nil {
		return Identity{}, err
	}
	s.log.InfoContext(ctx, "profile set", by(signer))
	return identity, nil
}

func validPicture(picture string) bool {
	if picture == "" {
		return true
	}
	u, err := url.Parse(picture)
	return err == nil && len(picture) <= maxPictureURL && u.Scheme == "https" && u.Host != "" && u.User == nil
}
