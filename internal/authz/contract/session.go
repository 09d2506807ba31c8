package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// SessionStore keeps the sessions of signed-in people.
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
	Session(ctx context.Context, token authz.Hash, now time.Time) (authz.Session, error)
	// Sessions returns an account's sessions that expire after now, newest first, at
	// most limit.
	Sessions(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.Session, error)
	// DeleteSession ends a session. Ending one that is not there succeeds, without
	// an event.
	DeleteSession(ctx context.Context, token authz.Hash, e NewEvent) error
	// EndSession ends the session with this id.
	//	ErrNotFound: this account has none that expires after now
	EndSession(ctx context.Context, accountID, id string, now time.Time, e NewEvent) error
	// EndOtherSessions ends an account's sessions that expire after now, but for
	// the one with the token keep, and returns how many. There is one event, and
	// none if there was nothing to end.
	EndOtherSessions(ctx context.Context, accountID string, keep authz.Hash, now time.Time, e NewEvent) (int, error)
}

// NewSession is what CreateSession stores.
type NewSession struct {
	Session authz.Session
	// Replaces is the session that the same browser had before, zero for none.
	Replaces authz.Hash
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
