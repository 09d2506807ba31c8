package authz

import (
	"crypto/sha256"
	"log/slog"
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
