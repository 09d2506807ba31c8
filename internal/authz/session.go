package authz

import (
	"time"
)

// Session is a signed-in person: an account, and the identity proved at sign-in.
type Session struct {
	// ID is not secret; the token, of which only the hash is kept, is.
	ID        string
	Token     Hash
	AccountID string
	BAPID     string
	MemberKey string
	// Method is how the person signed in: MethodBAP or MethodPasskey.
	Method string
	// Passkey is the id of the passkey that began it, or empty.
	Passkey string
	// NewsSince is from when on ways were added that the person is told of in this
	// session; zero where there were none at the sign-in.
	NewsSince time.Time
	// Network and UserAgent are what was seen of the sign-in; Network is coarse.
	Network   string
	UserAgent string
	CreatedAt time.Time
	ExpiresAt time.Time
}
