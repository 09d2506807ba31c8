package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// KeyStore keeps the server's signing keys. They are never removed.
type KeyStore interface {
	// SigningKeys returns, oldest first, all keys but those that were withdrawn, or left
	// the key set, at this time or before; all keys at the zero time.
	SigningKeys(ctx context.Context, now time.Time) ([]authz.SigningKey, error)
	// ChangeSigningKeys stores keys, in the place of those that have the same id: all of
	// them, or none. Of any number of concurrent calls that have seen the same keys, one
	// returns nil.
	//	ErrChanged: the keys are no longer those that were seen
	ChangeSigningKeys(ctx context.Context, c KeyChange) error
}

// KeyChange is a change of the signing keys by somebody who has seen them.
type KeyChange struct {
	// Seen is what SigningKeys returned at a time. Whatever is decided from it is not
	// decided twice.
	Seen []authz.SigningKey
	At   time.Time
	// Keys are stored: new ones, and others as they are from now on.
	Keys []authz.SigningKey
}
