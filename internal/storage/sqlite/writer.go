package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"zombiezen.com/go/sqlite"
)

// shape says how many statements a write has. A single statement undoes itself
// when it fails; several need a savepoint, so that a failure leaves the
// neighbours in its group alone.
type shape bool

const (
	single  shape = false
	several shape = true
)

const (
	// queued is how many writes may wait; more callers block.
	queued = 4096
	// groupLimit bounds a transaction, and so how long its first caller waits.
	groupLimit = 256
)

// errClosed is what a write gets that comes after Close.
var errClosed = errors.New("the database is closed")

// writer is the one goroutine that writes. It takes all writes that wait into
// one transaction, so that they share one flush to disk, and answers their
// callers when the transaction is committed.
type writer struct {
	conn  *sqlite.Conn // only the writer's goroutine uses it
	index *requestIndex
	queue chan *write
	ended chan struct{} // closed when the goroutine has returned

	mu     sync.RWMutex // held for reading while a write is handed in
	closed bool         // guarded by mu
}

// write is one operation of one caller.
type write struct {
	ctx   context.Context //nolint:containedctx // the caller's, asked once before the write begins
	shape shape
	run   func(c *sqlite.Conn) error
	err   error
	done  chan struct{}
}

func newWriter(conn *sqlite.Conn, index *requestIndex) *writer {
	w := &writer{conn: conn, index: index, queue: make(chan *write, queued), ended: make(chan struct{})}
	go w.loop()
	return w
}

// do hands in a write and waits until it is durable. A caller whose context ends
// while the write is queued gets the context's error, and the write does not
// happen; once it has begun, its outcome is what counts.
func (w *writer) do(ctx context.Context, s shape, run func(c *sqlite.Conn) error) error {
	mine := &write{ctx: ctx, shape: s, run: run, done: make(chan struct{})}
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return errClosed
	}
	select {
	case w.queue <- mine:
		w.mu.RUnlock()
	case <-ctx.Done():
		w.mu.RUnlock()
		return ctx.Err()
	}
	<-mine.done
	return mine.err
}

// close lets queued writes finish, stops the goroutine and closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.ended
	return w.conn.Close()
}

func (w *writer) loop() {
	defer close(w.ended)
	group := make([]*write, 0, groupLimit)
	for first := range w.queue {
		runtime.Gosched()
		group = w.collect(append(group[:0], first))
		w.index.end(w.commit(group))
		for _, write := range group {
			close(write.done)
		}
	}
}

// collect adds the writes that wait, and those that callers who can run at once
// hand in: it lets them run while that brings more. Without that a writer woken
// by the first of many callers on one processor would flush one write at a time.
func (w *writer) collect(group []*write) []*write {
	for {
		before := len(group)
		group = w.takeWaiting(group)
		if len(group) == before || len(group) >= groupLimit {
			return group
		}
		runtime.Gosched()
	}
}

func (w *writer) takeWaiting(group []*write) []*write {
	for len(group) < groupLimit {
		select {
		case next, open := <-w.queue:
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

// commit runs a group in one transaction, leaves each write's outcome in it, and
// reports whether the transaction was committed.
func (w *writer) commit(group []*write) bool {
	if _, err := exec(w.conn, `BEGIN IMMEDIATE`); err != nil {
		failAll(group, fmt.Errorf("beginning a transaction: %w", err))
		return false
	}
	if err := w.index.begin(w.conn); err != nil {
		failAll(group, fmt.Errorf("beginning a transaction: %w", err))
		w.rollback()
		return false
	}
	for _, write := range group {
		if write.err = write.ctx.Err(); write.err == nil {
			write.err = w.run(write)
		}
		// On a full disk or an I/O error SQLite may end the transaction by itself.
		// What followed would run outside of any, and stay.
		if w.conn.AutocommitEnabled() {
			failAll(group, fmt.Errorf("the transaction was rolled back: %w", write.err))
			return false
		}
	}
	if _, err := exec(w.conn, `COMMIT`); err != nil {
		failAll(group, fmt.Errorf("committing: %w", err))
		w.rollback()
		return false
	}
	return true
}

func (w *writer) rollback() {
	if !w.conn.AutocommitEnabled() {
		_, _ = exec(w.conn, `ROLLBACK`) // nothing was promised to anyone
	}
}

func failAll(group []*write, err error) {
	for _, write := range group {
		write.err = err
	}
}

func (w *writer) run(write *write) error {
	if write.shape == single {
		return write.run(w.conn)
	}
	if _, err := exec(w.conn, `SAVEPOINT one`); err != nil {
		return err
	}
	err := write.run(w.conn)
	if err != nil && !keepsWork(err) {
		if _, undo := exec(w.conn, `ROLLBACK TO one`); undo != nil {
			return errors.Join(err, undo)
		}
	}
	if _, release := exec(w.conn, `RELEASE one`); release != nil {
		return errors.Join(err, release)
	}
	return err
}
