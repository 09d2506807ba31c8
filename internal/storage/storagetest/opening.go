package storagetest

import (
	"fmt"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// claim opens a request for an account that wants it; losing it to another is a
// *authz.StateError, as it is for the decisions that follow.
func claim(f *fixture, s contract.Store, id, accountID string, now time.Time) error {
	f.Helper()
	opened, err := s.OpenDeviceRequest(f.Context(), contract.Opening{RequestID: id, AccountID: accountID, Claim: true, At: now})
	if err == nil && opened.Request.AccountID != accountID {
		return &contract.StateError{Request: opened.Request}
	}
	return err
}

// opened opens a request without claiming it and ends the test unless so many
// have opened it.
func (f *fixture) opened(r authz.DeviceRequest, accountID string, browser authz.Hash, accounts, browsers int) {
	f.Helper()
	got, err := f.store.OpenDeviceRequest(f.Context(), contract.Opening{RequestID: r.ID, AccountID: accountID, Browser: browser, At: at(1)})
	f.ok(err)
	f.same(got, contract.Opened{Request: r, Accounts: accounts, Browsers: browsers})
}

var openingCases = []testCase{
	{"K-03 the accounts and browsers that open a request are counted, each once", func(f *fixture) {
		r, other := f.pending(), f.pending()
		first, second := f.hash(), f.hash()
		f.opened(r, "", authz.Hash{}, 0, 0)
		f.opened(r, "alice", first, 1, 1)
		f.opened(r, "alice", first, 1, 1)
		f.opened(r, "Alice", first, 2, 1)
		f.opened(r, "", second, 2, 2)
		f.opened(r, "bob", authz.Hash{}, 3, 2)
		f.opened(other, "alice", second, 1, 1)
		f.kept(r)
	}},
	{"K-03 who opens another's request is counted, and does not get it", func(f *fixture) {
		r := f.pending()
		f.ok(claim(f, f.store, r.ID, "alice", at(1)))
		r.AccountID = "alice"
		got, err := f.store.OpenDeviceRequest(f.Context(), contract.Opening{RequestID: r.ID, AccountID: "bob", Claim: true, At: at(2)})
		f.ok(err)
		f.same(got, contract.Opened{Request: r, Accounts: 2})
		f.kept(r)
	}},
	{"K-03 of concurrent openings by many on two servers none is lost, and one sees them all", func(f *fixture) {
		r := f.pending()
		stores := []contract.Store{f.store, f.connect()}
		seen := make([]contract.Opened, 32)
		browsers := make([]authz.Hash, len(seen)/2)
		for i := range browsers {
			browsers[i] = f.hash()
		}
		errs := race(len(seen), func(i int) (err error) {
			seen[i], err = stores[i%2].OpenDeviceRequest(f.Context(), contract.Opening{
				RequestID: r.ID, AccountID: fmt.Sprintf("account %d", i), Browser: browsers[i/2], At: at(1),
			})
			return err
		})
		f.count(errs, len(errs), isState)
		reached := map[int]bool{}
		for _, o := range seen {
			reached[o.Accounts] = true
		}
		for n := range len(seen) {
			if !reached[n+1] { // so whoever is the third of them knows it
				f.Errorf("nobody saw %d accounts", n+1)
			}
		}
		f.opened(r, "account 0", browsers[0], len(seen), len(browsers))
	}},
	{"an opening needs a request that is there, pending and not expired, and leaves nothing otherwise", func(f *fixture) {
		_, err := f.store.OpenDeviceRequest(f.Context(), contract.Opening{RequestID: "none", AccountID: "alice", At: at(1)})
		f.refused(err, contract.ErrNotFound)
		r := f.pending()
		got, err := f.store.OpenDeviceRequest(f.Context(), contract.Opening{RequestID: r.ID, AccountID: "alice", Claim: true, At: r.ExpiresAt})
		f.wrongState(err, r)
		f.same(got, contract.Opened{})
		f.opened(r, "bob", authz.Hash{}, 1, 0)
		decided := f.approved().request
		_, err = f.store.OpenDeviceRequest(f.Context(), contract.Opening{RequestID: decided.ID, AccountID: decided.AccountID, At: at(20)})
		f.wrongState(err, decided)
	}},
	{"a cancelled request is denied and nobody's, whoever had opened it", func(f *fixture) {
		free, claimed := f.pending(), f.pending()
		f.ok(claim(f, f.store, claimed.ID, "alice", at(1)))
		for _, r := range []authz.DeviceRequest{free, claimed} {
			f.ok(f.store.CancelDeviceRequest(f.Context(), r.ID, at(2)))
			r.State, r.AccountID = authz.Denied, ""
			f.kept(r)
			f.wrongState(approve(f, r, "alice", true, at(3)), r)
			f.noGrant(r)
			f.wrongState(claim(f, f.store, r.ID, "alice", at(4)), r)
			f.kept(r)
		}
	}},
	{"cancelling needs a request that is there, pending and not expired", func(f *fixture) {
		f.refused(f.store.CancelDeviceRequest(f.Context(), "none", at(1)), contract.ErrNotFound)
		r := f.pending()
		f.wrongState(f.store.CancelDeviceRequest(f.Context(), r.ID, r.ExpiresAt), r)
		f.kept(r)
		decided := f.approved()
		f.wrongState(f.store.CancelDeviceRequest(f.Context(), decided.request.ID, at(20)), decided.request)
		f.kept(decided.request)
	}},
	{"of concurrent cancellations and denials one succeeds", func(f *fixture) {
		r := f.pending()
		errs := race(32, func(i int) error {
			if i%2 == 0 {
				return f.store.CancelDeviceRequest(f.Context(), r.ID, at(10))
			}
			return deny(f, r, fmt.Sprintf("account %d", i), true, at(10))
		})
		f.count(errs, 1, isState)
	}},
	{"who opened a request is swept with it", func(f *fixture) {
		for range 3 {
			r := f.requestUntil(at(60))
			f.opened(r, "alice", f.hash(), 1, 1)
		}
		live := f.requestUntil(at(900))
		f.opened(live, "alice", f.hash(), 1, 1)
		f.same(f.sweep(at(61), 2), 2)
		f.same(f.sweep(at(61), 2), 1)
		f.opened(live, "bob", f.hash(), 2, 2)
		f.opened(f.requestUntil(at(900)), "carol", authz.Hash{}, 1, 0) // nothing of an old row is a new one's
	}},
}

// reports ends the test unless so many accounts reported each subject.
func (f *fixture) reports(after time.Time, want map[string]int) {
	f.Helper()
	for subject, n := range want {
		got, err := f.store.Reports(f.Context(), []string{"none", subject}, after)
		f.ok(err)
		f.same(got, []int{0, n})
	}
}

// report denies a request and reports subjects.
func (f *fixture) report(accountID string, now time.Time, subjects ...string) {
	f.Helper()
	f.reportKeeping(plenty, accountID, now, subjects...)
}

// reportKeeping is report where so many of the account's reports stay.
func (f *fixture) reportKeeping(k contract.Keep, accountID string, now time.Time, subjects ...string) {
	f.Helper()
	r := f.pending()
	f.ok(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
		RequestID: r.ID, AccountID: accountID, Unclaimed: true, At: now, Reported: subjects, Reporter: accountID, Keep: k, Event: anyEvent,
	}))
}

var reportCases = []testCase{
	{"K-12 reports are counted by subject and account, the latest of each", func(f *fixture) {
		f.report("alice", at(1), "client:a", "network:x")
		f.report("alice", at(5), "client:a")
		f.report("bob", at(2), "client:a")
		f.report("Bob", at(3), "client:a", "client:A")
		f.reports(at(0), map[string]int{"client:a": 3, "network:x": 1, "client:A": 1})
		f.reports(at(2), map[string]int{"client:a": 2, "network:x": 0})
		f.reports(at(5), map[string]int{"client:a": 0})
		got, err := f.store.Reports(f.Context(), nil, at(0))
		f.ok(err)
		f.same(got, []int{})
	}},
	{"K-12 the reports of several accounts count once for one reporter, as they last did", func(f *fixture) {
		report := func(account, reporter string) {
			f.ok(f.store.DenyDeviceRequest(f.Context(), contract.Denial{
				RequestID: f.pending().ID, AccountID: account, Unclaimed: true, At: at(1), Reported: []string{"client:a", "network:x"}, Reporter: reporter,
				Event: anyEvent, Keep: plenty,
			}))
		}
		want := func(n int) {
			f.Helper()
			f.reports(at(0), map[string]int{"client:a": n, "network:x": n})
			for _, c := range []int{n, n + 1} {
				got, err := f.store.Reported(f.Context(), "network:", c, at(0))
				f.ok(err)
				f.same(len(got), n+1-c)
			}
		}
		for i := range 4 {
			report(fmt.Sprint("account ", i), "here")
		}
		want(1)
		report("account 1", "there")
		want(2)
		g := f.approved().grant
		f.ok(f.store.RevokeGrant(f.Context(), contract.Revocation{
			GrantID: g.ID, At: at(30), AccountID: "account 2", Reported: []string{"client:a", "network:x"}, Reporter: "elsewhere",
			Event: anyEvent, Keep: plenty,
		}))
		want(3)
	}},
	{"K-12 the subjects that many reported are listed by their beginning", func(f *fixture) {
		for i, account := range []string{"alice", "bob", "carol"} {
			f.report(account, at(10*i), "network:y", "client:a")
			f.report(account, at(10*i), "network:x")
		}
		f.report("alice", at(20), "network:z", "Network:z", "network%")
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
			got, err := f.store.Reported(f.Context(), "network:", c.atLeast, c.after)
			f.ok(err)
			f.same(got, c.want)
		}
	}},
	{"K-12 a denial that is refused reports nothing", func(f *fixture) {
		r := f.pending()
		f.ok(claim(f, f.store, r.ID, "alice", at(1)))
		err := f.store.DenyDeviceRequest(f.Context(), contract.Denial{RequestID: r.ID, AccountID: "bob", At: at(2), Reported: []string{"client:a"}, Event: anyEvent, Keep: plenty})
		r.AccountID = "alice"
		f.wrongState(err, r)
		f.reports(at(0), map[string]int{"client:a": 0})
	}},
	{"K-11 a revocation reports too, of a grant that is there, revoked before or not", func(f *fixture) {
		a := f.approved()
		report := func(id, account string, now time.Time) error {
			return f.store.RevokeGrant(f.Context(), contract.Revocation{GrantID: id, At: now, AccountID: account, Reported: []string{"client:a"}, Reporter: account, Event: anyEvent, Keep: plenty})
		}
		f.ok(report(a.grant.ID, "alice", at(30)))
		f.ok(report(a.grant.ID, "bob", at(40)))
		f.refused(report("none", "carol", at(40)), contract.ErrNotFound)
		f.reports(at(0), map[string]int{"client:a": 2})
	}},
	{"K-12 no report is lost under concurrency", func(f *fixture) {
		requests := make([]authz.DeviceRequest, 32)
		for i := range requests {
			requests[i] = f.pending()
		}
		stores := []contract.Store{f.store, f.connect()}
		errs := race(len(requests), func(i int) error {
			return stores[i%2].DenyDeviceRequest(f.Context(), contract.Denial{
				RequestID: requests[i].ID, AccountID: fmt.Sprintf("account %d", i/2), Unclaimed: true, At: at(1), Reported: []string{"client:a"}, Reporter: fmt.Sprintf("network %d", i/2),
				Event: anyEvent, Keep: plenty,
			})
		})
		f.count(errs, len(errs), isState)
		f.reports(at(0), map[string]int{"client:a": len(requests) / 2})
	}},
	{"reports are swept when they no longer count", func(f *fixture) {
		f.report("alice", at(0), "client:a")
		f.report("bob", at(60), "client:a")
		n, err := f.store.Sweep(f.Context(), contract.SweepTimes{Counted: at(30)}, 100)
		f.ok(err)
		f.same(n, 1)
		f.reports(at(-1), map[string]int{"client:a": 1})
	}},
}
