package wire

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
)

// Recorder remembers the status for the log.
type Recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes a status on, and remembers the first.
func (r *Recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write passes an answer on, which says 200 if nothing did before.
func (r *Recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Finish turns a panic into an answer and writes the request's log line: method,
// route and status, never a query or a body, which may hold codes (B-16).
func (d *Door) Finish(w *Recorder, r *http.Request, say Refuser) {
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares
			panic(cause)
		}
		d.Log.ErrorContext(r.Context(), "panic", "route", r.Pattern, "cause", cause, "stack", string(debug.Stack()))
		if w.status == 0 {
			d.writeRefusal(w, r, say, internalError(nameOf(r.Context())))
		}
	}
	if d.Log.Enabled(r.Context(), slog.LevelDebug) {
		d.Log.DebugContext(r.Context(), "request", "method", r.Method, "route", r.Pattern, "status", w.status)
	}
}

// about is what is known of one request beside what it says itself. Its name in the log
// is there so that its lines are found together, and so that what a client was told of
// a failure can be found there. Most requests leave no line and never draw theirs.
type about struct {
	audience Audience // of its route
	once     sync.Once
	name     string // drawn by once
}

type aboutKey struct{}

// Begin keeps with a request what is known of it, and remembers what it is answered.
// Finish is called when it was.
func Begin(w http.ResponseWriter, r *http.Request, audience Audience) (*Recorder, *http.Request) {
	return &Recorder{ResponseWriter: w}, r.WithContext(context.WithValue(r.Context(), aboutKey{}, &about{audience: audience}))
}

// audienceOf is the audience of the route that a request came by.
func audienceOf(ctx context.Context) Audience {
	a, ok := ctx.Value(aboutKey{}).(*about)
	if !ok {
		return Unsigned
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

// Handle adds the name to a line.
func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if name := nameOf(ctx); name != "" {
		line.AddAttrs(slog.String("request", name))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs is a handler that adds these to each line too.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup is a handler whose lines have what follows in a group.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
