package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
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
		s.log.ErrorContext(r.Context(), "panic", "route", r.Pattern, "cause", cause, "stack", string(debug.Stack()))
		if w.status == 0 {
			s.writeRefusal(w, r, c, internalError(nameOf(r.Context())))
		}
	}
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		s.log.DebugContext(r.Context(), "request", "method", r.Method, "route", r.Pattern, "status", w.status)
	}
}

// about is what is known of one request beside what it says itself. Its name in the log
// is there so that its lines are found together, and so that what a client was told of
// a failure can be found there. Most requests leave no line and never draw theirs.
type about struct {
	audience audience // of its route
	once     sync.Once
	name     string // drawn by once
}

type aboutKey struct{}

// begin keeps with a request what is known of it.
func begin(r *http.Request, audience audience) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), aboutKey{}, &about{audience: audience}))
}

// audienceOf is the audience of the route that a request came by.
func audienceOf(ctx context.Context) audience {
	a, ok := ctx.Value(aboutKey{}).(*about)
	if !ok {
		return unsigned
	}
	return a.audience
}

// nameOf is the name of the request that a context belongs to, or empty.
func nameOf(ctx context.Context) string {
	a, ok := ctx.Value(aboutKey{}).(*about)
	if !ok {
		return ""
	}
	a.once.Do(func() { a.name = rand.Text()[:12] })
	return a.name
}

// NewLogHandler adds to each line that is logged with a request's context the
// request's name.
func NewLogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if name := nameOf(ctx); name != "" {
		line.AddAttrs(slog.String("request", name))
	}
	return h.Handler.Handle(ctx, line)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
