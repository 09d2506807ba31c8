package account

import (
	"context"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// Events returns a page of what happened to the owner's account, newest first, and
// the cursor of the next page, empty where there is none; what is older than 90 days, or
// than the newest EventsPerAccount, is gone. Of events that tell of ways as many are kept
// besides: the newest, and those with the earliest Standing.
//
//	InvalidRequest: the cursor is not one of this list
func (s *Accounts) Events(ctx context.Context, owner authz.Owner, cursor string, limit int) (list []authz.Event, next string, err error) {
	return secret.Page(s.secrets, owner, "events", cursor, limit, func(after contract.Position, limit int) ([]authz.Event, error) {
		return s.store.Events(ctx, owner.AccountID, after, limit)
	}, func(e authz.Event) contract.Position { return contract.Position{At: e.At, ID: e.ID} })
}

// NewWayEvent begins an event of a way that the owner adds or takes out.
//
//	NotFound: the owner's identity was taken out of the account meanwhile
func (s *Accounts) NewWayEvent(ctx context.Context, owner authz.Owner, kind authz.EventKind, subject string) (contract.NewEvent, error) {
	e, err := s.trail.Event(owner, kind, subject)
	if err != nil {
		return contract.NewEvent{}, err
	}
	by, err := s.Identity(ctx, owner, owner.BAPID)
	e.Standing = by.FirstHere()
	return e, err
}
