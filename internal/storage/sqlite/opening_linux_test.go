package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"countersign.dev/internal/storage/sqlite"
)

// A store needs several files, and any of them may be one too many.
func TestWithTooFewFilesAStoreIsNotOpenedAndNoneIsLeftOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	if err := openFile(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	allow := func(files uint64) {
		t.Helper()
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { allow(limit.Cur) })
	open := func() int {
		t.Helper()
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := open()
	for more := range uint64(100) {
		allow(uint64(before) + more)
		store, err := sqlite.Open(t.Context(), path)
		allow(limit.Cur)
		if err == nil {
			if err := store.Close(); err != nil || more == 0 {
				t.Errorf("with %d files more: %v", more, err)
			}
			return
		}
		if now := open(); now != before {
			t.Fatalf("with %d files more %d are left open: %v", more, now-before, err)
		}
	}
	t.Error("it is never opened")
}
