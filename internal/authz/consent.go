package authz

import "time"

// Consent is what an owner allowed a client on a review and is not asked for again while it
// stands (decision 0074). There is one for an account, a client and an identity.
type Consent struct {
	AccountID string
	ClientID  string
	BAPID     string
	// GrantID is the grant of the approval that gave it; no other consent has it.
	GrantID string
	// Scope and Resources are what was approved, of each resource all of it; no resources are
	// this server alone, which is another audience than any resource.
	Scope     string
	Resources []string
	// Passkey is the passkey whose session approved, or empty where the identity's key did.
	Passkey string
	// Registration is a digest of what the owner could know the client by.
	Registration Hash
	GivenAt      time.Time
	ExpiresAt    time.Time
}
