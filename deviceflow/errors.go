package deviceflow

import (
	"errors"
	"time"
)

// Code is an error code of RFC 8628 §3.5, for errors.Is.
type Code string

// Error is the code as the server sends it.
func (c Code) Error() string { return string(c) }

// What a wait can end with, or a poll be told.
const (
	ErrPending  Code = "authorization_pending"
	ErrSlowDown Code = "slow_down"
	ErrDenied   Code = "access_denied"
	ErrExpired  Code = "expired_token"
)

// Error is a refusal of the server, in its own words.
type Error struct {
	Code        string
	Description string
	// Status is the HTTP status.
	Status int
	// Interval is the new interval that came with slow_down, or zero.
	Interval time.Duration
	// RetryAfter is how long the server wants to be left alone, or zero.
	RetryAfter time.Duration
}

// Error is the code, and what the server says of it.
func (e *Error) Error() string {
	if e.Description == "" {
		return e.Code
	}
	return e.Code + ": " + e.Description
}

// Is reports whether target is the error's code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && string(code) == e.Code
}

// TransportError says that the server could not be asked, or that its answer was
// none that RFC 8628 knows. Trying again may help.
type TransportError struct {
	// Status is the HTTP status, or 0.
	Status int
	// RetryAfter is how long the server wants to be left alone, or zero.
	RetryAfter time.Duration
	Err        error
}

// Error says what came in between.
func (e *TransportError) Error() string { return e.Err.Error() }

// Unwrap returns what the network or the reading of the answer said.
func (e *TransportError) Unwrap() error { return e.Err }

// retryAfter is how long the server wants to be left alone, as an error says.
func retryAfter(err error) time.Duration {
	var refused *Error
	var lost *TransportError
	switch {
	case errors.As(err, &refused):
		return refused.RetryAfter
	case errors.As(err, &lost):
		return lost.RetryAfter
	}
	return 0
}
