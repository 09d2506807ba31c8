package authz

import (
	"time"
)

// SigningKey is a key of the server as it is kept: sealed.
type SigningKey struct {
	ID        string
	Algorithm string
	// Sealed is the PKCS #8 private key, encrypted with a key that is not in the
	// database.
	Sealed    []byte
	CreatedAt time.Time
}
