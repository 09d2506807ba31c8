// Package storagetest is the contract of authz.Store, as tests.
//
// Each outcome that a comment in authz.Store states has a case here, in the file
// of its noun; races are among them. A storage passes all of it or is none:
// there is nothing to opt out of. What only one database has (files, locks,
// migrations) is tested beside that database. Start reading at Run, then at any
// noun's file.
package storagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/authz"
)

// Run holds a storage to the contract. open opens the database that belongs to
// the test t: an empty one at the first call, the same one, as another server
// would, at every further call with that t. Run closes what it opens.
func Run(t *testing.T, open func(t testing.TB) authz.Store) {
	t.Helper()
	for _, noun := range []struct {
		name  string
		cases []testCase
	}{
		{"client", clientCases},
		{"device", deviceCases},
		{"decision", decisionCases},
		{"account", accountCases},
		{"session", sessionCases},
		{"grant", grantCases},
		{"refresh", refreshCases},
		{"key", keyCases},
		{"guard", guardCases},
		{"sweep", sweepCases},
		{"store", storeCases},
	} {
		for _, c := range noun.cases {
			t.Run(noun.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				b := &bench{T: t, open: open}
				b.store = b.connect()
				c.run(b)
			})
		}
	}
}

// testCase is one promise; its name is a sentence.
type testCase struct {
	name string
	run  func(b *bench)
}

// begin is when the cases take place. A storage has no clock of its own, so any
// time will do; this one has milliseconds that are not zero.
var begin = time.Date(2026, time.March, 29, 0, 59, 59, 7_000_000, time.UTC)

// at is a number of seconds after begin.
func at(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

// bench is what a case works with: a test, its storage, and things to store that
// differ from each other in every member.
type bench struct {
	*testing.T
	open  func(t testing.TB) authz.Store
	store authz.Store
	drawn int
}

// connect opens the test's database once more; it is closed with the test.
func (b *bench) connect() authz.Store {
	b.Helper()
	s := &closedOnce{Store: b.open(b.T)}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Errorf("closing: %v", err)
		}
	})
	return s
}

// closedOnce lets a case close a storage that the end of the test closes too.
type closedOnce struct {
	authz.Store
	once sync.Once
	err  error
}

func (s *closedOnce) Close() error {
	s.once.Do(func() { s.err = s.Store.Close() })
	return s.err
}

// reopen closes the storage and opens it again, as a restart does.
func (b *bench) reopen() {
	b.Helper()
	b.ok(b.store.Close())
	b.store = b.connect()
}

func (b *bench) word(kind string) string {
	b.drawn++
	return fmt.Sprintf("%s-%d", kind, b.drawn)
}

func (b *bench) hash() authz.Hash { return sha256.Sum256([]byte(b.word("hash"))) }

// ok ends the test if an operation failed.
func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("got error %v, want none", err)
	}
}

// refused ends the test unless an operation ended in the outcome wanted.
func (b *bench) refused(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("got error %v, want %v", err, want)
	}
}

// wrongState ends the test unless err is a *authz.StateError that carries the
// request as it is kept.
func (b *bench) wrongState(err error, want authz.DeviceRequest) {
	b.Helper()
	var state *authz.StateError
	if !errors.As(err, &state) {
		b.Fatalf("got error %v, want a *authz.StateError", err)
	}
	b.same(state.Request, want)
}

// same ends the test unless two values are equal, times to the millisecond.
func (b *bench) same(got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Fatalf("not what was stored (-want +got):\n%s", diff)
	}
}

// count ends the test unless exactly n of the errors are nil and all others
// pass as lost.
func (b *bench) count(errs []error, n int, lost func(error) bool) {
	b.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !lost(err):
			b.Fatalf("a loser got %v", err)
		}
	}
	if won != n {
		b.Fatalf("%d of %d calls succeeded, want %d", won, len(errs), n)
	}
}

func isState(err error) bool {
	var state *authz.StateError
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

var storeCases = []testCase{
	{"a ping succeeds on a new database, twice", func(b *bench) {
		b.ok(b.store.Ping(b.Context()))
		b.ok(b.store.Ping(b.Context()))
	}},
	{"a write whose caller has gone does not happen", func(b *bench) {
		gone, cancel := context.WithCancel(b.Context())
		cancel()
		r := b.request()
		b.refused(b.store.CreateDeviceRequest(gone, r), context.Canceled)
		_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
		b.refused(err, authz.ErrNotFound)
		b.ok(b.store.CreateDeviceRequest(b.Context(), r))
	}},
	{"a call that is cancelled on the way happened or did not, as it says", cancelledOnTheWay},
	{"close waits for the writes under way, and what it let through is kept", closeWaits},
	{"what was acknowledged survives a restart", everythingSurvives},
	{"another server sees what was acknowledged, at once", func(b *bench) {
		other := b.connect()
		for range 20 {
			r := b.pending()
			got, err := other.DeviceRequest(b.Context(), r.DeviceCode)
			b.ok(err)
			b.same(got, r)
			b.ok(other.ClaimDeviceRequest(b.Context(), r.ID, "account", at(1)))
			got, err = b.store.DeviceRequestByID(b.Context(), r.ID)
			b.ok(err)
			b.same(got.AccountID, "account")
		}
	}},
	{"two servers that write at once do not disturb each other", func(b *bench) {
		stores := []authz.Store{b.store, b.connect()}
		requests := make([]authz.DeviceRequest, 64)
		for i := range requests {
			requests[i] = b.request()
		}
		errs := race(len(requests), func(i int) error { return stores[i%2].CreateDeviceRequest(b.Context(), requests[i]) })
		b.count(errs, len(requests), func(error) bool { return false })
		for i, r := range requests {
			got, err := stores[(i+1)%2].DeviceRequestByUserCode(b.Context(), r.UserCode)
			b.ok(err)
			b.same(got, r)
		}
	}},
}

// cancelledOnTheWay cancels many calls while they are queued or running. Each
// answer must be the truth.
func cancelledOnTheWay(b *bench) {
	requests := make([]authz.DeviceRequest, 100)
	for i := range requests {
		requests[i] = b.request()
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	errs := race(len(requests), func(i int) error {
		if i == len(requests)/2 {
			cancel()
		}
		return b.store.CreateDeviceRequest(ctx, requests[i])
	})
	for i, r := range requests {
		_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
		switch {
		case errs[i] == nil:
			b.ok(err)
		case errors.Is(errs[i], context.Canceled):
			b.refused(err, authz.ErrNotFound)
		default:
			b.Fatalf("got error %v, want none or context.Canceled", errs[i])
		}
	}
}

// closeWaits closes a storage under load: a write is refused or kept.
func closeWaits(b *bench) {
	requests := make([]authz.DeviceRequest, 64)
	for i := range requests {
		requests[i] = b.request()
	}
	store := b.store
	errs := race(len(requests)+1, func(i int) error {
		if i == len(requests) {
			return store.Close()
		}
		return store.CreateDeviceRequest(b.Context(), requests[i])
	})
	b.ok(errs[len(requests)])
	b.store = b.connect()
	for i, r := range requests {
		_, err := b.store.DeviceRequest(b.Context(), r.DeviceCode)
		if errs[i] == nil {
			b.ok(err)
		} else {
			b.refused(err, authz.ErrNotFound)
		}
	}
}

// everythingSurvives stores one of each kind and restarts.
func everythingSurvives(b *bench) {
	ctx := b.Context()
	client := b.client()
	b.ok(b.store.AddClient(ctx, client))
	a := b.approved()
	token := authz.RefreshToken{Token: b.hash(), GrantID: a.grant.ID, ExpiresAt: at(600)}
	b.ok(b.store.RedeemDeviceRequest(ctx, authz.Redemption{
		DeviceCode: a.request.DeviceCode, ClientID: a.request.ClientID, At: at(20), RefreshToken: &token,
	}))
	session, review := b.session(a.identity), b.review()
	b.ok(b.store.CreateSession(ctx, session))
	b.ok(b.store.CreateReview(ctx, review))
	keys, err := b.store.AddSigningKeys(ctx, []authz.SigningKey{b.key("ES256")})
	b.ok(err)
	used := b.hash()
	b.ok(b.store.UseOnce(ctx, used, at(0), at(60)))
	b.ok(b.store.CountGuesses(ctx, []string{"subject"}, at(0)))

	b.reopen()

	gotClient, err := b.store.Client(ctx, client.ID)
	b.ok(err)
	b.same(gotClient, client)
	gotRequest, err := b.store.DeviceRequest(ctx, a.request.DeviceCode)
	b.ok(err)
	b.same(gotRequest.State, authz.Redeemed)
	gotGrant, gotIdentity, err := b.store.LiveGrant(ctx, a.grant.ID, at(21))
	b.ok(err)
	b.same(gotGrant.LastUsedAt, at(20))
	b.same(gotIdentity, a.identity)
	gotReceipt, err := b.store.Receipt(ctx, a.grant.ID)
	b.ok(err)
	b.same(gotReceipt, a.receipt)
	gotToken, err := b.store.RefreshToken(ctx, token.Token, at(21))
	b.ok(err)
	b.same(gotToken, token)
	gotSession, err := b.store.Session(ctx, session.Token, at(21))
	b.ok(err)
	b.same(gotSession, session)
	gotReview, err := b.store.TakeReview(ctx, review.ID, review.Session, at(21))
	b.ok(err)
	b.same(gotReview, review)
	gotKeys, err := b.store.SigningKeys(ctx)
	b.ok(err)
	b.same(gotKeys, keys)
	b.refused(b.store.UseOnce(ctx, used, at(21), at(90)), authz.ErrExists)
	failures, err := b.store.Guesses(ctx, []string{"subject"}, at(0))
	b.ok(err)
	b.same(failures, []int{1})
}
