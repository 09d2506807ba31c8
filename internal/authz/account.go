package authz

import (
	"time"
)

// Account is an owner. Its ID is the `sub` of tokens: opaque, never reassigned.
type Account struct {
	ID        string
	CreatedAt time.Time
	Disabled  bool
}

// Identity is a BAP identity of an account.
type Identity struct {
	BAPID     string
	AccountID string
	// MemberKey is the compressed public key, in hex, whose BAP id this is.
	MemberKey string
	CreatedAt time.Time
	// Network is where it was linked from, coarse; empty where that is not known.
	Network string
	// SignedInAt is when its key last signed in, to the minute; zero: never.
	SignedInAt time.Time
	// Since is when it came into this account for the first time, where it was taken out
	// and linked again; else zero.
	Since   time.Time
	Profile Profile
}

// FirstHere is when the identity came into its account for the first time.
func (i Identity) FirstHere() time.Time {
	if i.Since.IsZero() {
		return i.CreatedAt
	}
	return i.Since
}

// DisplayName is the identity's name, or a short form of its BAP id: clients
// rely on there being one.
func (i Identity) DisplayName() string {
	if i.Profile.Name != "" {
		return i.Profile.Name
	}
	const ends = 4
	if len(i.BAPID) <= 2*ends {
		return i.BAPID
	}
	return i.BAPID[:ends] + "…" + i.BAPID[len(i.BAPID)-ends:]
}

// Profile is what an identity's owner says of it. Empty members are unknown.
type Profile struct {
	Name        string `json:"name,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Picture     string `json:"picture,omitempty"`
	Description string `json:"description,omitempty"`
}

// Departure is an identity that was taken out of an account, the last time if it was
// more than once. It is kept for as long as events are: its key is told of it, and if
// it is linked again it is as old there as it was (decision 0045).
type Departure struct {
	BAPID     string
	AccountID string
	// Since is when it came into that account for the first time.
	Since  time.Time
	LeftAt time.Time
	// By is the identity that asked for it, Network where it asked from, coarse.
	By      string
	Network string
}

// Passkey is a WebAuthn credential of an account. The identity that linked it is
// the identity it signs in as: its member key signed the credential's addition,
// which makes the passkey a key that the identity delegated (requirements N-09, L-05).
type Passkey struct {
	// ID is the credential id in base64url.
	ID        string
	AccountID string
	BAPID     string
	MemberKey string
	Name      string
	// CreatedAt and LastUsedAt; the latter is zero for a passkey never used.
	CreatedAt  time.Time
	LastUsedAt time.Time
	// Network is where it was added from, coarse; empty where that is not known.
	Network string
	// SignCount is the authenticator's signature counter when it was last used.
	SignCount uint32
	// Credential is the credential record (WebAuthn §4) as JSON.
	Credential []byte
	// Vouch is the request that added it; zero where it was not kept.
	Vouch Vouch
}

// Vouch is the signed request that added a passkey, as it was received: with it anybody can
// verify offline whose key vouched for the passkey.
type Vouch struct {
	Path  string
	Body  string
	Token string
}

// Backup is an identity's encrypted backup, which its owner keeps here, byte for byte
// (attack B-29). The server has no key to it and never sees the password.
type Backup struct {
	AccountID string
	BAPID     string
	// Text is the .bep file; it is empty in lists.
	Text      string
	Size      int // of Text, in bytes
	UpdatedAt time.Time
	// Network is where it was saved from, coarse; empty where that is not known.
	Network string
}
