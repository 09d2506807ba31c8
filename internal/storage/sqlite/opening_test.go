package sqlite

import (
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// TestOpeningsGoWithTheirRequest looks into the table: from outside a row that
// was left behind is never seen again, because row numbers are used once.
func TestOpeningsGoWithTheirRequest(t *testing.T) {
	s := open(t)
	for i := range 3 {
		r := numbered(i)
		if err := s.CreateDeviceRequest(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		_, err := s.OpenDeviceRequest(t.Context(), contract.Opening{RequestID: r.ID, AccountID: "alice", Browser: authz.Hash{1}, At: r.CreatedAt})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := func() (n int) {
		err := s.read(t.Context(), func(c *sqlite.Conn) error {
			return one(c, func(r *sqlite.Stmt) { n = r.ColumnInt(0) }, `SELECT count(*) FROM device_openings`)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := rows(); n != 6 {
		t.Fatalf("%d rows are kept", n)
	}
	over := contract.SweepTimes{DeviceRequests: numbered(0).ExpiresAt.Add(time.Millisecond)}
	for _, left := range []int{2, 0} {
		if _, err := s.Sweep(t.Context(), over, 2); err != nil {
			t.Fatal(err)
		}
		if n := rows(); n != left {
			t.Errorf("%d rows are left, want %d", n, left)
		}
	}
}
