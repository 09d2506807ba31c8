package sqlite

import (
	"context"
	"fmt"
	"sync"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/storage/group"
)

// shape says how many statements a write has. A single statement undoes itself
// when it fails; several need a savepoint, so that a failure leaves the
// neighbours in its group alone.
type shape bool

const (
	single  shape = false
	several shape = true
)

// writer is the one goroutine that writes. It takes all writes that wait into
// one transaction, so that they share one flush to disk, and answers their
// callers when the transaction is committed.
type writer struct {
	conn  *sqlite.Conn // only the writer's goroutine uses it
	index *requestIndex
	queue *group.Queue[*write]
	ended chan struct{} // closed when the goroutine has returned
	// checkpoints is told after each checkpointEvery writes; fresh counts them.
	checkpoints chan<- struct{}
	fresh       int // only the writer's goroutine uses it
	// closeConn closes the connection, once however often it is called.
	closeConn func() error
}

// write is one operation of one caller.
type write struct {
	ctx   context.Context //nolint:containedctx // the caller's, asked once before the write begins
	shape shape
	run   func(c *sqlite.Conn) error
	err   error
	done  chan struct{}
}

func newWriter(conn *sqlite.Conn, index *requestIndex, checkpoints chan<- struct{}) *writer {
	w := &writer{
		conn: conn, index: index, queue: group.NewQueue[*write](), ended: make(chan struct{}),
		checkpoints: checkpoints, closeConn: sync.OnceValue(conn.Close),
	}
	go w.loop()
	return w
}

// do hands in a write and waits until it is durable. A caller whose context ends
// while the write is queued gets the context's error, and the write does not
// happen; once it has begun, its outcome is what counts.
func (w *writer) do(ctx context.Context, s shape, run func(c *sqlite.Conn) error) error {
	mine := &write{ctx: ctx, shape: s, run: run, done: make(chan struct{})}
	if err := w.queue.Add(ctx, mine); err != nil {
		return err
	}
	<-mine.done
	return mine.err
}

// close lets queued writes finish, stops the goroutine and closes the connection.
func (w *writer) close() error {
	w.queue.Close()
	<-w.ended
	return w.closeConn()
}

func (w *writer) loop() {
	defer close(w.ended)
	var writes []*write
	for {
		if writes = w.queue.Take(writes[:0]); len(writes) == 0 {
			return
		}
		w.index.end(w.commit(writes))
		for _, write := range writes {
			close(write.done)
		}
		w.askForCheckpoint(len(writes))
	}
}

// askForCheckpoint counts writes, and asks when there are enough.
func (w *writer) askForCheckpoint(writes int) {
	if w.fresh += writes; w.fresh < checkpointEvery {
		return
	}
	w.fresh = 0
	select {
	case w.checkpoints <- struct{}{}:
	default: // it is asked for already
	}
}

// commit runs a group in one transaction, leaves each write's outcome in it, and
// reports whether the transaction was committed.
func (w *writer) commit(writes []*write) bool {
	if _, err := exec(w.conn, `BEGIN IMMEDIATE`); err != nil {
		failAll(writes, fmt.Errorf("beginning a transaction: %w", err))
		return false
	}
	if err := w.index.begin(w.conn); err != nil {
		failAll(writes, fmt.Errorf("beginning a transaction: %w", err))
		w.rollback()
		return false
	}
	for _, write := range writes {
		if write.err = write.ctx.Err(); write.err == nil {
			write.err = w.run(write)
		}
		// On a full disk or an I/O error SQLite may end the transaction by itself.
		// What followed would run outside of any, and stay.
		if w.conn.AutocommitEnabled() {
			failAll(writes, fmt.Errorf("the transaction was rolled back: %w", write.err))
			return false
		}
	}
	if _, err := exec(w.conn, `COMMIT`); err != nil {
		failAll(writes, fmt.Errorf("committing: %w", err))
		w.rollback()
		return false
	}
	return true
}

func (w *writer) rollback() {
	_, _ = exec(w.conn, `ROLLBACK`) // SQLite may have done it, and nothing was promised to anyone
}

func failAll(writes []*write, err error) {
	for _, write := range writes {
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
	if w.conn.AutocommitEnabled() {
		return err
	}
	if err != nil && !keepsWork(err) {
		if _, undo := exec(w.conn, `ROLLBACK TO one`); undo != nil {
			return w.giveUp(undo)
		}
	}
	if _, release := exec(w.conn, `RELEASE one`); release != nil {
		return w.giveUp(release)
	}
	return err
}

// giveUp ends a transaction of which a savepoint could not be ended: what its write
// did would be committed with what its neighbours did, whatever it is told.
func (w *writer) giveUp(err error) error {
	w.rollback()
	return err
}
