package grant

import (
	"context"
	"errors"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

// usable returns the grant, the identity and the whole scope of a presented access token
// that has the scope needed. The token must verify, and its grant, account and client
// must be alive: whatever ended them, the answer is the same (requirements U-05, U-14,
// A token that is bound to a key is of no use without a proof by it.
//
//	InvalidToken
//	UnprovenToken, NonceForToken
//	InsufficientScope (requirement U-06)
//	Unavailable: this grant is proved too often
func (s *Grants) usable(ctx context.Context, presented authz.Presented, needed string) (g authz.Grant, i authz.Identity, scope string, err error) {
	claims, err := s.tokens.Verify(ctx, presented.Token)
	if err != nil {
		return g, i, "", err
	}
	has, err := s.Possession(ctx, presented, claims)
	if err != nil {
		return g, i, "", err
	}
	if err := s.forUs(presented, claims, needed); err != nil {
		return g, i, "", err
	}
	if g, i, err = s.store.LiveGrant(ctx, claims.GrantID, s.now()); err == nil {
		scope, err = s.scopeNow(ctx, claims, g)
	}
	if errors.Is(err, contract.ErrNotFound) {
		err = token.ErrInvalid
	}
	if err != nil {
		return g, i, "", err
	}
	if !scopes.Has(scope, needed) {
		return g, i, scope, &authz.Error{Code: authz.InsufficientScope, Description: "the access token was not granted the " + needed + " scope", Scope: needed}
	}
	if has.Thumbprint != "" && !s.proved.AllowName(g.ID, s.now()) {
		return g, i, scope, errProved
	}
	if err := s.proofs.UseUpProof(ctx, has); err != nil {
		return g, i, scope, err
	}
	s.noteUse(ctx, g)
	return g, i, scope, nil
}

var (
	errProved       = authz.Refuse(authz.Unavailable, "this grant's tokens are used with a proof of their key more than ten times a second: send fewer requests, and try again in a minute")
	errBoundToken   = authz.Refuse(authz.InvalidToken, "the access token is bound to a key: send it as Authorization: DPoP with a DPoP proof or, by a secp256k1 key, as Authorization: Bearer with an X-Auth-Token, and nothing of both")
	errUnboundToken = authz.Refuse(authz.InvalidToken, "the access token is bound to no key: send it as Authorization: Bearer")
)

// Possession verifies that who presents a token has the key that it is bound to: by a DPoP
// proof (RFC 9449 §7.1, requirements K-09, P-10), or as Bearer by an X-Auth-Token. A bound token
// alone is no bearer token (requirement U-13), and a proof does not make a bearer token a bound
// one.
//
//	InvalidToken, UnprovenToken, NonceForToken
func (s *Grants) Possession(ctx context.Context, presented authz.Presented, claims token.Claims) (proof.Possession, error) {
	bound, brought := claims.Thumbprint(), presented.Proofs
	byDPoP, signed := len(brought.DPoP) > 0, len(brought.Signed) > 0
	switch {
	case bound == "" && presented.ByProof:
		return proof.Possession{}, errUnboundToken
	case bound == "":
		return proof.Possession{}, nil
	case byDPoP != presented.ByProof || signed == presented.ByProof: // each scheme has its one proof
		return proof.Possession{}, errBoundToken
	}
	return s.proofs.Possession(ctx, brought, proof.Wanted{Thumbprint: bound, AccessToken: presented.Token})
}

// forUs refuses a token that is for somebody else's API (RFC 9068 §4), and what acts for
// the owner here to one that others have too, which they could send here. An agent's is good
// here whomever it is for, with a proof that is for this server: a DPoP proof, or a signed body
// that names it. Any other X-Auth-Token could be for a path of another server that is called
// the same. A client's own token is of no owner.
//
//	InvalidToken
func (s *Grants) forUs(presented authz.Presented, claims token.Claims, needed string) error {
	if claims.OfClient() {
		return authz.Refuse(authz.InvalidToken, "the access token is a client's own and of no person: get one that somebody approved")
	}
	ours, proved := slices.Contains(claims.Audience, s.settings.Issuer), presented.ByProof || presented.Proofs.ForUs
	if claims.OfAgent() && proved {
		return nil
	}
	if !ours || (needed == scopes.Grants || claims.Thumbprint() != "" && !proved) && len(claims.Audience) > 1 {
		return authz.Refuse(authz.InvalidToken, "the access token is for another API, or for others too: get one for this server, without resource")
	}
	return nil
}

// Owner returns the owner for whom a program acts that has the grants scope: it sees
// what was allowed and takes it back, and proves nothing of the owner.
//
//	InvalidToken, UnprovenToken, NonceForToken
//	InsufficientScope
func (s *Grants) Owner(ctx context.Context, presented authz.Presented) (authz.Owner, error) {
	g, _, _, err := s.usable(ctx, presented, scopes.Grants)
	if err != nil {
		return authz.Owner{}, err
	}
	return authz.Owner{AccountID: g.AccountID, BAPID: g.BAPID, GrantID: g.ID}, nil
}

// usedEach is how old the last use that is kept of a grant may be before the next one
// is kept: an owner is told to the minute or so, and a client that asks all the time
// makes few writes.
const usedEach = 5 * time.Minute

const (
	// usesAtOnce bounds how many wait for it: who comes while so many do is answered at
	// once, and kept the next time.
	usesAtOnce = 64
	// unnotedFor is how long no use is kept after one could not be: a database that takes
	// no writes, and says so late, would hold up every reading.
	unnotedFor = time.Minute
)

// noteUse keeps that a grant's token was used here. What asked for it is answered
// also where that fails: it was a reading, which a full disk does not hinder.
func (s *Grants) noteUse(ctx context.Context, g authz.Grant) {
	now := s.now()
	if now.Before(g.LastUsedAt.Add(usedEach)) || now.UnixNano() < s.notedFrom.Load() {
		return
	}
	select {
	case s.noting <- struct{}{}:
		defer func() { <-s.noting }()
	default:
		return
	}
	if err := s.store.UseGrant(ctx, g.ID, now); err != nil && ctx.Err() == nil {
		s.notedFrom.Store(now.Add(unnotedFor).UnixNano())
		if leftOut, ok := s.unnoted.Say(now); ok {
			s.log.ErrorContext(ctx, "noting the use of a grant failed", "grant", g.ID, "error", err, "left_out", leftOut)
		}
	}
}
