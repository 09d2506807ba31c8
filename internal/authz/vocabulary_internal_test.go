package authz

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What is one character to a reader has sixteen bytes at most.
func TestB07_ACharacterHasSixteenBytesAtMost(t *testing.T) {
	sixteen := strings.Repeat("ᄀ", 4) + "\U0001e8d0" // with a mark of four bytes
	if got := CleanText(sixteen, 5); got != sixteen || len(got) != 16 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	hangul := strings.Repeat("ᄀ", 5) + "a" // jamo that lead, three bytes each, are one
	if got := CleanText(hangul, 5); got != hangul {
		t.Errorf("%d bytes: %q", len(hangul)-1, got)
	}
	if got := CleanText("é"+strings.Repeat("ᄀ", 6)+"a", 5); got != "éa" {
		t.Errorf("eighteen bytes: %q", got)
	}
}

func TestANetworkIsCoarse(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7": "203.0.113.0/24", "::ffff:203.0.113.7": "203.0.113.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "::1": LoopbackNetwork, "127.8.8.8": LoopbackNetwork,
	} {
		if got := CoarseNetwork(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is in %q", address, got)
		}
	}
	if got := CoarseNetwork(netip.Addr{}); got != "" {
		t.Errorf("no address is in %q", got)
	}
}

func TestWhatWasDecidedStaysSoAtTheEnd(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	for state, after := range map[State]State{Pending: Expired, Approved: Expired, Denied: Denied, Redeemed: Redeemed} {
		r := DeviceRequest{State: state, ExpiresAt: end}
		if got := r.StateAt(end); got != after {
			t.Errorf("%s is %s then", state, got)
		}
		if got := r.StateAt(end.Add(-1)); got != state {
			t.Errorf("%s was %s before", state, got)
		}
	}
}
