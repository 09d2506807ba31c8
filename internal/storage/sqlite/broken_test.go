package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/storagetest"
)

// breaking has one of the statements fail that connections prepare.
type breaking struct {
	mu     sync.Mutex
	before int // how many come before it
	failed bool
}

// Authorize implements sqlite.Authorizer. A statement asks for several things; those
// that make it what it is are counted, and a part of it that reads is one more.
func (b *breaking) Authorize(a sqlite.Action) sqlite.AuthResult {
	if strings.Contains(a.Savepoint(), "sqlitex") {
		return sqlite.AuthResultOK // without its savepoints that package panics
	}
	switch a.Type() {
	case sqlite.OpSelect, sqlite.OpInsert, sqlite.OpUpdate, sqlite.OpDelete, sqlite.OpPragma, sqlite.OpTransaction, sqlite.OpSavepoint:
	default:
		return sqlite.AuthResultOK
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before--
	if b.before != -1 {
		return sqlite.AuthResultOK
	}
	b.failed = true
	return sqlite.AuthResultDeny
}

// breaks has the statement number n of those that these connections run fail. The
// authorizer has SQLite prepare all statements anew that were prepared before.
func breaks(t testing.TB, n int, conns ...*sqlite.Conn) (heal func() (reached bool)) {
	t.Helper()
	b := &breaking{before: n}
	set := func(a sqlite.Authorizer) {
		for _, c := range conns {
			if err := c.SetAuthorizer(a); err != nil {
				t.Fatal(err)
			}
		}
	}
	set(b)
	return func() bool {
		set(nil)
		return b.failed
	}
}

// brittle is a store for storagetest.RunBroken.
type brittle struct {
	*Store
	t     testing.TB
	conns []*sqlite.Conn
}

func openBrittle(t testing.TB, path string) *brittle {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	<-s.loaded
	b := &brittle{Store: s, t: t, conns: []*sqlite.Conn{s.writer.conn}}
	for range readers {
		b.conns = append(b.conns, <-s.pool)
	}
	for _, c := range b.conns[1:] {
		s.pool <- c
	}
	return b
}

// Break is that of storagetest.Broken.
func (b *brittle) Break(n int) func() bool { return breaks(b.t, n, b.conns...) }

// Failed is that of storagetest.Broken.
func (b *brittle) Failed(err error) bool { return sqlite.ErrCode(err) == sqlite.ResultAuth }

// Rows is that of storagetest.Broken.
func (b *brittle) Rows() []string { return rowsOf(b.t, b.conns[1]) }

// rowsOf is everything in a file, and how it is kept.
func rowsOf(t testing.TB, c *sqlite.Conn) (all []string) {
	t.Helper()
	tables := []string{"sqlite_schema"}
	_, err := query(c, func(r *sqlite.Stmt) { tables = append(tables, r.ColumnText(0)) }, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	for _, table := range tables {
		if err == nil {
			_, err = query(c, func(r *sqlite.Stmt) { all = append(all, fmt.Sprint(table, values(r, r.ColumnCount()))) }, `SELECT * FROM `+table)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnOperationOfWhichAStatementFailsHasNotHappened(t *testing.T) {
	var files sync.Map // the name of a test → its database
	storagetest.RunBroken(t, func(t testing.TB) storagetest.Broken {
		path, _ := files.LoadOrStore(t.Name(), filepath.Join(t.TempDir(), "countersign.db"))
		b := openBrittle(t, path.(string))
		return storagetest.Broken{Store: b.Store, Break: b.Break, Failed: b.Failed, Rows: b.Rows}
	})
}

// A step is done as a whole or not at all, so that the next start finds its way.
func TestAMigrationOfWhichAStatementFailsGoesOnAfterItsLastStep(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes long")
	}
	empty := func() *sqlite.Conn {
		c, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	whole := empty()
	if err := migrate(whole); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		c := empty()
		heal := breaks(t, n, c)
		err := migrate(c)
		if reached := heal(); !reached {
			return
		}
		if err == nil {
			t.Errorf("statement %d failed, and nothing is said of it", n)
		}
		if err := migrate(c); err != nil || !slices.Equal(rowsOf(t, c), rowsOf(t, whole)) {
			t.Errorf("statement %d failed, and afterwards: %v", n, err)
		}
	}
}

// Whoever moves the data away finds out what failed, and the file is as it was.
func TestWhoMovesDataIsToldOfAStatementThatFails(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes long")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "countersign.db")
	store, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.CreateDeviceRequest(t.Context(), numbered(1)), store.Ping(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSource(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	tables, err := s.Tables()
	if err != nil {
		t.Fatal(err)
	}
	columns, key := []string{"id", "at"}, []string{"id"}
	keys := map[string][]string{"pings": key, "guesses": {"subject", "opens_at"}}
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"opening it", s.check},
		{"naming tables", func() error { _, err := s.Tables(); return err }},
		{"naming columns", func() error { _, err := s.Columns("pings"); return err }},
		{"noting changes", func() error { return s.NoteChanges(ctx, keys) }},
		{"naming tables while watching", func() error {
			now, err := s.Tables()
			if err == nil && !slices.Equal(now, tables) {
				return fmt.Errorf("%v, and before %v", now, tables)
			}
			return err
		}},
		{"noting changes again", func() error { return s.NoteChanges(ctx, keys) }},
		{"reading changes", func() error { _, err := s.Changes(0, 10); return err }},
		{"numbering changes", func() error { _, err := s.LastChange(); return err }},
		{"reading rows", func() error { _, err := s.Page("pings", columns, key, nil, 10); return err }},
		{"reading more rows", func() error { _, err := s.Page("pings", columns, key, []any{int64(0)}, 10); return err }},
		{"reading a row", func() error { _, err := s.Row("pings", columns, key, []any{int64(1)}); return err }},
		{"counting rows", func() error { _, err := s.Count("pings"); return err }},
		{"numbering rows", func() error { _, err := s.LastNumber("device_requests", "seq"); return err }},
		{"looking at one moment", func() error {
			return s.Snapshot(func() error { _, err := s.Count("pings"); return err })
		}},
		{"ending the noting of changes", func() error { return s.ForgetChanges(ctx) }},
		{"noting changes once more", func() error { return s.NoteChanges(ctx, keys) }},
		{"forgetting a move", func() error { return forgetMove(s.conn, dir) }},
		{"finding no move", func() error { return forgetMove(s.conn, dir) }},
		{"locking and unlocking", func() error {
			if err := s.Lock(ctx); err != nil {
				return err
			}
			return s.Unlock()
		}},
		{"ending the file's use", func() error {
			if err := s.Lock(ctx); err != nil {
				return err
			}
			commit, err := s.Mark(MovedError{To: "elsewhere", Token: "token"})
			if err != nil {
				return err
			}
			return commit()
		}},
		{"finding it moved", func() error {
			err := s.Moved()
			if moved := (*MovedError)(nil); errors.As(err, &moved) {
				return nil
			}
			return err
		}},
	} {
		for n := 0; ; n++ {
			before := rowsOf(t, s.conn)
			heal := breaks(t, n, s.conn)
			err := way.do()
			if reached := heal(); !reached {
				if err != nil || n == 0 {
					t.Fatalf("%s: %v", way.name, err)
				}
				break
			}
			if sqlite.ErrCode(err) != sqlite.ResultAuth {
				t.Errorf("%s: statement %d failed, and the answer is %v", way.name, n, err)
			}
			if !s.conn.AutocommitEnabled() {
				if err := s.Unlock(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(before, rowsOf(t, s.conn)); diff != "" {
				t.Errorf("%s: statement %d failed, and this was done (-before +after):\n%s", way.name, n, diff)
			}
		}
	}
}

func TestAClientThatCannotBeReadIsNotTakenForAnother(t *testing.T) {
	s, ctx := open(t), t.Context()
	if err := s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		_, err := exec(c, `INSERT INTO clients (id, metadata) VALUES ('spoilt', 'no JSON')`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Client(ctx, "spoilt"); err == nil || contract.Promised(err) {
		t.Errorf("%+v: %v", c, err)
	}
	if all, err := s.Clients(ctx); err == nil || contract.Promised(err) {
		t.Errorf("%+v: %v", all, err)
	}
}

func TestATableWhoseKeyHasNoColumnOrTooManyIsNotWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	store, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s, err := OpenSource(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	columns, err := s.Columns("accounts")
	if err != nil {
		t.Fatal(err)
	}
	requests, err := s.Columns("device_requests")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys  map[string][]string
		taken bool
	}{
		{map[string][]string{"accounts": columns[:keyLimit]}, true},
		{map[string][]string{"device_requests": requests[:keyLimit+1]}, false},
		{map[string][]string{"accounts": nil}, false},
	} {
		if err := s.NoteChanges(t.Context(), c.keys); (err == nil) != c.taken {
			t.Errorf("%v: %v", c.keys, err)
		}
	}
}

func TestAMoveThatIsUnderWayIsLeftAloneAndOneThatIsNotIsForgotten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "countersign.db")
	start := func() (watched bool) {
		t.Helper()
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		watched, err = hasTable(s.writer.conn, changesTable)
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		return watched
	}
	if start() {
		t.Error("a new file is watched")
	}
	source, err := OpenSource(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	release, err := LockMove(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.NoteChanges(t.Context(), map[string][]string{"pings": {"id"}}); err != nil {
		t.Fatal(err)
	}
	if !start() {
		t.Error("a move that is under way was forgotten")
	}
	if err := forgetMove(source.conn, filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where nobody can tell: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	// Nor is a server started where it cannot be told.
	lock := filepath.Join(dir, "migrate.lock")
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), path); err == nil {
		t.Error("a server started", s.Close())
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if start() {
		t.Error("a move that has ended was not forgotten")
	}
}

// Of two servers that start on a new file at once one has it while the other turns to
// write-ahead logging, for which SQLite does not wait by itself.
func TestWhoFindsANewFileInUseWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	other, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := exec(other, `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	time.AfterFunc(100*time.Millisecond, func() {
		_, err := exec(other, `COMMIT`)
		ended <- err
	})
	s, err := Open(t.Context(), path)
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The system takes longer paths than SQLite does.
func TestWhyAFileIsNotOpenedIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200), strings.Repeat("e", 200), strings.Repeat("f", 200))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), filepath.Join(dir, "countersign.db"))
	if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultCantOpen {
		t.Errorf("%v, %v", s, err)
	}
}
