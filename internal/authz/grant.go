package authz

import (
	"time"
)

// How an approval was proved, the `acr` of tokens: by a signature over the very
// approval, or by a session that a BAP signature or a passkey began.
const (
	ACRSession   = "urn:countersign:acr:session"
	ACRPasskey   = "urn:countersign:acr:passkey"
	ACRSignature = "urn:countersign:acr:signature"
	// ACRBefore: nobody was asked; what a session approves was approved before.
	ACRBefore = "urn:countersign:approved:before"
)

// Grant is what an owner allowed a client. Every token belongs to one grant.
type Grant struct {
	// ID is the id of the device request it came from.
	ID        string
	AccountID string
	ClientID  string
	Scope     string
	// Resources are those of the request: for these its access tokens are.
	Resources []string
	// BAPID and MemberKey name the identity whose control was proved in the
	// sign-in or approval behind this grant. MemberKey is compressed, in hex.
	BAPID     string
	MemberKey string
	ACR       string
	// Passkey is the passkey whose session approved, or empty.
	Passkey string
	// Nonce is the OpenID Connect nonce of the request.
	Nonce string
	// Seen and Says are those of the device request.
	Seen Seen
	Says DeviceSays
	// AuthTime is when the owner proved the identity.
	AuthTime   time.Time
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // zero: never
	RevokedAt  time.Time // zero: alive
	// Presence is how present the owner was at the approval.
	Presence Presence
	// Delegated is of agents' grants; zero for others.
	Delegated Delegated
}

// AliveAt reports whether the grant is neither revoked nor expired; of those above it in a
// line of agents it says nothing.
func (g Grant) AliveAt(now time.Time) bool {
	return g.RevokedAt.IsZero() && now.Before(g.ExpiresAt)
}

// RefreshToken is a refresh token as it is kept.
type RefreshToken struct {
	Token   Hash
	GrantID string
	// Thumbprint names the key that the token is bound to (RFC 7638), or is empty.
	Thumbprint string
	// ExpiresAt is the idle expiry; the grant's ExpiresAt is the absolute one.
	ExpiresAt time.Time
	// RotatedAt is when the token was replaced; zero: it is the latest.
	RotatedAt time.Time
}

// How an access token is presented: by whoever has it (RFC 6750), or by who proves to
// have the key that it is bound to (RFC 9449).
const (
	TokenBearer = "Bearer"
	TokenDPoP   = "DPoP"
)

// Tokens is a successful token response (RFC 6749 §5.1).
type Tokens struct {
	AccessToken Secret
	TokenType   string // TokenBearer or TokenDPoP
	ExpiresIn   time.Duration
	Scope       string
	// IssuedType is what kind of token the access token is, in the answer to a token exchange
	// (RFC 8693 §2.2.1); empty in others.
	IssuedType   string
	IDToken      Secret // empty without the openid scope
	RefreshToken Secret // empty without the offline_access scope
	// RefreshExpiresIn is how long the refresh token lasts unless it is used, and
	// GrantExpiresIn how long what was allowed does, however often it is.
	RefreshExpiresIn, GrantExpiresIn time.Duration
	// AgentID is of the agent whose tokens they are, Details its authorization details, JSON
	// text; both are empty for what is no agent's.
	AgentID, Details string
}
