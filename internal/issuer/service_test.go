package issuer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/storage/sqlite"
)

func TestAServiceIsNotMadeOfWhatIsMissing(t *testing.T) {
	full := newWorld(t, t.TempDir()) // whose keys the others have, for an RSA key takes long
	keys := full.signingKeys(t)
	made := func(kept int, change func(*issuer.Options)) (left []authz.SigningKey, err error) {
		t.Helper()
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "countersign.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if err := store.ChangeSigningKeys(t.Context(), contract.KeyChange{Keys: keys[:kept]}); err != nil {
			t.Fatal(err)
		}
		o := issuer.Options{
			Store: store, Settings: authz.Settings{Issuer: issuerURL}, Secret: make([]byte, authz.SecretLength),
			Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		}
		change(&o)
		service, err := issuer.New(t.Context(), o)
		if err == nil {
			service.Close()
		}
		left, failed := store.SigningKeys(t.Context(), time.Time{})
		if failed != nil {
			t.Fatal(failed)
		}
		return left, err
	}
	slices.SortFunc(keys, func(a, b authz.SigningKey) int { return -strings.Compare(a.Algorithm, b.Algorithm) }) // RS256 first
	for name, c := range map[string]struct {
		kept   int
		change func(*issuer.Options)
		want   error // nil: any
	}{
		"a short secret":                         {3, func(o *issuer.Options) { o.Secret = o.Secret[1:] }, nil},
		"an issuer that is no URL":               {3, func(o *issuer.Options) { o.Settings.Issuer = "http://[::1" }, nil},
		"no randomness for a key":                {2, func(o *issuer.Options) { o.Rand = iotest.ErrReader(io.ErrUnexpectedEOF) }, io.ErrUnexpectedEOF},
		"another secret":                         {3, func(o *issuer.Options) { o.Secret = bytes.Repeat([]byte{1}, 32) }, authz.ErrOtherSecret},
		"another secret, where a key is missing": {2, func(o *issuer.Options) { o.Secret = bytes.Repeat([]byte{1}, 32) }, authz.ErrOtherSecret},
	} {
		left, err := made(c.kept, c.change)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a short secret" && !strings.Contains(err.Error(), "at least 32") {
			t.Errorf("%s: %v", name, err)
		}
		if len(left) != c.kept {
			t.Errorf("%s: %d keys of %d are there", name, len(left), c.kept)
		}
	}
	left, err := made(2, func(o *issuer.Options) { o.Secret = make([]byte, authz.SecretLength) })
	if err != nil || len(left) != 3 {
		t.Errorf("with a key missing and all else there: %v, %d keys", err, len(left))
	}
	for _, key := range keys[:2] {
		if !slices.ContainsFunc(left, func(k authz.SigningKey) bool { return k.ID == key.ID }) {
			t.Error("a key that was there is not used")
		}
	}
}

// signingKeys are those of a world.
func (w *world) signingKeys(t *testing.T) []authz.SigningKey {
	t.Helper()
	keys, err := w.store.SigningKeys(t.Context(), time.Time{})
	if err != nil || len(keys) != 3 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	return keys
}

// Without a proxy before it, which is so on a name of this machine's own, an address
// that others use too is what it seems to be.
func TestAServerOfThisMachineKnowsItsVisitorsAddresses(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for name, local := range map[string]bool{
		"http://localhost:8628": true, "http://id.localhost:8628": true, "http://127.0.0.1:8628": true, "http://[::1]:8628": true,
		"https://id.example.org": false, "https://localhost.example.org": false, "http://10.0.0.1:8628": false, "http://notlocalhost": false,
	} {
		service, err := issuer.New(t.Context(), issuer.Options{
			Store: w.store, Settings: authz.Settings{Issuer: name}, Secret: make([]byte, authz.SecretLength), Clock: time.Now, Rand: rand.Reader,
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		service.Close()
		for _, address := range []string{"127.0.0.1", "10.1.2.3"} {
			if known := service.Guard.NetworkOf(authz.Source{Address: netip.MustParseAddr(address)}) != ""; known != local {
				t.Errorf("%s: %s is known: %v", name, address, known)
			}
		}
	}
}

// told are other servers as far as they are heard of.
type told chan func(heard func(contract.Decided), deaf func(bool))

func (o told) Watch(ctx context.Context, heard func(contract.Decided), deaf func(bool)) {
	for {
		select {
		case say := <-o:
			say(heard, deaf)
		case <-ctx.Done():
			return
		}
	}
}

// What another server decided reaches a poll that waits here.
func TestAServerWithOthersHearsOfThem(t *testing.T) {
	w := newWorld(t, t.TempDir())
	others := make(told)
	here, err := issuer.New(t.Context(), issuer.Options{
		Store: w.store, Others: others, Settings: w.settings, Secret: make([]byte, authz.SecretLength), Clock: w.clock.Now, Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := here.Device.Poll(t.Context(), client("my-app"), d.DeviceCode, authz.MaxWait, authz.Proofs{})
		answer <- err
	}()
	if err := w.signedApproval(w.service, 0, d.UserCode); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case others <- func(heard func(contract.Decided), deaf func(bool)) {
			deaf(false)
			heard(contract.Decided{DeviceCode: d.DeviceCode.Hash()})
		}:
		case err := <-answer:
			if err != nil {
				t.Errorf("the poll that waited heard %v", err)
			}
			return
		}
	}
}

// An unregistered client has what anybody may have, whatever it says of itself.
func TestAnUnregisteredClientHasTheBasicScopes(t *testing.T) {
	w := newWorld(t, t.TempDir())
	stranger := authz.Client{ID: "stranger", Scope: "admin", GrantTypes: []string{authz.GrantDevice, authz.GrantRefresh}}
	if _, err := w.service.Device.Authorize(t.Context(), stranger, device.AuthorizationRequest{Scope: "admin"}); !errors.Is(err, authz.InvalidScope) {
		t.Errorf("more: %v", err)
	}
	if _, err := w.service.Device.Authorize(t.Context(), stranger, device.AuthorizationRequest{Scope: "offline_access"}); !errors.Is(err, authz.InvalidScope) {
		t.Errorf("to renew: %v", err)
	}
	for asked, want := range map[string]string{"": "openid profile", "admin openid": "openid"} {
		d, err := w.service.Device.Authorize(t.Context(), stranger, device.AuthorizationRequest{Scope: asked})
		if err != nil {
			t.Fatal(err)
		}
		if _, r, err := w.service.Approvals.Open(t.Context(), w.owners[0], asker, d.UserCode, true); err != nil || r.Scope != want {
			t.Errorf("%q: %q, %v", asked, r.Scope, err)
		}
	}
}

func TestWithoutANameAnIdentityIsCalledByTheEndsOfItsID(t *testing.T) {
	for id, want := range map[string]string{"": "", "abcdefgh": "abcdefgh", "abcdefghi": "abcd…fghi"} {
		if got := (authz.Identity{BAPID: id}).DisplayName(); got != want {
			t.Errorf("%q: %q", id, got)
		}
	}
	if got := (authz.Identity{BAPID: "abcdefghi", Profile: authz.Profile{Name: "Alice"}}).DisplayName(); got != "Alice" {
		t.Errorf("%q", got)
	}
}

// What a visit's id is written as, it is written as in one way.
func TestAVisitIsWrittenInOneWay(t *testing.T) {
	w := newWorld(t, t.TempDir())
	id, code, err := w.service.Approvals.StartVisit("BCDF-GHJK")
	if err != nil {
		t.Fatal(err)
	}
	if got, opener, err := w.service.Approvals.VisitCode(id); got != code || opener != "" || err != nil {
		t.Errorf("%q %q %v", got, opener, err)
	}
	for _, other := range []string{"", "AAAA", id + "\n", id + "!", id + "=", id[:20], id[:58], id[1:], id + "AAAA"} {
		if _, _, err := w.service.Approvals.VisitCode(other); !errors.Is(err, authz.ReviewOver) {
			t.Errorf("%q: %v", other, err)
		}
	}
	w.clock.advance(30*time.Minute - time.Second)
	if _, _, err := w.service.Approvals.VisitCode(id); err != nil {
		t.Error(err)
	}
	w.clock.advance(time.Second)
	if _, _, err := w.service.Approvals.VisitCode(id); !errors.Is(err, authz.ReviewOver) {
		t.Errorf("after half an hour: %v", err)
	}
}
