package client

import (
	"context"
	"reflect"
	"time"

	"countersign.dev/internal/authz"
)

// WatchEvery is how soon the log says that a client was registered or removed.
const WatchEvery = time.Second

// Watch returns what says in the log which clients are registered or removed meanwhile:
// whoever does it uses another process (`countersign clients`), and has no part in
// this one's log.
func (s *Registry) Watch(known []authz.Client) func(ctx context.Context) error {
	s.noteChosen(known)
	return func(ctx context.Context) error {
		now, err := s.store.Clients(ctx)
		if err != nil {
			return err // what cannot be read now is compared the next time
		}
		s.noteClients(ctx, known, now)
		s.noteChosen(now)
		known = now
		return nil
	}
}

// noteClients logs what has changed from one look to the next. A client that was
// removed and registered anew between them was both.
func (s *Registry) noteClients(ctx context.Context, before, now []authz.Client) {
	gone := make(map[string]authz.Client, len(before))
	for _, c := range before {
		gone[c.ID] = c
	}
	var registered []authz.Client
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
