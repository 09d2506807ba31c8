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

// Redacted is what a secret prints as.
const Redacted = "[redacted]"

// String keeps a secret out of what is printed.
func (Secret) String() string { return Redacted }

// GoString keeps it out of what is printed with %#v.
func (Secret) GoString() string { return Redacted }

// LogValue keeps it out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText keeps it out of any encoding that was not meant for it.
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// Reveal returns the secret itself, for the one answer that hands it out.
func (s Secret) Reveal() string { return string(s) }

// Hash returns what is kept of the secret.
func (s Secret) Hash() Hash { return sha256.Sum256([]byte(s)) }
