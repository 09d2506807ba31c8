package code

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// codeLifetime is how long a code is good for from the approval on (RFC 9700 §2.1.1,
// requirement Z-13).
const codeLifetime = time.Minute

// The refusals of OpenID Connect Core §3.1.2.6 to who asked that nothing be shown.
var (
	ErrLoginRequired   = authz.Refuse(authz.LoginRequired, "nobody is signed in here, or not of late: ask without prompt=none")
	errConsentRequired = authz.Refuse(authz.ConsentRequired, "the owner has to be asked: ask without prompt=none")
	errDenied          = authz.Refuse(authz.AccessDenied, "the owner denied the request")
)

// Fresh reports whether who proved an identity at a time may answer a request that came at
// another: where the client wants it proved again or of late, it must have been (requirement
// Z-27).
func (q Request) Fresh(proved, came time.Time) bool {
	// Both are kept to the second in an address: who signs in within the same has signed in.
	proved, came = proved.Truncate(time.Second), came.Truncate(time.Second)
	if q.Anew && proved.Before(came) {
		return false
	}
	return q.MaxAge < 0 || !proved.Before(came.Add(-q.MaxAge))
}

// Ask stores a request for the owner whom it came by. It returns a visit that leads them to
// its review; or, where they allowed this client all of it before, the address that leads them
// back at once.
//
//	*Refusal: Unavailable, and ConsentRequired where nothing may be shown
//	AccountFull
func (s *Codes) Ask(ctx context.Context, owner authz.Owner, q Request) (visit, address string, err error) {
	now := s.now()
	r := authz.DeviceRequest{
		ClientID: q.Client.ID, Scope: q.Scope, Resources: q.Resources, State: authz.Pending, AccountID: owner.AccountID, Nonce: q.Nonce, Thumbprint: q.Thumbprint,
		// Only the client itself hears an answer at an address of its own in the web.
		ClientProved:      strings.HasPrefix(q.Redirect.URI, "https://"),
		SignatureRequired: s.clients.NeedsSignature(q.Client),
		CreatedAt:         now, ExpiresAt: now.Add(s.settings.DeviceCodeLifetime),
		Seen: owner.Seen.Clean(), Redirect: q.Redirect,
	}
	before := ""
	if !q.Asks {
		if before, err = s.approvals.AllowedBefore(ctx, owner, q.Client, r); err != nil {
			return "", "", err
		}
	}
	if q.Silent && before == "" {
		return "", "", &Refusal{q.Redirect, errConsentRequired}
	}
	d, err := s.device.Store(ctx, q.Client, r)
	if err != nil {
		return "", "", refusedAt(q.Redirect, err)
	}
	if before == "" {
		visit, err = s.approvals.VisitFor(owner, d.UserCode)
		return visit, "", err
	}
	r.ID = d.RequestID
	if err := s.approvals.ApproveAgain(ctx, owner, q.Client, r, before); err != nil {
		return "", "", err
	}
	address, err = s.Answer(ctx, owner, r.ID)
	return "", address, err
}

// Answer is the address that leads a browser back to the client once the owner has decided:
// with a code while it is good, with a refusal after a denial. It is empty for a request that
// leads nowhere, is not decided, was answered, or is not the owner's.
func (s *Codes) Answer(ctx context.Context, owner authz.Owner, requestID string) (address string, err error) {
	r, err := s.store.DeviceRequestByID(ctx, requestID)
	if errors.Is(err, contract.ErrNotFound) || (err == nil && (r.AccountID != owner.AccountID || !r.ByRedirect())) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	now := s.now()
	switch r.StateAt(now) {
	case authz.Approved:
		g, _, err := s.store.LiveGrant(ctx, r.ID, now)
		if errors.Is(err, contract.ErrNotFound) || (err == nil && !now.Before(g.CreatedAt.Add(codeLifetime))) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return s.answer(r.Redirect, url.Values{"code": {s.secrets.AuthorizationCode(r.ID).Reveal()}}), nil
	case authz.Denied:
		if !now.Before(r.ExpiresAt) {
			return "", nil
		}
		return s.Refused(r.Redirect, errDenied), nil
	default:
		return "", nil
	}
}
