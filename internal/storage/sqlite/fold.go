package sqlite

import (
	"sync"

	"zombiezen.com/go/sqlite"
)

// foldEvery is after how many writes the log is folded back into the file: some
// thousands of pages, for a write changes a few.
const foldEvery = 4096

// folder folds the log back into the file (a checkpoint), behind the backs of those
// who write. The pages lie all over a large file, and the wait for the disk is a
// hundred milliseconds or more, which the writer would let its callers wait for.
// While it works the log goes on growing; where the writer never rests, the log is
// folded to its end by the writer, when it has become long (wal_autocheckpoint).
type folder struct {
	conn  *sqlite.Conn  // only the folder's goroutine uses it
	due   chan struct{} // of one; closed by close
	ended chan struct{} // closed when the goroutine has returned
	// close is called when nobody writes any more; more than once does no harm.
	close func() error
}

func newFolder(conn *sqlite.Conn) *folder {
	f := &folder{conn: conn, due: make(chan struct{}, 1), ended: make(chan struct{})}
	f.close = sync.OnceValue(func() error {
		close(f.due)
		<-f.ended
		return f.conn.Close()
	})
	go f.loop()
	return f
}

func (f *folder) loop() {
	defer close(f.ended)
	for range f.due {
		_, _, _ = f.fold() // the next time, or the writer, does what this did not
	}
}

// fold returns how many pages the log has and how many of them are in the file.
func (f *folder) fold() (pages, folded int, err error) {
	err = one(f.conn, func(r *sqlite.Stmt) { pages, folded = r.ColumnInt(1), r.ColumnInt(2) }, `PRAGMA wal_checkpoint(PASSIVE)`)
	return pages, folded, err
}
