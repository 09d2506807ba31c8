package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// AgentStore keeps what agents' grants need besides what all do. A grant is over or paused
// where it or one above it is: every operation asks that of the whole line.
type AgentStore interface {
	// AgentGrant returns the living grant of the topmost kind, paused or not, of an account,
	// client and agent id.
	//	ErrNotFound
	AgentGrant(ctx context.Context, accountID, clientID, agentID string, now time.Time) (authz.Grant, error)
	// AgentAlive reports whether any grant that is alive, paused or not, is of this agent id, which
	// for a secp256k1 key is its BAP id.
	AgentAlive(ctx context.Context, agentID string, now time.Time) (bool, error)
	// Line returns a grant and all above it, itself first. One that is missing ends the list.
	//	ErrNotFound: there is no such grant
	Line(ctx context.Context, id string) ([]authz.Grant, error)
	// Delegate stores a sub-agent's grant, its receipt if it has one, its refresh token if it
	// gets one, and its event, and ends the living one of the same parent and key before it, in
	// one transaction.
	//	ErrNotFound: the parent is over, or its account has not, or no longer, the identity
	//	ErrPaused: the parent is paused
	//	ErrKeyTaken: the key is an identity's
	//	ErrFull: too many agents of the account or of the line are alive
	Delegate(ctx context.Context, d Delegation) error
	// PauseAgents pauses grants of agents that are alive and not paused themselves: the one
	// with p.GrantID, or with an empty one all topmost of the account. One that is paused is no
	// error and tells no event; n is how many were.
	//	ErrNotFound: this account has no such agent that is alive
	PauseAgents(ctx context.Context, p Pausing) (n int, err error)
	// ResumeAgent ends the pause of one grant itself; one above may be paused still.
	//	ErrNotFound: this account has no such agent
	//	ErrGone: it is over
	ResumeAgent(ctx context.Context, p Pausing) error
	// RevokeAgents revokes all topmost grants of an account's agents that are alive and returns
	// how many. There is one event, and none if nothing was alive.
	RevokeAgents(ctx context.Context, accountID string, now time.Time, e NewEvent) (int, error)
	// Kill ends everything of an account once for a nonce, in one transaction: it revokes grants,
	// denies pending device requests, deletes sessions with what they were reviewing, and consents.
	//	ErrExists: the nonce was used
	//	ErrNotFound: the identity is no account's
	Kill(ctx context.Context, k Kill) error

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

	// Spend counts a spend and stores it, in one transaction, where every counter has room.
	// Of concurrent calls none gets past one. With the same key of grant and caller it changes
	// nothing and returns the spend that is stored.
	//	ErrExists: that key is stored; the spend is returned, whatever its body
	//	*LimitError: a counter has not enough room; the first in their order
	//	ErrNotFound: the grant or one above it is over
	//	ErrPaused
	//	ErrFull: the grant has s.Most spends
	Spend(ctx context.Context, s Spending) (authz.Spend, error)
	// CloseSpend settles or releases a held spend and gives back to the counters what it does
	// not take. One that is over is settled in full by then.
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

// AgentRoom is how many agents may be alive: of an account, and in one line.
type AgentRoom struct{ PerAccount, PerLine int }

// AskRoom is how many requests of one line may be pending, and how many may have come after
// Since.
type AskRoom struct {
	Pending, Daily int
	Since          time.Time
}

// Delegation is what Delegate stores.
type Delegation struct {
	// Grant is the sub-agent's; its Delegated.Parent and Line name where it hangs.
	Grant   authz.Grant
	Receipt string
	// RefreshToken is nil when none is issued.
	RefreshToken *authz.RefreshToken
	At           time.Time
	Room         AgentRoom
	Keep         Keep
	Event        NewEvent
}

// Pausing is what PauseAgents and ResumeAgent store.
type Pausing struct {
	AccountID string
	GrantID   string
	At        time.Time
	Event     NewEvent
}

// Kill is what Kill does.
type Kill struct {
	BAPID string
	Nonce string
	At    time.Time
	// Event tells of it; its account is found by BAPID.
	Event NewEvent
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
