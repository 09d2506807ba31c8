package guard

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/authz/contract"
)

// failure is one that is to be counted.
type failure struct {
	names  []string
	window time.Time
}

// owed are failures that could not be counted. Until they are no code is looked up here:
// a database that cannot be written must not make guesses free. There are no more of them
// than tries that were under way when the first was not counted.
type owed struct {
	mu       sync.Mutex
	failures []failure   // guarded by mu
	counting atomic.Bool // somebody stores them
}

func (o *owed) add(f failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = append(o.failures, f)
}

// first is the one that is owed for longest.
func (o *owed) first() (f failure, there bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failures) == 0 {
		return failure{}, false
	}
	return o.failures[0], true
}

func (o *owed) counted() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = o.failures[1:]
}

// count stores a failure, also for an asker who has hung up: a right code is answered
// sooner than a wrong one, so that they know by then.
func (s *Guard) count(ctx context.Context, f failure) error {
	err := s.guesses.CountGuesses(context.WithoutCancel(ctx), f.names, f.window)
	if err != nil {
		s.owed.add(f)
	}
	return err
}

// countOwed stores what could not be counted. While one caller does no other is let
// through, nor waits: a database that is away would be waited for by each in turn.
//
//	ErrUnreachable
func (s *Guard) countOwed(ctx context.Context) error {
	if _, any := s.owed.first(); !any {
		return nil
	}
	if !s.owed.counting.CompareAndSwap(false, true) {
		return fmt.Errorf("wrong codes are not counted yet: %w", contract.ErrUnreachable)
	}
	defer s.owed.counting.Store(false)
	for f, more := s.owed.first(); more; f, more = s.owed.first() {
		if err := s.guesses.CountGuesses(context.WithoutCancel(ctx), f.names, f.window); err != nil {
			return err
		}
		s.owed.counted()
	}
	return nil
}
