package wire

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Refusals of the door itself.
const (
	CodeMethod        authz.Code = "method_not_allowed"
	CodeMediaType     authz.Code = "unsupported_media_type"
	CodeTooLarge      authz.Code = "request_too_large"
	CodeCrossOrigin   authz.Code = "cross_origin"
	CodeNoCredentials authz.Code = "no_credentials"
	codeNotReady      authz.Code = "not_ready"
	CodeForm          authz.Code = "unreadable_form"
)

// What is refused before anybody is asked.
var (
	ErrNoEndpoint  = &authz.Error{Code: authz.NotFound, Description: "there is no such endpoint: the server's metadata lists those there are"}
	ErrMethod      = &authz.Error{Code: CodeMethod, Description: "this endpoint does not take this method: see the Allow header"}
	errMediaType   = &authz.Error{Code: CodeMediaType, Description: "send the body as application/json or application/x-www-form-urlencoded, without content encoding"}
	errTooLarge    = &authz.Error{Code: CodeTooLarge, Description: "the body is larger than 64 KiB"}
	ErrCrossOrigin = &authz.Error{Code: CodeCrossOrigin, Description: "a page of another origin may not do this"}
)

// answer is how a code is said over HTTP.
type answer struct {
	status int
	// wire is the `error` member; empty means the code itself.
	wire string
	// code is the `code` member that better-auth clients switch on, or empty.
	code string
}

// answers maps every code to its answer. A test wants a row for each.
var answers = map[authz.Code]answer{
	authz.InvalidRequest:           {status: http.StatusBadRequest},
	authz.InvalidClient:            {status: http.StatusUnauthorized},
	authz.UnknownClient:            {status: http.StatusBadRequest, wire: "invalid_client"},
	authz.InvalidGrant:             {status: http.StatusBadRequest},
	authz.InvalidScope:             {status: http.StatusBadRequest},
	authz.UnauthorizedClient:       {status: http.StatusBadRequest},
	authz.UnsupportedGrantType:     {status: http.StatusBadRequest},
	authz.AuthorizationPending:     {status: http.StatusBadRequest},
	authz.SlowDown:                 {status: http.StatusBadRequest},
	authz.ExpiredToken:             {status: http.StatusBadRequest},
	authz.AccessDenied:             {status: http.StatusBadRequest},
	authz.InvalidToken:             {status: http.StatusUnauthorized},
	authz.InsufficientScope:        {status: http.StatusForbidden},
	authz.InvalidTarget:            {status: http.StatusBadRequest},
	authz.UnsupportedTokenType:     {status: http.StatusBadRequest},
	authz.Unavailable:              {status: http.StatusTooManyRequests},
	authz.ServerError:              {status: http.StatusInternalServerError},
	authz.UnsupportedResponseType:  {status: http.StatusBadRequest},
	authz.LoginRequired:            {status: http.StatusBadRequest},
	authz.ConsentRequired:          {status: http.StatusBadRequest},
	authz.RequestNotSupported:      {status: http.StatusBadRequest},
	authz.RequestURINotSupported:   {status: http.StatusBadRequest},
	authz.RegistrationNotSupported: {status: http.StatusBadRequest},
	authz.BadLink:                  {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.Unauthorized:             {status: http.StatusUnauthorized},
	authz.Forbidden:                {status: http.StatusForbidden, wire: "access_denied"},
	authz.VouchRequired:            {status: http.StatusForbidden, wire: "access_denied", code: "VOUCH_REQUIRED"},
	authz.UserNotFound:             {status: http.StatusForbidden, wire: "access_denied", code: "USER_NOT_FOUND"},
	authz.NoProfile:                {status: http.StatusForbidden, wire: "access_denied", code: "RESTORE_PROFILE_NOT_FOUND"},
	authz.NotFound:                 {status: http.StatusNotFound},
	authz.AlreadyDecided:           {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.NotOpened:                {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.NotACode:                 {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.ReviewOver:               {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.Mistyped:                 {status: http.StatusBadRequest},
	authz.WrongMatch:               {status: http.StatusForbidden, wire: "access_denied", code: "WRONG_MATCH"},
	authz.TooManyGuesses:           {status: http.StatusTooManyRequests, wire: "temporarily_unavailable"},
	authz.ProofRequired:            {status: http.StatusTooManyRequests, wire: "temporarily_unavailable"},
	authz.AccountFull:              {status: http.StatusBadRequest, wire: "invalid_request", code: "ACCOUNT_FULL"},
	authz.OtherAccount:             {status: http.StatusForbidden, wire: "access_denied", code: "OTHER_ACCOUNT"},
	authz.AgentPaused:              {status: http.StatusBadRequest},
	authz.AgentPausedHere:          {status: http.StatusForbidden, wire: "agent_paused"},
	authz.InvalidDetails:           {status: http.StatusBadRequest},
	authz.InsufficientDetails:      {status: http.StatusForbidden},
	authz.LimitExceeded:            {status: http.StatusForbidden},
	authz.IdempotencyConflict:      {status: http.StatusUnprocessableEntity},
	authz.IdempotencyInFlight:      {status: http.StatusConflict},
	authz.SpendClosed:              {status: http.StatusConflict},
	authz.TooLittlePresence:        {status: http.StatusForbidden, wire: "access_denied"},
	CodeMethod:                     {status: http.StatusMethodNotAllowed, wire: "invalid_request"},
	CodeMediaType:                  {status: http.StatusUnsupportedMediaType, wire: "invalid_request"},
	CodeTooLarge:                   {status: http.StatusRequestEntityTooLarge, wire: "invalid_request"},
	CodeCrossOrigin:                {status: http.StatusForbidden, wire: "access_denied"},
	CodeNoCredentials:              {status: http.StatusUnauthorized, wire: "unauthorized"},
	CodeForm:                       {status: http.StatusBadRequest, wire: "invalid_request"},
	codeNotReady:                   {status: http.StatusServiceUnavailable, wire: "temporarily_unavailable"},
	authz.InvalidProof:             {status: http.StatusBadRequest},
	authz.UseNonce:                 {status: http.StatusBadRequest},
	authz.UnprovenToken:            {status: http.StatusUnauthorized, wire: "invalid_dpop_proof"},
	authz.NonceForToken:            {status: http.StatusUnauthorized, wire: "use_dpop_nonce"},
}

// errorBody is every answer that is not a success (RFC 6749 §5.2, RFC 8628 §3.5).
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	// Interval is the new polling interval in seconds, with slow_down.
	Interval int `json:"interval,omitempty"`
	// Code and Message are what better-auth clients read.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Presence is the least that an approval needs of a person.
	Presence string `json:"presence,omitempty"`
	// Limit is the one that is exceeded, and Left what it leaves.
	Limit string `json:"limit,omitempty"`
	Left  string `json:"left,omitempty"`
}

// retryAfter is what a client is told that should come back later, in seconds.
const (
	retryUnavailable = "60"
	RetryGuesses     = "900"
	retryNotReady    = "2"
)

// Refuser says a refusal: to programs as JSON, to people as they read.
type Refuser func(w http.ResponseWriter, r *http.Request, status int, refusal *authz.Error)

// WriteError answers with an error. A failure of ours is logged with an id, and
// the id is all a client learns of it.
func (d *Door) WriteError(w http.ResponseWriter, r *http.Request, say Refuser, err error) {
	var refusal *authz.Error
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return // the client has gone; nobody reads an answer
	default:
		id := nameOf(r.Context())
		d.Log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
		refusal = internalError(id)
		if errors.Is(err, contract.ErrUnreachable) {
			refusal.Code, refusal.Description = codeNotReady, "the database cannot be reached now: try again in a few seconds; the operator finds it in the log under "+id
		}
	}
	d.writeRefusal(w, r, say, refusal)
}

func internalError(id string) *authz.Error {
	return &authz.Error{Code: authz.ServerError, RequestID: id, Description: "something failed here; the operator finds it in the log under " + id}
}

// answerTo is how a code is said. What has no row is our own failure.
func answerTo(code authz.Code) answer {
	a, known := answers[code]
	if !known {
		return answers[authz.ServerError]
	}
	return a
}

// StatusOf is the status that a code is answered with.
func StatusOf(code authz.Code) int { return answerTo(code).status }

// writeRefusal answers with a refusal. Whoever failed to authenticate is told by which
// scheme (requirement T-05); whoever did not try hears no error code (requirement U-04).
func (d *Door) writeRefusal(w http.ResponseWriter, r *http.Request, say Refuser, refusal *authz.Error) {
	h := w.Header()
	switch refusal.Code {
	case authz.InvalidClient:
		if UsedBasic(r) {
			h.Set("WWW-Authenticate", `Basic realm="countersign", charset="UTF-8"`)
		}
	case CodeNoCredentials:
		d.challenge(h, r, `realm="countersign", scope="`+needed(r)+`"`, true)
	case authz.InvalidToken, authz.UnprovenToken, authz.NonceForToken:
		says := `error="` + wireCode(refusal.Code) + `", error_description="` + headerSafe(refusal.Description) + `", scope="` + needed(r) + `"`
		d.challenge(h, r, says, refusal.Code == authz.InvalidToken)
	case authz.InsufficientScope:
		d.challenge(h, r, `error="insufficient_scope", scope="`+headerSafe(refusal.Scope)+`"`, false)
	case authz.Unavailable:
		h.Set("Retry-After", retryUnavailable)
	case authz.TooManyGuesses, authz.ProofRequired:
		h.Set("Retry-After", RetryGuesses)
	case codeNotReady:
		h.Set("Retry-After", retryNotReady)
	}
	if refusal.Nonce != "" {
		h.Set(dpop.NonceHeader, refusal.Nonce)
	}
	say(w, r, StatusOf(refusal.Code), refusal)
}

// wireCode is how a code is said to programs.
func wireCode(code authz.Code) string { return cmp.Or(answerTo(code).wire, string(code)) }

// RefuseJSON says a refusal to programs (RFC 6749 §5.2).
func RefuseJSON(w http.ResponseWriter, _ *http.Request, status int, refusal *authz.Error) {
	a := answerTo(refusal.Code)
	body := errorBody{
		Error: wireCode(refusal.Code), Description: errorText(refusal.Description), Interval: int(refusal.PollInterval / time.Second), Code: a.code,
		Presence: string(refusal.Presence), Limit: refusal.Limit, Left: refusal.Left,
	}
	if a.code != "" {
		body.Message = body.Description
	}
	encoded, err := json.Marshal(body)
	if err != nil { // texts and a number
		encoded = []byte(`{"error":"server_error"}`)
	}
	WriteBody(w, status, encoded)
}

// errorText keeps a description inside the characters that RFC 6749 §5.2 allows
// (requirement T-09).
func errorText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\', r < 0x20, r > 0x7e:
			return -1
		default:
			return r
		}
	}, s)
}

func headerSafe(s string) string { return errorText(s) }

// WriteJSON answers 200 with a JSON body.
func WriteJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	WriteBody(w, http.StatusOK, b)
	return nil
}

// WriteBody answers with JSON. A client that has gone is told nothing.
func WriteBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// UsedBasic reports whether a request authenticates with HTTP Basic.
func UsedBasic(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Basic")
}
