package agent

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Pause pauses one of the owner's agents, and with it all below, those made meanwhile too, until
// it is resumed (attack B-27). Pausing twice is no error.
//
//	NotFound
//	InvalidRequest: it is over
func (s *Agents) Pause(ctx context.Context, owner authz.Owner, id string) error {
	g, err := s.get(ctx, owner, id)
	if err != nil {
		return err
	}
	p, err := s.pausing(owner, authz.EventPaused, g)
	if err != nil {
		return err
	}
	n, err := s.store.PauseAgents(ctx, p)
	if errors.Is(err, contract.ErrNotFound) {
		return errOver
	}
	if err == nil && n > 0 { // twice is no news
		s.log.InfoContext(ctx, "agent paused by its owner", "grant", id, "client_id", g.ClientID, "agent", g.Delegated.Agent.ID, authz.By(owner))
	}
	return err
}

var errOver = authz.Refuse(authz.InvalidRequest, "the agent is revoked or expired: it has to sign in again")

// PauseAll pauses all of the owner's agents and returns how many were paused by it: the topmost
// ones, with which all are.
func (s *Agents) PauseAll(ctx context.Context, owner authz.Owner) (int, error) {
	p, err := s.pausing(owner, authz.EventPaused, authz.Grant{})
	if err != nil {
		return 0, err
	}
	n, err := s.store.PauseAgents(ctx, p)
	if errors.Is(err, contract.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	s.log.InfoContext(ctx, "all agents paused by their owner", "agents", n, authz.By(owner))
	return n, nil
}

// Resume ends the pause of one of the owner's agents: those below it that are paused by
// themselves stay so, and so does it below one that is. It gives back what an approval gave, so
// the owner is as present as for one (requirement K-17): the request is signed, and says how the
// key was unlocked.
//
//	NotFound
//	InvalidRequest: it is over
//	TooLittlePresence
func (s *Agents) Resume(ctx context.Context, owner authz.Owner, id string, claimed authz.Presence) error {
	g, err := s.get(ctx, owner, id)
	if err != nil {
		return err
	}
	if err := s.present(owner, claimed); err != nil {
		return err
	}
	p, err := s.pausing(owner, authz.EventResumed, g)
	if err != nil {
		return err
	}
	err = s.store.ResumeAgent(ctx, p)
	switch {
	case errors.Is(err, contract.ErrGone):
		return errOver
	case err != nil:
		return contract.OrNotFound(err, noSuchAgent)
	}
	if !g.Delegated.PausedAt.IsZero() {
		s.log.InfoContext(ctx, "agent resumed by its owner", "grant", id, "client_id", g.ClientID, "agent", g.Delegated.Agent.ID, "presence", string(claimed), authz.By(owner))
	}
	return nil
}

// present asks whether the owner of a request is as present as an approval of an agent needs.
// What a signature can show is the owner's tool's word for how the key was unlocked.
//
//	TooLittlePresence
func (s *Agents) present(owner authz.Owner, claimed authz.Presence) error {
	least := s.settings.Agents.LeastPresence()
	if owner.Signed() && claimed.AtLeast(least) && authz.PresencePassword.AtLeast(claimed) {
		return nil
	}
	words := "resuming an agent needs what approving one does: sign the request with the identity's key, unlocked for it, and say so as presence in the body"
	if !authz.PresencePassword.AtLeast(least) {
		words = "this server approves and resumes agents with a passkey alone, which a request to resume cannot carry: revoke the agent, and approve it again when it asks"
	}
	refusal := authz.Refuse(authz.TooLittlePresence, words)
	refusal.Presence = least
	return refusal
}

func (s *Agents) pausing(owner authz.Owner, kind authz.EventKind, g authz.Grant) (contract.Pausing, error) {
	event, err := s.trail.Event(owner, kind, g.Delegated.Agent.Name)
	event.ClientID, event.GrantID = g.ClientID, g.ID
	return contract.Pausing{AccountID: owner.AccountID, GrantID: g.ID, At: s.now(), Event: event}, err
}

// Revoke ends one of the owner's agents and all below it. Revoking twice is no error.
//
//	NotFound
func (s *Agents) Revoke(ctx context.Context, owner authz.Owner, id string) error {
	if _, err := s.get(ctx, owner, id); err != nil {
		return err
	}
	return s.grants.Revoke(ctx, owner, id)
}

// RevokeAll ends all of the owner's agents and returns how many topmost ones were alive.
func (s *Agents) RevokeAll(ctx context.Context, owner authz.Owner) (int, error) {
	now := s.now()
	event, err := s.trail.Event(owner, authz.EventRevoked, authz.SubjectAgents)
	if err != nil {
		return 0, err
	}
	n, err := s.store.RevokeAgents(ctx, owner.AccountID, now, event)
	if err != nil {
		return 0, err
	}
	s.log.InfoContext(ctx, "all agents revoked by their owner", "agents", n, authz.By(owner))
	return n, nil
}
