package storagetest

import (
	"fmt"
	"time"

	"countersign.dev/internal/authz"
)

// claim opens a request for an account that wants it; losing it to another is a
// *authz.StateError, as it is for the decisions that follow.
func claim(b *bench, s authz.Store, id, accountID string, now time.Time) error {
	b.Helper()
	opened, err := s.OpenDeviceRequest(b.Context(), authz.Opening{RequestID: id, AccountID: accountID, Claim: true, At: now})
	if err == nil && opened.Request.AccountID != accountID {
		return &authz.StateError{Request: opened.Request}
	}
	return err
}

// opened opens a request without claiming it and ends the test unless so many
// have opened it.
func (b *bench) opened(r authz.DeviceRequest, accountID string, browser authz.Hash, accounts, browsers int) {
	b.Helper()
	got, err := b.store.OpenDeviceRequest(b.Context(), authz.Opening{RequestID: r.ID, AccountID: accountID, Browser: browser, At: at(1)})
	b.ok(err)
	b.same(got, authz.Opened{Request: r, Accounts: accounts, Browsers: browsers})
}

var openingCases = []testCase{
	{"K-03 the accounts and browsers that open a request are counted, each once", func(b *bench) {
		r, other := b.pending(), b.pending()
		first, second := b.hash(), b.hash()
		b.opened(r, "", authz.Hash{}, 0, 0)
		b.opened(r, "alice", first, 1, 1)
		b.opened(r, "alice", first, 1, 1)
		b.opened(r, "Alice", first, 2, 1)
		b.opened(r, "", second, 2, 2)
		b.opened(r, "bob", authz.Hash{}, 3, 2)
		b.opened(other, "alice", second, 1, 1)
		b.kept(r)
	}},
	{"K-03 who opens another's request is counted, and does not get it", func(b *bench) {
		r := b.pending()
		b.ok(claim(b, b.store, r.ID, "alice", at(1)))
		r.AccountID = "alice"
		got, err := b.store.OpenDeviceRequest(b.Context(), authz.Opening{RequestID: r.ID, AccountID: "bob", Claim: true, At: at(2)})
		b.ok(err)
		b.same(got, authz.Opened{Request: r, Accounts: 2})
		b.kept(r)
	}},
	{"K-03 of concurrent openings by many on two servers none is lost, and one sees them all", func(b *bench) {
		r := b.pending()
		stores := []authz.Store{b.store, b.connect()}
		seen := make([]authz.Opened, 32)
		browsers := make([]authz.Hash, len(seen)/2)
		for i := range browsers {
			browsers[i] = b.hash()
		}
		errs := race(len(seen), func(i int) (err error) {
			seen[i], err = stores[i%2].OpenDeviceRequest(b.Context(), authz.Opening{
				RequestID: r.ID, AccountID: fmt.Sprintf("account %d", i), Browser: browsers[i/2], At: at(1),
			})
			return err
		})
		b.count(errs, len(errs), isState)
		reached := map[int]bool{}
		for _, o := range seen {
			reached[o.Accounts] = true
		}
		for n := range len(seen) {
			if !reached[n+1] { // so whoever is the third of them knows it
				b.Errorf("nobody saw %d accounts", n+1)
			}
		}
		b.opened(r, "account 0", browsers[0], len(seen), len(browsers))
	}},
	{"an opening needs a request that is there, pending and not expired, and leaves nothing otherwise", func(b *bench) {
		_, err := b.store.OpenDeviceRequest(b.Context(), authz.Opening{RequestID: "none", AccountID: "alice", At: at(1)})
		b.refused(err, authz.ErrNotFound)
		r := b.pending()
		got, err := b.store.OpenDeviceRequest(b.Context(), authz.Opening{RequestID: r.ID, AccountID: "alice", Claim: true, At: r.ExpiresAt})
		b.wrongState(err, r)
		b.same(got, authz.Opened{})
		b.opened(r, "bob", authz.Hash{}, 1, 0)
		decided := b.approved().request
		_, err = b.store.OpenDeviceRequest(b.Context(), authz.Opening{RequestID: decided.ID, AccountID: decided.AccountID, At: at(20)})
		b.wrongState(err, decided)
	}},
	{"a cancelled request is denied and nobody's, whoever had opened it", func(b *bench) {
		free, claimed := b.pending(), b.pending()
		b.ok(claim(b, b.store, claimed.ID, "alice", at(1)))
		for _, r := range []authz.DeviceRequest{free, claimed} {
			b.ok(b.store.CancelDeviceRequest(b.Context(), r.ID, at(2)))
			r.State, r.AccountID = authz.Denied, ""
			b.kept(r)
			b.wrongState(approve(b, r, "alice", true, at(3)), r)
			b.noGrant(r)
			b.wrongState(claim(b, b.store, r.ID, "alice", at(4)), r)
			b.kept(r)
		}
	}},
	{"cancelling needs a request that is there, pending and not expired", func(b *bench) {
		b.refused(b.store.CancelDeviceRequest(b.Context(), "none", at(1)), authz.ErrNotFound)
		r := b.pending()
		b.wrongState(b.store.CancelDeviceRequest(b.Context(), r.ID, r.ExpiresAt), r)
		b.kept(r)
		decided := b.approved()
		b.wrongState(b.store.CancelDeviceRequest(b.Context(), decided.request.ID, at(20)), decided.request)
		b.kept(decided.request)
	}},
	{"of concurrent cancellations and denials one succeeds", func(b *bench) {
		r := b.pending()
		errs := race(32, func(i int) error {
			if i%2 == 0 {
				return b.store.CancelDeviceRequest(b.Context(), r.ID, at(10))
			}
			return deny(b, r, fmt.Sprintf("account %d", i), true, at(10))
		})
		b.count(errs, 1, isState)
	}},
	{"who opened a request is swept with it", func(b *bench) {
		for range 3 {
			r := b.requestUntil(at(60))
			b.opened(r, "alice", b.hash(), 1, 1)
		}
		live := b.requestUntil(at(900))
		b.opened(live, "alice", b.hash(), 1, 1)
		b.same(b.sweep(at(61), 2), 2)
		b.same(b.sweep(at(61), 2), 1)
		b.opened(live, "bob", b.hash(), 2, 2)
		b.opened(b.requestUntil(at(900)), "carol", authz.Hash{}, 1, 0) // nothing of an old row is a new one's
	}},
}

// reports ends the test unless so many accounts reported each subject.
func (b *bench) reports(after time.Time, want map[string]int) {
	b.Helper()
	for subject, n := range want {
		got, err := b.store.Reports(b.Context(), []string{"none", subject}, after)
		b.ok(err)
		b.same(got, []int{0, n})
	}
}

// report denies a request and reports subjects.
func (b *bench) report(accountID string, now time.Time, subjects ...string) {
	b.Helper()
	b.reportKeeping(plenty, accountID, now, subjects...)
}

// reportKeeping is report where so many of the account's reports stay.
func (b *bench) reportKeeping(k authz.Keep, accountID string, now time.Time, subjects ...string) {
	b.Helper()
	r := b.pending()
	b.ok(b.store.DenyDeviceRequest(b.Context(), authz.Denial{
		RequestID: r.ID, AccountID: accountID, Unclaimed: true, At: now, Reported: subjects, Reporter: accountID, Keep: k, Event: anyEvent,
	}))
}

var reportCases = []testCase{
	{"K-12 reports are counted by subject and account, the latest of each", func(b *bench) {
		b.report("alice", at(1), "client:a", "network:x")
		b.report("alice", at(5), "client:a")
		b.report("bob", at(2), "client:a")
		b.report("Bob", at(3), "client:a", "client:A")
		b.reports(at(0), map[string]int{"client:a": 3, "network:x": 1, "client:A": 1})
		b.reports(at(2), map[string]int{"client:a": 2, "network:x": 0})
		b.reports(at(5), map[string]int{"client:a": 0})
		got, err := b.store.Reports(b.Context(), nil, at(0))
		b.ok(err)
		b.same(got, []int{})
	}},
	{"K-12 the reports of several accounts count once for one reporter, as they last did", func(b *bench) {
		report := func(account, reporter string) {
			b.ok(b.store.DenyDeviceRequest(b.Context(), authz.Denial{
				RequestID: b.pending().ID, AccountID: account, Unclaimed: true, At: at(1), Reported: []string{"client:a", "network:x"}, Reporter: reporter,
				Event: anyEvent, Keep: plenty,
			}))
		}
		want := func(n int) {
			b.Helper()
			b.reports(at(0), map[string]int{"client:a": n, "network:x": n})
			for _, c := range []int{n, n + 1} {
				got, err := b.store.Reported(b.Context(), "network:", c, at(0))
				b.ok(err)
				b.same(len(got), n+1-c)
			}
		}
		for i := range 4 {
			report(fmt.Sprint("account ", i), "here")
		}
		want(1)
		report("account 1", "there")
		want(2)
		g := b.approved().grant
		b.ok(b.store.RevokeGrant(b.Context(), authz.Revocation{
			GrantID: g.ID, At: at(30), AccountID: "account 2", Reported: []string{"client:a", "network:x"}, Reporter: "elsewhere",
			Event: anyEvent, Keep: plenty,
		}))
		want(3)
	}},
	{"K-12 the subjects that many reported are listed by their beginning", func(b *bench) {
		for i, account := range []string{"alice", "bob", "carol"} {
			b.report(account, at(10*i), "network:y", "client:a")
			b.report(account, at(10*i), "network:x")
		}
		b.report("alice", at(20), "network:z", "Network:z", "network%")
		for _, c := range []struct {
			atLeast int
			after   time.Time
			want    []string
		}{
			{3, at(-1), []string{"network:x", "network:y"}},
			{1, at(-1), []string{"network:x", "network:y", "network:z"}},
			{2, at(0), []string{"network:x", "network:y"}},
			{2, at(10), nil},
			{4, at(-1), nil},
		} {
			got, err := b.store.Reported(b.Context(), "network:", c.atLeast, c.after)
			b.ok(err)
			b.same(got, c.want)
		}
	}},
	{"K-12 a denial that is refused reports nothing", func(b *bench) {
		r := b.pending()
		b.ok(claim(b, b.store, r.ID, "alice", at(1)))
		err := b.store.DenyDeviceRequest(b.Context(), authz.Denial{RequestID: r.ID, AccountID: "bob", At: at(2), Reported: []string{"client:a"}, Event: anyEvent, Keep: plenty})
		r.AccountID = "alice"
		b.wrongState(err, r)
		b.reports(at(0), map[string]int{"client:a": 0})
	}},
	{"K-11 a revocation reports too, of a grant that is there, revoked before or not", func(b *bench) {
		a := b.approved()
		report := func(id, account string, now time.Time) error {
			return b.store.RevokeGrant(b.Context(), authz.Revocation{GrantID: id, At: now, AccountID: account, Reported: []string{"client:a"}, Reporter: account, Event: anyEvent, Keep: plenty})
		}
		b.ok(report(a.grant.ID, "alice", at(30)))
		b.ok(report(a.grant.ID, "bob", at(40)))
		b.refused(report("none", "carol", at(40)), authz.ErrNotFound)
		b.reports(at(0), map[string]int{"client:a": 2})
	}},
	{"K-12 no report is lost under concurrency", func(b *bench) {
		requests := make([]authz.DeviceRequest, 32)
		for i := range requests {
			requests[i] = b.pending()
		}
		stores := []authz.Store{b.store, b.connect()}
		errs := race(len(requests), func(i int) error {
			return stores[i%2].DenyDeviceRequest(b.Context(), authz.Denial{
				RequestID: requests[i].ID, AccountID: fmt.Sprintf("account %d", i/2), Unclaimed: true, At: at(1), Reported: []string{"client:a"}, Reporter: fmt.Sprintf("network %d", i/2),
				Event: anyEvent, Keep: plenty,
			})
		})
		b.count(errs, len(errs), isState)
		b.reports(at(0), map[string]int{"client:a": len(requests) / 2})
	}},
	{"reports are swept when they no longer count", func(b *bench) {
		b.report("alice", at(0), "client:a")
		b.report("bob", at(60), "client:a")
		n, err := b.store.Sweep(b.Context(), authz.SweepTimes{Counted: at(30)}, 100)
		b.ok(err)
		b.same(n, 1)
		b.reports(at(-1), map[string]int{"client:a": 1})
	}},
}
