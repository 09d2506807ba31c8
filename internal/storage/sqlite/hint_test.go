package sqlite

import (
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Two keys may have one hash, and a row that an entry names may be gone: whoever
// follows an entry compares the whole key.
func TestAnEntryOfTheIndexIsAHint(t *testing.T) {
	s := open(t)
	r, other := numbered(1), numbered(2)
	for _, r := range []authz.DeviceRequest{r, other} {
		if err := s.CreateDeviceRequest(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	missing := numbered(3)
	row, found := s.index.row(s.index.hash(byID, []byte(other.ID)))
	if !found {
		t.Fatal("the index lacks a row")
	}
	ctx, at := t.Context(), r.CreatedAt
	approved, _ := s.index.row(s.index.hash(byID, []byte(r.ID)))
	if err := s.writer.do(ctx, single, func(c *sqlite.Conn) error {
		_, err := exec(c, `UPDATE device_requests SET state = 'approved' WHERE seq = ?`, approved)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.index.mu.Lock()
	for kind, h := range s.index.hashes(missing.DeviceCode, missing.UserCode, missing.ID) {
		s.index.rows[h] = row
		if keyKind(kind) == byDeviceCode { // which is for what was approved
			s.index.rows[h] = approved
		}
	}
	s.index.mu.Unlock()
	for by, find := range map[string]func() (authz.DeviceRequest, error){
		"device code": func() (authz.DeviceRequest, error) { return s.DeviceRequest(ctx, missing.DeviceCode) },
		"user code":   func() (authz.DeviceRequest, error) { return s.DeviceRequestByUserCode(ctx, missing.UserCode) },
		"id":          func() (authz.DeviceRequest, error) { return s.DeviceRequestByID(ctx, missing.ID) },
	} {
		if found, err := find(); !errors.Is(err, contract.ErrNotFound) {
			t.Errorf("by its %s: %v, %v", by, found.ID, err)
		}
	}
	for what, write := range map[string]error{
		"open":    opened(s.OpenDeviceRequest(ctx, contract.Opening{RequestID: missing.ID, AccountID: "alice", Claim: true, At: at})),
		"cancel":  s.CancelDeviceRequest(ctx, missing.ID, at),
		"approve": s.ApproveDeviceRequest(ctx, contract.Approval{RequestID: missing.ID, AccountID: "alice", Unclaimed: true, At: at}),
		"deny":    s.DenyDeviceRequest(ctx, contract.Denial{RequestID: missing.ID, AccountID: "alice", Unclaimed: true, At: at}),
		"redeem":  s.RedeemDeviceRequest(ctx, contract.Redemption{DeviceCode: missing.DeviceCode, ClientID: other.ClientID, At: at}),
	} {
		if !errors.Is(write, contract.ErrNotFound) {
			t.Errorf("%s: %v", what, write)
		}
	}
	for id, state := range map[string]authz.State{other.ID: authz.Pending, r.ID: authz.Approved} {
		if kept, err := s.DeviceRequestByID(ctx, id); err != nil || kept.State != state || kept.AccountID != "" {
			t.Errorf("the row that the entries named is %s, of %q: %v", kept.State, kept.AccountID, err)
		}
	}
}

func opened(_ contract.Opened, err error) error { return err }

func TestEntriesOfRowsThatAreGoneTakeNoKey(t *testing.T) {
	s := open(t)
	kept := numbered(1)
	if err := s.CreateDeviceRequest(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	const gone = 1 << 40
	plant := func(hashes ...uint64) {
		s.index.mu.Lock()
		defer s.index.mu.Unlock()
		for _, h := range hashes {
			s.index.rows[h] = gone
		}
	}
	r := numbered(2)
	keys := s.index.hashes(r.DeviceCode, r.UserCode, r.ID)
	plant(keys[:]...)
	if err := s.CreateDeviceRequest(t.Context(), r); err != nil {
		t.Errorf("keys of a row that is gone are taken: %v", err)
	}
	again := numbered(3)
	again.UserCode = kept.UserCode
	plant(s.index.hash(byDeviceCode, again.DeviceCode[:]))
	if err := s.CreateDeviceRequest(t.Context(), again); !errors.Is(err, contract.ErrExists) {
		t.Errorf("a key that is taken behind one that is not: %v", err)
	}
}

// A reader that followed an entry to a row that is gone looks for what other
// processes stored meanwhile.
func TestWhatIsGoneHereMayBeStoredElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	var stores [2]*Store
	for i := range stores {
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		<-s.loaded
		stores[i] = s
	}
	gone, r := numbered(0), numbered(1)
	for _, r := range []authz.DeviceRequest{gone, r} {
		if err := stores[1].CreateDeviceRequest(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	here := stores[0]
	here.index.mu.Lock()
	here.index.rows[here.index.hash(byID, []byte(r.ID))] = 1 // as if it had been there
	here.index.mu.Unlock()
	if found, err := here.DeviceRequestByID(t.Context(), r.ID); err != nil || found.ID != r.ID {
		t.Errorf("%q: %v", found.ID, err)
	}

	// So does one whose entry was taken out meanwhile.
	last := numbered(2)
	if err := stores[1].CreateDeviceRequest(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if err := here.read(t.Context(), func(c *sqlite.Conn) error {
		row, err := here.index.find(c, here.index.hash(byID, []byte(last.ID)), 1)
		if row == 0 {
			t.Error("what was stored elsewhere is not found")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAnotherServerStoredIsFoundHoweverMuchItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	here, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	<-here.loaded
	there, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	const rows = 2*batch + 1
	if err := there.writer.do(t.Context(), single, func(c *sqlite.Conn) error { return storeMany(c, rows, numbered(1).ExpiresAt) }); err != nil {
		t.Fatal(err)
	}
	if _, err := here.DeviceRequestByID(t.Context(), strconv.Itoa(rows-1)); err != nil {
		t.Error(err)
	}
}

func TestARequestThatWasNotStoredTakesNoKey(t *testing.T) {
	s := open(t)
	if err := s.CreateDeviceRequest(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	failed := false
	for n := 0; ; n++ {
		heal := breaks(t, n, s.writer.conn)
		err := s.CreateDeviceRequest(t.Context(), numbered(2))
		if reached := heal(); !reached {
			if err != nil || !failed {
				t.Errorf("after it had failed %v: %v", failed, err)
			}
			return
		}
		failed = true
	}
}
