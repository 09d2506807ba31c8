package storagetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Run holds a storage to the contract. open opens the database that belongs to
// the test t: an empty one at the first call, the same one, as another server
// would, at every further call with that t. Run closes what it opens.
func Run(t *testing.T, open func(t testing.TB) contract.Store) {
	t.Helper()
	for _, noun := range []struct {
		name  string
		cases []testCase
	}{
		{"client", clientCases},
		{"device", deviceCases},
		{"decision", decisionCases},
		{"opening", openingCases},
		{"report", reportCases},
		{"account", accountCases},
		{"removal", removalCases},
		{"session", sessionCases},
		{"grant", grantCases},
		{"refresh", refreshCases},
		{"consent", consentCases},
		{"key", keyCases},
		{"guard", guardCases},
		{"event", eventCases},
		{"passkey", passkeyCases},
		{"backup", backupCases},
		{"sweep", sweepCases},
		{"agent", agentCases},
		{"delegate", delegateCases},
		{"ask", askCases},
		{"spend", spendCases},
		{"bound", boundCases},
		{"keep", keepCases},
		{"store", storeCases},
		{"neighbour", neighbourCases},
	} {
		for _, c := range noun.cases {
			t.Run(noun.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				f := &fixture{T: t, open: open}
				f.store = f.connect()
				c.run(f)
			})
		}
	}
}

// testCase is one promise; its name is a sentence.
type testCase struct {
	name string
	run  func(f *fixture)
}

// begin is when the cases take place. A storage has no clock of its own, so any
// time will do; this one has milliseconds that are not zero.
var begin = time.Date(2026, time.March, 29, 0, 59, 59, 7_000_000, time.UTC)

// at is a number of seconds after begin.
func at(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

// Numbers of a case that is not about them: it stores less.
const many = 100

var plenty = contract.KeepAtMost(many)

// fixture is what a case works with: a test, its storage, and things to store that
// differ from each other in every member.
type fixture struct {
	*testing.T
	open  func(t testing.TB) contract.Store
	store contract.Store
	drawn int
}

// connect opens the test's database once more; it is closed with the test.
func (f *fixture) connect() contract.Store {
	f.Helper()
	return f.closing(f.open(f.T))
}

func (f *fixture) closing(store contract.Store) contract.Store {
	f.Helper()
	s := &closedOnce{Store: store}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Errorf("closing: %v", err)
		}
	})
	return s
}

// closedOnce lets a case close a storage that the end of the test closes too.
type closedOnce struct {
	contract.Store
	once sync.Once
	err  error
}

// Close closes the storage, or says how that ended.
func (s *closedOnce) Close() error {
	s.once.Do(func() { s.err = s.Store.Close() })
	return s.err
}

// reopen closes the storage and opens it again, as a restart does.
func (f *fixture) reopen() {
	f.Helper()
	f.ok(f.store.Close())
	f.store = f.connect()
}

func (f *fixture) word(kind string) string {
	f.drawn++
	return fmt.Sprintf("%s-%d", kind, f.drawn)
}

func (f *fixture) hash() authz.Hash { return sha256.Sum256([]byte(f.word("hash"))) }

// ok ends the test if an operation failed.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("got error %v, want none", err)
	}
}

// refused ends the test unless an operation ended in the outcome wanted.
func (f *fixture) refused(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

// wrongState ends the test unless err is a *authz.StateError that carries the
// request as it is kept.
func (f *fixture) wrongState(err error, want authz.DeviceRequest) {
	f.Helper()
	var state *contract.StateError
	if !errors.As(err, &state) {
		f.Fatalf("got error %v, want a *authz.StateError", err)
	}
	f.same(state.Request, want)
}

// same ends the test unless two values are equal, times to the millisecond.
func (f *fixture) same(got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Fatalf("not what was stored (-want +got):\n%s", diff)
	}
}

// count ends the test unless exactly n of the errors are nil and all others
// pass as lost.
func (f *fixture) count(errs []error, n int, lost func(error) bool) {
	f.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !lost(err):
			f.Fatalf("a loser got %v", err)
		}
	}
	if won != n {
		f.Fatalf("%d of %d calls succeeded, want %d", won, len(errs), n)
	}
}

func isState(err error) bool {
	var state *contract.StateError
	return errors.As(err, &state)
}

func is(want error) func(error) bool {
	return func(err error) bool { return errors.Is(err, want) }
}

// race makes n calls at once and returns their errors by call.
func race(n int, call func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-gate
			errs[i] = call(i)
		})
	}
	close(gate)
	running.Wait()
	return errs
}

// awkward are strings that a database may be tempted to change: case, accents
// composed and not, spaces at the ends, quotes, wide and combined characters,
// and one longer than a page.
var awkward = []string{
	"Ada", "ada", "ADA", "\u00e9", "e\u0301", " ada ", "ada\n", `'"\%_;--`, "🔑👩‍💻", "ﷺ\u202e", "İıſß", string(make7bit(9000)),
}

func make7bit(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + i%95)
	}
	return b
}
