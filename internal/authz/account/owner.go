package account

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/proof"
)

// SignedOwner returns the owner who signed a request. The first time a key is
// seen its account is made (contract, section 3).
//
//	Unauthorized: the signature is refused
//	UserNotFound: the key has no account and accounts are not made implicitly
//	Forbidden: it is a living agent's, which has none
//	Unavailable: too much comes from this network
func (s *Accounts) SignedOwner(ctx context.Context, r authz.SignedRequest) (authz.Owner, error) {
	owner := authz.Owner{Method: authz.MethodBAP, AuthTime: s.now(), Request: &r}
	_, err := s.signer(ctx, r, func(identity authz.Identity) error {
		owner.AccountID, owner.BAPID, owner.MemberKey = identity.AccountID, identity.BAPID, identity.MemberKey
		return s.guard.Admit(owner, r.From, max(r.Does, authz.Changes))
	})
	if err != nil {
		return authz.Owner{}, err
	}
	return owner, nil
}

// signer verifies a signed request and returns the identity that signed it. Its token is
// used up, which stores a row, only when it may.
//
//	Unauthorized, UserNotFound, Unavailable, and what may returns
func (s *Accounts) signer(ctx context.Context, r authz.SignedRequest, may func(authz.Identity) error) (authz.Identity, error) {
	v, err := s.proofs.Verify(ctx, r)
	if err != nil {
		return authz.Identity{}, proof.Unauthorized(err)
	}
	identity, err := s.identityOfKey(ctx, v.PublicKey, r.From)
	if err != nil {
		return authz.Identity{}, err
	}
	if err := may(identity); err != nil {
		if errors.Is(err, guard.ErrTooMuch) { // it cost as much as a forged one
			s.proofs.CountForged(r.From, v.PublicKey)
		}
		return authz.Identity{}, err
	}
	return identity, proof.Unauthorized(s.proofs.UseUp(ctx, v))
}

// SessionOwner returns the owner of the first session that some tokens belong to.
//
//	Unauthorized: there is no such session, or it is over
func (s *Accounts) SessionOwner(ctx context.Context, tokens ...authz.Secret) (authz.Owner, error) {
	session, err := s.session(ctx, tokens)
	if err != nil {
		return authz.Owner{}, err
	}
	return authz.OwnerOf(session), nil
}

// identityOfKey returns the identity a member key controls, making its account
// the first time: its random id is what clients know the owner by (requirement L-03).
// The BAP id is computed from the key, never taken from a
// client (requirement N-09).
func (s *Accounts) identityOfKey(ctx context.Context, memberKey string, from authz.Source) (authz.Identity, error) {
	bapID, err := proof.BAPID(memberKey)
	if err != nil {
		return authz.Identity{}, err
	}
	identity, err := s.store.Identity(ctx, bapID)
	if err == nil {
		return s.enabled(ctx, identity)
	}
	if !errors.Is(err, contract.ErrNotFound) {
		return authz.Identity{}, err
	}
	agent, err := s.store.AgentAlive(ctx, bapID, s.now())
	if err != nil {
		return authz.Identity{}, err
	}
	if agent {
		s.proofs.CountForged(from, memberKey)
		return authz.Identity{}, errAgentsKey
	}
	if !s.settings.SignUp {
		s.proofs.CountForged(from, memberKey)
		return authz.Identity{}, authz.Refuse(authz.UserNotFound, noAccount)
	}
	if !s.newcomers.Allow(from, s.now()) {
		s.proofs.CountForged(from, memberKey)
		return authz.Identity{}, authz.Refuse(authz.Unavailable, "too many new accounts come from this network: try again in a minute")
	}
	id, err := s.secrets.NewID()
	if err != nil {
		return authz.Identity{}, err
	}
	now := s.now()
	identity = authz.Identity{BAPID: bapID, AccountID: id, MemberKey: memberKey, CreatedAt: now}
	err = s.store.CreateAccount(ctx, authz.Account{ID: id, CreatedAt: now}, identity)
	if errors.Is(err, contract.ErrExists) { // another request of the same key was first
		return s.store.Identity(ctx, bapID)
	}
	if errors.Is(err, contract.ErrKeyTaken) { // approved as an agent's just now
		return authz.Identity{}, errAgentsKey
	}
	if err != nil {
		return authz.Identity{}, err
	}
	s.log.InfoContext(ctx, "account made", authz.By(authz.Owner{AccountID: id, BAPID: bapID, Seen: authz.Seen{Network: s.guard.NetworkOf(from)}}))
	return identity, nil
}

// errAgentsKey refuses the key of a living agent, which is no owner's (agents.md, section 1).
var errAgentsKey = authz.Refuse(authz.Forbidden, "this key is an agent's here: it signs in nowhere and is linked to no account; use a key of your own")

// enabled refuses the identities of an account that was disabled.
func (s *Accounts) enabled(ctx context.Context, identity authz.Identity) (authz.Identity, error) {
	account, err := s.store.Account(ctx, identity.AccountID)
	if err != nil {
		return authz.Identity{}, err
	}
	if account.Disabled {
		return authz.Identity{}, authz.Refuse(authz.Forbidden, "this account is disabled: ask the operator")
	}
	return identity, nil
}

// SignerOf returns the identity of the owner's account whose key signed a request.
//
//	Unauthorized, Forbidden
func (s *Accounts) SignerOf(ctx context.Context, owner authz.Owner, signed authz.SignedRequest) (authz.Identity, error) {
	v, err := s.proofs.VerifyOnce(ctx, signed)
	if err != nil {
		return authz.Identity{}, proof.Unauthorized(err)
	}
	return s.identityOf(ctx, owner, v.PublicKey)
}

// identityOf returns the identity of the owner's account whose key this is.
//
//	Forbidden
func (s *Accounts) identityOf(ctx context.Context, owner authz.Owner, memberKey string) (authz.Identity, error) {
	bapID, err := proof.BAPID(memberKey)
	if err != nil {
		return authz.Identity{}, err
	}
	identity, err := s.store.Identity(ctx, bapID)
	if errors.Is(err, contract.ErrNotFound) || (err == nil && identity.AccountID != owner.AccountID) {
		return authz.Identity{}, ErrForeignKey
	}
	return identity, err
}

// ErrForeignKey refuses a key that is of no identity of the account.
var ErrForeignKey = authz.Refuse(authz.Forbidden, "the key that signed is of no identity of this account: sign with the member key of one")
