package agent

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/receipt"
)

const (
	// killsPerMinute is how often a network sends a kill switch: nobody has many, and each
	// costs a signature.
	killsPerMinute = 10
	// aheadAtMost is how far the clock may be ahead of whoever made a kill switch.
	aheadAtMost = 5 * time.Minute
)

// Kill ends everything of the account whose owner signed this beforehand, whoever sends it, at
// whatever time later (attack B-27): every grant, agent, pending request and session, and what lets anybody in
// unasked. It works once. Whatever is wrong with one is said in the same words, so that nobody
// learns by it who has an account, or what was used.
//
//	Forbidden
//	Unavailable: too many come from this network
func (s *Agents) Kill(ctx context.Context, file []byte, from authz.Source, seen authz.Seen) error {
	now := s.now()
	if !s.kills.Allow(from, now) {
		return errManyKills
	}
	owner := authz.Owner{Seen: seen}
	err := s.kill(ctx, file, &owner, now)
	switch {
	case errors.Is(err, errKill):
		s.trail.Refused(ctx, &s.refused, "kill switch refused", err, "network", seen.Network)
	case err == nil:
		s.log.WarnContext(ctx, "everything of an account was ended by its kill switch", "bap_id", owner.BAPID, "network", seen.Network)
	}
	return err
}

func (s *Agents) kill(ctx context.Context, file []byte, owner *authz.Owner, now time.Time) error {
	k, err := receipt.VerifyKillSwitch(file)
	if err != nil || k.Issuer != s.settings.Issuer || time.Unix(k.IssuedAt, 0).After(now.Add(aheadAtMost)) {
		return errKill
	}
	owner.BAPID = k.BAPID
	event, err := s.trail.Event(*owner, authz.EventRevoked, authz.SubjectKill)
	if err != nil {
		return err
	}
	err = s.store.Kill(ctx, contract.Kill{BAPID: k.BAPID, Nonce: k.Nonce, At: now, Event: event})
	if errors.Is(err, contract.ErrExists) || errors.Is(err, contract.ErrNotFound) {
		return errKill
	}
	return err
}

var (
	errKill      = authz.Refuse(authz.Forbidden, "this ends nothing: a kill switch is good once, here alone, for an identity that is known here, byte for byte as it was written; check the clock of who made it")
	errManyKills = authz.Refuse(authz.Unavailable, "too many kill switches come from this network: try again in a minute")
)
