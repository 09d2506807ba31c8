package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz/contract"
)

func (x *requestIndex) entries() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.rows)
}

func TestTheIndexHoldsWhatTheTableHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	const rows = batch + 100 // read in two batches after the restart
	thaw := thawed(t, s)
	errs := make(chan error, rows)
	for i := range rows {
		go func() { errs <- s.CreateDeviceRequest(t.Context(), numbered(i)) }()
	}
	thaw()
	for range rows {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if got := s.index.entries(); got != rows*int(keyKinds) {
		t.Fatalf("after %d writes the index has %d entries", rows, got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.index.entries(); got != rows*int(keyKinds) {
		t.Errorf("when it is ready after a restart the index has %d entries", got)
	}
	if !s.has(t, 0) || !s.has(t, rows-1) || s.has(t, rows) {
		t.Error("after a restart the wrong rows are found")
	}
	if got := s.index.entries(); got != rows*int(keyKinds) {
		t.Errorf("after a restart the index has %d entries", got)
	}
	over := contract.SweepTimes{DeviceRequests: numbered(0).ExpiresAt.Add(time.Millisecond)}
	if n, err := s.Sweep(t.Context(), over, rows); n != rows || err != nil {
		t.Fatalf("swept %d rows: %v", n, err)
	}
	if got := s.index.entries(); got != 0 {
		t.Errorf("after all rows were swept the index has %d entries", got)
	}
}

// TestEveryConnectionFlushes is about the one setting whose loss no test of a
// killed process can see: only a power cut shows it.
func TestEveryConnectionFlushes(t *testing.T) {
	s := open(t)
	full := func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) {
			if level := r.ColumnInt(0); level != 2 {
				t.Errorf("PRAGMA synchronous is %d, want 2 (FULL)", level)
			}
		}, `PRAGMA synchronous`)
	}
	if err := s.writer.do(t.Context(), single, full); err != nil {
		t.Fatal(err)
	}
	for range readers {
		c := <-s.pool
		defer func() { s.pool <- c }()
		if err := full(c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreCanBeClosedBeforeItsIndexIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	<-s.loaded
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	s.index.catching <- struct{}{} // whoever reads has to wait
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Ping(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("while the index is being read, ready says %v", err)
	}
	<-s.index.catching
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.loaded

	s.loaded = make(chan struct{})
	go s.load(t.Context()) // whose turn comes when all is closed
	select {
	case <-s.loaded:
	case <-time.After(10 * time.Second):
		t.Error("what is closed is read without an end")
	}
}

// storeMany stores so many requests, of two clients in turn, three of four pending.
func storeMany(c *sqlite.Conn, rows int, until time.Time) error {
	_, err := exec(c, `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ? - 1)
		INSERT INTO device_requests (id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
			signed_only, match_number, nonce, network, user_agent, origin, device_name, platform)
		SELECT n, -n, n + 0, 'client-' || (n % 2), '', iif(n % 4 < 3, 'pending', 'denied'), '', 0, ?, 0, 0, '', '', '', '', '', '' FROM numbers`,
		rows, until)
	return err
}

func TestManyPendingRequestsAreEstimated(t *testing.T) {
	s := open(t)
	const rows = 20_000
	now := time.Now()
	if err := s.writer.do(t.Context(), single, func(c *sqlite.Conn) error { return storeMany(c, rows, now.Add(time.Hour)) }); err != nil {
		t.Fatal(err)
	}
	for _, atMost := range []int64{rows, rows / 4} {
		s.countedAtMost = atMost
		total, of, err := s.PendingDeviceRequests(t.Context(), []string{"client-1"}, now)
		if err != nil {
			t.Fatal(err)
		}
		// Every block is like the others here, so the estimate is exact.
		if total != rows*3/4 || of["client-1"] != rows/4 {
			t.Errorf("at most %d rows: %d, of the client %d", atMost, total, of["client-1"])
		}
	}
}
