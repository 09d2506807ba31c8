package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign.dev/internal/authz"
)

func from(text string) authz.Source { return authz.Source{Address: netip.MustParseAddr(text)} }

// allowed counts how many of n requests at one moment get through.
func (l *Allowance) allowed(n int, now time.Time, source func(i int) authz.Source) (through int) {
	for i := range n {
		if l.Allow(source(i), now) {
			through++
		}
	}
	return through
}

func TestB10_AnAddressStartsThirtyAMinuteAndSixtyAtOnce(t *testing.T) {
	l, now := NewAllowance(30), time.Unix(1_800_000_000, 0)
	one := func(int) authz.Source { return from("203.0.113.7") }
	if n := l.allowed(100, now, one); n != 60 {
		t.Errorf("%d at once", n)
	}
	if n := l.allowed(100, now.Add(time.Minute), one); n != 30 {
		t.Errorf("%d after a minute", n)
	}
	if n := l.allowed(100, now.Add(time.Minute), func(int) authz.Source { return from("203.0.113.8") }); n != 60 {
		t.Errorf("%d of a neighbour", n)
	}
	if n := l.allowed(1000, now.Add(time.Hour), one); n != 60 {
		t.Errorf("%d after an hour", n)
	}
	if n := NewAllowance(0).allowed(1000, now, one); n != 1000 {
		t.Errorf("%d without a limit", n)
	}
}

func TestB10_ABlockStartsFourTimesWhatItsAddressesDo(t *testing.T) {
	l, now := NewAllowance(30), time.Unix(1_800_000_000, 0)
	spread := func(i int) authz.Source {
		a := netip.MustParseAddr("2001:db8:1::").As16()
		binary.BigEndian.PutUint16(a[6:], uint16(i))
		return authz.Source{Address: netip.AddrFrom16(a)}
	}
	if n := l.allowed(1000, now, spread); n != 240 {
		t.Errorf("%d at once from a /48", n)
	}
	if n := l.allowed(1000, now.Add(time.Minute), spread); n != 120 {
		t.Errorf("%d after a minute", n)
	}
}

func TestB10_TheLimitRemembersNoMoreThanItMay(t *testing.T) {
	l, now := NewAllowance(30), time.Unix(1_800_000_000, 0)
	busy := func(int) authz.Source { return from("198.51.100.1") }
	l.allowed(60, now, busy)
	for i := range 2 * remembered {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(i)<<8)
		l.Allow(authz.Source{Address: netip.AddrFrom4(a), Forwarded: true}, now)
		if i%1000 == 0 && l.Allow(busy(0), now.Add(time.Duration(i)*time.Microsecond)) {
			t.Fatalf("who asks all the time was forgotten after %d networks", i)
		}
	}
	if n := l.whole.Len(); n != remembered {
		t.Errorf("%d networks are remembered", n)
	}
}

func TestB10_StrangersAndOneClientLeaveRoomForOthers(t *testing.T) {
	const limit = 100
	var p pendingCount
	p.set(0, map[string]int{})
	enter := func(c authz.Client, n int) (in int) {
		for range n {
			if err := p.enter(c, limit); err == nil {
				in++
			} else if !errors.Is(err, authz.Unavailable) {
				t.Fatal(err)
			}
		}
		return in
	}
	if n := enter(authz.Client{ID: "x"}, 6) + enter(authz.Client{ID: "y"}, 20); n != 10 {
		t.Errorf("%d of unregistered clients", n)
	}
	if n := enter(authz.Client{ID: "a", Registered: true}, 200); n != 50 {
		t.Errorf("%d of one client", n)
	}
	if n := enter(authz.Client{ID: "b", Registered: true}, 200); n != 40 {
		t.Errorf("%d of the next", n)
	}
	for _, id := range []string{"x", "a", "unknown"} {
		p.leave(id)
	}
	if p.total != 97 || p.unregistered != 8 || p.of["a"] != 49 {
		t.Errorf("%d, %d unregistered, %v", p.total, p.unregistered, p.of)
	}
	p.set(60, map[string]int{"a": 50})
	if enter(authz.Client{ID: "a", Registered: true}, 1) != 0 || enter(authz.Client{ID: "x"}, 1) != 0 || enter(authz.Client{ID: "b", Registered: true}, 1) != 1 {
		t.Error("what the store has does not count")
	}
}

func TestWhoReadsAtOnceKeepsAnotherOfTheAccountWaitingForOneList(t *testing.T) {
	alice := authz.Owner{AccountID: "alice"} // signs each request
	session, other, token := alice, alice, alice
	session.SessionID, other.SessionID, token.GrantID = "stolen", "own", "stolen"
	for _, c := range []struct{ stolen, own authz.Owner }{{session, other}, {session, alice}, {token, alice}, {token, other}} {
		synctest.Test(t, func(t *testing.T) {
			s := &Guard{turns: newTurns()}
			read := func(who authz.Owner) func() {
				done, err := s.TurnToRead(t.Context(), who)
				if err != nil {
					t.Error(err)
				}
				return done
			}
			done := read(c.stolen)
			var reading sync.WaitGroup
			for range 64 {
				reading.Go(func() { read(c.stolen)() })
			}
			reading.Go(func() { read(c.own)() })
			synctest.Wait()
			if n := s.turns.taken["lists of alice"].wanted; n != 2 {
				t.Errorf("%+v: %d read or wait for the account", c, n)
			}
			done()
			reading.Wait()
			if len(s.turns.taken) != 0 {
				t.Errorf("%d turns are left", len(s.turns.taken))
			}
		})
	}
}

func TestTurnsLetOneAtATime(t *testing.T) {
	turns := newTurns()
	inside := map[string]int{} // each guarded by its own turn
	var together sync.WaitGroup
	for i := range 64 {
		names := []string{[]string{"account 1", "account 2", "account 3"}[i%3], "network", "site"}[i%2:]
		together.Go(func() {
			done, err := turns.take(context.Background(), names)
			if err != nil {
				t.Error(err)
				return
			}
			inside["site"]++
			done()
		})
	}
	together.Wait()
	if inside["site"] != 64 || len(turns.taken) != 0 {
		t.Errorf("%d had a turn, %d are left", inside["site"], len(turns.taken))
	}
}

func TestWhoGivesUpWaitingForATurnLeavesNothing(t *testing.T) {
	turns := newTurns()
	done, err := turns.take(t.Context(), []string{"site"})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.take(gone, []string{"account", "site"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	done()
	if done, err = turns.take(t.Context(), []string{"account", "site"}); err != nil {
		t.Fatal(err)
	}
	done()
	if len(turns.taken) != 0 {
		t.Errorf("%d turns are left", len(turns.taken))
	}
}

func TestK12_ANetworkThatMayBeAnybodysIsNotReported(t *testing.T) {
	for network, counts := range map[string][2]bool{ // on this machine's server, and on a public one, where an unlisted proxy's is not kept
		"": {false, false}, authz.LoopbackNetwork: {false, false}, "203.0.113.0/24": {true, true}, "2001:db8:1::/48": {true, true}, "10.1.2.0/24": {false, true},
	} {
		for i, s := range []*Guard{{local: true}, {}} {
			subjects := s.ReportSubjects("a", authz.Seen{Network: network}, authz.DeviceSays{})
			if (len(subjects) == 2) != counts[i] || subjects[0] != "client:a" || (counts[i] && subjects[1] != "network:"+network) {
				t.Errorf("%q, local %v: %q", network, s.local, subjects)
			}
			owner := authz.Owner{AccountID: "alice", Seen: authz.Seen{Network: network}}
			if got := s.Reporter(owner); (got == "alice") == counts[i] {
				t.Errorf("%q, local %v: reported as %q", network, s.local, got)
			}
		}
	}
}

func TestB22_WhoseAddressItIs(t *testing.T) {
	for text, own := range map[string][2]bool{ // as it came, and as a listed proxy told it
		"203.0.113.7": {true, true}, "2001:db8::1": {true, true}, "::ffff:203.0.113.7": {true, true},
		"127.0.0.1": {false, true}, "10.1.2.3": {false, true}, "::ffff:10.1.2.3": {false, true}, "fd00::1": {false, true}, "fe80::1": {false, true}, "::1": {false, true},
	} {
		addr := netip.MustParseAddr(text)
		if (authz.Source{Address: addr}).Own() != own[0] || (authz.Source{Address: addr, Forwarded: true}).Own() != own[1] {
			t.Errorf("%s", text)
		}
	}
	if (authz.Source{}).Own() || (authz.Source{Forwarded: true}).Own() {
		t.Error("no address is somebody's")
	}
	for text, want := range map[string][2]string{
		"203.0.113.7":          {"203.0.113.7/32", "203.0.113.0/24"},
		"::ffff:203.0.113.7":   {"203.0.113.7/32", "203.0.113.0/24"},
		"2001:db8:1:2:3:4:5:6": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
	} {
		narrow, wide := authz.Source{Address: netip.MustParseAddr(text)}.Blocks()
		if narrow.String() != want[0] || wide.String() != want[1] {
			t.Errorf("%s: %s %s", text, narrow, wide)
		}
	}
	far := &Guard{}
	near := &Guard{local: true}
	private, told := authz.Source{Address: netip.MustParseAddr("10.1.2.3")}, authz.Source{Address: netip.MustParseAddr("10.1.2.3"), Forwarded: true}
	if far.NetworkOf(from("203.0.113.7")) != "203.0.113.0/24" || far.NetworkOf(from("127.0.0.1")) != "" || near.NetworkOf(from("127.0.0.1")) != authz.LoopbackNetwork {
		t.Error("the network of a public address, or of this machine")
	}
	if far.NetworkOf(private) != "" || far.NetworkOf(told) != "10.1.2.0/24" || near.NetworkOf(private) != "10.1.2.0/24" || far.NetworkOf(authz.Source{}) != "" {
		t.Error("the network of a private address")
	}
}
