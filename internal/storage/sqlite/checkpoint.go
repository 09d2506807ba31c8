package sqlite

import (
	"sync"

	"zombiezen.com/go/sqlite"
)

// checkpointEvery is after how many writes the log is folded back into the file: some
// thousands of pages, for a write changes a few.
const checkpointEvery = 4096

// checkpointer folds the log back into the file (a checkpoint), behind the backs of those
// who write. The pages lie all over a large file, and the wait for the disk is a
// hundred milliseconds or more, which the writer would let its callers wait for.
// While it works the log goes on growing; where the writer never rests, the log is
// folded to its end by the writer, when it has become long (wal_autocheckpoint).
type checkpointer struct {
	conn  *sqlite.Conn  // only the checkpointer's goroutine uses it
	due   chan struct{} // of one; closed by close
	ended chan struct{} // closed when the goroutine has returned
	// close is called when nobody writes any more; more than once does no harm.
	close func() error
}

func newCheckpointer(conn *sqlite.Conn) *checkpointer {
	c := &checkpointer{conn: conn, due: make(chan struct{}, 1), ended: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.due)
		<-c.ended
		return c.conn.Close()
	})
	go c.loop()
	return c
}

func (c *checkpointer) loop() {
	defer close(c.ended)
	for range c.due {
		_, _, _ = c.checkpoint() // the next time, or the writer, does what this did not
	}
}

// checkpoint returns how many pages the log has and how many of them are in the file.
func (c *checkpointer) checkpoint() (pages, folded int, err error) {
	err = one(c.conn, func(r *sqlite.Stmt) { pages, folded = r.ColumnInt(1), r.ColumnInt(2) }, `PRAGMA wal_checkpoint(PASSIVE)`)
	return pages, folded, err
}
