package authz

import (
	"context"
	"sync"
	"time"
)

// MaxWait is the longest a poll may wait for the owner (design D5); longer
// wishes are served with this.
const MaxWait = 30 * time.Second

// waiting wakes the polls that wait for a decision (RFC 7240 `wait`). A waiter
// subscribes before it looks at the request, so that a decision in between is
// not slept through.
type waiting struct {
	mu      sync.Mutex
	waiters map[string]map[*waiter]struct{} // by request id; guarded by mu
	drained chan struct{}                   // closed once, by drain
	once    sync.Once
}

type waiter struct{ woken chan struct{} }

func newWaiting() *waiting {
	return &waiting{waiters: map[string]map[*waiter]struct{}{}, drained: make(chan struct{})}
}

// subscribe registers a waiter for a request. The caller must call leave.
func (w *waiting) subscribe(requestID string) (waits *waiter, leave func()) {
	mine := &waiter{woken: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiters[requestID] == nil {
		w.waiters[requestID] = map[*waiter]struct{}{}
	}
	w.waiters[requestID][mine] = struct{}{}
	return mine, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiters[requestID], mine)
		if len(w.waiters[requestID]) == 0 {
			delete(w.waiters, requestID)
		}
	}
}

// decided wakes everyone who waits for a request.
func (w *waiting) decided(requestID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for waiter := range w.waiters[requestID] {
		close(waiter.woken)
	}
	delete(w.waiters, requestID)
}

// all wakes everyone, to look again.
func (w *waiting) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, waiters := range w.waiters {
		for waiter := range waiters {
			close(waiter.woken)
		}
	}
	clear(w.waiters)
}

// drain wakes everyone and lets nobody wait any more.
func (w *waiting) drain() { w.once.Do(func() { close(w.drained) }) }

// wait returns true when the waiter is woken, and false when the time is over or
// the server drains; its error is ctx's, when the client has gone away.
func (w *waiting) wait(ctx context.Context, mine *waiter, over <-chan time.Time) (woken bool, err error) {
	select {
	case <-mine.woken:
		return true, nil
	case <-w.drained:
		return false, nil
	case <-over:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
