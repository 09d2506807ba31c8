package contract

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
)

// ClientStore keeps the clients that `countersign clients` registers.
type ClientStore interface {
	// Client returns the client with this id.
	//	ErrNotFound: there is none
	Client(ctx context.Context, id string) (authz.Client, error)
	// Clients returns all clients, ordered by id.
	Clients(ctx context.Context) ([]authz.Client, error)
	// AddClient stores a new client.
	//	ErrExists: its id is taken
	AddClient(ctx context.Context, c authz.Client) error
	// RemoveClient deletes the client and, in the same transaction, revokes its
	// grants that are alive at now and forgets all consents for it.
	//	ErrNotFound: there is no such client
	RemoveClient(ctx context.Context, id string, now time.Time) error
}
