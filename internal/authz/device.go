package authz

import (
	"context"
	"time"
)

// DeviceStore keeps device requests, and what people are in the middle of deciding
// about them.
type DeviceStore interface {
	// CreateDeviceRequest stores a new, pending request.
	//	ErrExists: its user code (or device code, or id) is in use
	CreateDeviceRequest(ctx context.Context, r DeviceRequest) error
	// DeviceRequest finds a request by the hash of its device code, whatever its state.
	//	ErrNotFound
	DeviceRequest(ctx context.Context, deviceCode Hash) (DeviceRequest, error)
	// DeviceRequestByUserCode finds a request by the hash of its user code.
	//	ErrNotFound
	DeviceRequestByUserCode(ctx context.Context, userCode Hash) (DeviceRequest, error)
	// DeviceRequestByID finds a request by its id.
	//	ErrNotFound
	DeviceRequestByID(ctx context.Context, id string) (DeviceRequest, error)
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
	// besides the newest.
	//	ErrNotFound
	//	*StateError: not pending, expired at a.At, or not this account's
	//	ErrGone: the account has not, or no longer, the identity or the passkey
	//	ErrFull: the account has a.Living grants or more that are alive at a.At
	ApproveDeviceRequest(ctx context.Context, a Approval) error
	// DenyDeviceRequest moves a pending, unexpired request to denied, under the
	// same conditions as ApproveDeviceRequest, and in the same transaction stores
	// its event and notes d.AccountID's report of each subject in d.Reported; a
	// report by the same account before is replaced.
	//	ErrNotFound
	//	*StateError: as for ApproveDeviceRequest
	DenyDeviceRequest(ctx context.Context, d Denial) error
	// RedeemDeviceRequest moves an approved, unexpired request of this client to
	// redeemed and stores what was issued, in one transaction; the grant's
	// LastUsedAt becomes r.At. Of any number of concurrent calls one returns nil.
	//	ErrNotFound: this client has no such code
	//	*StateError: the request is in another state, or expired at r.At
	RedeemDeviceRequest(ctx context.Context, r Redemption) error
	// PendingDeviceRequests counts the pending requests that expire after now, in
	// all and for those of these clients that have any. Where there are hundreds of
	// thousands of requests it may look at a part of them and estimate.
	PendingDeviceRequests(ctx context.Context, clientIDs []string, now time.Time) (total int, of map[string]int, err error)

	// CreateReview stores a review. Of those of its session the newest are kept, and this
	// one: looking again and again fills no database.
	CreateReview(ctx context.Context, r Review, k Keep) error
	// TakeReview returns and deletes a review of this session that expires after
	// now. Of concurrent calls one gets it.
	//	ErrNotFound: none, of another session, or expired
	TakeReview(ctx context.Context, id, session Hash, now time.Time) (Review, error)
}

// State of a device request. The only edges are pending → approved, denied or
// expired, and approved → redeemed or expired. Expiry is not written: a request
// that was not redeemed in time is expired by its ExpiresAt.
type State string

// The states of a device request.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Redeemed State = "redeemed"
	Expired  State = "expired"
)

// DeviceRequest is one run of RFC 8628.
type DeviceRequest struct {
	// ID is random and not secret. A grant that comes of the request has the same
	// id, and it is the nonce of the approval statement.
	ID         string
	DeviceCode Hash
	UserCode   Hash
	ClientID   string
	// ClientProved: the client authenticated when it asked, so that it is the one its
	// id names. A public client's id anybody can send.
	ClientProved bool
	// Scope is what was asked and may be granted, space-separated.
	Scope string
	State State
	// AccountID is the account that opened or decided the request, or empty.
	AccountID string
	CreatedAt time.Time
	ExpiresAt time.Time
	// SignatureRequired: a session alone may not approve this request.
	SignatureRequired bool
	// MatchNumber is the number that the device shows, 10 to 99, or 0 for none.
	MatchNumber int
	// Nonce is the OpenID Connect nonce the device sent, or empty.
	Nonce string
	Seen  Seen
	Says  DeviceSays
}

// StateAt is the state of the request at a time.
func (r DeviceRequest) StateAt(now time.Time) State {
	if (r.State == Pending || r.State == Approved) && !now.Before(r.ExpiresAt) {
		return Expired
	}
	return r.State
}

// DeviceSays is what the device says of itself; nobody has checked it, and no rule
// may lean on it (decision 0028).
type DeviceSays struct {
	Name     string
	Platform string
	// Origin is the web page that a browser says the request was started from. A
	// program can send the header too.
	Origin string
}

// Clean makes what a device says of itself fit to be kept and shown.
func (d DeviceSays) Clean() DeviceSays {
	return DeviceSays{
		Name:     CleanText(d.Name, maxDeviceText),
		Platform: CleanText(d.Platform, maxDeviceText),
		Origin:   CleanText(d.Origin, maxOrigin),
	}
}

// Opening is somebody who opens a device request.
type Opening struct {
	RequestID string
	// AccountID is empty for somebody who is not signed in, Browser zero for what
	// is no browser; neither counts then.
	AccountID string
	Browser   Hash
	// Claim: the request becomes this account's if it is nobody's.
	Claim bool
	At    time.Time
}

// Opened is a device request that was opened, and by how many different accounts
// and browsers.
type Opened struct {
	Request  DeviceRequest
	Accounts int
	Browsers int
}

// Review is a person in the middle of deciding about a device request, made each
// time it is shown and used up by the decision.
type Review struct {
	ID        Hash
	Session   Hash
	RequestID string
	// UserCode is the code as it is shown; it is kept for the
	// minutes of the review only.
	UserCode string
	// Facts is a digest of everything the person was shown.
	Facts     Hash
	ExpiresAt time.Time
}

// Approval is what ApproveDeviceRequest stores.
type Approval struct {
	RequestID string
	AccountID string
	// Unclaimed allows a request that nobody has opened.
	Unclaimed bool
	At        time.Time
	Grant     Grant
	// Living is how many of the account's grants may be alive, and Keep how many stay.
	Living int
	Keep   Keep
	// Receipt is empty when no signature was given.
	Receipt string
	Event   NewEvent
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
}

// Redemption is what RedeemDeviceRequest stores.
type Redemption struct {
	DeviceCode Hash
	ClientID   string
	At         time.Time
	// RefreshToken is nil when none is issued.
	RefreshToken *RefreshToken
}

// MaxWait is the longest a poll may wait for the owner (design D5); longer
// wishes are served with this.
const MaxWait = 30 * time.Second

// Others are the servers that share the database: what they decide must reach
// the polls that wait here.
type Others interface {
	// Watch calls decided for each device request that any server, this one too,
	// moves out of pending, soon after it did; the same one again does no harm. It
	// calls disconnected(false) when from now on nothing is missed, and
	// disconnected(true) when something may be; until the first call nothing is told. It
	// returns when ctx ends. A server that fails between deciding and telling may leave a
	// decision untold: who relies on silence does so for a while only.
	Watch(ctx context.Context, decided func(Decided), disconnected func(bool))
}

// Decided names a device request that is no longer pending.
type Decided struct{ DeviceCode Hash }
