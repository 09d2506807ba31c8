package sqlite_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/sqlite"
)

// childVariable makes the test binary the server that a test kills; its value is
// the data directory.
const childVariable = "COUNTERSIGN_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir, os.Getpid()))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes from many goroutines and prints the name of each write
// when it has been acknowledged.
func writeUntilKilled(dir string, run int) error {
	if _, err := sqlite.Lock(dir); err != nil {
		return err
	}
	store, err := sqlite.Open(context.Background(), filepath.Join(dir, "countersign.db"))
	if err != nil {
		return err
	}
	errs := make(chan error)
	for w := range 16 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d-%d", run, w, n)
				if err := store.CreateDeviceRequest(context.Background(), named(name)); err != nil {
					errs <- err
					return
				}
				fmt.Println(name) // one write system call a line
			}
		}()
	}
	return <-errs
}

func named(name string) authz.DeviceRequest {
	return authz.DeviceRequest{
		ID: name, DeviceCode: sha256.Sum256([]byte("device " + name)), UserCode: sha256.Sum256([]byte("user " + name)),
		ClientID: "my-app", Scope: "openid", State: authz.Pending,
		CreatedAt: time.UnixMilli(1_790_000_000_000), ExpiresAt: time.UnixMilli(1_790_000_900_000),
	}
}

// TestAnAcknowledgedWriteSurvivesAKill kills a writing server several times over.
func TestAnAcknowledgedWriteSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []string
	for range 6 {
		acknowledged = append(acknowledged, killAfter(t, dir, 300)...)
		intact(t, filepath.Join(dir, "countersign.db"))
		store := openFile(t, filepath.Join(dir, "countersign.db"))
		for _, name := range acknowledged {
			if _, err := store.DeviceRequest(t.Context(), named(name).DeviceCode); err != nil {
				t.Fatalf("the acknowledged write %s: %v", name, err)
			}
			if _, err := store.DeviceRequestByID(t.Context(), name); err != nil {
				t.Fatalf("the acknowledged write %s by its id: %v", name, err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The dead server's lock went with it.
	release, err := sqlite.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// killAfter kills a server when it has acknowledged some writes, and returns all
// it acknowledged.
func killAfter(t *testing.T, dir string, writes int) (names []string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	var said strings.Builder
	child.Stderr = &said
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a line that was cut off is not counted
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimSuffix(line, "\n"))
		if len(names) == writes {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(names) < writes {
		t.Fatalf("the server ended by itself after %d writes: %s", len(names), said.String())
	}
	return names
}

func openFile(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// intact ends the test unless SQLite finds the database whole.
func intact(t *testing.T, path string) {
	t.Helper()
	if got := pragma(t, path, "integrity_check"); got != "ok" {
		t.Fatalf("integrity_check: %s", got)
	}
}

func pragma(t *testing.T, path, statement string) (value string) {
	t.Helper()
	conn, err := driver.OpenConn(path, driver.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	err = sqlitex.ExecuteTransient(conn, "PRAGMA "+statement, &sqlitex.ExecOptions{
		ResultFunc: func(row *driver.Stmt) error { value = row.ColumnText(0); return nil },
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	return value
}

// TestALogThatWasCutOffOpensAtItsLastWholeWrite copies a database as a power cut
// may leave it: with a write-ahead log that ends anywhere.
func TestALogThatWasCutOffOpensAtItsLastWholeWrite(t *testing.T) {
	from := filepath.Join(t.TempDir(), "countersign.db")
	store := openFile(t, from)
	const writes = 20
	for i := range writes {
		if err := store.CreateDeviceRequest(t.Context(), named(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	file, log := read(t, from), read(t, from+"-wal")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	before := 0
	for _, length := range []int{0, 20, len(log) / 3, len(log) / 2, len(log) - 4097, len(log) - 1, len(log)} {
		to := filepath.Join(t.TempDir(), "countersign.db")
		write(t, to, file)
		write(t, to+"-wal", log[:length])
		kept := keptInOrder(t, to, writes)
		intact(t, to)
		if kept < before {
			t.Fatalf("a log of %d bytes keeps %d writes, a shorter one %d", length, kept, before)
		}
		before = kept
	}
	if before != writes {
		t.Fatalf("the whole log keeps %d of %d writes", before, writes)
	}
}

// keptInOrder opens a database and returns how many writes it has, which must be
// the first ones.
func keptInOrder(t *testing.T, path string, writes int) (kept int) {
	t.Helper()
	store := openFile(t, path)
	for i := range writes {
		_, err := store.DeviceRequest(t.Context(), named(fmt.Sprint(i)).DeviceCode)
		switch {
		case err == nil && kept == i:
			kept++
		case err == nil:
			t.Fatalf("write %d is there without write %d", i, kept)
		case !errors.Is(err, contract.ErrNotFound):
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return kept
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseNewerThanTheProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	if err := openFile(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if !sqlite.UpToDate(path) || sqlite.UpToDate(path+"-that-is-not-there") {
		t.Error("it is not said which database is up to date")
	}
	pragma(t, path, "user_version = 999")
	if sqlite.UpToDate(path) {
		t.Error("a newer one is called up to date")
	}
	store, err := sqlite.Open(t.Context(), path)
	if err == nil {
		_ = store.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Fatalf("got error %v, want one that says that the database is newer", err)
	}
	if got := pragma(t, path, "user_version"); got != "999" {
		t.Errorf("the refused database was changed to version %s", got)
	}
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	write(t, path, []byte(strings.Repeat("not a database ", 100)))
	for what, use := range map[string]func() error{
		"a store":  func() error { _, err := sqlite.Open(t.Context(), path); return err },
		"a source": func() error { _, err := sqlite.OpenSource(t.Context(), path); return err },
	} {
		if err := use(); err == nil || !strings.Contains(err.Error(), "setting up the database") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestASourceIsReadAndNeverMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	if _, err := sqlite.OpenSource(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is there: %v", err)
	}
}

func TestChangesAreToldOnceEach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	store := openFile(t, path)
	source, err := sqlite.OpenSource(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	if err := source.NoteChanges(t.Context(), map[string][]string{"device_requests": {"seq"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := store.CreateDeviceRequest(t.Context(), named(fmt.Sprint("d", i))); err != nil {
			t.Fatal(err)
		}
	}
	told, last := 0, int64(0)
	for range 3 {
		changes, err := source.Changes(last, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if told++; c.Number <= last || c.Table != "device_requests" || len(c.Key) != 1 || c.Key[0] != int64(told) {
				t.Errorf("change %d: %+v", told, c)
			}
			last = c.Number
		}
	}
	if told != 3 {
		t.Errorf("%d changes are told", told)
	}
	if err := source.ForgetChanges(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServersThatStartTogetherMigrateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	errs := make([]error, 6)
	var running sync.WaitGroup
	for i := range errs {
		running.Go(func() {
			store, err := sqlite.Open(t.Context(), path)
			if err == nil {
				err = errors.Join(store.Ping(t.Context()), store.Close())
			}
			errs[i] = err
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	intact(t, path)
}

func TestTwoServersOnOneDataDirectoryTheSecondRefuses(t *testing.T) {
	dir := t.TempDir()
	release, err := sqlite.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Lock(dir); !errors.Is(err, sqlite.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	moved, err := sqlite.LockMove(dir) // whoever moves it does not mind
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.LockMove(dir); !errors.Is(err, sqlite.ErrMoving) {
		t.Errorf("got %v, want ErrMoving", err)
	}
	if err := moved(); err != nil {
		t.Error(err)
	}
	if other, err := sqlite.Lock(t.TempDir()); err != nil {
		t.Errorf("another directory: %v", err)
	} else if err := other(); err != nil {
		t.Error(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	again, err := sqlite.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}

func TestADirectoryThatIsNotThereIsSaidNotToBe(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for what, use := range map[string]func() error{
		"locking it for a server": func() error { _, err := sqlite.Lock(nowhere); return err },
		"locking it for a move":   func() error { _, err := sqlite.LockMove(nowhere); return err },
		"opening": func() error {
			_, err := sqlite.Open(t.Context(), filepath.Join(nowhere, "countersign.db"))
			return err
		},
	} {
		if err := use(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhoeverHasGoneOpensNothing(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := sqlite.Open(gone, filepath.Join(t.TempDir(), "countersign.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
		_ = s.Close()
	}
}

// TestADatabaseOfTheFirstStepKeepsItsRows opens a file as the first release left
// it, with somebody signed in and a grant alive.
func TestADatabaseOfTheFirstStepKeepsItsRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	first, err := os.ReadFile("migrations/0001_start.sql")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := driver.OpenConn(path)
	if err != nil {
		t.Fatal(err)
	}
	err = sqlitex.ExecuteScript(conn, string(first)+`
		INSERT INTO accounts VALUES ('account', 1, 0);
		INSERT INTO identities VALUES ('bap', 'account', '02', 1, '{}');
		INSERT INTO sessions VALUES (zeroblob(32), 'session', 'account', 'bap', '02', 1, 1000);
		INSERT INTO grants VALUES ('grant', 'account', 'client', 'openid', 'bap', '02', 'acr', '', 1, 1, 1000, 0, 0, 'receipt');
		INSERT INTO signing_keys VALUES ('key', 'ES256', x'01', 1);
		PRAGMA user_version = 1;`, nil)
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	store := openFile(t, path)
	defer store.Close()
	session, err := store.Session(t.Context(), authz.Hash{}, time.UnixMilli(2))
	if err != nil || session.ID != "session" || session.Method != authz.MethodBAP {
		t.Errorf("%+v %v", session, err)
	}
	grant, _, err := store.LiveGrant(t.Context(), "grant", time.UnixMilli(2))
	if err != nil || grant.Scope != "openid" || grant.Seen != (authz.Seen{}) {
		t.Errorf("%+v %v", grant, err)
	}
	if receipt, err := store.Receipt(t.Context(), "grant"); err != nil || receipt != "receipt" {
		t.Errorf("%q %v", receipt, err)
	}
	keys, err := store.SigningKeys(t.Context(), time.UnixMilli(2))
	if err != nil || len(keys) != 1 || keys[0].StateAt(time.UnixMilli(1)) != authz.KeyActive || !keys[0].SignsUntil.IsZero() || keys[0].Sealed[0] != 1 {
		t.Errorf("%+v %v", keys, err)
	}
}
