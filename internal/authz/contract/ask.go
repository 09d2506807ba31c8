package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// AskStore keeps what agents ask for more, and what owners ask them about it.
type AskStore interface {
	// AskOnTop stores a new, pending request of an agent for more, as CreateDeviceRequest does,
	// which is its account's from the start.
	//	ErrExists: as CreateDeviceRequest
	//	ErrFull: room.Pending requests of its line, which is all grants below one topmost, are
	//	pending and not expired, or room.Daily came after room.Since
	AskOnTop(ctx context.Context, r authz.DeviceRequest, room AskRoom) error
	// Requests returns the pending requests of an account's agents that expire after now, oldest
	// first, at most limit.
	Requests(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.DeviceRequest, error)
	// AskQuestion stores an owner's question about a pending, unexpired request that is theirs.
	//	ErrNotFound
	//	*StateError: not pending, expired at q.AskedAt, or not this account's
	//	ErrExists: one is not answered yet
	//	ErrFull: so many were asked
	AskQuestion(ctx context.Context, accountID string, q authz.Question, most int) error
	// AnswerQuestion stores the answer, once.
	//	ErrNotFound: no such question of this request
	//	ErrExists: it was answered before
	AnswerQuestion(ctx context.Context, q authz.Question) error
	// Questions returns the questions about a request, oldest first.
	Questions(ctx context.Context, requestID string) ([]authz.Question, error)
}

// AskRoom is how many requests of one line may be pending, and how many may have come after
// Since.
type AskRoom struct {
	Pending, Daily int
	Since          time.Time
}
