package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/group"
)

// How much of the file each connection keeps in memory. What it lacks the system
// has in its own, so more would mostly be a second copy.
const (
	writerCache = `PRAGMA cache_size = -4096` // KiB
	readerCache = `PRAGMA cache_size = -1024`
)

const (
	// readers is the number of connections that read. The server's work is bound
	// by its processors, and a read takes microseconds.
	readers = 4
	// busyTimeout is how long to wait for another process that writes, such as
	// `countersign clients add`.
	busyTimeout = 10 * time.Second
)

// pragmas are set on each connection. A commit is on disk when it is
// acknowledged (synchronous = FULL). The log is folded back behind the writer's
// back (checkpointer), and by the writer where that was not enough: at 64 MiB.
var pragmas = []string{
	`PRAGMA journal_mode = WAL`,
	`PRAGMA synchronous = FULL`,
	`PRAGMA foreign_keys = ON`,
	`PRAGMA temp_store = MEMORY`,
	`PRAGMA wal_autocheckpoint = 16384`,
	`PRAGMA journal_size_limit = 67108864`,
}

// Store is an contract.Store in one SQLite file.
type Store struct {
	pool         chan *sqlite.Conn // connections that read
	opened       int               // how many there are; written by Open and Close only
	closed       chan struct{}     // closed by Close
	checkpointer *checkpointer
	writer       *writer
	index        *requestIndex
	loaded       chan struct{} // closed when the index has once been read, or could not be
	// countedAtMost is the constant of that name, but for tests.
	countedAtMost int64
}

var _ contract.Store = (*Store)(nil)

// Open opens the database, making it (readable by its owner alone) and bringing
// it up to date as needed.
//
//	*MovedError: its data was moved to another database
func Open(ctx context.Context, path string) (*Store, error) {
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	conn, err := connect(ctx, path, writerCache)
	if err != nil {
		return nil, err
	}
	if err := refuseMoved(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := migrate(conn); err != nil {
		return nil, errors.Join(fmt.Errorf("migrating the database: %w", err), conn.Close())
	}
	if err := forgetMove(conn, filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("clearing up after a move: %w", err), conn.Close())
	}
	s := &Store{pool: make(chan *sqlite.Conn, readers), closed: make(chan struct{}), index: newRequestIndex(), loaded: make(chan struct{}), countedAtMost: countedAtMost}
	spare, err := connect(ctx, path, readerCache)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.checkpointer = newCheckpointer(spare)
	s.writer = newWriter(conn, s.index, s.checkpointer.due)
	for range readers {
		reader, err := connect(ctx, path, readerCache)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.pool <- reader
		s.opened++
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	go s.load(context.WithoutCancel(ctx))
	return s, nil
}

// load reads the index, which takes a second for each million rows or so. It ends
// with the store. Where it fails, whoever looks for a row tries again.
func (s *Store) load(ctx context.Context) {
	defer close(s.loaded)
	more := true
	for more {
		err := s.read(ctx, func(c *sqlite.Conn) (err error) {
			more, err = s.index.readOn(c)
			return err
		})
		if err != nil {
			return
		}
	}
}

func connect(ctx context.Context, path, cache string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	conn.SetBusyTimeout(busyTimeout)
	for _, pragma := range append([]string{cache}, pragmas...) {
		if err := setUp(ctx, conn, pragma); err != nil {
			return nil, errors.Join(fmt.Errorf("setting up the database: %w", err), conn.Close())
		}
	}
	return conn, nil
}

// setUp runs a pragma. Where two processes turn to write-ahead logging at once,
// SQLite tells one that the database is locked without the wait that every
// other statement has, so the wait is here.
func setUp(ctx context.Context, conn *sqlite.Conn, pragma string) error {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := sqlitex.ExecuteTransient(conn, pragma, nil)
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Close lets the writes that were handed in finish, and closes the database.
func (s *Store) Close() error {
	err := errors.Join(s.writer.close(), s.checkpointer.close())
	if s.opened == 0 {
		return err
	}
	close(s.closed)
	for ; s.opened > 0; s.opened-- {
		select {
		case conn := <-s.pool:
			err = errors.Join(err, conn.Close())
		case <-time.After(busyTimeout):
			return errors.Join(err, errors.New("closing the database: a read does not end"))
		}
	}
	return err
}

// read runs fn on a connection of its own. What was acknowledged before is seen.
func (s *Store) read(ctx context.Context, fn func(c *sqlite.Conn) error) error {
	select {
	case conn := <-s.pool:
		defer func() { s.pool <- conn }()
		return fn(conn)
	case <-s.closed:
		return group.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ping writes and reads a row, once the index of what was in the file is there:
// before, whoever comes has to wait for it.
func (s *Store) Ping(ctx context.Context) error {
	select {
	case <-s.loaded:
	case <-ctx.Done():
		return fmt.Errorf("reading the index of device requests: %w", ctx.Err())
	}
	err := s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		_, err := exec(c, `INSERT INTO pings (id, at) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET at = at + 1`)
		return err
	})
	if err != nil {
		return fmt.Errorf("pinging the database: %w", unusable(err))
	}
	return s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(*sqlite.Stmt) {}, `SELECT at FROM pings WHERE id = 1`)
		return err
	})
}
