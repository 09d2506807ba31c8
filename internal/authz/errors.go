package authz

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of a refusal. It is itself an error, so that
// errors.Is(err, authz.SlowDown) reads as it should. Most codes are the wire
// codes of the standards; where one wire code means two things with different
// HTTP answers there are two codes here, and internal/server/wire maps both.
type Code string

// Error is the code, so that it can stand for a refusal.
func (c Code) Error() string { return string(c) }

// Codes of RFC 6749 §5.2, RFC 8628 §3.5, RFC 6750 §3.1 and OpenID Connect.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidClient        Code = "invalid_client" // authentication failed, RFC 6749 §5.2
	InvalidGrant         Code = "invalid_grant"
	InvalidScope         Code = "invalid_scope"
	UnauthorizedClient   Code = "unauthorized_client"
	UnsupportedGrantType Code = "unsupported_grant_type"
	AuthorizationPending Code = "authorization_pending"
	SlowDown             Code = "slow_down"
	ExpiredToken         Code = "expired_token"
	AccessDenied         Code = "access_denied"
	InvalidToken         Code = "invalid_token"
	InsufficientScope    Code = "insufficient_scope"
	InvalidTarget        Code = "invalid_target"         // RFC 8707 §2, RFC 8693 §2.2.2
	UnsupportedTokenType Code = "unsupported_token_type" // RFC 7009 §2.2.1
	Unavailable          Code = "temporarily_unavailable"
	ServerError          Code = "server_error"
)

// Codes of RFC 9449 §5, §8. Of an access token's proof the answer is another (§7.1, §9).
const (
	InvalidProof  Code = "invalid_dpop_proof"
	UseNonce      Code = "use_dpop_nonce"
	UnprovenToken Code = "unproven_token"  // invalid_dpop_proof on the wire
	NonceForToken Code = "nonce_for_token" // use_dpop_nonce on the wire
)

// Codes of the authorization endpoint: RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6 and
// RFC 8707 §2. A client hears them at its redirect URI.
const (
	UnsupportedResponseType  Code = "unsupported_response_type"
	LoginRequired            Code = "login_required"
	ConsentRequired          Code = "consent_required"
	RequestNotSupported      Code = "request_not_supported"
	RequestURINotSupported   Code = "request_uri_not_supported"
	RegistrationNotSupported Code = "registration_not_supported"
)

// Codes of our own.
const (
	// UnknownClient is invalid_client on the wire for a client id that nobody
	// registered: 400, because no authentication took place that could have failed.
	UnknownClient Code = "unknown_client"
	// BadLink is invalid_request on the wire: an application led a person here with a
	// request that cannot be answered at any address of its own.
	BadLink Code = "bad_link"
	// Unauthorized: nobody is signed in.
	Unauthorized Code = "unauthorized"
	// Forbidden is access_denied on the wire, for a person who may not do this.
	Forbidden Code = "forbidden"
	// VouchRequired is access_denied on the wire: what is added to an account needs
	// a signature by a key that the account has.
	VouchRequired Code = "vouch_required"
	// UserNotFound refuses a sign-in where accounts are not made implicitly.
	UserNotFound Code = "user_not_found"
	// NoProfile is UserNotFound for a sign-in that names its identity, as command lines do
	// that ask for an account by themselves (contract, section 3).
	NoProfile Code = "no_profile"
	// NotFound: there is no such thing, or it is somebody else's.
	NotFound Code = "not_found"
	// AlreadyDecided is invalid_request on the wire: the request was approved or
	// denied before.
	AlreadyDecided Code = "already_decided"
	// NotOpened is invalid_request on the wire: nobody has looked at the request.
	NotOpened Code = "not_opened"
	// NotACode is invalid_request on the wire: a text that cannot be a user code.
	NotACode Code = "not_a_code"
	// ReviewOver is invalid_request on the wire: what a person saw is not current.
	ReviewOver Code = "review_over"
	// Mistyped: the number or letters are none that the device can show. Nothing is
	// decided.
	Mistyped Code = "match_mistyped"
	// WrongMatch is access_denied on the wire: the number or letters are not the
	// device's, and the request was denied.
	WrongMatch Code = "wrong_match"
	// TooManyGuesses: wrong user codes were tried too often (RFC 8628 §5.1).
	TooManyGuesses Code = "too_many_guesses"
	// AccountFull is invalid_request on the wire: the account has as many as it may.
	AccountFull Code = "account_full"
	// OtherAccount is access_denied on the wire: the identity is another account's.
	OtherAccount Code = "other_account"
	// AgentPaused is agent_paused on the wire, with 400: its owner has paused the agent, or
	// one above it. AgentPausedHere is the same with 403.
	AgentPaused     Code = "agent_paused"
	AgentPausedHere Code = "agent_paused_here"
	// InvalidDetails is of RFC 9396 §5.
	InvalidDetails Code = "invalid_authorization_details"
	// InsufficientDetails: the token has no authorization detail that allows this.
	InsufficientDetails Code = "insufficient_authorization_details"
	// LimitExceeded: a limit of the agent's or of one above it leaves less.
	LimitExceeded Code = "limit_exceeded"
	// IdempotencyConflict: the key was used with another body; InFlight: is being used.
	IdempotencyConflict Code = "idempotency_conflict"
	IdempotencyInFlight Code = "idempotency_in_flight"
	// SpendClosed: the spend was settled or released before, otherwise.
	SpendClosed Code = "spend_closed"
	// TooLittlePresence is access_denied on the wire: the approval needs more of a person
	// than was there; Presence says what.
	TooLittlePresence Code = "too_little_presence"
	// ProofRequired: so many wrong user codes are being tried by everybody together
	// that a code is looked up only for who signs it.
	ProofRequired Code = "proof_required"
)

// Error is a refusal with words for the developer of the client that caused it.
type Error struct {
	Code Code
	// Description says what to change. It never quotes input or secrets (requirement
	// T-10) and stays inside the characters RFC 6749 §5.2 allows.
	Description string
	// PollInterval is the new one, with SlowDown.
	PollInterval time.Duration
	// Scope is what an access token would have needed, with InsufficientScope.
	Scope string
	// Presence is the least that an approval needs, with TooLittlePresence.
	Presence Presence
	// Limit and Left name what is exceeded, and what it leaves, with LimitExceeded.
	Limit, Left string
	// Nonce is for the DPoP proof of another try, or empty.
	Nonce string
	// RequestID is what a failure is found under in the log, with ServerError.
	RequestID string
	// Cause is for the log.
	Cause error
}

// Error is for the log: it has the cause in it, which no client is told.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Description, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Description)
}

// Is reports whether target is the error's code.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Refuse is a refusal, with words for the developer who caused it.
func Refuse(code Code, description string) *Error {
	return &Error{Code: code, Description: description}
}

// RefuseBecause is a refusal with a cause, which the log says and nobody else hears.
func RefuseBecause(code Code, description string, cause error) *Error {
	return &Error{Code: code, Description: description, Cause: cause}
}

// CodeOf is the code of a refusal, or empty for a failure.
func CodeOf(err error) Code {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

// Refusals that more than one room gives.
var (
	ErrNotSignedIn = Refuse(Unauthorized, "nobody is signed in: sign in first, or sign the request with X-Auth-Token")
	// ErrAgentPaused is for what an agent asks that is paused, or one above it. Nothing that it
	// presents is used up.
	ErrAgentPaused = Refuse(AgentPaused, "the owner has paused this agent, or one above it: keep what you have, and try again when it is resumed")
	// ErrReviewOver is for a decision or a form that comes too late or twice.
	ErrReviewOver = Refuse(ReviewOver, "this page is no longer current: enter the code again")
)
