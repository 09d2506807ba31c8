package guard

import (
	"testing"
	"time"

	"countersign.dev/internal/authz/usercode"
)

func TestB02_TheSiteBudgetKeepsExpectedHitsUnderATenthAYear(t *testing.T) {
	for _, c := range []struct{ pending, shortest, want int }{
		{0, 0, mostSiteGuesses},
		{1, 0, mostSiteGuesses},
		{48, 0, mostSiteGuesses},
		{100, 0, 730},
		{1000, 0, 73},
		{10_000, 0, 7},
		{99_999, 0, leastSiteGuesses}, // 48.7, 4.9 and 0.5 a minute
		{100_000, 1, 14},
		{1_000_000, 1, 1},
		{2_000_000, 2, 14},
		{20_000_000, 2, 1},
		{100_000, 0, leastSiteGuesses}, // while codes of eight letters may still be live
		{5_000_000, 0, leastSiteGuesses},
	} {
		if got := siteGuesses(c.pending, c.shortest); got != c.want {
			t.Errorf("%d pending, codes from %d letters: %d failures a window, want %d", c.pending, usercode.Lengths[c.shortest].Letters, got, c.want)
		}
	}
	for pending := 1; pending < 10_000_000; pending += 1 + pending/7 {
		i := usercode.LengthFor(pending)
		budget := siteGuesses(pending, i)
		hits := float64(budget) * windowsAYear * float64(pending) / usercode.Lengths[i].Space()
		if budget > leastSiteGuesses && hits > hitsAYear {
			t.Errorf("%d pending: %d failures a window are %.3f hits a year", pending, budget, hits)
		}
		if hits > 0.14 { // what the one free failure costs where codes are densest
			t.Errorf("%d pending: %.3f hits a year", pending, hits)
		}
	}
}

func TestB02_ItTakesFourNetworksToSpendTheSitesBudget(t *testing.T) {
	for budget, want := range map[int][2]int{
		mostSiteGuesses: {10, 40}, 730: {10, 40}, 160: {10, 40}, 159: {10, 39}, 73: {9, 18}, 36: {4, 9}, 19: {2, 4}, 8: {1, 2}, 4: {1, 1}, 1: {1, 1},
	} {
		narrow, wide := shares(budget)
		if narrow != want[0] || wide != want[1] {
			t.Errorf("of %d an address may have %d and a network %d, want %v", budget, narrow, wide, want)
		}
	}
	for budget := 4; budget <= mostSiteGuesses; budget++ {
		if _, wide := shares(budget); 3*wide >= budget {
			t.Errorf("three networks of %d spend %d", wide, budget)
		}
	}
}

func TestB02_ShorterCodesCountForAsLongAsTheyMayLive(t *testing.T) {
	var d codesDrawn
	now := time.Unix(1_800_000_000, 0)
	d.drew(0, now.Add(time.Minute))
	d.drew(1, now.Add(time.Hour))
	for after, want := range map[time.Duration]int{0: 0, 59 * time.Second: 0, time.Minute: 1, time.Hour: 2} {
		if got := d.shortest(now.Add(after)); got != want {
			t.Errorf("after %v: %d, want %d", after, got, want)
		}
	}
}

// Whoever has stored what was owed lets go a moment after nothing is.
func TestB02_NobodyIsTurnedAwayWhereNothingIsOwed(t *testing.T) {
	s := &Guard{}
	s.owed.counting.Store(true)
	if err := s.countOwed(t.Context()); err != nil {
		t.Error(err)
	}
}
