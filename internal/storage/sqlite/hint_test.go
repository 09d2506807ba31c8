package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
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
	s.index.mu.Lock()
	for _, h := range s.index.hashes(missing.DeviceCode, missing.UserCode, missing.ID) {
		s.index.rows[h] = row
	}
	s.index.mu.Unlock()
	ctx := t.Context()
	for by, find := range map[string]func() (authz.DeviceRequest, error){
		"device code": func() (authz.DeviceRequest, error) { return s.DeviceRequest(ctx, missing.DeviceCode) },
		"user code":   func() (authz.DeviceRequest, error) { return s.DeviceRequestByUserCode(ctx, missing.UserCode) },
		"id":          func() (authz.DeviceRequest, error) { return s.DeviceRequestByID(ctx, missing.ID) },
	} {
		if found, err := find(); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("by its %s: %v, %v", by, found.ID, err)
		}
	}
	at := r.CreatedAt
	for what, write := range map[string]error{
		"open":    opened(s.OpenDeviceRequest(ctx, authz.Opening{RequestID: missing.ID, AccountID: "alice", Claim: true, At: at})),
		"cancel":  s.CancelDeviceRequest(ctx, missing.ID, at),
		"approve": s.ApproveDeviceRequest(ctx, authz.Approval{RequestID: missing.ID, AccountID: "alice", Unclaimed: true, At: at}),
		"deny":    s.DenyDeviceRequest(ctx, authz.Denial{RequestID: missing.ID, AccountID: "alice", Unclaimed: true, At: at}),
		"redeem":  s.RedeemDeviceRequest(ctx, authz.Redemption{DeviceCode: missing.DeviceCode, ClientID: other.ClientID, At: at}),
	} {
		if !errors.Is(write, authz.ErrNotFound) {
			t.Errorf("%s: %v", what, write)
		}
	}
	if kept, err := s.DeviceRequestByID(ctx, other.ID); err != nil || kept.State != authz.Pending || kept.AccountID != "" {
		t.Errorf("the row that the entries named is %s, of %q: %v", kept.State, kept.AccountID, err)
	}
}

func opened(_ authz.Opened, err error) error { return err }

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
	if err := s.CreateDeviceRequest(t.Context(), again); !errors.Is(err, authz.ErrExists) {
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
	r := numbered(1)
	if err := stores[1].CreateDeviceRequest(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	here := stores[0]
	err := here.read(t.Context(), func(c *sqlite.Conn) error {
		row, err := here.index.find(c, here.index.hash(byID, []byte(r.ID)), 42)
		if row == 0 {
			t.Error("it is not found")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
