package authz

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
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

// noteRefused says of some of the refusals that strangers cause what was refused
// and why. A failure of ours is not one of them.
func (s *Service) noteRefused(ctx context.Context, l *sparing, message string, err error, about ...any) {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return
	}
	if leftOut, ok := l.say(s.now()); ok {
		s.log.InfoContext(ctx, message, append(about, "code", string(refusal.Code), "reason", refusal.Description, "left_out", leftOut)...)
	}
}

// noteSignIn says how a sign-in ended.
func (s *Service) noteSignIn(ctx context.Context, session Session, way string, seen Seen, err error) {
	if err != nil {
		s.noteRefused(ctx, &s.refusedSignIns, "sign-in refused", err, "way", way, "network", seen.Network)
		return
	}
	s.log.InfoContext(ctx, "signed in", "way", way, by(Owner{AccountID: session.AccountID, BAPID: session.BAPID, Seen: seen}), "session", session.ID)
}

// clientsWatched is how soon the log says that a client was registered or removed.
const clientsWatched = time.Second

// watchClients says in the log which clients are registered or removed meanwhile:
// whoever does it uses another process (`countersign clients`), and has no part in
// this one's log.
func (s *Service) watchClients(known []Client) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		now, err := s.store.Clients(ctx)
		if err != nil {
			return err // what cannot be read now is compared the next time
		}
		s.noteClients(ctx, known, now)
		known = now
		return nil
	}
}

// noteClients logs what has changed from one look to the next. A client that was
// removed and registered anew between them was both.
func (s *Service) noteClients(ctx context.Context, before, now []Client) {
	gone := make(map[string]Client, len(before))
	for _, c := range before {
		gone[c.ID] = c
	}
	var registered []Client
	for _, c := range now {
		if was := gone[c.ID]; reflect.DeepEqual(was, c) {
			delete(gone, c.ID)
		} else {
			registered = append(registered, c)
		}
	}
	for id := range gone {
		s.log.InfoContext(ctx, "client removed, its grants ended", "client_id", id)
	}
	for _, c := range registered {
		s.log.InfoContext(ctx, "client registered", "client_id", c.ID, "name", c.Name, "scope", c.Scope, "confidential", c.Confidential())
	}
}
