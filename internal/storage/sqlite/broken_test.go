package sqlite

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"zombiezen.com/go/sqlite"

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

// Break implements storagetest.Broken.
func (b *brittle) Break(n int) func() bool { return breaks(b.t, n, b.conns...) }

// Rows implements storagetest.Broken.
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
		return openBrittle(t, path.(string))
	})
}
