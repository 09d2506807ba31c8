package authz

import (
	"crypto/sha256"
	"log/slog"
	"time"
)

// Hash is how secrets are kept (requirement D-41): SHA-256, or for user codes
// HMAC-SHA-256.
type Hash [sha256.Size]byte

// Secret is a code or token in the clear. It prints as [redacted] (attack B-16).
type Secret string

const redacted = "[redacted]"

// String keeps a secret out of what is printed.
func (Secret) String() string { return redacted }

// GoString keeps it out of what is printed with %#v.
func (Secret) GoString() string { return redacted }

// LogValue keeps it out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps it out of any encoding that was not meant for it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the secret itself, for the one answer that hands it out.
func (s Secret) Reveal() string { return string(s) }

// Hash returns what is kept of the secret.
func (s Secret) Hash() Hash { return sha256.Sum256([]byte(s)) }

// State of a device request. The only edges are pending → approved, denied or
// expired, and approved → redeemed or expired. Expiry is not written: a request
// that was not redeemed in time is expired by its ExpiresAt.
type State string

// The states of a device request.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Redeemed State = "redeemed"
	Expired  State = "expired"
)

// DeviceRequest is one run of RFC 8628.
type DeviceRequest struct {
	// ID is random and not secret. A grant that comes of the request has the same
	// id, and it is the nonce of the approval statement.
	ID         string
	DeviceCode Hash
	UserCode   Hash
	ClientID   string
	// ClientProved: the client authenticated when it asked, so that it is the one its
	// id names. A public client's id anybody can send.
	ClientProved bool
	// Scope is what was asked and may be granted, space-separated.
	Scope string
	State State
	// AccountID is the account that opened or decided the request, or empty.
	AccountID string
	CreatedAt time.Time
	ExpiresAt time.Time
	// SignatureRequired: a session alone may not approve this request.
	SignatureRequired bool
	// MatchNumber is the number that the device shows, 10 to 99, or 0 for none.
	MatchNumber int
	// Nonce is the OpenID Connect nonce the device sent, or empty.
	Nonce string
	Seen  Seen
	Says  DeviceSays
}

// StateAt is the state of the request at a time.
func (r DeviceRequest) StateAt(now time.Time) State {
	if (r.State == Pending || r.State == Approved) && !now.Before(r.ExpiresAt) {
		return Expired
	}
	return r.State
}

// Seen is what the server saw of a request: of the device when it asked, of the
// owner's browser or tool when it did something.
type Seen struct {
	// Network is coarse: the /24 or /48 of the address. Nothing that the sender
	// writes changes it.
	Network string
	// UserAgent is what the sender calls itself: kept to be recognised by, and no
	// rule may lean on it.
	UserAgent string
}

// DeviceSays is what the device says of itself; nobody has checked it, and no rule
// may lean on it (decision 0028).
type DeviceSays struct {
	Name     string
	Platform string
	// Origin is the web page that a browser says the request was started from. A
	// program can send the header too.
	Origin string
}

// How much is kept of what a stranger says, in characters as a reader counts them.
const (
	maxUserAgent  = 200
	maxOrigin     = 200
	maxDeviceText = 60
	maxNetwork    = 64
)

// clean makes what a stranger's request said of itself fit to be kept and shown.
func (s Seen) clean() Seen {
	return Seen{
		Network:   CleanText(s.Network, maxNetwork),
		UserAgent: CleanText(s.UserAgent, maxUserAgent),
	}
}

// clean makes what a device says of itself fit to be kept and shown.
func (d DeviceSays) clean() DeviceSays {
	return DeviceSays{
		Name:     CleanText(d.Name, maxDeviceText),
		Platform: CleanText(d.Platform, maxDeviceText),
		Origin:   CleanText(d.Origin, maxOrigin),
	}
}

// How an approval was proved, the `acr` of tokens: by a signature over the very
// approval, or by a session that a BAP signature or a passkey began.
const (
	ACRSession   = "urn:countersign:acr:session"
	ACRPasskey   = "urn:countersign:acr:passkey"
	ACRSignature = "urn:countersign:acr:signature"
)

// How an owner signed in.
const (
	MethodBAP     = "bap"
	MethodPasskey = "passkey"
)

// Grant is what an owner allowed a client. Every token belongs to one grant.
type Grant struct {
	// ID is the id of the device request it came from.
	ID        string
	AccountID string
	ClientID  string
	Scope     string
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
}

// AliveAt reports whether the grant is neither revoked nor expired.
func (g Grant) AliveAt(now time.Time) bool {
	return g.RevokedAt.IsZero() && now.Before(g.ExpiresAt)
}

// RefreshToken is a refresh token as it is kept.
type RefreshToken struct {
	Token   Hash
	GrantID string
	// ExpiresAt is the idle expiry; the grant's ExpiresAt is the absolute one.
	ExpiresAt time.Time
}

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

// Profile is what an identity's owner says of it. Empty members are unknown.
type Profile struct {
	Name        string `json:"name,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Picture     string `json:"picture,omitempty"`
	Description string `json:"description,omitempty"`
}

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

// Review is a person in the middle of deciding about a device request, made
// when the code was entered and used up by the decision.
type Review struct {
	ID        Hash
	Session   Hash
	RequestID string
	// UserCode is the code as it was typed, to be shown again; it is kept for the
	// minutes of the review only.
	UserCode string
	// Facts is a digest of everything the person was shown.
	Facts     Hash
	ExpiresAt time.Time
}

// SigningKey is a key of the server as it is kept: sealed.
type SigningKey struct {
	ID        string
	Algorithm string
	// Sealed is the PKCS #8 private key, encrypted with a key that is not in the
	// database.
	Sealed    []byte
	CreatedAt time.Time
}
