package device

import (
	"context"
	"sync"
	"time"

	"countersign.dev/internal/authz"
)

// waiting wakes the polls that wait for a decision (RFC 7240 `wait`). A waiter
// subscribes before it looks at the request, so that a decision in between is
// not slept through.
type waiting struct {
	mu      sync.Mutex
	waiters map[authz.Hash]map[*waiter]struct{} // by device code; guarded by mu
	drained chan struct{}                       // closed once, by drain
	once    sync.Once
}

// waiter is one poll that waits, for one decision at a time.
type waiter struct {
	of    *waiting
	code  authz.Hash
	woken chan struct{}
}

func newWaiting() *waiting {
	return &waiting{waiters: map[authz.Hash]map[*waiter]struct{}{}, drained: make(chan struct{})}
}

// subscribe registers a waiter for a request. The caller must call leave.
func (w *waiting) subscribe(code authz.Hash) *waiter {
	p := &waiter{of: w, code: code}
	p.again()
	return p
}

// again registers a waiter that was woken once more.
func (p *waiter) again() {
	w := p.of
	w.mu.Lock()
	defer w.mu.Unlock()
	p.woken = make(chan struct{})
	if w.waiters[p.code] == nil {
		w.waiters[p.code] = map[*waiter]struct{}{}
	}
	w.waiters[p.code][p] = struct{}{}
}

// leave takes a waiter out.
func (p *waiter) leave() {
	w := p.of
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiters[p.code], p)
	if len(w.waiters[p.code]) == 0 {
		delete(w.waiters, p.code)
	}
}

// decided wakes everyone who waits for a request.
func (w *waiting) decided(code authz.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for waiter := range w.waiters[code] {
		close(waiter.woken)
	}
	delete(w.waiters, code)
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
func (p *waiter) wait(ctx context.Context, over <-chan time.Time) (woken bool, err error) {
	select {
	case <-p.woken:
		return true, nil
	case <-p.of.drained:
		return false, nil
	case <-over:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
