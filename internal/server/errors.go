package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign.dev/internal/authz"
)

// Refusals of the door itself.
const (
	codeMethod        authz.Code = "method_not_allowed"
	codeMediaType     authz.Code = "unsupported_media_type"
	codeTooLarge      authz.Code = "request_too_large"
	codeCrossOrigin   authz.Code = "cross_origin"
	codeNoCredentials authz.Code = "no_credentials"
	codeNotReady      authz.Code = "not_ready"
	codeForm          authz.Code = "unreadable_form"
)

var (
	errNoEndpoint  = &authz.Error{Code: authz.NotFound, Description: "there is no such endpoint: the server's metadata lists those there are"}
	errMethod      = &authz.Error{Code: codeMethod, Description: "this endpoint does not take this method: see the Allow header"}
	errMediaType   = &authz.Error{Code: codeMediaType, Description: "send the body as application/json or application/x-www-form-urlencoded, without content encoding"}
	errTooLarge    = &authz.Error{Code: codeTooLarge, Description: "the body is larger than 64 KiB"}
	errCrossOrigin = &authz.Error{Code: codeCrossOrigin, Description: "a page of another origin may not do this"}
	errForPrograms = &authz.Error{Code: codeCrossOrigin, Description: "this address is for programs: open /device in the browser and enter the code there"}
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
	authz.InvalidRequest:       {status: http.StatusBadRequest},
	authz.InvalidClient:        {status: http.StatusUnauthorized},
	authz.UnknownClient:        {status: http.StatusBadRequest, wire: "invalid_client"},
	authz.InvalidGrant:         {status: http.StatusBadRequest},
	authz.InvalidScope:         {status: http.StatusBadRequest},
	authz.UnauthorizedClient:   {status: http.StatusBadRequest},
	authz.UnsupportedGrantType: {status: http.StatusBadRequest},
	authz.AuthorizationPending: {status: http.StatusBadRequest},
	authz.SlowDown:             {status: http.StatusBadRequest},
	authz.ExpiredToken:         {status: http.StatusBadRequest},
	authz.AccessDenied:         {status: http.StatusBadRequest},
	authz.InvalidToken:         {status: http.StatusUnauthorized},
	authz.InsufficientScope:    {status: http.StatusForbidden},
	authz.Unavailable:          {status: http.StatusTooManyRequests},
	authz.ServerError:          {status: http.StatusInternalServerError},
	authz.Unauthorized:         {status: http.StatusUnauthorized},
	authz.Forbidden:            {status: http.StatusForbidden, wire: "access_denied"},
	authz.VouchRequired:        {status: http.StatusForbidden, wire: "access_denied", code: "VOUCH_REQUIRED"},
	authz.UserNotFound:         {status: http.StatusForbidden, wire: "access_denied", code: "USER_NOT_FOUND"},
	authz.NotFound:             {status: http.StatusNotFound},
	authz.AlreadyDecided:       {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.NotOpened:            {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.NotACode:             {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.ReviewOver:           {status: http.StatusBadRequest, wire: "invalid_request"},
	authz.Mistyped:             {status: http.StatusBadRequest},
	authz.WrongMatch:           {status: http.StatusForbidden, wire: "access_denied", code: "WRONG_MATCH"},
	authz.TooManyGuesses:       {status: http.StatusTooManyRequests, wire: "temporarily_unavailable"},
	authz.ProofRequired:        {status: http.StatusTooManyRequests, wire: "temporarily_unavailable"},
	authz.AccountFull:          {status: http.StatusBadRequest, wire: "invalid_request", code: "ACCOUNT_FULL"},
	authz.OtherAccount:         {status: http.StatusForbidden, wire: "access_denied", code: "OTHER_ACCOUNT"},
	codeMethod:                 {status: http.StatusMethodNotAllowed, wire: "invalid_request"},
	codeMediaType:              {status: http.StatusUnsupportedMediaType, wire: "invalid_request"},
	codeTooLarge:               {status: http.StatusRequestEntityTooLarge, wire: "invalid_request"},
	codeCrossOrigin:            {status: http.StatusForbidden, wire: "access_denied"},
	codeNoCredentials:          {status: http.StatusUnauthorized, wire: "unauthorized"},
	codeForm:                   {status: http.StatusBadRequest, wire: "invalid_request"},
	codeNotReady:               {status: http.StatusServiceUnavailable, wire: "temporarily_unavailable"},
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
}

// retryAfter is what a client is told that should come back later, in seconds.
const (
	retryUnavailable = "60"
	retryGuesses     = "900"
	retryNotReady    = "2"
)

// writeError answers with an error. A failure of ours is logged with an id, and
// the id is all a client learns of it.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, c class, err error) {
	var refusal *authz.Error
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return // the client has gone; nobody reads an answer
	default:
		id := nameOf(r.Context())
		s.log.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "error", err)
		refusal = internalError(id)
		if errors.Is(err, authz.ErrUnreachable) {
			refusal.Code, refusal.Description = codeNotReady, "the database cannot be reached now: try again in a few seconds; the operator finds it in the log under "+id
		}
	}
	s.writeRefusal(w, r, c, refusal)
}

func internalError(id string) *authz.Error {
	return &authz.Error{Code: authz.ServerError, RequestID: id, Description: "something failed here; the operator finds it in the log under " + id}
}

// writeRefusal answers with a refusal. Whoever failed to authenticate is told by which
// scheme (requirement T-05); whoever did not try hears no error code (requirement U-04).
func (s *Server) writeRefusal(w http.ResponseWriter, r *http.Request, c class, refusal *authz.Error) {
	a, known := answers[refusal.Code]
	if !known {
		a = answers[authz.ServerError]
	}
	h := w.Header()
	switch refusal.Code {
	case authz.InvalidClient:
		if usedBasic(r) {
			h.Set("WWW-Authenticate", `Basic realm="countersign", charset="UTF-8"`)
		}
	case codeNoCredentials:
		h.Set("WWW-Authenticate", `Bearer realm="countersign"`)
	case authz.InvalidToken:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+headerSafe(refusal.Description)+`"`)
	case authz.InsufficientScope:
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+headerSafe(refusal.Scope)+`"`)
	case authz.Unavailable:
		h.Set("Retry-After", retryUnavailable)
	case authz.TooManyGuesses, authz.ProofRequired:
		h.Set("Retry-After", retryGuesses)
	case codeNotReady:
		h.Set("Retry-After", retryNotReady)
	}
	if c == page {
		s.errorPage(w, r, a.status, refusal)
		return
	}
	body := errorBody{Error: a.wire, Description: errorText(refusal.Description), Interval: int(refusal.PollInterval / time.Second), Code: a.code}
	if body.Error == "" {
		body.Error = string(refusal.Code)
	}
	if a.code != "" {
		body.Message = body.Description
	}
	encoded, err := json.Marshal(body)
	if err != nil { // three texts and a number
		encoded = []byte(`{"error":"server_error"}`)
	}
	writeBody(w, a.status, encoded)
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

// writeJSON answers 200 with a JSON body.
func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, b)
	return nil
}

// writeBody answers with JSON. A client that has gone is told nothing.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
