package authz

import (
	"slices"
	"time"
)

// Scopes that go to agents alone, with an approval that proves a person (requirement K-15).
const (
	ScopeSpend    = "spend"
	ScopeDelegate = "delegate"
)

// AgentKey is the program that a request asks for or a grant is of, by the key that it
// alone has. The zero one is of what no agent has.
type AgentKey struct {
	// ID is the BAP id of a secp256k1 key, else the thumbprint.
	ID string
	// Name is what the agent calls itself, cleaned.
	Name string
	// PublicKey is a secp256k1 key, compressed, in hex; empty for other keys.
	PublicKey string
	// Thumbprint is the key's (RFC 7638; of a secp256k1 key that of its RFC 8812 JWK).
	Thumbprint string
}

// Asked is what an agent's request asks besides scope and resources.
type Asked struct {
	Agent AgentKey
	// Reason is what the agent says that it wants to do.
	Reason string
	// Counterparty is with whom, as the agent says; of asking again only.
	Counterparty string
	// Details are the authorization details (RFC 9396), JSON text as the package details reads
	// and writes it; empty: none.
	Details string
	// Lifetime is how long the grant may live from its approval on, as it was cut.
	Lifetime time.Duration
	// Depth is how many generations of sub-agents it may make.
	Depth int
	// Parent is the grant whose agent asks for something on top; empty for a first sign-in.
	// Line is the topmost grant of Parent's line.
	Parent, Line string
}

// ByAgent reports whether an agent asks.
func (a Asked) ByAgent() bool { return a.Agent.ID != "" }

// OnTop reports whether an agent asks for more than it has (its grant is Parent).
func (a Asked) OnTop() bool { return a.Parent != "" }

// GrantKind tells agents' grants from others, and from each other.
type GrantKind string

// The kinds of grants.
const (
	// OfDevice is every grant that is no agent's.
	OfDevice GrantKind = ""
	// OfAgent is a first sign-in: the topmost of a line.
	OfAgent GrantKind = "agent"
	// OnTop is what an agent asked for besides; it has the agent's key, and is no generation.
	OnTop GrantKind = "on-top"
	// OfSubAgent is what an agent passed on.
	OfSubAgent GrantKind = "sub-agent"
)

// Delegated is what a grant of an agent has besides what every grant has. A grant is
// paused or over when it or one above it is; nothing is copied downwards.
type Delegated struct {
	Kind  GrantKind
	Agent AgentKey
	// Parent is the grant above, empty for the topmost. Line is the topmost grant, which
	// is the grant itself for OfAgent.
	Parent, Line string
	// Details are the authorization details that were approved, JSON text; empty: none.
	Details string
	Depth   int
	// Delegation is the hash of the receipt (package receipt), empty where the link is unsigned.
	Delegation string
	// PausedAt is when the grant itself was paused; zero: it is not.
	PausedAt time.Time
}

// ToAgent reports whether the grant is an agent's.
func (d Delegated) ToAgent() bool { return d.Kind != OfDevice }

// Presence is how present an owner was when something was approved (requirement K-16).
type Presence string

// The levels of presence, each above the one before.
const (
	// PresenceNone is of grants from before it was recorded.
	PresenceNone    Presence = ""
	PresenceSession Presence = "session"
	// PresenceKey: a signature by a key that was at hand.
	PresenceKey Presence = "key"
	// PresencePassword: the key was unlocked for this review. The owner's tool says so, signed.
	PresencePassword Presence = "password"
	// PresencePerson: a passkey with user verification, over the statement.
	PresencePerson Presence = "presence"
	// PresenceOtherDevice: that, from another network and browser than the asker's.
	PresenceOtherDevice Presence = "other-device"
)

var presences = []Presence{PresenceNone, PresenceSession, PresenceKey, PresencePassword, PresencePerson, PresenceOtherDevice}

// AtLeast reports whether the owner was as present as the least says. What is no level is
// below all.
func (p Presence) AtLeast(least Presence) bool {
	return slices.Index(presences, p) >= max(slices.Index(presences, least), 0)
}

// AgentSettings are the operator's decisions about agents.
type AgentSettings struct {
	// Clients says whose agents may ask.
	Clients AgentClients
	// MaxLifetime bounds a grant's life, AccessTokenLifetime is of agents' access tokens.
	MaxLifetime         time.Duration
	AccessTokenLifetime time.Duration
	// MaxDepth bounds generations of sub-agents.
	MaxDepth int
	// MaxPerOwner bounds an account's living agents; half of them may be in one line.
	MaxPerOwner int
	// AlwaysAsk are scopes that an agent gets only on top, for one access token.
	AlwaysAsk []string
	// Presence is the least that an approval of an agent needs.
	Presence Presence
}

// LeastPresence is the least that an approval of an agent needs (requirement K-16). It is never
// a session, which the agent itself may hold (K-17).
func (s AgentSettings) LeastPresence() Presence {
	switch {
	case s.Presence == PresenceNone:
		return PresencePassword
	case !s.Presence.AtLeast(PresenceKey):
		return PresenceKey
	default:
		return s.Presence
	}
}

// AgentClients says whose agents may ask.
type AgentClients string

// Whose agents may ask.
const (
	AgentsOfAny        AgentClients = "any"
	AgentsOfRegistered AgentClients = "registered"
	AgentsOfListed     AgentClients = "listed"
)

// Question is what an owner asked an agent instead of deciding.
type Question struct {
	ID        string
	RequestID string
	Question  string
	AskedAt   time.Time
	// Answer is the agent's, cleaned; empty until AnsweredAt is not zero.
	Answer     string
	AnsweredAt time.Time
}

// SpendState is what became of a spend. What is held too long is settled, which is
// computed from ExpiresAt and never written.
type SpendState string

// The states of a spend.
const (
	SpendHeld     SpendState = "held"
	SpendSettled  SpendState = "settled"
	SpendReleased SpendState = "released"
)

// Spend is one spend or one count of an agent, as it was taken.
type Spend struct {
	ID      string
	GrantID string
	// Caller is who took it: empty for the agent itself, else a client's id.
	Caller string
	// Key is the idempotency key, of a grant and caller; Body the digest of what was asked.
	Key  string
	Body Hash
	// Currency, Amount and Payee are of money. Amount is in minor units; Settled what of it
	// was, once State says so.
	Currency        string
	Amount, Settled int64
	Payee           string
	// Resource, Action and Count are of calls, which are settled at once.
	Resource, Action string
	Count            int64
	Reason           string
	// Permit: the payee may have honoured it without asking.
	Permit    bool
	State     SpendState
	CreatedAt time.Time
	// ExpiresAt is when what is still held is settled in full.
	ExpiresAt time.Time
}

// StateAt is the state of the spend at a time.
func (s Spend) StateAt(now time.Time) SpendState {
	if s.State == SpendHeld && !now.Before(s.ExpiresAt) {
		return SpendSettled
	}
	return s.State
}
