package grant

import (
	"context"
	"errors"
	"time"

	"countersign.dev/details"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
)

var errRefresh = authz.Refuse(authz.InvalidGrant, "the refresh token is unknown, expired, revoked or another client's: sign in again")

var errNoRefresh = authz.Refuse(authz.UnauthorizedClient, "this client is not registered for refresh_token")

var errRefreshPace = authz.Refuse(authz.Unavailable, "this grant's tokens are refreshed more than once a second: use the access token until it expires")

// Refresh trades a refresh token for new tokens (RFC 6749 §6). The token is
// replaced at each use (requirements R-01, S-05); a token used again after its grace time is
// taken for stolen and ends the grant (RFC 9700 §4.14.2, requirement R-02). A token of
// another client is refused (requirement R-05), and so is one whose grant is over, in the
// same words whatever ended it (requirement R-17). One that is bound to a key is of no use
// to who has not the key, and its use by them ends nothing.
//
//	InvalidRequest, InvalidGrant, InvalidScope, InvalidTarget, InvalidDetails, UnauthorizedClient
//	InvalidProof, UseNonce
//	AgentPaused: nothing is used up
//	Unavailable: this grant is refreshed too often
func (s *Grants) Refresh(ctx context.Context, c authz.Client, presented authz.Secret, want Narrowing, proofs authz.Proofs) (*authz.Tokens, error) {
	if presented == "" {
		return nil, authz.Refuse(authz.InvalidRequest, "refresh_token is missing")
	}
	if !c.Allows(authz.GrantRefresh) && c.Registered { // another's agents may
		return nil, errNoRefresh
	}
	now := s.now()
	kept, err := s.store.RefreshToken(ctx, presented.Hash(), now)
	if errors.Is(err, contract.ErrNotFound) {
		return nil, s.notKept(ctx, c, presented, &proofs, now)
	}
	if err != nil {
		return nil, err
	}
	g, _, err := s.store.LiveGrant(ctx, kept.GrantID, now)
	paused := errors.Is(err, contract.ErrPaused)
	switch {
	case errors.Is(err, contract.ErrNotFound) && !paused, (err == nil || paused) && g.ClientID != c.ID:
		return nil, errRefresh
	case err != nil && !paused:
		return nil, err
	}
	key, err := s.proofs.Possession(ctx, proofs, proof.Wanted{Thumbprint: kept.Thumbprint, Required: c.DPoPBound})
	if err != nil {
		return nil, err
	}
	if paused { // which only who has the key is told
		return nil, authz.ErrAgentPaused
	}
	issue, err := s.narrowed(c, g, want)
	if err != nil {
		return nil, err
	}
	if err := s.proofs.UseUpProof(ctx, key); err != nil {
		return nil, err
	}
	// Last of all: who could spend a grant's allowance without rotating its tokens would
	// keep a reuse from being noticed.
	if !s.refreshes.AllowName(g.ID, now) {
		return nil, errRefreshPace
	}
	successor, expires, err := s.rotate(ctx, c, g, presented, kept, key, now)
	if err != nil {
		return nil, err
	}
	issue.RefreshToken, issue.RefreshExpires, issue.Thumbprint, issue.Bearer = successor, expires, key.Thumbprint, key.BySignature()
	tokens, err := s.tokens.Issue(issue)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "tokens refreshed", "grant", g.ID, "client_id", g.ClientID, "scope", issue.Scope, "account", g.AccountID, "bap_id", g.BAPID,
		"agent", g.Delegated.Agent.ID, "dpop", key.Thumbprint != "")
	return tokens, nil
}

// Narrowing is what a token request wants of a grant; what is empty is all of it.
type Narrowing struct {
	Scope     string
	Resources []string
	// Details are authorization_details (RFC 9396 §6), JSON text.
	Details string
}

// narrowed are the tokens of a grant that is renewed, with no more than it has and its client
// is registered for.
//
//	InvalidGrant, InvalidScope, InvalidTarget, InvalidDetails
func (s *Grants) narrowed(c authz.Client, g authz.Grant, want Narrowing) (issue token.Request, err error) {
	has := scopes.MayHave(c, g.Scope, g.Delegated.ToAgent()) // since the grant its registration may have changed
	if !c.Allows(authz.GrantRefresh) && !g.Delegated.ToAgent() {
		return issue, errNoRefresh
	}
	if !s.Renews(c, g, has) {
		return issue, authz.Refuse(authz.InvalidGrant, "this client is no longer registered to renew its tokens: sign in again")
	}
	issue = token.Request{Client: c, Grant: g}
	if issue.Scope, err = shrunkScope(has, want.Scope); err != nil {
		return issue, err
	}
	if issue.Audience, err = s.clients.Audience(g, issue.Scope, want.Resources); err != nil {
		return issue, err
	}
	issue.Details, err = shrunkDetails(g.Delegated.Details, want.Details)
	return issue, err
}

// shrunkDetails lets authorization details shrink, never grow (RFC 9396 §6.1).
//
//	InvalidDetails
func shrunkDetails(granted, asked string) (string, error) {
	if asked == "" {
		return granted, nil
	}
	var has details.List
	wanted, err := details.Parse([]byte(asked))
	if err == nil && granted != "" {
		has, err = details.Parse([]byte(granted))
	}
	if err == nil {
		err = details.Narrower(wanted, has)
	}
	if err != nil {
		return "", authz.RefuseBecause(authz.InvalidDetails, err.Error(), err)
	}
	return wanted.Encode(), nil
}

// rotate replaces a refresh token of a grant, and returns its successor and when that is over.
//
//	InvalidGrant: it was used before
func (s *Grants) rotate(ctx context.Context, c authz.Client, g authz.Grant, presented authz.Secret, kept authz.RefreshToken, key proof.Possession, now time.Time) (successor authz.Secret, expires time.Time, err error) {
	r := contract.Rotation{Token: presented.Hash(), At: now, Grace: s.settings.RefreshGrace}
	if r.Reuse, err = s.revoked(authz.Owner{AccountID: g.AccountID}, g, authz.SubjectReuse); err != nil {
		return "", expires, err
	}
	successor = s.secrets.Successor(presented, g.ID)
	r.Successor = s.RefreshToken(c, g, successor, key, now)
	r.Forgotten, _, _ = s.secrets.ReadRefreshToken(presented)
	err = s.store.RotateRefreshToken(ctx, r)
	switch {
	case errors.Is(err, contract.ErrReused):
		s.noteReused(ctx, g)
		return "", expires, errRefresh
	case errors.Is(err, contract.ErrPaused):
		return "", expires, authz.ErrAgentPaused
	case errors.Is(err, contract.ErrNotFound): // another use of it, or of its successor, was first
		return "", expires, s.notKept(ctx, c, presented, nil, now)
	case err != nil:
		return "", expires, err
	}
	if kept.RotatedAt.IsZero() {
		return successor, r.Successor.ExpiresAt, nil
	}
	// It was replaced before, and its successor is from then.
	return successor, s.RefreshToken(c, g, successor, key, kept.RotatedAt).ExpiresAt, nil
}

func (s *Grants) noteReused(ctx context.Context, g authz.Grant) {
	s.log.WarnContext(ctx, "token or code reused, grant revoked", "grant", g.ID, "client_id", g.ClientID, "account", g.AccountID, "bap_id", g.BAPID)
}

// notKept refuses a token that has no row. One that says of itself that it is ours
// was replaced, and its successor too: it is taken for stolen, however long ago that
// was. If the grant was not used for so long that its latest token is over as well,
// somebody is only late. An access token may have been used after its refresh token was
// given: who is late by less than it lives is taken for a thief, when nothing of the
// grant is of use any more. Of an agent's grant only who has its key ends anything: proofs are
// to show that, and nil where it is known.
func (s *Grants) notKept(ctx context.Context, c authz.Client, token authz.Secret, proofs *authz.Proofs, now time.Time) error {
	_, id, ours := s.secrets.ReadRefreshToken(token)
	if !ours {
		return errRefresh
	}
	g, _, err := s.store.LiveGrant(ctx, id, now)
	if errors.Is(err, contract.ErrNotFound) || (err == nil && (g.ClientID != c.ID || !now.Before(g.LastUsedAt.Add(s.settings.RefreshIdleLifetime)))) {
		return errRefresh
	}
	if err != nil {
		return err
	}
	if agent := g.Delegated.Agent; agent.ID != "" && proofs != nil {
		key, err := s.proofs.Possession(ctx, *proofs, proof.Wanted{Thumbprint: agent.Thumbprint})
		if err == nil {
			err = s.proofs.UseUpProof(ctx, key)
		}
		if err != nil {
			return err
		}
	}
	if err := s.EndReused(ctx, g); err != nil {
		return err
	}
	return errRefresh
}

// EndReused ends a grant of which a token or a code was used twice, and so may be stolen.
func (s *Grants) EndReused(ctx context.Context, g authz.Grant) (err error) {
	r := contract.Revocation{GrantID: g.ID, At: s.now()}
	if r.Event, err = s.revoked(authz.Owner{AccountID: g.AccountID}, g, authz.SubjectReuse); err != nil {
		return err
	}
	if err := s.store.RevokeGrant(ctx, r); err != nil && !errors.Is(err, contract.ErrNotFound) {
		return err
	}
	s.noteReused(ctx, g)
	return nil
}

// RefreshToken is the row of a refresh token of a grant: it is over when it was
// not used for long, and with its grant (requirement R-08). A public client's is bound to the
// key that the client proves to have (RFC 9449 §5, requirement P-09), and so is an agent's;
// another client has itself to prove, whatever its key is now.
func (s *Grants) RefreshToken(c authz.Client, g authz.Grant, token authz.Secret, key proof.Possession, now time.Time) authz.RefreshToken {
	expires := now.Add(s.settings.RefreshIdleLifetime)
	if g.ExpiresAt.Before(expires) {
		expires = g.ExpiresAt
	}
	t := authz.RefreshToken{Token: token.Hash(), GrantID: g.ID, ExpiresAt: expires}
	if !c.Confidential() || g.Delegated.ToAgent() {
		t.Thumbprint = key.Thumbprint
	}
	return t
}

// shrunkScope lets the scope shrink, never grow (RFC 6749 §6, requirement R-06).
func shrunkScope(granted, asked string) (string, error) {
	if asked == "" {
		return granted, nil
	}
	narrowed, err := scopes.Subset(granted, asked)
	if err != nil {
		return "", authz.Refuse(authz.InvalidScope, "more was asked for than can be had, which is: "+granted)
	}
	return narrowed, nil
}
