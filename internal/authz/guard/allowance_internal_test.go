package guard

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

// A proxy that is not listed has an address for everybody behind it.
func TestNothingIsHeldAgainstAnAddressThatIsNobodysOwn(t *testing.T) {
	s := &Guard{now: time.Now, creation: NewAllowance(1)}
	s.shunned.networks.Store(&map[string]struct{}{"10.1.2.0/24": {}, authz.LoopbackNetwork: {}})
	for _, address := range []string{"10.1.2.3", "127.0.0.1", "::1"} {
		for range 10 {
			if err := s.AdmitDeviceRequest(from(address), authz.DeviceSays{}); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
		if n := NewAllowance(1).allowed(10, time.Now(), func(int) authz.Source { return from(address) }); n != 10 {
			t.Errorf("%s: %d of 10", address, n)
		}
	}
	forwarded := from("10.1.2.3")
	forwarded.Forwarded = true
	if err := s.AdmitDeviceRequest(forwarded, authz.DeviceSays{}); !errors.Is(err, authz.Unavailable) {
		t.Errorf("a reported network: %v", err)
	}
	forwarded = from("10.1.3.3")
	forwarded.Forwarded = true
	for i := range 3 {
		if err := s.AdmitDeviceRequest(forwarded, authz.DeviceSays{}); (i < 2) != (err == nil) || (i == 2 && !errors.Is(err, authz.Unavailable)) {
			t.Errorf("another network, %d before: %v", i, err)
		}
	}
}

func TestWhatHasNoLimitIsNotRemembered(t *testing.T) {
	unlimited := NewAllowance(0)
	unlimited.Allow(from("203.0.113.7"), time.Now())
	if unlimited.whole.Len() != 0 {
		t.Error("what has no limit is remembered")
	}
}

func TestWhatIsNoLongerPendingTakesNoPlace(t *testing.T) {
	var p pendingCount
	p.set(0, map[string]int{})
	for _, c := range []authz.Client{{ID: "a", Registered: true}, {ID: "b"}} {
		if err := p.enter(c, 10); err != nil {
			t.Fatal(err)
		}
		p.leave(c.ID)
	}
	if p.total != 0 || p.unregistered != 0 || len(p.of) != 0 {
		t.Errorf("%+v", p.of)
	}
	// A client that is no longer registered counts among those that never were.
	p.set(5, map[string]int{"a": 5})
	if err := p.enter(authz.Client{ID: "a"}, 10); err != nil || p.unregistered != 1 {
		t.Errorf("%v, %d unregistered", err, p.unregistered)
	}
}

// To ask what is left says what taking would, whoever asks and whenever.
func TestWhatIsLeftIsWhatCanBeTaken(t *testing.T) {
	l, now := NewAllowance(30), time.Unix(1_800_000_000, 0)
	taken := 0
	for i := range 4000 {
		source := from(netip.AddrFrom4([4]byte{203, 0, byte(113 + i%2), byte(i % 7)}).String())
		if i%7 == 0 {
			source = from("10.1.2.3") // not counted
		}
		left, took := l.Left("a", source, now), l.AllowIn("a", source, now)
		if left != took {
			t.Fatalf("step %d: %v is left, %v was taken", i, left, took)
		}
		if took {
			taken++
		}
		if i%40 == 0 {
			now = now.Add(time.Duration(i%3) * 500 * time.Millisecond)
		}
	}
	if taken < 100 || taken > 3900 {
		t.Errorf("%d were taken: that shows nothing", taken)
	}
	if !NewAllowance(0).Left("a", from("203.0.113.7"), now) {
		t.Error("nothing is left where there is no limit")
	}
}

func TestAnAllowanceOutlastsTwoReadingsAndNoClockThatWasSetBack(t *testing.T) {
	for back, allowed := range map[time.Duration]bool{0: false, ReadingsApart: false, ReadingsApart + 1: true, time.Hour: true} {
		l, now := NewAllowance(30), time.Unix(1_800_000_000, 0)
		l.allowed(60, now, func(int) authz.Source { return from("203.0.113.7") })
		if l.Allow(from("203.0.113.7"), now.Add(-back)) != allowed {
			t.Errorf("set back by %v", back)
		}
	}
}
