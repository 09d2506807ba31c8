package authz

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// What the log says, and at which level, is decision 0013. A line of something
// that a request did takes the request's context, which holds the request's name.

// by is who did something, for the log; with the grant of the program that did it for them,
// if it was one.
func by(o Owner) slog.Attr {
	who := []any{"account", o.AccountID, "bap_id", o.BAPID, "network", o.Seen.Network}
	if o.GrantID != "" {
		who = append(who, "with_grant", o.GrantID)
	}
	return slog.Group("", who...)
}

// trail is what is told of what happened: to the owner by events, to the operator by the
// log.
type trail struct {
	log     *slog.Logger
	now     func() time.Time
	secrets serverSecrets
}

func newTrail(secrets serverSecrets, now func() time.Time, log *slog.Logger) trail {
	return trail{log: log, now: now, secrets: secrets}
}

// sparing lets through a few lines a minute of those that strangers can cause as
// often as they like.
type sparing struct {
	mu      sync.Mutex
	since   time.Time // of the minute; guarded by mu
	said    int       // in it; guarded by mu
	leftOut int       // since the last line that was said; guarded by mu
}

const (
	sparingly     = 10
	sparinglyEach = time.Minute
)

// say reports whether a line may be said now, and how many were not before it.
func (l *sparing) say(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if past := now.Sub(l.since); past >= sparinglyEach || past < 0 {
		l.since, l.said = now, 0
	}
	if l.said >= sparingly {
		l.leftOut++
		return 0, false
	}
	leftOut, l.leftOut = l.leftOut, 0
	l.said++
	return leftOut, true
}

// newEvent begins an event of something that an owner does now.
func (s *trail) newEvent(owner Owner, kind EventKind) (NewEvent, error) {
	id, err := s.secrets.newID()
	if err != nil {
		return NewEvent{}, err
	}
	seen := owner.Seen.clean()
	return NewEvent{Keep: KeepAtMost(EventsPerAccount), Event: Event{
		ID: id, AccountID: owner.AccountID, At: s.now(), Kind: kind, BAPID: owner.BAPID,
		Network: seen.Network, UserAgent: seen.UserAgent,
	}}, nil
}

// newEventOf is newEvent with a subject.
func (s *trail) newEventOf(owner Owner, kind EventKind, subject string) (NewEvent, error) {
	e, err := s.newEvent(owner, kind)
	e.Subject = subject
	return e, err
}

// noteRefused says of some of the refusals that strangers cause what was refused
// and why. A failure of ours is not one of them.
func (s *trail) noteRefused(ctx context.Context, l *sparing, message string, err error, about ...any) {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return
	}
	if leftOut, ok := l.say(s.now()); ok {
		s.log.InfoContext(ctx, message, append(about, "code", string(refusal.Code), "reason", refusal.Description, "left_out", leftOut)...)
	}
}
