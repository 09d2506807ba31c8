package authz

import (
	"context"
	"errors"
	"time"
)

// A code belongs to one person in one or two browsers. So many different ones
// have it only when it was sent around (requirement K-03, attack B-01).
const (
	accountsOpening = 3
	browsersOpening = 5
)

// open notes who opens a pending request, and cancels it if they are too many.
// One that is decided meanwhile is returned as it was decided.
func (s *approvals) open(ctx context.Context, owner Owner, asker Asker, r DeviceRequest, claim bool) (DeviceRequest, error) {
	now := s.now()
	opened, err := s.store.OpenDeviceRequest(ctx, Opening{
		RequestID: r.ID, AccountID: owner.AccountID, Browser: asker.Browser, Claim: claim, At: now,
	})
	if err != nil {
		return decidedMeanwhile(err, owner, now)
	}
	if opened.Accounts < accountsOpening && opened.Browsers < browsersOpening {
		return opened.Request, nil
	}
	err = s.store.CancelDeviceRequest(ctx, r.ID, now)
	s.device.decided(r, err)
	if err != nil {
		return decidedMeanwhile(err, owner, now)
	}
	s.log.WarnContext(ctx, "device request cancelled: its code was opened by too many", "device_request", r.ID, "client_id", r.ClientID,
		"device_network", r.Seen.Network, "accounts", opened.Accounts, "browsers", opened.Browsers)
	return DeviceRequest{}, errCancelled
}

// decidedMeanwhile is what was found in place of a pending request: how it was
// decided, in the moment since it was looked up, or why it cannot be opened.
func decidedMeanwhile(err error, owner Owner, now time.Time) (DeviceRequest, error) {
	var state *StateError
	if errors.As(err, &state) && state.Request.State != Pending && state.Request.StateAt(now) != Expired {
		return state.Request, nil
	}
	return DeviceRequest{}, decisionRefused(err, owner, now)
}

// cancelled reports whether the server itself ended a request: nobody's, and not
// pending.
func cancelled(r DeviceRequest) bool { return r.State == Denied && r.AccountID == "" }
