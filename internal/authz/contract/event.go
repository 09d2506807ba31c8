package contract

import (
	"time"

	"countersign.dev/internal/authz"
)

// NewEvent is an event to be stored.
type NewEvent struct {
	authz.Event
	// Keep is of the account's events. Of its WayEvents those with the earliest Standing are
	// kept besides, as many again, the newest of equal ones; and only one of them pushes
	// out others of them.
	Keep Keep
}

// Position is where a page of a list begins: behind what was added at this time under
// this id, whether or not that is still there. The zero position is before all.
type Position struct {
	At time.Time
	ID string
}
