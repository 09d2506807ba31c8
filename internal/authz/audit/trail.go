package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
)

// Trail is what is told of what happened: to the owner by events, to the operator by the
// log.
type Trail struct {
	Log     *slog.Logger
	Now     func() time.Time
	Secrets secret.Secrets
}

// New makes the trail of a server.
func New(secrets secret.Secrets, now func() time.Time, log *slog.Logger) Trail {
	return Trail{Log: log, Now: now, Secrets: secrets}
}

// Sparing lets through a few lines a minute of those that strangers can cause as
// often as they like.
type Sparing struct {
	mu      sync.Mutex
	since   time.Time // of the minute; guarded by mu
	said    int       // in it; guarded by mu
	leftOut int       // since the last line that was said; guarded by mu
}

// So many lines are let through in a period.
const (
	LinesAPeriod = 10
	Period       = time.Minute
)

// Say reports whether a line may be said now, and how many were not before it.
func (l *Sparing) Say(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if past := now.Sub(l.since); past >= Period || past < 0 {
		l.since, l.said = now, 0
	}
	if l.said >= LinesAPeriod {
		l.leftOut++
		return 0, false
	}
	leftOut, l.leftOut = l.leftOut, 0
	l.said++
	return leftOut, true
}

// NewEvent begins an event of something that an owner does now.
func (s *Trail) NewEvent(owner authz.Owner, kind authz.EventKind) (contract.NewEvent, error) {
	id, err := s.Secrets.NewID()
	if err != nil {
		return contract.NewEvent{}, err
	}
	seen := owner.Seen.Clean()
	return contract.NewEvent{Keep: contract.KeepAtMost(authz.EventsPerAccount), Event: authz.Event{
		ID: id, AccountID: owner.AccountID, At: s.Now(), Kind: kind, BAPID: owner.BAPID,
		Network: seen.Network, UserAgent: seen.UserAgent,
	}}, nil
}

// Event is NewEvent with a subject.
func (s *Trail) Event(owner authz.Owner, kind authz.EventKind, subject string) (contract.NewEvent, error) {
	e, err := s.NewEvent(owner, kind)
	e.Subject = subject
	return e, err
}

// Refused logs refusals that strangers cause, a few a minute. A failure of ours is not one of them.
func (s *Trail) Refused(ctx context.Context, l *Sparing, message string, err error, about ...any) {
	var refusal *authz.Error
	if !errors.As(err, &refusal) {
		return
	}
	if leftOut, ok := l.Say(s.Now()); ok {
		s.Log.InfoContext(ctx, message, append(about, "code", string(refusal.Code), "reason", refusal.Description, "left_out", leftOut)...)
	}
}
