//go:build unix

package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"countersign.dev/internal/storage/sqlite"
)

func TestOnlyItsOwnerReadsTheDatabase(t *testing.T) {
	dir := t.TempDir()
	release, err := sqlite.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	store := openFile(t, filepath.Join(dir, "countersign.db"))
	defer func() { _ = store.Close() }()
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"countersign.db", "countersign.db-wal", "countersign.db-shm", "server.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
	}
}
