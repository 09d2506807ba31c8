package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/group"
)

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "countersign.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// numbered is the device request number n.
func numbered(n int) authz.DeviceRequest {
	return authz.DeviceRequest{
		ID: fmt.Sprintf("request-%d", n), ClientID: "my-app", Scope: "openid profile", State: authz.Pending,
		DeviceCode: sha256.Sum256(fmt.Appendf(nil, "device %d", n)), UserCode: sha256.Sum256(fmt.Appendf(nil, "user %d", n)),
		CreatedAt: time.UnixMilli(1_790_000_000_000), ExpiresAt: time.UnixMilli(1_790_000_900_000),
		Seen: authz.Seen{Network: "127.0.0.0/24", UserAgent: "Go-http-client/1.1"},
	}
}

// thawed holds the writer until its function is called, so that the writes
// handed in meanwhile form one group.
func thawed(t *testing.T, s *Store) (thaw func()) {
	t.Helper()
	held, gate, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.writer.do(t.Context(), single, func(*sqlite.Conn) error {
			close(held)
			<-gate
			return nil
		})
	}()
	<-held
	return func() {
		close(gate)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// together hands in writes in this order, lets them run as one group, and returns
// their errors.
func together(t *testing.T, s *Store, writes ...func() error) []error {
	t.Helper()
	thaw := thawed(t, s)
	errs := make([]error, len(writes))
	var running sync.WaitGroup
	for i, write := range writes {
		running.Go(func() { errs[i] = write() })
		awaitQueue(t, s, i+1)
	}
	thaw()
	running.Wait()
	return errs
}

// awaitQueue waits until so many writes are queued.
func awaitQueue(t *testing.T, s *Store, n int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for s.writer.queue.Len() < n {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("a write was never queued")
		}
	}
}

func (s *Store) has(t *testing.T, n int) bool {
	t.Helper()
	_, err := s.DeviceRequest(t.Context(), numbered(n).DeviceCode)
	if err != nil && !errors.Is(err, contract.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestAGroupIsOneTransaction(t *testing.T) {
	s := open(t)
	seenBefore := true
	errs := together(t, s,
		func() error { return s.CreateDeviceRequest(t.Context(), numbered(1)) },
		func() error {
			return s.writer.do(t.Context(), single, func(*sqlite.Conn) error {
				seenBefore = s.has(t, 1) // a reader looks while the group is open
				return nil
			})
		})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if seenBefore {
		t.Error("a write was committed before its group")
	}
	if !s.has(t, 1) {
		t.Error("an acknowledged write is not seen")
	}
}

func TestAFailureLeavesTheNeighboursInItsGroupAlone(t *testing.T) {
	s := open(t)
	twice := func() error { return s.CreateDeviceRequest(t.Context(), numbered(1)) }
	errs := together(t, s,
		twice,
		twice, // refused: a single statement undoes itself
		func() error { // fails in its second statement
			return s.writer.do(t.Context(), several, func(c *sqlite.Conn) error {
				if _, err := exec(c, `INSERT INTO accounts (id, created_at, disabled) VALUES ('half', 1, 0)`); err != nil {
					return err
				}
				_, err := exec(c, `INSERT INTO accounts (id, created_at, disabled) VALUES (NULL, NULL, NULL)`)
				return err
			})
		},
		func() error { return s.CreateDeviceRequest(t.Context(), numbered(2)) },
	)
	if errs[0] != nil || !errors.Is(errs[1], contract.ErrExists) || errs[2] == nil || errs[3] != nil {
		t.Fatalf("got errors %v", errs)
	}
	if !s.has(t, 1) || !s.has(t, 2) {
		t.Error("a neighbour's write is missing")
	}
	if _, err := s.Account(t.Context(), "half"); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("half of a failed operation was kept: %v", err)
	}
}

// A savepoint that cannot be made is its write's trouble; one that cannot be ended is
// that of all, and nobody is told what another was told.
func TestASavepointThatFailsLeavesNothingHalfDone(t *testing.T) {
	s := open(t)
	authorize := func(a sqlite.Authorizer) func() error {
		return func() error {
			return s.writer.do(t.Context(), single, func(c *sqlite.Conn) error { return c.SetAuthorizer(a) })
		}
	}
	for n, all := range []bool{false, true, true} { // SAVEPOINT, ROLLBACK TO, RELEASE
		seen := 0
		fails := sqlite.AuthorizeFunc(func(a sqlite.Action) sqlite.AuthResult {
			if a.Type() == sqlite.OpSavepoint {
				if seen++; seen == n+1 {
					return sqlite.AuthResultDeny
				}
			}
			return sqlite.AuthResultOK
		})
		errs := together(t, s,
			authorize(fails),
			func() error { return s.RemoveClient(t.Context(), "nobody", time.Now()) },
			authorize(nil),
			func() error { return s.CreateDeviceRequest(t.Context(), numbered(n)) },
		)
		if err := errs[1]; err == nil || contract.Promised(err) {
			t.Errorf("savepoint %d: %v", n, err)
		}
		if err := errs[3]; (err != nil) != all || contract.Promised(err) || s.has(t, n) == all {
			t.Errorf("savepoint %d: its neighbour is told %v", n, err)
		}
		if err := authorize(nil)(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWriteWhoseCallerLeftTheQueueDoesNotRun(t *testing.T) {
	s := open(t)
	ctx, leave := context.WithCancel(t.Context())
	errs := together(t, s,
		func() error { return s.CreateDeviceRequest(ctx, numbered(1)) },
		func() error { leave(); return s.CreateDeviceRequest(t.Context(), numbered(2)) },
	)
	if !errors.Is(errs[0], context.Canceled) || errs[1] != nil {
		t.Fatalf("got errors %v", errs)
	}
	if s.has(t, 1) || !s.has(t, 2) {
		t.Error("the wrong write was dropped")
	}
}

func TestAFailedCommitFailsTheWholeGroup(t *testing.T) {
	s := open(t)
	orphan := func() error {
		return s.writer.do(t.Context(), several, func(c *sqlite.Conn) error {
			// With the check put off, it is the COMMIT that fails.
			if _, err := exec(c, `PRAGMA defer_foreign_keys = ON`); err != nil {
				return err
			}
			return insertIdentity(c, authz.Identity{BAPID: "orphan", AccountID: "nobody"})
		})
	}
	errs := together(t, s, func() error { return s.CreateDeviceRequest(t.Context(), numbered(1)) }, orphan)
	if slices.Contains(errs, nil) {
		t.Fatalf("a write of a failed transaction was acknowledged: %v", errs)
	}
	if s.has(t, 1) {
		t.Error("a failed transaction left a row")
	}
	if n := s.index.entries(); n != 0 {
		t.Errorf("a failed transaction left %d entries in the index", n)
	}
	if err := s.CreateDeviceRequest(t.Context(), numbered(1)); err != nil {
		t.Errorf("after a failed commit: %v", err)
	}
}

// Each kind of which there is nothing to remove would otherwise cost those who write
// a flush to disk, again and again while one kind has much.
func TestWhereNothingIsOverNobodyWaitsForItsRemoval(t *testing.T) {
	s := open(t)
	now := time.UnixMilli(1_790_001_000_000)
	if err := s.CreateDeviceRequest(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	times := func(now time.Time) contract.SweepTimes {
		return contract.SweepTimes{DeviceRequests: now, Grants: now, Events: now, Rest: now}
	}
	thaw := thawed(t, s)
	swept := make(chan error)
	go func() {
		n, err := s.Sweep(t.Context(), times(numbered(1).CreatedAt), 10)
		if n != 0 {
			err = errors.Join(err, fmt.Errorf("%d rows are gone", n))
		}
		swept <- err
	}()
	select {
	case err := <-swept:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the writer")
	}
	thaw()
	if n, err := s.Sweep(t.Context(), times(now), 10); n != 1 || err != nil {
		t.Errorf("%d rows are gone: %v", n, err)
	}
}

// TestAFullDiskIsToldTheTruth fills the database up: what was acknowledged is
// there, what was refused is not, and writing works again when there is room.
// On a full disk SQLite may end the transaction by itself, savepoints and all.
func TestWhoEndsTheTransactionIsToldWhy(t *testing.T) {
	s := open(t)
	full := sqlite.ResultFull.ToError()
	errs := together(t, s,
		func() error { return s.CreateDeviceRequest(t.Context(), numbered(1)) },
		func() error {
			return s.writer.do(t.Context(), several, func(c *sqlite.Conn) error {
				_, err := exec(c, `ROLLBACK`)
				return errors.Join(err, full)
			})
		},
		func() error { return s.CreateDeviceRequest(t.Context(), numbered(3)) },
	)
	for n, err := range errs {
		if sqlite.ErrCode(err) != sqlite.ResultFull || s.has(t, n+1) {
			t.Errorf("write %d: %v", n, err)
		}
	}
}

func TestAFullDiskIsToldTheTruth(t *testing.T) {
	s := open(t)
	limit := func(pages string) {
		t.Helper()
		err := s.read(t.Context(), func(*sqlite.Conn) error { return nil })
		if err == nil {
			err = s.writer.do(t.Context(), single, func(c *sqlite.Conn) error {
				return sqlitex.ExecuteTransient(c, `PRAGMA max_page_count = `+pages, nil)
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	limit("80")
	const rows = 120
	writes := make([]func() error, rows)
	for i := range writes {
		writes[i] = func() error {
			if i%2 == 0 {
				return s.CreateDeviceRequest(t.Context(), wide(i))
			}
			return s.writer.do(t.Context(), several, func(c *sqlite.Conn) error {
				_, err := exec(c, insertDeviceRequest, wideRow(wide(i))...)
				return err
			})
		}
	}
	errs := together(t, s, writes...)
	if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		t.Fatal("the database never filled up")
	}
	for i, err := range errs {
		if err != nil && !errors.Is(unusable(err), contract.ErrUnreachable) {
			t.Errorf("write %d: %v", i, err)
		}
		if s.has(t, i) != (err == nil) {
			t.Fatalf("write %d of %d returned %v, and is kept: %v", i, rows, err, s.has(t, i))
		}
	}
	limit("1000000")
	if err := s.CreateDeviceRequest(t.Context(), numbered(rows)); err != nil || !s.has(t, rows) {
		t.Errorf("with room again: %v", err)
	}
}

func TestWhatSQLiteCannotDoNowIsNoMistake(t *testing.T) {
	for _, code := range cannotNow {
		if err := wrap("writing", fmt.Errorf("committing: %w", code.ToError())); !errors.Is(err, contract.ErrUnreachable) || sqlite.ErrCode(err) != code {
			t.Errorf("%v: %v", code, err)
		}
	}
	for _, code := range []sqlite.ResultCode{
		sqlite.ResultIOErrWrite, sqlite.ResultIOErrFsync, sqlite.ResultIOErrSHMSize, sqlite.ResultBusySnapshot, sqlite.ResultReadOnlyDBMoved, sqlite.ResultCantOpenIsDir,
	} {
		if err := wrap("writing", code.ToError()); !errors.Is(err, contract.ErrUnreachable) {
			t.Errorf("%v: %v", code, err)
		}
	}
	for _, code := range []sqlite.ResultCode{
		sqlite.ResultError, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultMisuse, sqlite.ResultConstraintCheck, sqlite.ResultTooBig,
	} {
		if err := wrap("writing", code.ToError()); err == nil || errors.Is(err, contract.ErrUnreachable) {
			t.Errorf("%v: %v", code, err)
		}
	}
}

func wide(n int) authz.DeviceRequest {
	r := numbered(n)
	r.Nonce = strings.Repeat("x", 6000)
	return r
}

func wideRow(r authz.DeviceRequest) []any {
	return []any{
		r.ID, r.DeviceCode, r.UserCode, r.ClientID, r.Scope, r.State, r.AccountID, r.CreatedAt, r.ExpiresAt,
		r.SignatureRequired, r.MatchNumber, r.Nonce, r.Seen.Network, r.Seen.UserAgent, r.Says.Origin, r.Says.Name, r.Says.Platform,
	}
}

func TestAWriteAfterCloseIsRefused(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "countersign.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateDeviceRequest(t.Context(), numbered(1)); !errors.Is(err, group.ErrClosed) || !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("got %v, want group.ErrClosed", err)
	}
}

func TestAReadAfterCloseIsRefused(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "countersign.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeviceRequest(t.Context(), numbered(1).DeviceCode); !errors.Is(err, group.ErrClosed) || !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("got %v, want group.ErrClosed", err)
	}
}
