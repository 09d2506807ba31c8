package authz

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Wrong user codes are counted (RFC 8628 §5.1, attack B-02): a hit would let a
// guesser approve somebody's device with an account of their own.
const (
	guessWindow = 15 * time.Minute
	// accountGuesses and narrowGuesses are what requirement D-34 and B-02 give one
	// person and one address.
	accountGuesses = 5
	narrowGuesses  = 10
	// wideGuesses is for a whole /24 or /48. Whoever holds one gets four addresses'
	// worth of guesses instead of 256 or 65 536, while four clumsy neighbours in
	// one window do not lock an office or a village.
	wideGuesses = 4 * narrowGuesses
	// wideShares: so many wide blocks at least it takes to spend the site's budget, and
	// narrowShares addresses to spend what their block may have of it. Whoever holds one
	// network must not shut the site for everybody without a key at hand.
	wideShares   = 4
	narrowShares = 2
)

// What is counted against; the block is written with its length, so that the two
// tiers have different names.
const (
	guessAccountTag = "account:"
	guessSignedTag  = "signed:" // of an account, with its key: a stolen session spends nothing of it
	guessNetworkTag = "network:"
	guessSite       = "site"
)

// The site's budget keeps the expected number of hits by everybody together at
// hitsAYear or less, however many accounts and networks they have. With M codes
// pending among N possible ones a failure was a try that would have hit with
// probability M/N, and a year has windowsAYear windows, so a budget of B failures
// a window means B·windowsAYear·M/N hits a year. Solved for B:
//
//	B = hitsAYear · N / (windowsAYear · M)
//
// which for eight letters is 730 a window (48.7 a minute) at M = 100, 73 at
// 1 000 and 7.3 at 10 000.
const (
	hitsAYear    = 0.1
	windowsAYear = 365 * 24 * 4
	// mostSiteGuesses bounds it where few codes are pending: a hundred failures a
	// minute are no longer people who mistype, and each costs a write.
	mostSiteGuesses = 1500
	// leastSiteGuesses: the first failure of a window is free, or nobody could ever
	// type a code without a key at hand. At the densest that codes can lie (see
	// codeLengths) that alone is 0.14 hits a year.
	leastSiteGuesses = 1
)

// siteGuesses is how many failures of all together a window may have, when so
// many requests are pending and the shortest of their codes have the length with
// this index in codeLengths.
func siteGuesses(pending, shortest int) int {
	density := 0.0
	for i := shortest; i <= lengthFor(pending); i++ {
		density = max(density, float64(min(pending, codeLengths[i].most))/codeLengths[i].space())
	}
	budget := hitsAYear / (windowsAYear * density) // without end where nothing is pending
	return int(min(max(budget, leastSiteGuesses), mostSiteGuesses))
}

// shares are how many of the site's budget of failures one address and one wide block
// may have. Who has had them is looked up only with a proof, as everybody is when the
// whole budget is spent, and takes nothing more out of it.
func shares(budget int) (narrow, wide int) {
	wide = min(wideGuesses, max(1, budget/wideShares))
	return min(narrowGuesses, max(1, wide/narrowShares)), wide
}

// Asker is who tries a user code.
type Asker struct {
	// AccountID is empty for somebody who is not signed in.
	AccountID string
	From      Source
	// Browser tells one browser from another, by the hash of a cookie of ours; zero
	// for what is no browser.
	Browser Hash
	// proved: a key of the account has signed this very code, by ProveCode or by
	// signing the request that carries it.
	proved bool
	// opened is the code of a request that the asker has opened and comes back to, by
	// Returning; or empty.
	opened string
}

// Asker is the owner who tries a code.
func (o Owner) Asker(from Source, browser Hash) Asker {
	return Asker{AccountID: o.AccountID, From: from, Browser: browser, proved: o.Signed()}
}

// counted is what a failure is counted against.
type counted struct {
	name  string
	limit int // failures it may have in a window
	share int // how many of the site's budget
}

// accountOf is the name of an asker's account.
func accountOf(a Asker) string {
	if a.proved {
		return guessSignedTag + a.AccountID
	}
	return guessAccountTag + a.AccountID
}

// countedOf are what an asker's failures are counted against, besides the site.
func countedOf(a Asker, budget int) []counted {
	var all []counted
	if a.AccountID != "" {
		all = append(all, counted{accountOf(a), accountGuesses, accountGuesses})
	}
	if a.From.own() {
		narrow, wide := a.From.blocks()
		narrowShare, wideShare := shares(budget)
		all = append(all, counted{guessNetworkTag + narrow.String(), narrowGuesses, narrowShare}, counted{guessNetworkTag + wide.String(), wideGuesses, wideShare})
	}
	return all
}

// namesOf are the names of what is counted against.
func namesOf(all []counted) []string {
	names := make([]string, len(all), len(all)+1)
	for i, c := range all {
		names[i] = c.name
	}
	return names
}

// try is one attempt to find a request by its user code.
type try struct {
	names  []string // what its failure is counted against; the site is the last, where it is
	window time.Time
	site   int // failures of all in this window
	budget int
	// hadShare: the asker's network has had its share of the budget.
	hadShare bool
}

// spent reports whether the site's budget for this window is used up, or what the
// asker's network may have of it: then a code is looked up only with a proof.
func (t try) spent() bool { return t.hadShare || t.siteSpent() }

func (t try) siteSpent() bool { return t.site >= t.budget }

// mayTry refuses an asker who has failed too often in this window, even with a
// right code (requirement D-34).
//
//	TooManyGuesses
func (s *guard) mayTry(ctx context.Context, a Asker) (try, error) {
	if err := s.countOwed(ctx); err != nil {
		return try{}, err
	}
	now := s.now()
	t := try{window: now.Truncate(guessWindow), budget: s.siteBudget(now)}
	all := countedOf(a, t.budget)
	t.names = namesOf(all)
	failures, err := s.store.Guesses(ctx, append(t.names, guessSite), t.window)
	if err != nil {
		return try{}, err
	}
	for i, c := range all {
		if failures[i] >= c.limit {
			return try{}, errTooManyGuesses
		}
		t.hadShare = t.hadShare || failures[i] >= c.share
	}
	t.site = failures[len(all)]
	if !t.hadShare {
		t.names = append(t.names, guessSite)
	}
	s.noteSpent(ctx, t)
	if t.hadShare {
		s.noteShare(ctx, t, a.From)
	}
	return t, nil
}

// failed counts a failure. Success never resets a counter.
func (s *guard) failed(ctx context.Context, t try) error {
	if err := s.count(ctx, failure{t.names, t.window}); err != nil {
		return err
	}
	if !t.hadShare {
		t.site++
	}
	s.noteSpent(ctx, t)
	return nil
}

// failedAlike does the work of failed without its consequence: a code that was
// good once costs what an unknown one costs (attack B-17), but a person who
// reloads an expired page must not be locked out for it.
func (s *guard) failedAlike(ctx context.Context, a Asker) error {
	names := append(namesOf(countedOf(a, 0)), guessSite)
	for i := range names {
		names[i] = "no failure:" + names[i]
	}
	return s.count(ctx, failure{names, s.now().Truncate(guessWindow)})
}

// failure is one that is to be counted.
type failure struct {
	names  []string
	window time.Time
}

// owed are failures that could not be counted. Until they are no code is looked up here:
// a database that cannot be written must not make guesses free. There are no more of them
// than tries that were under way when the first was not counted.
type owed struct {
	mu       sync.Mutex
	failures []failure   // guarded by mu
	counting atomic.Bool // somebody stores them
}

func (o *owed) add(f failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = append(o.failures, f)
}

// first is the one that is owed for longest.
func (o *owed) first() (f failure, there bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failures) == 0 {
		return failure{}, false
	}
	return o.failures[0], true
}

func (o *owed) counted() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = o.failures[1:]
}

// count stores a failure, also for an asker who has hung up: a right code is answered
// sooner than a wrong one, so that they know by then.
func (s *guard) count(ctx context.Context, f failure) error {
	err := s.store.CountGuesses(context.WithoutCancel(ctx), f.names, f.window)
	if err != nil {
		s.owed.add(f)
	}
	return err
}

// countOwed stores what could not be counted. While one caller does no other is let
// through, nor waits: a database that is away would be waited for by each in turn.
//
//	ErrUnreachable
func (s *guard) countOwed(ctx context.Context) error {
	if _, any := s.owed.first(); !any {
		return nil
	}
	if !s.owed.counting.CompareAndSwap(false, true) {
		return fmt.Errorf("wrong codes are not counted yet: %w", ErrUnreachable)
	}
	defer s.owed.counting.Store(false)
	for f, more := s.owed.first(); more; f, more = s.owed.first() {
		if err := s.store.CountGuesses(context.WithoutCancel(ctx), f.names, f.window); err != nil {
			return err
		}
		s.owed.counted()
	}
	return nil
}

// noteSpent tells the operator once a window that the budget is used up.
func (s *guard) noteSpent(ctx context.Context, t try) {
	window := t.window.Unix()
	if before := s.spentIn.Load(); t.siteSpent() && before != window && s.spentIn.CompareAndSwap(before, window) {
		s.log.WarnContext(ctx, "wrong user codes have used up the site's budget: codes are looked up only with a proof for now",
			"failures", t.site, "budget", t.budget, "pending", s.pending.all(), "until", t.window.Add(guessWindow).UTC())
	}
}

// noteShare tells the operator of the first network in a window that has had its share.
func (s *guard) noteShare(ctx context.Context, t try, from Source) {
	window := t.window.Unix()
	if before := s.sharedIn.Load(); before != window && s.sharedIn.CompareAndSwap(before, window) {
		s.log.WarnContext(ctx, "wrong user codes from one network have used up its share of the site's budget: codes are looked up for it only with a proof for now",
			"network", s.NetworkOf(from), "budget", t.budget, "pending", s.pending.all(), "until", t.window.Add(guessWindow).UTC())
	}
}

var (
	errTooManyGuesses = refuse(TooManyGuesses, "too many wrong codes: wait a quarter of an hour, then enter the code your device shows")
	errProofRequired  = refuse(ProofRequired,
		"too many wrong codes are being tried at this server: use the command line (countersign approve), or unlock your key in this browser, and enter the code again")
)

// TurnToTry waits until it is an asker's turn to try a code, and returns what ends it.
//
//	ctx's error
func (s *guard) TurnToTry(ctx context.Context, a Asker) (done func(), err error) {
	return s.turns.take(ctx, turnsOf(a))
}

// turnsOf are what an asker's tries are put in a row by, so that many at once count
// like one after the other. Those who have a proof do not share the site's budget
// and need not wait for each other.
func turnsOf(a Asker) []string {
	var names []string
	if a.AccountID != "" {
		names = append(names, accountOf(a))
	}
	if a.From.own() {
		_, wide := a.From.blocks()
		names = append(names, guessNetworkTag+wide.String())
	}
	if !a.proved {
		names = append(names, guessSite)
	}
	return names
}

const (
	// slipsForgiven is how often a slip is asked for again, for one request. That makes nobody a guesser:
	// the numbers are on offer and the letters stand on the page, so that who answers
	// knows what to try. Who slips more often does not look at a device.
	slipsForgiven = 2

	slipTag = "slip:"
)

// Slip counts a slip of who answers a request's match, and reports whether they may try
// once more. The request's whole life, which began at a time, is one window, so that no
// quarter of the clock begins anew.
func (s *guard) Slip(ctx context.Context, requestID string, began time.Time) (again bool, err error) {
	slips := []string{slipTag + requestID}
	done, err := s.turns.take(ctx, slips)
	if err != nil {
		return false, err
	}
	defer done()
	before, err := s.store.Guesses(ctx, slips, began)
	if err != nil {
		return false, err
	}
	return before[0] < slipsForgiven, s.store.CountGuesses(ctx, slips, began)
}
