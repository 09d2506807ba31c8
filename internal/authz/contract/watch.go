package contract

import (
	"context"

	"countersign.dev/internal/authz"
)

// Others are the servers that share the database: what they decide must reach
// the polls that wait here.
type Others interface {
	// Watch calls decided for each device request that any server, this one too,
	// moves out of pending or asks something about, soon after it did; the same one again does no harm. It
	// calls disconnected(false) when from now on nothing is missed, and
	// disconnected(true) when something may be; until the first call nothing is told. It
	// returns when ctx ends. A server that fails between deciding and telling may leave a
	// decision untold: who relies on silence does so for a while only.
	Watch(ctx context.Context, decided func(Decided), disconnected func(bool))
}

// Decided names a device request that is no longer pending, or about which its owner asked
// something.
type Decided struct{ DeviceCode authz.Hash }
