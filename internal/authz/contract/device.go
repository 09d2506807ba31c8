package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// DeviceStore keeps device requests, and what people are in the middle of deciding
// about them.
type DeviceStore interface {
	// CreateDeviceRequest stores a new, pending request.
	//	ErrExists: its user code (or device code, or id) is in use
	CreateDeviceRequest(ctx context.Context, r authz.DeviceRequest) error
	// DeviceRequest finds a request by the hash of its device code, whatever its state.
	//	ErrNotFound
	DeviceRequest(ctx context.Context, deviceCode authz.Hash) (authz.DeviceRequest, error)
	// DeviceRequestByUserCode finds a request by the hash of its user code.
	//	ErrNotFound
	DeviceRequestByUserCode(ctx context.Context, userCode authz.Hash) (authz.DeviceRequest, error)
	// DeviceRequestByID finds a request by its id.
	//	ErrNotFound
	DeviceRequestByID(ctx context.Context, id string) (authz.DeviceRequest, error)
	// OpenDeviceRequest notes who opens a pending, unexpired request, and with
	// o.Claim gives it to that account if it is nobody's yet. It returns the
	// request as it is afterwards, which may be another account's, and by how many
	// different accounts and browsers it has been opened; the same ones again
	// change nothing. Of concurrent claims by several accounts exactly one gets
	// the request.
	//	ErrNotFound
	//	*StateError: not pending, or expired at o.At; nothing is noted
	OpenDeviceRequest(ctx context.Context, o Opening) (Opened, error)
	// CancelDeviceRequest moves a pending, unexpired request to denied, whoever
	// opened it; it is nobody's afterwards.
	//	ErrNotFound
	//	*StateError: not pending, or expired at now
	CancelDeviceRequest(ctx context.Context, id string, now time.Time) error
	// ApproveDeviceRequest moves a pending, unexpired request to approved and
	// stores its grant, its receipt if it has one, and its event, in one transaction. The
	// request must be a.AccountID's, or nobody's if a.Unclaimed allows it; it is
	// that account's afterwards. The grant's identity and passkey must be the
	// account's still: whatever removes them finds the grant. Of concurrent
	// decisions exactly one succeeds. Of the account's grants those alive at a.At are kept
	// besides the newest. In the same transaction a.Consent is stored in place of the one of the
	// same account, client and identity.
	// With a.LetIn, that very consent for the same must stand at a.At, and of the client's grants that were
	// let in for the account and nobody revoked go, with their tokens and events: those that
	// nobody redeemed until a.LetIn.Unused, and of the others first those that are over at a.At,
	// and then those used longest ago.
	//	ErrNotFound
	//	*StateError: not pending, expired at a.At, or not this account's
	//	ErrGone: the account has not, or no longer, the identity, the passkey or the consent
	//	ErrFull: the account has a.Living grants or more that are alive at a.At, without those
	//	that were let in and that nobody redeemed, and without a.LetIn any that was let in; or of
	//	an agent's, a.Agents says so
	//	ErrKeyTaken: the grant is an agent's, and its key an identity's
	// A grant of the topmost kind ends the account's living one of the same kind, client and
	// agent, and with it all below; neither counts then. Of one on top, which is no further agent, the parent must be alive, paused or not, and
	// this account's.
	//	ErrGone: it is not
	ApproveDeviceRequest(ctx context.Context, a Approval) error
	// DenyDeviceRequest moves a pending, unexpired request to denied, under the
	// same conditions as ApproveDeviceRequest, and in the same transaction stores
	// its event, notes d.AccountID's report of each subject in d.Reported, a
	// report by the same account before being replaced, and forgets that account's consents for
	// the request's client.
	//	ErrNotFound
	//	*StateError: as for ApproveDeviceRequest
	DenyDeviceRequest(ctx context.Context, d Denial) error
	// RedeemDeviceRequest moves an approved, unexpired request of this client to
	// redeemed and stores what was issued, in one transaction; the grant's
	// LastUsedAt becomes r.At. Of any number of concurrent calls one returns nil.
	//	ErrNotFound: this client has no such code
	//	*StateError: the request is in another state, or expired at r.At
	// Of what an agent asked for, the grant and all above it must be alive and not paused:
	//	ErrPaused: one is paused; nothing changes
	//	ErrGone: one is over
	RedeemDeviceRequest(ctx context.Context, r Redemption) error
	// PendingDeviceRequests counts the pending requests that expire after now, in
	// all and for those of these clients that have any. Where there are hundreds of
	// thousands of requests it may look at a part of them and estimate.
	PendingDeviceRequests(ctx context.Context, clientIDs []string, now time.Time) (total int, of map[string]int, err error)

	// CreateReview stores a review. Of those of its session the newest are kept, and this
	// one: looking again and again fills no database.
	CreateReview(ctx context.Context, r authz.Review, k Keep) error
	// TakeReview returns and deletes a review of this session that expires after
	// now. Of concurrent calls one gets it.
	//	ErrNotFound: none, of another session, or expired
	TakeReview(ctx context.Context, id, session authz.Hash, now time.Time) (authz.Review, error)
}

// Opening is somebody who opens a device request.
type Opening struct {
	RequestID string
	// AccountID is empty for somebody who is not signed in, Browser zero for what
	// is no browser; neither counts then.
	AccountID string
	Browser   authz.Hash
	// Claim: the request becomes this account's if it is nobody's.
	Claim bool
	At    time.Time
}

// Opened is a device request that was opened, and by how many different accounts
// and browsers.
type Opened struct {
	Request  authz.DeviceRequest
	Accounts int
	Browsers int
}

// Approval is what ApproveDeviceRequest stores.
type Approval struct {
	RequestID string
	AccountID string
	// Unclaimed allows a request that nobody has opened.
	Unclaimed bool
	At        time.Time
	Grant     authz.Grant
	// Living is how many of the account's grants may be alive, and Keep how many stay.
	Living int
	Keep   Keep
	// Receipt is empty when no signature was given.
	Receipt string
	Event   NewEvent
	// Consent is what is remembered of it, or nil. ConsentsKeep is of the account's consents:
	// those given last stay.
	Consent      *authz.Consent
	ConsentsKeep Keep
	// Agents is how many agents may be alive; only a grant of an agent is counted.
	Agents AgentRoom
	// LetIn is nil where somebody was asked.
	LetIn *LettingIn
}

// LettingIn is an approval by a consent, for which nobody is asked.
type LettingIn struct {
	// By is the grant that gave the consent.
	By     string
	Unused time.Time
	// Keep is of the client's grants that were let in and redeemed.
	Keep Keep
}

// Denial is what DenyDeviceRequest stores.
type Denial struct {
	RequestID string
	AccountID string
	// Unclaimed allows a request that nobody has opened.
	Unclaimed bool
	At        time.Time
	// Reported are the subjects that the denial counts against as a report, and Reporter
	// is for whom it counts: those of several accounts may count once.
	Reported []string
	Reporter string
	// Keep is of the account's reports.
	Keep  Keep
	Event NewEvent
	// Pauses is a grant that the denial pauses, as PauseAgents does; or empty.
	Pauses string
}

// Redemption is what RedeemDeviceRequest stores.
type Redemption struct {
	DeviceCode authz.Hash
	ClientID   string
	At         time.Time
	// RefreshToken is nil when none is issued.
	RefreshToken *authz.RefreshToken
}
