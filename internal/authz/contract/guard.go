package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// ReplayStore keeps what was used and counts once.
type ReplayStore interface {
	// UseOnce records a key until a time.
	//	ErrExists: it was recorded before and has not expired at now
	UseOnce(ctx context.Context, key authz.Hash, now, until time.Time) error
}

// GuessStore counts wrong codes.
type GuessStore interface {
	// CountGuesses adds one to the failures of each subject in the window that
	// starts at window.
	CountGuesses(ctx context.Context, subjects []string, window time.Time) error
	// Guesses returns the failures of each subject in that window, in order.
	Guesses(ctx context.Context, subjects []string, window time.Time) ([]int, error)
}

// ReportStore counts who reported what; a Denial and a Revocation add to it.
type ReportStore interface {
	// Reports returns how many different reporters reported each subject after a
	// time, in order.
	Reports(ctx context.Context, subjects []string, after time.Time) ([]int, error)
	// Reported returns the subjects beginning with prefix that at least so many
	// different reporters reported after a time, in order.
	Reported(ctx context.Context, prefix string, atLeast int, after time.Time) ([]string, error)
}
