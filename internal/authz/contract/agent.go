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
}

// AgentRoom is how many agents may be alive: of an account, and in one line.
type AgentRoom struct{ PerAccount, PerLine int }

// RoomForAgents is what the operator settled on: half of an account's may be in one line.
func RoomForAgents(s authz.AgentSettings) AgentRoom {
	return AgentRoom{PerAccount: s.MaxPerOwner, PerLine: s.MaxPerOwner / 2}
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
