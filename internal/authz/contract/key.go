package contract

import (
	"context"

	"countersign.dev/internal/authz"
)

// KeyStore keeps the server's signing keys.
type KeyStore interface {
	// AddSigningKeys stores those of the candidates whose algorithm has no key
	// yet, and returns all keys, oldest first. Several servers that start
	// together on an empty database end with the same keys.
	AddSigningKeys(ctx context.Context, candidates []authz.SigningKey) ([]authz.SigningKey, error)
	// SigningKeys returns all keys, oldest first.
	SigningKeys(ctx context.Context) ([]authz.SigningKey, error)
}
