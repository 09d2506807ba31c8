package grant

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

// usable returns the grant, the identity and the whole scope of a presented access token
// that has the scope needed. The token must verify, and its grant, account and client
// must be alive: whatever ended them, the answer is the same (requirements U-05, U-14,
//
//
//	InvalidToken
//	InsufficientScope (requirement U-06)
func (s *Grants) usable(ctx context.Context, presented authz.Secret, needed string) (g authz.Grant, i authz.Identity, scope string, err error) {
	claims, err := s.tokens.Verify(ctx, presented)
	if err != nil {
		return g, i, "", err
	}
	g, i, err = s.store.LiveGrant(ctx, claims.GrantID, s.now())
	if errors.Is(err, contract.ErrNotFound) {
		err = token.ErrInvalid
	}
	if err != nil {
		return g, i, "", err
	}
	c, err := s.clients.Find(ctx, g.ClientID)
	if errors.Is(err, contract.ErrNotFound) {
		err = token.ErrInvalid
	}
	if err != nil {
		return g, i, "", err
	}
	scope = scopes.MayHave(c, claims.Scope)
	if !scopes.Has(scope, needed) {
		return g, i, scope, &authz.Error{Code: authz.InsufficientScope, Description: "the access token was not granted the " + needed + " scope", Scope: needed}
	}
	s.noteUse(ctx, g)
	return g, i, scope, nil
}

// Owner returns the owner for whom a program acts that has the grants scope: it sees
// what was allowed and takes it back, and proves nothing of the owner.
//
//	InvalidToken
//	InsufficientScope
func (s *Grants) Owner(ctx context.Context, token authz.Secret) (authz.Owner, error) {
	g, _, _, err := s.usable(ctx, token, scopes.Grants)
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
