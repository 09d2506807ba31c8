package issuer_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"pgregory.net/rapid"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/account"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/receipt"
)

// clock is the test's own.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

const (
	issuerURL    = "http://localhost:8628"
	codeLifetime = 60 * time.Second
	pollInterval = 5 * time.Second
)

// world is a service on a real database, with owners. On PostgreSQL there are two
// of it, whose requests are the same.
type world struct {
	service  *issuer.Issuer // the first of services
	store    contract.Store // of the last of them
	settings authz.Settings
	services []*issuer.Issuer
	clock    *clock
	owners   []authz.Owner
	keys     []*ec.PrivateKey
	tokens   atomic.Int64 // made so far
}

func newWorld(tb testing.TB, dir string, change ...func(*authz.Settings)) *world {
	tb.Helper()
	w := &world{clock: newClock()}
	settings := &w.settings
	*settings = authz.Settings{
		Issuer: issuerURL, DeviceCodeLifetime: codeLifetime, PollInterval: pollInterval, AccessTokenLifetime: time.Hour,
		RefreshIdleLifetime: 24 * time.Hour, RefreshLifetime: 240 * time.Hour, RefreshGrace: 30 * time.Second,
		SessionLifetime: 24 * time.Hour, OpenClients: true, SignUp: true, PendingLimit: 1_000_000,
	}
	for _, c := range change {
		c(settings)
	}
	for _, open := range databases(tb, dir) {
		store, others := open()
		service, err := issuer.New(context.Background(), issuer.Options{
			Store: store, Others: others, Settings: *settings, Secret: make([]byte, authz.SecretLength), Clock: w.clock.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			service.Close()
			if err := store.Close(); err != nil {
				tb.Error(err)
			}
		})
		w.services, w.store = append(w.services, service), store
	}
	w.service = w.services[0]
	for seed := range 3 {
		key, _ := ec.PrivateKeyFromBytes([]byte{31: byte(seed + 1)})
		token, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: "/sign-in", Time: w.clock.Now()})
		if err != nil {
			tb.Fatal(err)
		}
		signedIn, err := w.service.Accounts.SignIn(context.Background(), account.SignInRequest{SignedRequest: authz.SignedRequest{Token: token, Path: "/sign-in"}})
		if err != nil {
			tb.Fatal(err)
		}
		owner, err := w.service.Accounts.SessionOwner(context.Background(), signedIn.Token)
		if err != nil {
			tb.Fatal(err)
		}
		w.owners, w.keys = append(w.owners, owner), append(w.keys, key)
	}
	return w
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// databases open one database: SQLite's once or, where the tests are to run on
// that, PostgreSQL's twice.
func databases(tb testing.TB, dir string) []func() (contract.Store, contract.Others) {
	tb.Helper()
	if os.Getenv("COUNTERSIGN_TEST_STORE") == "postgres" {
		url := pgtest.Database(tb)
		open := func() (contract.Store, contract.Others) {
			store, err := postgres.Open(context.Background(), url, slog.New(slog.DiscardHandler))
			if err != nil {
				tb.Fatal(err)
			}
			return store, store
		}
		return []func() (contract.Store, contract.Others){open, open}
	}
	return []func() (contract.Store, contract.Others){func() (contract.Store, contract.Others) {
		store, err := sqlite.Open(context.Background(), filepath.Join(dir, "countersign.db"))
		if err != nil {
			tb.Fatal(err)
		}
		return store, nil
	}}
}

// at is one of the servers.
func (w *world) at(n int) *issuer.Issuer { return w.services[n%len(w.services)] }

var asker = authz.Asker{From: authz.Source{Address: netip.MustParseAddr("127.0.0.1")}}

func client(id string) authz.Client {
	return authz.Client{ID: id, AuthMethod: authz.AuthNone, GrantTypes: []string{authz.GrantDevice}}
}

// signedApproval approves with a signature, as the command line does.
func (w *world) signedApproval(at *issuer.Issuer, owner int, userCode string) error {
	ctx := context.Background()
	facts, err := at.Approvals.Facts(ctx, w.owners[owner], asker, userCode, "")
	if err != nil {
		return err
	}
	statement := at.Approvals.Statement(facts)
	match := userCode[len(userCode)-4:]
	body, err := json.Marshal(map[string]string{"userCode": userCode, "statement": statement, "match": match})
	if err != nil {
		return err
	}
	who, err := w.signed(at, owner, receipt.ApprovalPath, body)
	if err != nil {
		return err
	}
	_, err = at.Approvals.Approve(ctx, who, asker, approval.Decision{UserCode: userCode, Match: match})
	return err
}

// signed is an owner who has signed this very request. No two tokens are alike.
func (w *world) signed(at *issuer.Issuer, owner int, path string, body []byte) (authz.Owner, error) {
	unlike := time.Duration(w.tokens.Add(1)) * time.Millisecond
	token, err := bitcoinauth.Sign(w.keys[owner], bitcoinauth.Signing{Path: path, Body: body, Time: w.clock.Now().Add(unlike)})
	if err != nil {
		return authz.Owner{}, err
	}
	return at.Accounts.SignedOwner(context.Background(), authz.SignedRequest{Token: token, Path: path, Body: body})
}

// history is what was promised about one device request. The invariants of the
// design are checked against it as answers come in, and at the end.
type history struct {
	mu       sync.Mutex
	claimed  map[string]bool // accounts whose opening succeeded
	approved []string        // accounts whose approval was acknowledged
	denied   []string
	tokens   int
	faults   []string
}

func (h *history) fault(format string, args ...any) {
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

// promised are the refusals a state machine may answer with. Anything else is a
// failure of ours.
func promised(err error) bool {
	for _, code := range []authz.Code{
		authz.AuthorizationPending, authz.SlowDown, authz.AccessDenied, authz.ExpiredToken, authz.InvalidGrant,
		authz.InvalidRequest, authz.NotOpened, authz.AlreadyDecided, authz.Forbidden, authz.WrongMatch, authz.TooManyGuesses,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// act does one random thing to the request, at one of the servers, and notes what was answered.
func (h *history) act(w *world, at *issuer.Issuer, what string, who int, d *device.Authorization) {
	ctx := context.Background()
	owner := w.owners[who]
	var err error
	switch what {
	case "open":
		_, _, err = at.Approvals.Open(ctx, owner, asker, d.UserCode, true)
	case "approve":
		_, err = at.Approvals.Approve(ctx, owner, asker, approval.Decision{UserCode: d.UserCode})
	case "sign":
		err = w.signedApproval(at, who, d.UserCode)
	case "deny":
		err = at.Approvals.Deny(ctx, owner, asker, d.UserCode, false)
	case "poll":
		_, err = at.Device.Poll(ctx, client("my-app"), d.DeviceCode, 0, authz.Proofs{})
	case "steal":
		_, err = at.Device.Poll(ctx, client("other-app"), d.DeviceCode, 0, authz.Proofs{})
	case "later":
		w.clock.advance(pollInterval)
	case "expire":
		w.clock.advance(codeLifetime)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		if !promised(err) {
			h.fault("%s answered %v", what, err)
		}
		return
	}
	switch what {
	case "open":
		h.claimed[owner.AccountID] = true
	case "approve", "sign":
		h.approved = append(h.approved, owner.AccountID)
	case "deny":
		h.denied = append(h.denied, owner.AccountID)
	case "poll":
		h.tokens++
	case "steal":
		h.fault("another client redeemed the code (RFC 8628 §5.6)")
	}
}

// check holds the history to the invariants.
func (h *history) check(t *rapid.T) {
	if len(h.approved)+len(h.denied) > 1 {
		h.fault("%d decisions were acknowledged", len(h.approved)+len(h.denied))
	}
	if h.tokens > 1 {
		h.fault("%d polls got tokens", h.tokens)
	}
	if h.tokens == 1 && len(h.approved) == 0 {
		h.fault("tokens without an approval")
	}
	if len(h.claimed) > 1 {
		h.fault("%d accounts opened the request", len(h.claimed))
	}
	for _, who := range append(h.approved, h.denied...) {
		for other := range h.claimed {
			if other != who {
				h.fault("decided by one account and opened by another")
			}
		}
	}
	for _, f := range h.faults {
		t.Error(f)
	}
}

// TestTheStateMachineKeepsItsInvariants runs random interleavings of everything
// that can happen to a device request, on several goroutines at once: no order
// of events gives two decisions, two token responses, tokens without approval,
// or a request to two owners.
func TestTheStateMachineKeepsItsInvariants(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		d, err := w.service.Device.Authorize(context.Background(), client("my-app"), device.AuthorizationRequest{})
		if err != nil {
			rt.Fatal(err)
		}
		h := &history{claimed: map[string]bool{}}
		things := rapid.SampledFrom([]string{"open", "open", "approve", "sign", "deny", "poll", "poll", "steal", "later", "later", "expire"})
		plans := rapid.SliceOfN(rapid.SliceOfN(things, 1, 8), 1, 4).Draw(rt, "plans")
		who := rapid.SliceOfN(rapid.IntRange(0, len(w.owners)-1), len(plans), len(plans)).Draw(rt, "who")
		var together sync.WaitGroup
		for i, plan := range plans {
			together.Go(func() {
				for _, what := range plan {
					h.act(w, w.at(i), what, who[i], d)
				}
			})
		}
		together.Wait()

		// Whatever happened, the end is certain: an approval that was acknowledged is
		// redeemable exactly once while the code lives, and nothing is after it.
		w.clock.advance(2 * time.Minute)
		h.act(w, w.at(0), "poll", 0, d)
		before := h.tokens
		h.act(w, w.at(1), "poll", 0, d)
		if h.tokens != before {
			h.fault("tokens after the end")
		}
		h.check(rt)
	})
}

// TestAnAcknowledgedApprovalIsRedeemable: the approval of any owner, in any way,
// leads to tokens at the next poll in time.
func TestAnAcknowledgedApprovalIsRedeemable(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for _, way := range []string{"session", "signature"} {
		t.Run(way, func(t *testing.T) {
			d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if way == "session" {
				if _, _, err := w.service.Approvals.Open(t.Context(), w.owners[0], asker, d.UserCode, true); err != nil {
					t.Fatal(err)
				}
				_, err = w.at(1).Approvals.Approve(t.Context(), w.owners[0], asker, approval.Decision{UserCode: d.UserCode})
			} else {
				err = w.signedApproval(w.at(1), 1, d.UserCode)
			}
			if err != nil {
				t.Fatal(err)
			}
			tokens, err := w.service.Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 0, authz.Proofs{})
			if err != nil || tokens.AccessToken == "" {
				t.Fatalf("%v", err)
			}
		})
	}
}

// TestD32_OfManyParallelPollsExactlyOneGetsTokens is the race RFC 6749 §10.5
// worries about, a few times over.
func TestD32_OfManyParallelPollsExactlyOneGetsTokens(t *testing.T) {
	const polls = 64
	w := newWorld(t, t.TempDir())
	for range 10 {
		d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.signedApproval(w.at(0), 0, d.UserCode); err != nil {
			t.Fatal(err)
		}
		var won atomic.Int64
		var together sync.WaitGroup
		for i := range polls {
			together.Go(func() {
				_, err := w.at(i).Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 0, authz.Proofs{})
				switch {
				case err == nil:
					won.Add(1)
				case !promised(err):
					t.Errorf("a poll failed: %v", err)
				}
			})
		}
		together.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d polls got tokens", won.Load(), polls)
		}
	}
}

// TestAPollHearsOfTheDecisionWhereverItIsTaken: a poll that waits, and one that
// comes later after the server has learned that the request is pending.
func TestAPollHearsOfTheDecisionWhereverItIsTaken(t *testing.T) {
	w := newWorld(t, t.TempDir())
	for range 10 {
		d, err := w.service.Device.Authorize(t.Context(), client("my-app"), device.AuthorizationRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.at(0).Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 0, authz.Proofs{}); !errors.Is(err, authz.AuthorizationPending) {
			t.Fatal(err)
		}
		w.clock.advance(pollInterval)
		var waited sync.WaitGroup
		var tokens *authz.Tokens
		waited.Go(func() {
			tokens, err = w.at(0).Device.Poll(t.Context(), client("my-app"), d.DeviceCode, 20*time.Second, authz.Proofs{})
		})
		if err := w.signedApproval(w.at(1), 0, d.UserCode); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		waited.Wait()
		if err != nil || tokens.AccessToken == "" {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 15*time.Second {
			t.Errorf("the poll woke after %v", waited)
		}
	}
}
