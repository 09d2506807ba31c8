package authz

import (
	"context"
	"time"
)

// KeyStore keeps the server's signing keys.
type KeyStore interface {
	// AddSigningKeys stores those of the candidates whose algorithm has no key
	// yet, and returns all keys, oldest first. Several servers that start
	// together on an empty database end with the same keys.
	AddSigningKeys(ctx context.Context, candidates []SigningKey) ([]SigningKey, error)
	// SigningKeys returns all keys, oldest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
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
