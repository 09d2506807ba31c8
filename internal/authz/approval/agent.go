package approval

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/usercode"
)

// ofAgent adds what only an agent's request has.
func (s *Approvals) ofAgent(ctx context.Context, owner authz.Owner, f Facts) (Facts, error) {
	a, err := s.statements.Agent(f.Request.Asked, f.Network == NetworkOther && owner.Seen.UserAgent != f.Request.Seen.UserAgent)
	if err != nil {
		return f, err
	}
	if !a.Asked.OnTop() {
		g, err := s.store.AgentGrant(ctx, owner.AccountID, f.Client.ID, a.Asked.Agent.ID, s.now())
		if err == nil {
			a.Replaces = &g
		} else if !errors.Is(err, contract.ErrNotFound) {
			return f, err
		}
	}
	f.Agent, f.Lasts, f.Renewed = a, a.Asked.Lifetime, !f.Client.Registered || f.Client.Allows(authz.GrantRefresh)
	return f, nil
}

// approveAgent approves what an agent asks, by what its owner signed. That the owner was
// there is asked first (requirement K-17): who only holds a session decides nothing by a wrong match either.
func (s *Approvals) approveAgent(ctx context.Context, owner authz.Owner, asker authz.Asker, code string, r authz.DeviceRequest, d Decision) (authz.Grant, error) {
	f, err := s.facts(ctx, owner, asker, code, r, "")
	if err != nil {
		return authz.Grant{}, err
	}
	signed, err := s.statements.Delegate(ctx, owner, f.offer(), f.Agent.Elsewhere, d.Answer)
	if err != nil {
		return authz.Grant{}, err
	}
	if _, err := s.store.Identity(ctx, r.Asked.Agent.ID); err == nil {
		return authz.Grant{}, errOwnersKey
	} else if !errors.Is(err, contract.ErrNotFound) {
		return authz.Grant{}, err
	}
	if fit := s.matches(f, d.Match); fit != usercode.Matched {
		return authz.Grant{}, s.mismatched(ctx, owner, r, fit)
	}
	return s.approve(ctx, owner, f, signed)
}

// approvalRefused says why the store did not take an approval.
func approvalRefused(err error, owner authz.Owner, r authz.DeviceRequest, now time.Time) error {
	switch {
	case errors.Is(err, contract.ErrKeyTaken):
		return errOwnersKey
	case errors.Is(err, contract.ErrFull) && r.Asked.ByAgent():
		return errTooManyAgents
	case errors.Is(err, contract.ErrGone) && r.Asked.OnTop():
		return errAgentOver
	default:
		return decisionRefused(err, owner, now)
	}
}
