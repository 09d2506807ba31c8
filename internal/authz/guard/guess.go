package guard

import (
	"context"
	"time"

	"countersign.dev/internal/authz"
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

// counted is what a failure is counted against.
type counted struct {
	name  string
	limit int // failures it may have in a window
	share int // how many of the site's budget
}

// accountOf is the name of an asker's account.
func accountOf(a authz.Asker) string {
	if a.Proved {
		return guessSignedTag + a.AccountID
	}
	return guessAccountTag + a.AccountID
}

// countedOf are what an asker's failures are counted against, besides the site.
func countedOf(a authz.Asker, budget int) []counted {
	var all []counted
	if a.AccountID != "" {
		all = append(all, counted{accountOf(a), accountGuesses, accountGuesses})
	}
	if a.From.Own() {
		narrow, wide := a.From.Blocks()
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

// Try is one attempt to find a request by its user code.
type Try struct {
	names  []string // what its failure is counted against; the site is the last, where it is
	window time.Time
	site   int // failures of all in this window
	budget int
	// hadShare: the asker's network has had its share of the budget.
	hadShare bool
}

// Spent reports whether the site's budget for this window is used up, or what the
// asker's network may have of it: then a code is looked up only with a proof.
func (t Try) Spent() bool { return t.hadShare || t.siteSpent() }

func (t Try) siteSpent() bool { return t.site >= t.budget }

// MayTry refuses an asker who has failed too often in this window, even with a
// right code (requirement D-34).
//
//	TooManyGuesses
func (s *Guard) MayTry(ctx context.Context, a authz.Asker) (Try, error) {
	if err := s.countOwed(ctx); err != nil {
		return Try{}, err
	}
	now := s.now()
	t := Try{window: now.Truncate(guessWindow), budget: s.siteBudget(now)}
	all := countedOf(a, t.budget)
	t.names = namesOf(all)
	failures, err := s.guesses.Guesses(ctx, append(t.names, guessSite), t.window)
	if err != nil {
		return Try{}, err
	}
	for i, c := range all {
		if failures[i] >= c.limit {
			return Try{}, errTooManyGuesses
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

// Failed counts a failure. Success never resets a counter.
func (s *Guard) Failed(ctx context.Context, t Try) error {
	if err := s.count(ctx, failure{t.names, t.window}); err != nil {
		return err
	}
	if !t.hadShare {
		t.site++
	}
	s.noteSpent(ctx, t)
	return nil
}

// PretendFailed does the work of Failed without its consequence: a code that was
// good once costs what an unknown one costs (attack B-17), but a person who
// reloads an expired page must not be locked out for it.
func (s *Guard) PretendFailed(ctx context.Context, a authz.Asker) error {
	names := append(namesOf(countedOf(a, 0)), guessSite)
	for i := range names {
		names[i] = "no failure:" + names[i]
	}
	return s.count(ctx, failure{names, s.now().Truncate(guessWindow)})
}

// noteSpent tells the operator once a window that the budget is used up.
func (s *Guard) noteSpent(ctx context.Context, t Try) {
	window := t.window.Unix()
	if before := s.spentIn.Load(); t.siteSpent() && before != window && s.spentIn.CompareAndSwap(before, window) {
		s.log.WarnContext(ctx, "wrong user codes have used up the site's budget: codes are looked up only with a proof for now",
			"failures", t.site, "budget", t.budget, "pending", s.pending.all(), "until", t.window.Add(guessWindow).UTC())
	}
}

// noteShare tells the operator of the first network in a window that has had its share.
func (s *Guard) noteShare(ctx context.Context, t Try, from authz.Source) {
	window := t.window.Unix()
	if before := s.sharedIn.Load(); before != window && s.sharedIn.CompareAndSwap(before, window) {
		s.log.WarnContext(ctx, "wrong user codes from one network have used up its share of the site's budget: codes are looked up for it only with a proof for now",
			"network", s.NetworkOf(from), "budget", t.budget, "pending", s.pending.all(), "until", t.window.Add(guessWindow).UTC())
	}
}

var (
	errTooManyGuesses = authz.Refuse(authz.TooManyGuesses, "too many wrong codes: wait a quarter of an hour, then enter the code your device shows")
	// ErrProofRequired refuses a code without a proof where the site's budget is spent.
	ErrProofRequired = authz.Refuse(authz.ProofRequired,
		"too many wrong codes are being tried at this server: use the command line (countersign approve), or unlock your key in this browser, and enter the code again")
)

// TurnToTry waits until it is an asker's turn to try a code, and returns what ends it.
//
//	ctx's error
func (s *Guard) TurnToTry(ctx context.Context, a authz.Asker) (done func(), err error) {
	return s.turns.take(ctx, turnsOf(a))
}

// turnsOf are what an asker's tries are put in a row by, so that many at once count
// like one after the other. Those who have a proof do not share the site's budget
// and need not wait for each other.
func turnsOf(a authz.Asker) []string {
	var names []string
	if a.AccountID != "" {
		names = append(names, accountOf(a))
	}
	if a.From.Own() {
		_, wide := a.From.Blocks()
		names = append(names, guessNetworkTag+wide.String())
	}
	if !a.Proved {
		names = append(names, guessSite)
	}
	return names
}
