package approval

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Outcome is what became of a device request.
type Outcome struct {
	ID       string
	ClientID string
	Approved bool
	// Grant is what was allowed, when Approved; Alive is whether it still is.
	Grant authz.Grant
	Alive bool
	// Where nothing is allowed: Others is how many other grants of this client live,
	// Mismatched whether it was denied for what the device does not show, and Reported
	// whether the owner reported it.
	Others               int
	Mismatched, Reported bool
}

// Outcome returns what the owner decided about a request, for as long as the
// request or its grant is kept.
//
//	NotFound: no such request, somebody else's, or not decided
func (s *Approvals) Outcome(ctx context.Context, owner authz.Owner, requestID string) (Outcome, error) {
	g, err := s.store.Grant(ctx, requestID)
	if err == nil && g.AccountID == owner.AccountID {
		now := s.now()
		if !g.AliveAt(now) {
			return s.ended(ctx, owner, Outcome{ID: requestID, ClientID: g.ClientID, Approved: true, Grant: g})
		}
		g, err = s.grants.AsItIs(ctx, g, now)
		return Outcome{ID: requestID, ClientID: g.ClientID, Approved: true, Grant: g, Alive: true}, err
	}
	if err != nil && !errors.Is(err, contract.ErrNotFound) {
		return Outcome{}, err
	}
	r, err := s.store.DeviceRequestByID(ctx, requestID)
	if err != nil {
		return Outcome{}, contract.OrNotFound(err, noSuchRequest)
	}
	if r.AccountID != owner.AccountID || r.State != authz.Denied {
		return Outcome{}, authz.Refuse(authz.NotFound, noSuchRequest)
	}
	return s.ended(ctx, owner, Outcome{ID: requestID, ClientID: r.ClientID})
}

// eventsSought are the newest of an account among which the end of a request is sought.
const eventsSought = 100

// ended says more of an outcome that allows nothing. Why it ended is told for as long as
// its event is among the newest.
func (s *Approvals) ended(ctx context.Context, owner authz.Owner, o Outcome) (Outcome, error) {
	living, err := s.store.Grants(ctx, owner.AccountID, contract.GrantList{AliveAt: s.now(), Limit: authz.LivingGrants})
	if err != nil {
		return Outcome{}, err
	}
	for _, g := range living {
		if g.ClientID == o.ClientID {
			o.Others++
		}
	}
	events, err := s.store.Events(ctx, owner.AccountID, contract.Position{}, eventsSought)
	if err != nil {
		return Outcome{}, err
	}
	for _, e := range events {
		if e.GrantID == o.ID {
			o.Mismatched = o.Mismatched || e.ACR == authz.DeniedForMatch
			o.Reported = o.Reported || e.Kind == authz.EventReported || e.Subject == authz.SubjectNotMe
		}
	}
	return o, nil
}

const noSuchRequest = "there is no such request of yours"
