package contract

import (
	"errors"
	"fmt"
	"slices"

	"countersign.dev/internal/authz"
)

// OrNotFound turns a store's ErrNotFound into a refusal with words.
func OrNotFound(err error, description string) error {
	if errors.Is(err, ErrNotFound) {
		return authz.Refuse(authz.NotFound, description)
	}
	return err
}

// Errors every Store returns for the outcomes its methods name. Anything else a
// Store returns is a failure of the storage and becomes server_error, or
// temporarily_unavailable where it wraps ErrUnreachable.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	// ErrReused: a refresh token was used again after its grace time; its grant
	// has been revoked (RFC 9700 §4.14.2).
	ErrReused = errors.New("refresh token reused")
	// ErrCounter: a passkey's signature counter did not grow, so there may be two
	// of it (WebAuthn §6.1.1).
	ErrCounter = errors.New("signature counter did not grow")
	// ErrFull: there are as many as there may be.
	ErrFull = errors.New("no more may be added")
	// ErrGone: what proved the account was taken out of it meanwhile.
	ErrGone = errors.New("no longer of this account")
	// ErrChanged: what was decided was decided from something that is no longer so.
	ErrChanged = errors.New("changed by somebody else meanwhile")
	// ErrPaused: a grant is alive, and it or one above it is paused. Who does not ask for that
	// takes it for over.
	ErrPaused = fmt.Errorf("the agent is paused: %w", ErrNotFound)
	// ErrKeyTaken: a key is an owner's, or a living agent's, and cannot be the other.
	ErrKeyTaken = errors.New("the key is in use for something else")
	// ErrUnreachable: the database cannot be used now. What was to be written may
	// or may not have been.
	ErrUnreachable = errors.New("the database cannot be reached")
)

// StateError says that a device request was not in the state that an operation
// starts from. Request is the request as it was found.
type StateError struct{ Request authz.DeviceRequest }

// Error names the state.
func (e *StateError) Error() string {
	return "device request is " + string(e.Request.State)
}

// Promised reports whether an error of a Store is an outcome that its method
// names, and no failure of the storage.
func Promised(err error) bool {
	var state *StateError
	var limit *LimitError
	var spend *SpendError
	return errors.As(err, &state) || errors.As(err, &limit) || errors.As(err, &spend) || slices.ContainsFunc([]error{ErrNotFound, ErrExists, ErrReused, ErrCounter, ErrFull, ErrGone, ErrChanged, ErrKeyTaken},
		func(outcome error) bool { return errors.Is(err, outcome) })
}
