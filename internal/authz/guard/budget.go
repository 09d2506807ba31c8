package guard

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/authz/usercode"
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
	// usercode.Lengths) that alone is 0.14 hits a year.
	leastSiteGuesses = 1
)

// siteGuesses is how many failures of all together a window may have, when so
// many requests are pending and the shortest of their codes have the length with
// this index in usercode.Lengths.
func siteGuesses(pending, shortest int) int {
	density := 0.0
	for i := shortest; i <= usercode.LengthFor(pending); i++ {
		density = max(density, float64(min(pending, usercode.Lengths[i].Most))/usercode.Lengths[i].Space())
	}
	budget := hitsAYear / (windowsAYear * density) // without end where nothing is pending
	return int(min(max(budget, leastSiteGuesses), mostSiteGuesses))
}

// siteBudget is how many failures all askers together may have in the window.
func (s *Guard) siteBudget(now time.Time) int {
	pending := s.pending.all()
	return siteGuesses(pending, min(s.drawn.shortest(now), usercode.LengthFor(pending)))
}

// shares are how many of the site's budget of failures one address and one wide block
// may have. Who has had them is looked up only with a proof, as everybody is when the
// whole budget is spent, and takes nothing more out of it.
func shares(budget int) (narrow, wide int) {
	wide = min(wideGuesses, max(1, budget/wideShares))
	return min(narrowGuesses, max(1, wide/narrowShares)), wide
}

// codesDrawn remembers until when codes of each length may be live, because the
// site's budget of wrong codes depends on the shortest.
type codesDrawn struct {
	until [len(usercode.Lengths)]atomic.Int64 // Unix milliseconds
}

// drew notes a code of a length that lives until a time.
func (d *codesDrawn) drew(length int, until time.Time) { d.until[length].Store(until.UnixMilli()) }

// shortest is the index of the shortest length that a code pending now may have.
func (d *codesDrawn) shortest(now time.Time) int {
	for i := range d.until {
		if d.until[i].Load() > now.UnixMilli() {
			return i
		}
	}
	return len(d.until) - 1
}

// Drew notes that a code of a length, by its index, lives until a time.
func (s *Guard) Drew(length int, until time.Time) { s.drawn.drew(length, until) }
