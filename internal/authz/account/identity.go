package account

import (
	"context"
	"errors"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
)

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
	Signed authz.SignedRequest
	Vouch  authz.SignedRequest
}

// LinkIdentity adds an identity to the owner's account. All are proved: the account by a
// session that a key began, the new identity by its signature, and that a key which the
// account has wants it by another (requirements N-07, K-17). What the new key signed is used up
// by being verified, whatever comes of it: nobody else links it elsewhere (decision
// 0047).
//
//	Unauthorized: the new identity's signature is refused
//	VouchRequired: the account's signature is missing or refused
//	Forbidden: bapID is not the identity of the key that signed, the key is a living agent's, or
//	a passkey began the session
//	OtherAccount: the identity belongs to another account
//	AccountFull: the account has as many as it may
func (s *Accounts) LinkIdentity(ctx context.Context, owner authz.Owner, in Linking) (authz.Identity, error) {
	signed, err := s.proofs.VerifyOnce(ctx, in.Signed)
	if err != nil {
		return authz.Identity{}, proof.Unauthorized(err)
	}
	if err := MayAdd(owner); err != nil {
		return authz.Identity{}, err
	}
	proved, err := proof.BAPID(signed.PublicKey)
	if err != nil {
		return authz.Identity{}, err
	}
	if in.BAPID != proved {
		return authz.Identity{}, errOtherIdentity
	}
	voucher, err := s.voucher(ctx, owner, in)
	if err != nil {
		return authz.Identity{}, err
	}
	return s.link(ctx, owner, voucher, authz.Identity{
		BAPID: proved, AccountID: owner.AccountID, MemberKey: signed.PublicKey, CreatedAt: s.now(), Network: owner.Seen.Clean().Network,
		Profile: authz.Profile{Name: authz.CleanText(in.Name, MaxName)},
	})
}

// voucher verifies the vouching signature, uses it up, and returns the identity of the
// owner's account that it is of.
//
//	VouchRequired
func (s *Accounts) voucher(ctx context.Context, owner authz.Owner, in Linking) (authz.Identity, error) {
	if in.Vouch.Token == "" {
		return authz.Identity{}, errNoVouch
	}
	vouch, err := s.proofs.Verify(ctx, in.Vouch)
	if refused := new(bitcoinauth.Error); errors.As(err, &refused) {
		return authz.Identity{}, authz.RefuseBecause(authz.VouchRequired, errBadVouch, err)
	}
	if err != nil {
		return authz.Identity{}, err
	}
	voucher, err := s.identityOf(ctx, owner, vouch.PublicKey)
	if errors.Is(err, authz.Forbidden) {
		return authz.Identity{}, authz.RefuseBecause(authz.VouchRequired, errBadVouch, err)
	}
	if err != nil {
		return authz.Identity{}, err
	}
	if in.VouchedBy != "" && in.VouchedBy != voucher.BAPID {
		return authz.Identity{}, errOtherVoucher
	}
	err = s.proofs.UseUp(ctx, vouch)
	if errors.Is(err, proof.ErrUsed) {
		return authz.Identity{}, authz.RefuseBecause(authz.VouchRequired, errBadVouch, err)
	}
	return voucher, err
}

func (s *Accounts) link(ctx context.Context, owner authz.Owner, voucher, identity authz.Identity) (authz.Identity, error) {
	since, err := s.beenHere(ctx, owner.AccountID, identity.BAPID)
	if err != nil {
		return authz.Identity{}, err
	}
	identity.Since = since
	event, err := s.trail.Event(owner, authz.EventIdentityLinked, identity.Profile.Name)
	if err != nil {
		return authz.Identity{}, err
	}
	event.BAPID, event.Standing = identity.BAPID, earliest(voucher.FirstHere(), identity.FirstHere())
	switch err := s.store.LinkIdentity(ctx, identity, voucher.BAPID, authz.IdentitiesPerAccount, event); {
	case errors.Is(err, contract.ErrNotFound): // the voucher was taken out meanwhile
		return authz.Identity{}, authz.Refuse(authz.VouchRequired, errBadVouch)
	case errors.Is(err, contract.ErrExists):
		return s.linkedMeanwhile(ctx, owner, identity.BAPID)
	case errors.Is(err, contract.ErrFull):
		return authz.Identity{}, errTooManyIdentities
	case errors.Is(err, contract.ErrKeyTaken):
		return authz.Identity{}, errAgentsKey
	case err != nil:
		return authz.Identity{}, err
	}
	s.log.InfoContext(ctx, "identity linked", authz.By(owner), "linked", identity.BAPID, "vouched_by", voucher.BAPID)
	return identity, nil
}

// beenHere is when an identity that is in no account, or in another, came into this one
// for the first time; zero: it was never here. Whoever was here and is not has a departure.
func (s *Accounts) beenHere(ctx context.Context, accountID, bapID string) (time.Time, error) {
	departures, err := s.store.Departures(ctx, bapID, authz.ListedAtMost)
	for _, d := range departures {
		if d.AccountID == accountID {
			return d.Since, err
		}
	}
	return time.Time{}, err
}

// linkedMeanwhile is an identity that was not the account's a moment ago and has an
// account now.
func (s *Accounts) linkedMeanwhile(ctx context.Context, owner authz.Owner, bapID string) (authz.Identity, error) {
	identity, err := s.Identity(ctx, owner, bapID)
	if errors.Is(err, authz.NotFound) {
		return authz.Identity{}, authz.Refuse(authz.OtherAccount, "this identity belongs to another account here")
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
func (s *Accounts) RemoveIdentity(ctx context.Context, signer authz.Owner, bapID string) error {
	if !signer.Signed() {
		return errOnlySigned
	}
	identity, err := s.Identity(ctx, signer, bapID)
	if err != nil {
		return err
	}
	if bapID == signer.BAPID {
		return authz.Refuse(authz.Forbidden, "an identity does not take itself out: sign with another identity of the account")
	}
	event, err := s.NewWayEvent(ctx, signer, authz.EventIdentityRemoved, identity.DisplayName())
	if err != nil {
		return err
	}
	event.BAPID, event.Standing = bapID, earliest(event.Standing, identity.FirstHere())
	err = s.store.RemoveIdentity(ctx, contract.IdentityRemoval{
		AccountID: signer.AccountID, BAPID: bapID, Signer: signer.BAPID, At: s.now(), Since: identity.FirstHere(), Network: event.Network,
		Keep: contract.KeepAtMost(authz.DeparturesPerAccount), Event: event,
	})
	if err != nil {
		return contract.OrNotFound(err, noSuchIdentity)
	}
	s.log.InfoContext(ctx, "identity removed", authz.By(signer), "removed", bapID)
	return nil
}

var errTooManyIdentities = authz.Refuse(authz.AccountFull, "an account has 20 identities at most: remove one first, or sign in with this one, which makes it an account of its own")

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var (
	errPasskeySession = authz.Refuse(authz.Forbidden, "a session that a passkey began adds no way to an account: sign in with the identity's key first")
	errNoVouch        = authz.Refuse(authz.VouchRequired, "a session alone adds no identity: send X-Vouch-Token, the same request signed by an identity that the account has")
	errOtherVoucher   = authz.Refuse(authz.VouchRequired, "vouchedBy is not the identity whose key signed X-Vouch-Token: name the identity that vouches, in what both keys sign")
	errBadVouch       = "X-Vouch-Token is not accepted: sign this very request with the member key of an identity that the account has"
	errOnlySigned     = authz.Refuse(authz.VouchRequired, "a session alone may not do this: sign the request with the member key of an identity of the account, in X-Auth-Token")
)

// MayAdd refuses who may not add a way: a passkey is something that its owner could
// lose for an hour, and must not become a key for good.
func MayAdd(owner authz.Owner) error {
	if owner.Method == authz.MethodPasskey {
		return errPasskeySession
	}
	return nil
}
