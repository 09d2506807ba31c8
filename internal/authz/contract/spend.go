package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// SpendStore keeps what agents spend and count.
type SpendStore interface {
	// Spend counts a spend and stores it, in one transaction, where every counter has room.
	// Of concurrent calls none gets past one. With the same key of grant and caller it changes
	// nothing and returns the spend that is stored.
	//	ErrExists: that key is stored; the spend is returned, whatever its body
	//	*LimitError: a counter has not enough room; the first in their order
	//	ErrNotFound: the grant or one above it is over
	//	ErrPaused
	//	ErrFull: the grant has n.Most spends
	Spend(ctx context.Context, n Spending) (authz.Spend, error)
	// CloseSpend settles or releases a held spend and gives back to the counters what it does
	// not take: a release all of it, settling for less the difference to those that added as much as
	// the amount. One that is over is settled in full by then.
	//	ErrNotFound
	//	*SpendError: it is closed, or expired at c.At; with the spend as it stands
	CloseSpend(ctx context.Context, c Closing) (authz.Spend, error)
	// SpendByID returns a spend.
	//	ErrNotFound
	SpendByID(ctx context.Context, id string) (authz.Spend, error)
	// Spends returns a grant's spends, newest first.
	Spends(ctx context.Context, grantID string, after Position, limit int) ([]authz.Spend, error)
	// Counted returns what each counter has counted, in order.
	Counted(ctx context.Context, counters []Counter) ([]int64, error)
}

// Counter is one limit's counter of one grant. Name says limit and window.
type Counter struct {
	GrantID string
	Name    string
	// Add is what this spend adds, and Most what may be counted at most.
	Add, Most int64
	// Until is from when on nobody asks for the counter; zero: while the grant lives.
	Until time.Time
}

// Spending is what Spend stores.
type Spending struct {
	Spend    authz.Spend
	Counters []Counter
	// Most is how many spends one grant may have.
	Most int
}

// Closing is what CloseSpend does.
type Closing struct {
	ID string
	// State is authz.SpendSettled, with Amount, or authz.SpendReleased.
	State  authz.SpendState
	Amount int64
	At     time.Time
}

// LimitError says which counter of a Spending had not enough room, and what was counted.
type LimitError struct {
	Index   int
	Counted int64
}

// Error says that a limit was reached.
func (e *LimitError) Error() string { return "a limit leaves less" }

// SpendError says that a spend is not held any more.
type SpendError struct{ Spend authz.Spend }

// Error says that the spend is closed.
func (e *SpendError) Error() string { return "the spend is closed" }
