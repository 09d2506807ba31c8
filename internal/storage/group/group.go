package group

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

const (
	// queued is how many items may wait; those who add more block.
	queued = 4096
	// Limit bounds a group, and so how long its first caller waits for the others.
	Limit = 256
)

// ErrClosed is what comes of an item that is added after Close.
var ErrClosed = errors.New("the database is closed")

// Queue holds items until they are taken, all that wait at once. Its methods may
// be called concurrently.
type Queue[T any] struct {
	items chan T

	mu     sync.RWMutex // held for reading while an item is added
	closed bool         // guarded by mu
}

// NewQueue makes an empty queue.
func NewQueue[T any]() *Queue[T] { return &Queue[T]{items: make(chan T, queued)} }

// Add puts an item in, or returns ctx's error if that ends first.
//
//	ErrClosed
func (q *Queue[T]) Add(ctx context.Context, item T) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return ErrClosed
	}
	select {
	case q.items <- item:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close lets nothing in any more. What is in can still be taken.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.items)
	}
}

// Take waits for an item and appends it to group, with those that wait behind it
// and those that callers who can run at once add: it lets them run while that
// brings more. Without that, a taker woken by the first of many callers on one
// processor would take one item at a time. It appends nothing when the queue is
// closed and empty.
func (q *Queue[T]) Take(group []T) []T {
	first, open := <-q.items
	if !open {
		return group
	}
	group = append(group, first)
	for {
		runtime.Gosched()
		before := len(group)
		if group = q.takeWaiting(group); len(group) == before || len(group) >= Limit {
			return group
		}
	}
}

func (q *Queue[T]) takeWaiting(group []T) []T {
	for len(group) < Limit {
		select {
		case next, open := <-q.items:
			if !open {
				return group
			}
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

// Len is how many items wait.
func (q *Queue[T]) Len() int { return len(q.items) }
