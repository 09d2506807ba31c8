package approval

import (
	"context"
	"errors"
	"sync"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/guard"
	"countersign.dev/internal/authz/usercode"
)

// Status returns the state of the request that a user code belongs to, for
// somebody who is not signed in, who is to be told no more than that.
//
//	InvalidRequest: no such code
//	ExpiredToken
//	TooManyGuesses, ProofRequired
func (s *Approvals) Status(ctx context.Context, asker authz.Asker, typed string) (string, authz.DeviceRequest, error) {
	return s.byUserCode(ctx, asker, typed)
}

// Open gives a pending request to the owner who opens it first
// (requirement D-37) and returns it. Without claim it stays nobody's. Either way who
// opened it is remembered, and a code that goes round is cancelled (K-03).
//
//	InvalidRequest: no such code
//	ExpiredToken
//	Forbidden: another account opened it first, or too many have
//	TooManyGuesses, ProofRequired
func (s *Approvals) Open(ctx context.Context, owner authz.Owner, asker authz.Asker, typed string, claim bool) (string, authz.DeviceRequest, error) {
	code, r, err := s.byUserCode(ctx, asker, typed)
	if err != nil {
		return "", authz.DeviceRequest{}, err
	}
	if r.State == authz.Pending {
		if r, err = s.noteOpening(ctx, owner, asker, r, claim); err != nil {
			return "", authz.DeviceRequest{}, err
		}
	}
	if r.State == authz.Pending {
		if r, _, err = s.asOfNow(ctx, r); err != nil {
			return "", authz.DeviceRequest{}, err
		}
	}
	switch {
	case r.AccountID != "" && r.AccountID != owner.AccountID:
		return "", authz.DeviceRequest{}, errForeign
	case cancelled(r):
		return "", authz.DeviceRequest{}, errCancelled
	default:
		return code, r, nil
	}
}

// Facts returns the facts of a pending request for an owner, without
// claiming it. scope narrows what would be granted; empty leaves all.
//
//	as Open, and AlreadyDecided
//	InvalidScope: scope holds more than was asked for
func (s *Approvals) Facts(ctx context.Context, owner authz.Owner, asker authz.Asker, typed, scope string) (Facts, error) {
	code, r, err := s.byUserCode(ctx, asker, typed)
	if err != nil {
		return Facts{}, err
	}
	if err := mayReview(r, owner); err != nil {
		return Facts{}, err
	}
	return s.shownFacts(ctx, owner, asker, code, r, scope)
}

// byUserCode finds the request of a typed user code and returns the code as it
// is shown. A wrong code counts against whoever tried it.
func (s *Approvals) byUserCode(ctx context.Context, asker authz.Asker, typed string) (string, authz.DeviceRequest, error) {
	done, err := s.guard.TurnToTry(ctx, asker)
	if err != nil {
		return "", authz.DeviceRequest{}, err
	}
	defer done()
	// A text that cannot be a code is looked up all the same, as no code, and so is that
	// of an asker who may not try: all cost the same (attack B-17). Both are asked at once.
	code, _ := usercode.Parse(typed)
	var asking sync.WaitGroup
	var try guard.Try
	var refused error
	asking.Go(func() { try, refused = s.guard.MayTry(ctx, asker) })
	r, err := s.store.DeviceRequestByUserCode(ctx, s.secrets.HashUserCode(code))
	asking.Wait()
	if refused != nil {
		return "", authz.DeviceRequest{}, refused
	}
	missed := errors.Is(err, contract.ErrNotFound)
	if err != nil && !missed {
		return "", authz.DeviceRequest{}, err
	}
	// Who opened a request before the budget was spent goes on; to everybody else
	// right and wrong codes look the same now.
	mine := r.AccountID != "" && r.AccountID == asker.AccountID
	switch {
	case try.Spent() && !asker.Proved && !mine:
		return "", authz.DeviceRequest{}, guard.ErrProofRequired
	case missed && asker.Opened != "" && asker.Opened == code: // it was swept meanwhile
		if err := s.guard.PretendFailed(ctx, asker); err != nil {
			return "", authz.DeviceRequest{}, err
		}
		return "", authz.DeviceRequest{}, errNoSuchCode
	case missed:
		if err := s.guard.Failed(ctx, try); err != nil {
			return "", authz.DeviceRequest{}, err
		}
		return "", authz.DeviceRequest{}, errNoSuchCode
	case r.StateAt(s.now()) == authz.Expired:
		return "", authz.DeviceRequest{}, errCodeOver
	default:
		return code, r, nil
	}
}

// A code belongs to one person in one or two browsers. So many different ones
// have it only when it was sent around (requirement K-03, attack B-01).
const (
	accountsOpening = 3
	browsersOpening = 5
)

// noteOpening notes who opens a pending request, and cancels it if they are too many.
// One that is decided meanwhile is returned as it was decided.
func (s *Approvals) noteOpening(ctx context.Context, owner authz.Owner, asker authz.Asker, r authz.DeviceRequest, claim bool) (authz.DeviceRequest, error) {
	now := s.now()
	opened, err := s.store.OpenDeviceRequest(ctx, contract.Opening{
		RequestID: r.ID, AccountID: owner.AccountID, Browser: asker.Browser, Claim: claim, At: now,
	})
	if err != nil {
		return decidedMeanwhile(err, owner, now)
	}
	if opened.Accounts < accountsOpening && opened.Browsers < browsersOpening {
		return opened.Request, nil
	}
	err = s.store.CancelDeviceRequest(ctx, r.ID, now)
	s.device.Decided(r, err)
	if err != nil {
		return decidedMeanwhile(err, owner, now)
	}
	s.log.WarnContext(ctx, "device request cancelled: its code was opened by too many", "device_request", r.ID, "client_id", r.ClientID,
		"device_network", r.Seen.Network, "accounts", opened.Accounts, "browsers", opened.Browsers)
	return authz.DeviceRequest{}, errCancelled
}

// decidedMeanwhile is what was found in place of a pending request: how it was
// decided, in the moment since it was looked up, or why it cannot be opened.
func decidedMeanwhile(err error, owner authz.Owner, now time.Time) (authz.DeviceRequest, error) {
	var state *contract.StateError
	if errors.As(err, &state) && state.Request.State != authz.Pending && state.Request.StateAt(now) != authz.Expired {
		return state.Request, nil
	}
	return authz.DeviceRequest{}, decisionRefused(err, owner, now)
}

// cancelled reports whether the server itself ended a request: nobody's, and not
// pending.
func cancelled(r authz.DeviceRequest) bool { return r.State == authz.Denied && r.AccountID == "" }
