package authz

import (
	"context"
	"errors"
	"time"
)

// Store keeps what the server knows. Each method is one whole operation: it
// happens entirely or not at all, and when it returns nil the change is durable.
// Times are parameters; a Store never reads a clock. It knows no rule: every
// condition that decides is named in the comment of its method.
//
// Strings are kept byte for byte (no case folding, no truncation), if they are
// UTF-8 without a NUL; nothing is found by others. Times are kept to the
// millisecond. A NewEvent is stored in the transaction of what it tells of, and only when that happened.
//
// Numbers are parameters too. Where something is kept up to a Keep, the operation that
// adds one forgets what is more. Servers that do it to one account at
// the same moment do not see each other: each further one may leave or let in one
// more for each operation that is under way there.
type Store interface {
	ClientStore
	DeviceStore
	AccountStore
	SessionStore
	GrantStore
	KeyStore
	GuardStore
	EventStore
	PasskeyStore
	BackupStore

	// Ping writes and reads a row, and fails when the database cannot be written.
	Ping(ctx context.Context) error
	// Close waits for operations under way and closes the database.
	Close() error
}

// Keep is how many of something stay when one more is stored, that one among them.
type Keep struct {
	// Most stay: the newest, where the operation does not say otherwise.
	Most int
	// AtOnce are forgotten at most by one operation: there may be far more, from before
	// there was a bound.
	AtOnce int
}

// KeepAtMost keeps so many.
func KeepAtMost(n int) Keep { return Keep{Most: n, AtOnce: ForgottenAtOnce} }

// errNoKeep is a rule that forgot to say how many stay. Nothing would.
var errNoKeep = errors.New("it is not said how many are kept")

// Bounded fails unless each says how many stay. An operation that keeps something up to
// one that does not changes nothing and fails with this error, which is a mistake in the
// rule that asked.
func Bounded(each ...Keep) error {
	for _, k := range each {
		if k.Most < 1 || k.AtOnce < 1 {
			return errNoKeep
		}
	}
	return nil
}

// ClientStore keeps the clients that `countersign clients` registers.
type ClientStore interface {
	// Client returns the client with this id.
	//	ErrNotFound: there is none
	Client(ctx context.Context, id string) (Client, error)
	// Clients returns all clients, ordered by id.
	Clients(ctx context.Context) ([]Client, error)
	// AddClient stores a new client.
	//	ErrExists: its id is taken
	AddClient(ctx context.Context, c Client) error
	// RemoveClient deletes the client and, in the same transaction, revokes its
	// grants that are alive at now.
	//	ErrNotFound: there is no such client
	RemoveClient(ctx context.Context, id string, now time.Time) error
}

// DeviceStore keeps device requests.
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
}

// AccountStore keeps accounts and their identities.
type AccountStore interface {
	// CreateAccount stores a new account with its first identity.
	//	ErrExists: the identity belongs to an account already
	CreateAccount(ctx context.Context, a Account, first Identity) error
	// Account returns the account with this id.
	//	ErrNotFound
	Account(ctx context.Context, id string) (Account, error)
	// Identity returns the identity with this BAP id.
	//	ErrNotFound
	Identity(ctx context.Context, bapID string) (Identity, error)
	// Identities returns an account's identities, oldest first, at most limit.
	Identities(ctx context.Context, accountID string, limit int) ([]Identity, error)
	// LinkIdentity adds an identity to the account of the identity that vouches for
	// it, which must be the account's still. Concurrent calls at one server do not
	// get past the limit.
	//	ErrNotFound: this account has no identity that is called voucher
	//	ErrExists: the identity belongs to an account already
	//	ErrFull: the account has limit identities or more
	LinkIdentity(ctx context.Context, i Identity, voucher string, limit int, e NewEvent) error
	// RemoveIdentity takes an identity out of its account, at the request of
	// another identity of the account. In the same transaction end its sessions and
	// what they were reviewing, its passkeys and its backup, and its grants that are
	// alive at r.At are revoked. Of two identities that remove each other at once,
	// one stays. Its Departure is kept; where there is one of the same identity and account
	// it is replaced, but for Since if that was earlier. Of an account's those with the
	// earliest Since are kept.
	//	ErrNotFound: this account has not both identities, or they are one
	RemoveIdentity(ctx context.Context, r IdentityRemoval) error
	// Departures returns the departures of an identity from all accounts, by Since, the
	// earliest first, at most limit.
	Departures(ctx context.Context, bapID string, limit int) ([]Departure, error)
	// SetProfile replaces the profile of an identity.
	//	ErrNotFound
	SetProfile(ctx context.Context, bapID string, p Profile, e NewEvent) error
}

// SessionStore keeps the sessions of signed-in people, and what they are in
// the middle of reviewing.
type SessionStore interface {
	// CreateSession stores a session, ends the one it replaces and notes in the same
	// transaction that the passkey that began it was used at the session's CreatedAt
	// or, where a key did, that its identity signed in then, unless it is known to
	// have since n.SignedInBefore. Of its account's sessions the newest
	// are kept, and this one.
	//	ErrNotFound: the account has no such identity, or no such passkey
	//	ErrCounter: the passkey's counter is not above the one kept, and not both
	//	are 0; of concurrent calls with one counter above 0 one succeeds
	CreateSession(ctx context.Context, n NewSession) error
	// Session returns a session that expires after now and whose account is not
	// disabled.
	//	ErrNotFound
	Session(ctx context.Context, token Hash, now time.Time) (Session, error)
	// Sessions returns an account's sessions that expire after now, newest first, at
	// most limit.
	Sessions(ctx context.Context, accountID string, now time.Time, limit int) ([]Session, error)
	// DeleteSession ends a session. Ending one that is not there succeeds, without
	// an event.
	DeleteSession(ctx context.Context, token Hash, e NewEvent) error
	// EndSession ends the session with this id.
	//	ErrNotFound: this account has none that expires after now
	EndSession(ctx context.Context, accountID, id string, now time.Time, e NewEvent) error
	// EndOtherSessions ends an account's sessions that expire after now, but for
	// the one with the token keep, and returns how many. There is one event, and
	// none if there was nothing to end.
	EndOtherSessions(ctx context.Context, accountID string, keep Hash, now time.Time, e NewEvent) (int, error)
	// CreateReview stores a review. Of those of its session the newest are kept, and this
	// one: looking again and again fills no database.
	CreateReview(ctx context.Context, r Review, k Keep) error
	// TakeReview returns and deletes a review of this session that expires after
	// now. Of concurrent calls one gets it.
	//	ErrNotFound: none, of another session, or expired
	TakeReview(ctx context.Context, id, session Hash, now time.Time) (Review, error)
}

// GrantStore keeps grants, their receipts and refresh tokens.
type GrantStore interface {
	// Grant returns the grant with this id, dead or alive.
	//	ErrNotFound
	Grant(ctx context.Context, id string) (Grant, error)
	// LiveGrant returns a grant that at now is neither revoked nor expired and
	// whose account is not disabled, with its identity.
	//	ErrNotFound
	LiveGrant(ctx context.Context, id string, now time.Time) (Grant, Identity, error)
	// Grants returns a part of an account's grants, newest first.
	Grants(ctx context.Context, accountID string, l GrantList) ([]Grant, error)
	// UseGrant sets the LastUsedAt of a grant that is alive at now, unless it is as late
	// already. Of any other nothing is set, and it is no error.
	UseGrant(ctx context.Context, id string, now time.Time) error
	// RevokeGrant marks a grant revoked at r.At; one revoked before keeps its time,
	// and there is no event. In the same transaction it notes r.AccountID's report
	// of each subject in r.Reported, whether revoked before or not.
	//	ErrNotFound
	RevokeGrant(ctx context.Context, r Revocation) error
	// RevokeGrants revokes an account's grants that are alive at now and returns
	// how many. There is one event, and none if nothing was alive.
	RevokeGrants(ctx context.Context, accountID string, now time.Time, e NewEvent) (int, error)
	// Receipt returns the receipt of a signed approval.
	//	ErrNotFound: no such grant, or it was approved without a signature
	Receipt(ctx context.Context, grantID string) (string, error)
	// RefreshToken returns a refresh token that expires after now, rotated or not.
	//	ErrNotFound
	RefreshToken(ctx context.Context, token Hash, now time.Time) (RefreshToken, error)
	// RotateRefreshToken replaces the token r.Token by r.Successor in one
	// transaction, forgets r.Forgotten if it is the one of the same grant that
	// r.Token replaced, and sets the grant's LastUsedAt to r.At. If the token was
	// rotated before, but at most r.Grace before r.At, to this same successor,
	// and the successor has not been rotated itself, nothing changes and the call
	// succeeds; so concurrent calls with one token end with one successor.
	//	ErrNotFound: no such token, expired at r.At, or its grant is not alive
	//	ErrReused: rotated before and outside the grace; the grant is now revoked,
	//	and the event r.Reuse stored
	RotateRefreshToken(ctx context.Context, r Rotation) error
}

// KeyStore keeps the server's signing keys.
type KeyStore interface {
	// AddSigningKeys stores those of the candidates whose algorithm has no key
	// yet, and returns all keys, oldest first. Several servers that start
	// together on an empty database end with the same keys.
	AddSigningKeys(ctx context.Context, candidates []SigningKey) ([]SigningKey, error)
	// SigningKeys returns all keys, oldest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
}

// GuardStore keeps what stops replay and guessing, and removes what is over.
type GuardStore interface {
	// UseOnce records a key until a time.
	//	ErrExists: it was recorded before and has not expired at now
	UseOnce(ctx context.Context, key Hash, now, until time.Time) error
	// CountGuesses adds one to the failures of each subject in the window that
	// starts at window.
	CountGuesses(ctx context.Context, subjects []string, window time.Time) error
	// Guesses returns the failures of each subject in that window, in order.
	Guesses(ctx context.Context, subjects []string, window time.Time) ([]int, error)
	// Reports returns how many different reporters reported each subject after a
	// time, in order.
	Reports(ctx context.Context, subjects []string, after time.Time) ([]int, error)
	// Reported returns the subjects beginning with prefix that at least so many
	// different reporters reported after a time, in order.
	Reported(ctx context.Context, prefix string, atLeast int, after time.Time) ([]string, error)
	// Sweep deletes at most limit rows of each kind that were over before the
	// times given, and returns how many it deleted in all.
	Sweep(ctx context.Context, before SweepTimes, limit int) (int, error)
}

// EventStore keeps what happened to accounts. Other operations add to it.
type EventStore interface {
	// Events returns an account's events behind a position, newest first and of one time
	// the one stored last, at most limit. Where the position's event is gone, all of its
	// time are behind it.
	Events(ctx context.Context, accountID string, after Position, limit int) ([]Event, error)
}

// PasskeyStore keeps passkeys.
type PasskeyStore interface {
	// AddPasskey stores a passkey. Concurrent calls do not get past the limit.
	//	ErrExists: its id is taken, by any account
	//	ErrFull: its account has limit passkeys or more
	//	ErrNotFound: its account has no such identity
	AddPasskey(ctx context.Context, p Passkey, limit int, e NewEvent) error
	// Passkey returns the passkey with this id.
	//	ErrNotFound
	Passkey(ctx context.Context, id string) (Passkey, error)
	// Passkeys returns an account's passkeys, oldest first, at most limit.
	Passkeys(ctx context.Context, accountID string, limit int) ([]Passkey, error)
	// RemovePasskey deletes a passkey of this account. In the same transaction end
	// the sessions that it began and what they were reviewing, and the grants that
	// they approved are revoked if they are alive at now. Sessions and grants of
	// which is not known which of the identity's passkeys it was count as its own.
	//	ErrNotFound
	RemovePasskey(ctx context.Context, accountID, id string, now time.Time, e NewEvent) error
}

// BackupStore keeps encrypted backups, one for an identity.
type BackupStore interface {
	// SaveBackup stores a backup in place of the one its identity had. The identity
	// that signed for it must be the account's still.
	//	ErrNotFound: this account has no such identity, or none that is called signer
	SaveBackup(ctx context.Context, b Backup, signer string, e NewEvent) error
	// Backup returns the backup of an identity of this account.
	//	ErrNotFound
	Backup(ctx context.Context, accountID, bapID string) (Backup, error)
	// Backups returns an account's backups without their texts, by BAP id, at most
	// limit.
	Backups(ctx context.Context, accountID string, limit int) ([]Backup, error)
	// RemoveBackup deletes the backup of an identity of this account, under the same
	// condition.
	//	ErrNotFound: as for SaveBackup
	RemoveBackup(ctx context.Context, accountID, bapID, signer string, e NewEvent) error
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

// IdentityRemoval is what RemoveIdentity does.
type IdentityRemoval struct {
	AccountID string
	// BAPID is the identity that goes, Signer the one that asked for it.
	BAPID  string
	Signer string
	At     time.Time
	// Since and Network are its Departure's.
	Since   time.Time
	Network string
	// Keep is of the account's departures.
	Keep  Keep
	Event NewEvent
}

// NewSession is what CreateSession stores.
type NewSession struct {
	Session Session
	// Replaces is the session that the same browser had before, zero for none.
	Replaces Hash
	// SignedInBefore bounds how often a sign-in with a key is noted: those of one
	// identity that come at once would wait for each other.
	SignedInBefore time.Time
	// Passkey is nil when no passkey signed in.
	Passkey *PasskeyUse
	// Keep is of the account's sessions.
	Keep  Keep
	Event NewEvent
}

// PasskeyUse is a sign-in with a passkey.
type PasskeyUse struct {
	ID string
	// SignCount is the counter that the passkey signed, and Credential the
	// credential record with it.
	SignCount  uint32
	Credential []byte
}

// GrantList is which of an account's grants Grants returns.
type GrantList struct {
	// AliveAt leaves out those that are over then; zero leaves out none.
	AliveAt time.Time
	After   Position
	Limit   int
}

// Revocation is what RevokeGrant stores.
type Revocation struct {
	GrantID string
	At      time.Time
	Event   NewEvent
	// AccountID reports the subjects in Reported, counts as Reporter, and has Keep reports;
	// all are empty when nothing is reported.
	AccountID string
	Reported  []string
	Reporter  string
	Keep      Keep
}

// Redemption is what RedeemDeviceRequest stores.
type Redemption struct {
	DeviceCode Hash
	ClientID   string
	At         time.Time
	// RefreshToken is nil when none is issued.
	RefreshToken *RefreshToken
}

// Rotation is what RotateRefreshToken stores.
type Rotation struct {
	Token     Hash
	Successor RefreshToken
	// Forgotten is the token before Token, which needs no row any more to be known.
	Forgotten Hash
	At        time.Time
	Grace     time.Duration
	// Reuse tells of the grant's end where the token was reused.
	Reuse NewEvent
}

// SweepTimes says from when on rows are over. Each is compared with the row's
// own end: expiry, or for grants the earlier of expiry and revocation.
type SweepTimes struct {
	// DeviceRequests is earlier than now, so that a device that polls late
	// still hears expired_token.
	DeviceRequests time.Time
	// Grants is much earlier than now: owners look back at what they allowed.
	Grants time.Time
	// Events is compared with the time of the event, and of the departure.
	Events time.Time
	// Counted is compared with the beginning of a window of guesses, and with the time
	// of a report: both count for so long and no longer.
	Counted time.Time
	// Rest is for sessions, reviews, replay keys and refresh tokens.
	Rest time.Time
}
