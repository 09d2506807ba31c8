package code

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
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

// Since is from when on who answers must have proved their identity, for a request that came at
// a time: where the client wants it proved again or of late (requirement Z-27). It is kept with
// the request, for another session of the same person may decide. Addresses keep it to the
// second: who signs in within the same has signed in.
func (q *Request) Since(came time.Time) time.Time {
	switch {
	case q.Anew:
		q.Redirect.ProvedSince = came.Unix()
	case q.MaxAge >= 0:
		q.Redirect.ProvedSince = came.Add(-q.MaxAge).Unix()
	}
	return time.Unix(q.Redirect.ProvedSince, 0)
}

// Ask stores a request for the owner whom it came by. It returns a visit that leads them to its
// review; or, where a consent of theirs stands for all of it, the address that leads them back at
// once (decision 0074).
//
//	*Refusal: Unavailable, and ConsentRequired or LoginRequired where nothing may be shown
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
	other := q.Subject != "" && q.Subject != owner.AccountID
	var consent *authz.Consent
	if !q.Asks && (q.Silent || !other) && (q.Hint == "" || q.Hint == owner.BAPID) {
		if consent, err = s.approvals.Consent(ctx, owner, q.Client, r); err != nil {
			return "", "", err
		}
	}
	switch {
	case q.Silent && consent == nil: // who is allowed nothing is not told whether this is who the hint says
		return "", "", &Refusal{q.Redirect, errConsentRequired}
	case q.Silent && other:
		return "", "", &Refusal{q.Redirect, ErrLoginRequired}
	}
	d, err := s.device.Store(ctx, q.Client, r)
	if err != nil {
		return "", "", refusedAt(q.Redirect, err)
	}
	if consent != nil {
		r.ID = d.RequestID
		address, err := s.letIn(ctx, owner, q.Client, r, *consent)
		if address != "" || err != nil {
			return "", address, err
		}
	}
	if q.Silent {
		return "", "", &Refusal{q.Redirect, errConsentRequired}
	}
	visit, err = s.approvals.VisitFor(owner, d.UserCode, r)
	return visit, "", err
}

// letIn answers a request by a consent. It is empty where that does not stand any more, or the
// account is full: the review says what to do.
func (s *Codes) letIn(ctx context.Context, owner authz.Owner, c authz.Client, r authz.DeviceRequest, by authz.Consent) (address string, err error) {
	err = s.approvals.LetIn(ctx, owner, c, r, by)
	var refusal *authz.Error
	if errors.As(err, &refusal) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return s.withCode(r), nil
}

// withCode is the address that brings the client its code.
func (s *Codes) withCode(r authz.DeviceRequest) string {
	return s.answer(r.Redirect, url.Values{"code": {s.secrets.AuthorizationCode(r.ID).Reveal()}})
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
	c, err := s.clients.Find(ctx, r.ClientID)
	if errors.Is(err, contract.ErrNotFound) || (err == nil && !client.LeadsTo(c.RedirectURIs, r.Redirect.URI)) {
		return "", nil // it was registered when it was asked
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
		return s.withCode(r), nil
	case authz.Denied:
		if !now.Before(r.ExpiresAt) {
			return "", nil
		}
		return s.Refused(r.Redirect, errDenied), nil
	default:
		return "", nil
	}
}
