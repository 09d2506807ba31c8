package authz

import (
	"bytes"
	"crypto/rand"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
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
			t.Errorf("%d pending, codes from %d letters: %d failures a window, want %d", c.pending, codeLengths[c.shortest].letters, got, c.want)
		}
	}
	for pending := 1; pending < 10_000_000; pending += 1 + pending/7 {
		i := lengthFor(pending)
		budget := siteGuesses(pending, i)
		hits := float64(budget) * windowsAYear * float64(pending) / codeLengths[i].space()
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

func TestB02_CodesGrowWithTheNumberThatArePending(t *testing.T) {
	for pending, want := range map[int]int{0: 8, 99_999: 8, 100_000: 9, 1_999_999: 9, 2_000_000: 10, math.MaxInt: 10} {
		letters := codeLengths[lengthFor(pending)].letters
		code, err := newUserCode(rand.Reader, letters)
		if err != nil || letters != want || len(code) != want+1 {
			t.Errorf("%d pending: %q %v", pending, code, err)
		}
		if again, ok := ParseUserCode(code); !ok || again != code {
			t.Errorf("%q reads as %q", code, again)
		}
		last := code[len(code)-4:]
		if strings.Contains(last, "-") || matchesLetters(last, code) != matched {
			t.Errorf("%q: its last four letters do not match", code)
		}
	}
	if _, err := newUserCode(bytes.NewReader(nil), 8); err == nil {
		t.Error("a code without randomness")
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

func TestB22_WhoseAddressItIs(t *testing.T) {
	for text, own := range map[string][2]bool{ // as it came, and as a listed proxy told it
		"203.0.113.7": {true, true}, "2001:db8::1": {true, true}, "::ffff:203.0.113.7": {true, true},
		"127.0.0.1": {false, true}, "10.1.2.3": {false, true}, "::ffff:10.1.2.3": {false, true}, "fd00::1": {false, true}, "fe80::1": {false, true}, "::1": {false, true},
	} {
		addr := netip.MustParseAddr(text)
		if (Source{Address: addr}).own() != own[0] || (Source{Address: addr, Forwarded: true}).own() != own[1] {
			t.Errorf("%s", text)
		}
	}
	if (Source{}).own() || (Source{Forwarded: true}).own() {
		t.Error("no address is somebody's")
	}
	for text, want := range map[string][2]string{
		"203.0.113.7":          {"203.0.113.7/32", "203.0.113.0/24"},
		"::ffff:203.0.113.7":   {"203.0.113.7/32", "203.0.113.0/24"},
		"2001:db8:1:2:3:4:5:6": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
	} {
		narrow, wide := Source{Address: netip.MustParseAddr(text)}.blocks()
		if narrow.String() != want[0] || wide.String() != want[1] {
			t.Errorf("%s: %s %s", text, narrow, wide)
		}
	}
	far := &guard{}
	near := &guard{local: true}
	private, told := Source{Address: netip.MustParseAddr("10.1.2.3")}, Source{Address: netip.MustParseAddr("10.1.2.3"), Forwarded: true}
	if far.NetworkOf(from("203.0.113.7")) != "203.0.113.0/24" || far.NetworkOf(from("127.0.0.1")) != "" || near.NetworkOf(from("127.0.0.1")) != LoopbackNetwork {
		t.Error("the network of a public address, or of this machine")
	}
	if far.NetworkOf(private) != "" || far.NetworkOf(told) != "10.1.2.0/24" || near.NetworkOf(private) != "10.1.2.0/24" || far.NetworkOf(Source{}) != "" {
		t.Error("the network of a private address")
	}
}

// Whoever has stored what was owed lets go a moment after nothing is.
func TestB02_NobodyIsTurnedAwayWhereNothingIsOwed(t *testing.T) {
	s := &guard{}
	s.owed.counting.Store(true)
	if err := s.countOwed(t.Context()); err != nil {
		t.Error(err)
	}
}
