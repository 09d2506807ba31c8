package grant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

// AccessTokenType is the one kind of token that is exchanged, comes of it and says who acts
// (RFC 8693 §3).
const AccessTokenType = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // no token, its kind

const (
	// exchangesPerMinute is how often one client exchanges one grant's tokens: what it gets
	// lives for an hour, but a program that keeps nothing asks for each of its requests.
	exchangesPerMinute = 600
	// maxActors bounds how many act one for the other.
	maxActors = 4
)

// Exchange is a request to exchange a token (RFC 8693 §2.1).
type Exchange struct {
	// Subject is the token to be exchanged, Actor that of who is to act; without one the client
	// acts itself.
	Subject, Actor Presented
	// Requested is the kind of token that is asked for, or empty.
	Requested string
	Scope     string
	Resources []string
}

// Presented is a token and which kind of token its sender takes it for.
type Presented struct {
	Token authz.Secret
	Type  string
}

// Exchange gives a client a token for one that somebody sent it: it is of the same owner, and
// says who acts for them (RFC 8693). What it is good for the first one was good for too, and it
// ends with it (requirements, S-08). No row is kept of it. The API of one that is
// bound to a key has not that key; what it gets is bound to its own.
//
//	UnauthorizedClient: it is not registered for that, or did not prove itself
//	InvalidRequest: a token is none of ours, over, for others, or who acts may not
//	InvalidTarget, InvalidScope
//	InvalidProof, UseNonce
//	Unavailable: this grant's tokens are exchanged too often
func (s *Grants) Exchange(ctx context.Context, c authz.Client, x Exchange, proofs authz.Proofs) (*authz.Tokens, error) {
	if !c.Allows(authz.GrantExchange) || !c.Proved {
		return nil, errNoExchange
	}
	if err := x.check(); err != nil {
		return nil, err
	}
	subject, g, err := s.subject(ctx, c, x.Subject.Token)
	if err != nil {
		return nil, err
	}
	actor, bound, err := s.actor(ctx, c, x.Actor.Token, subject.Actor)
	if err != nil {
		return nil, err
	}
	granted, err := exchangedScope(c, subject.Scope, x.Scope)
	if err != nil {
		return nil, err
	}
	audience, err := s.exchangedAudience(c, subject.Audience, x.Resources)
	if err != nil {
		return nil, err
	}
	key, err := s.proofs.Possession(ctx, proofs, proof.Wanted{Required: c.DPoPBound || bound || subject.Thumbprint() != ""})
	if err != nil {
		return nil, err
	}
	if !s.exchanges.AllowName(g.ID+" "+c.ID, s.now()) {
		return nil, errExchangePace
	}
	if err := s.proofs.UseUpProof(ctx, key); err != nil {
		return nil, err
	}
	tokens, err := s.tokens.Issue(token.Request{
		Client: c, Grant: g, Scope: granted, Audience: audience, Thumbprint: key.Thumbprint, Bearer: key.BySignature(), Actor: actor, Until: time.Unix(subject.Expires, 0),
	})
	if err != nil {
		return nil, err
	}
	tokens.IssuedType = AccessTokenType
	s.noteUse(ctx, g)
	s.log.InfoContext(ctx, "token exchanged", "grant", g.ID, "client_id", c.ID, "actor", actor.Subject, "of_client", g.ClientID, "scope", granted,
		"account", g.AccountID, "bap_id", g.BAPID, "dpop", key.Thumbprint != "")
	return tokens, nil
}

var (
	errNoExchange   = authz.Refuse(authz.UnauthorizedClient, "this client is not registered for token-exchange, with something to authenticate with")
	errSubject      = authz.Refuse(authz.InvalidRequest, "subject_token is no living access token of this server that was sent to this client's own resources, or issued to it")
	errActor        = authz.Refuse(authz.InvalidRequest, "actor_token is no living access token that another client of this server has for itself and sent to this client's own resources")
	errMayNotAct    = authz.Refuse(authz.InvalidRequest, "the client of actor_token is not among the exchange_actors of this client")
	errActors       = authz.Refuse(authz.InvalidRequest, fmt.Sprintf("no more than %d may act one for the other: get a token from the application itself", maxActors))
	errExchangePace = authz.Refuse(authz.Unavailable, "this client exchanges this grant's tokens more than ten times a second: use what it got until it expires")
)

// check holds an exchange to the members that go together (requirement X-01) and to the one
// kind of token there is.
func (x Exchange) check() error {
	if x.Subject.Token == "" {
		return authz.Refuse(authz.InvalidRequest, "subject_token is missing: send the access token that this client was sent")
	}
	for name, given := range map[string]Presented{"subject_token": x.Subject, "actor_token": x.Actor} {
		if (given.Token == "") != (given.Type == "") || given.Type != "" && given.Type != AccessTokenType {
			return authz.Refuse(authz.InvalidRequest, name+" and "+name+"_type go together, and the type must be "+AccessTokenType)
		}
	}
	if x.Requested != "" && x.Requested != AccessTokenType {
		return authz.Refuse(authz.InvalidRequest, "requested_token_type must be "+AccessTokenType)
	}
	return nil
}

// subject is what the token says that is to be exchanged, with the scope that it is good for
// now, and its grant. What was never for a client it does not exchange.
//
//	InvalidRequest (requirement X-03)
func (s *Grants) subject(ctx context.Context, c authz.Client, presented authz.Secret) (claims token.Claims, g authz.Grant, err error) {
	if claims, err = s.sentTo(ctx, c, presented); err == nil {
		g, err = s.store.GrantAlive(ctx, claims.GrantID, s.now()) // a client's own token is of none
	}
	if err == nil {
		claims.Scope, err = s.scopeNow(ctx, claims, g)
	}
	if errors.Is(err, authz.InvalidToken) || errors.Is(err, contract.ErrNotFound) {
		err = errSubject
	}
	return claims, g, err
}

// actor is who acts with the new token, for whoever acted with the old one, and whether it is
// only said with a proof. Who may be named stands in the registration of the client that names
// them (requirement X-05).
//
//	InvalidRequest
func (s *Grants) actor(ctx context.Context, c authz.Client, presented authz.Secret, before *token.Actor) (actor *token.Actor, bound bool, err error) {
	actor = &token.Actor{Subject: c.ID, Before: before}
	if presented != "" {
		claims, err := s.sentTo(ctx, c, presented)
		if err == nil {
			_, err = s.ownScopeNow(ctx, claims)
		}
		switch {
		case errors.Is(err, authz.InvalidToken) || errors.Is(err, contract.ErrNotFound):
			return nil, false, errActor
		case err != nil:
			return nil, false, err
		case claims.ClientID != c.ID && !slices.Contains(c.ExchangeActors, claims.ClientID):
			return nil, false, errMayNotAct
		case claims.ClientID != c.ID:
			actor.Subject, actor.ClientID = claims.ClientID, c.ID
		}
		bound = claims.Thumbprint() != ""
	}
	for n, a := 1, before; a != nil; n, a = n+1, a.Before {
		if n == maxActors {
			return nil, false, errActors
		}
	}
	return actor, bound, nil
}

// sentTo verifies a token that a client got from somebody, because it is for what the client
// serves, or because it is the client's.
//
//	InvalidToken
func (s *Grants) sentTo(ctx context.Context, c authz.Client, presented authz.Secret) (token.Claims, error) {
	claims, err := s.tokens.Verify(ctx, presented)
	if err == nil && !concerns(claims, c) {
		err = token.ErrInvalid
	}
	return claims, err
}

// exchangedScope is what a client gets of the scope of a token: all that it may have, or what
// it asks for of that.
//
//	InvalidScope
func exchangedScope(c authz.Client, scope, asked string) (string, error) {
	may := scopes.ByExchange(c, scope)
	if may == "" {
		return "", authz.Refuse(authz.InvalidScope, "subject_token has no scope that this client is registered for and that may be exchanged")
	}
	return shrunkScope(may, asked)
}

// exchangedAudience is for whom a token is that a client gets for one that is for some: for
// those that it names, or for all, of whom it is registered for (requirement X-07). The old one
// is for no others than were approved, so the new one is not either (requirement X-11).
//
//	InvalidTarget
func (s *Grants) exchangedAudience(c authz.Client, had, asked []string) ([]string, error) {
	audience, err := s.clients.Canonical(asked)
	if err != nil {
		return nil, err
	}
	may := slices.DeleteFunc(slices.Clone(had), func(r string) bool { return !slices.Contains(c.ExchangeFor, r) })
	if len(audience) == 0 {
		audience = may
	}
	if len(audience) == 0 || slices.ContainsFunc(audience, func(r string) bool { return !slices.Contains(may, r) }) {
		return nil, authz.Refuse(authz.InvalidTarget, "subject_token is not for this resource, or this client is not registered to exchange tokens for it: have the application ask for it too, and the operator name it in exchange_for")
	}
	return audience, nil
}

// scopeNow is what a token of a grant is good for as its client is registered now, and, of one
// that was exchanged, all that had a part in that. It looks at no clock and no grant.
//
//	ErrNotFound: one of them is registered no more, or not for that
func (s *Grants) scopeNow(ctx context.Context, claims token.Claims, g authz.Grant) (string, error) {
	c, err := s.clients.Find(ctx, g.ClientID)
	if err != nil {
		return "", err
	}
	scope := scopes.MayHave(c, claims.Scope, g.Delegated.ToAgent())
	for a := claims.Actor; a != nil && !a.Agent(); a = a.Before { // agents are their grants' own
		by, err := s.exchanger(ctx, a, claims.Audience)
		if err != nil {
			return "", err
		}
		scope = scopes.ByExchange(by, scope)
	}
	return scope, nil
}

// exchanger is the client that exchanged a token for one that somebody acts with, if it may
// still do that for an audience, and say who acts.
//
//	ErrNotFound
func (s *Grants) exchanger(ctx context.Context, a *token.Actor, audience []string) (authz.Client, error) {
	c, err := s.clients.Find(ctx, cmp.Or(a.ClientID, a.Subject))
	if err != nil {
		return c, err
	}
	actor, err := s.clients.Find(ctx, a.Subject) // who exchanged it, mostly
	switch {
	case err != nil:
		return c, err
	case !actor.Registered || actor.ID != c.ID && !slices.Contains(c.ExchangeActors, actor.ID),
		!c.Allows(authz.GrantExchange) || !c.Confidential(),
		slices.ContainsFunc(audience, func(r string) bool { return !slices.Contains(c.ExchangeFor, r) }):
		return authz.Client{}, contract.ErrNotFound
	default:
		return c, nil
	}
}
