package contract

import (
	"context"
	"errors"
	"time"

	"countersign.dev/internal/authz"
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
	AgentStore
	AskStore
	SpendStore
	KeyStore
	ReplayStore
	GuessStore
	ReportStore

	// Sweep deletes at most limit rows of each kind that were over before the
	// times given, and returns how many it deleted in all.
	Sweep(ctx context.Context, before SweepTimes, limit int) (int, error)
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
func KeepAtMost(n int) Keep { return Keep{Most: n, AtOnce: authz.ForgottenAtOnce} }

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
	// Counted is compared with the beginning of a window of guesses, with the time of a report
	// and of what an agent asked: they count for so long and no longer.
	Counted time.Time
	// Rest is for sessions, reviews, replay keys, refresh tokens, consents, and what is counted of
	// limits of spending. Spends are compared with the end of their grants and Grants.
	Rest time.Time
}
