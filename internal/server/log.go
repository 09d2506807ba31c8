package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// finish turns a panic into an answer and writes the request's log line: method,
// route and status, never a query or a body, which may hold codes (B-16).
func (s *Server) finish(w *recorder, r *http.Request, c class) {
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares
			panic(cause)
		}
		id := requestID()
		s.log.Error("panic", "request", id, "route", r.Pattern, "cause", cause, "stack", string(debug.Stack()))
		if w.status == 0 {
			s.writeRefusal(w, r, c, internalError(id))
		}
	}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("request", "method", r.Method, "route", r.Pattern, "status", w.status)
	}
}

// requestID names one failed request, so that what its client was told can be
// found in the log.
func requestID() string { return rand.Text()[:12] }
