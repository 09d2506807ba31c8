package device

import (
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/guard"
)

// polls runs a client that polls at the given moments and returns which polls
// were told to slow down.
func polls(interval time.Duration, at ...time.Duration) []bool {
	p, began, code := newPace(0), time.Unix(1_700_000_000, 0), authz.Hash{1}
	told := make([]bool, len(at))
	for i, moment := range at {
		now := began.Add(moment)
		if _, told[i] = p.early(code, now); !told[i] {
			p.accept(authz.DeviceRequest{DeviceCode: code, ExpiresAt: now.Add(time.Hour)}, now, interval)
		}
	}
	return told
}

func TestD26_AnEarlyPollLengthensTheIntervalByFiveSeconds(t *testing.T) {
	told := polls(5*time.Second, 0, 100*time.Millisecond, 6*time.Second, 16*time.Second)
	if told[0] || !told[1] || !told[2] || told[3] {
		t.Errorf("told to slow down: %v", told)
	}
}

func TestD27_ASteadyClientIsNeverToldToSlowDown(t *testing.T) {
	var at []time.Duration
	for i := range 60 {
		jitter := time.Duration(i%7-3) * 160 * time.Millisecond
		at = append(at, time.Duration(i)*5*time.Second+max(0, jitter))
	}
	for i, slow := range polls(5*time.Second, at...) {
		if slow {
			t.Errorf("poll %d was told to slow down", i)
		}
	}
}

func TestD27_AClientThatIgnoresSlowDownStillGetsThrough(t *testing.T) {
	var at []time.Duration
	for i := range 70 {
		at = append(at, time.Duration(i)*time.Second)
	}
	through := 0
	for _, slow := range polls(5*time.Second, at...) {
		if !slow {
			through++
		}
	}
	if through < 2 {
		t.Errorf("only %d polls in 70 s were accepted", through)
	}
}

func TestPaceForgetsWhatHasExpired(t *testing.T) {
	p, now := newPace(0), time.Unix(1_700_000_000, 0)
	p.accept(authz.DeviceRequest{DeviceCode: authz.Hash{1}, ExpiresAt: now.Add(time.Minute)}, now, time.Second)
	p.accept(authz.DeviceRequest{DeviceCode: authz.Hash{2}, ExpiresAt: now.Add(time.Hour)}, now, time.Second)
	if p.dropExpired(now.Add(time.Minute)); len(p.codes) != 2 {
		t.Errorf("%d codes are remembered while both live", len(p.codes))
	}
	p.dropExpired(now.Add(time.Minute + time.Millisecond))
	if len(p.codes) != 1 {
		t.Errorf("%d codes are remembered", len(p.codes))
	}
}

// A second, or a fifth of the interval, is forgiven to the millisecond, and the clock may
// be set back by what readings are apart.
func TestD26_HowEarlyAPollMayBe(t *testing.T) {
	for interval, least := range map[time.Duration]time.Duration{5 * time.Second: 4 * time.Second, 30 * time.Second: 29 * time.Second, time.Second: 800 * time.Millisecond} {
		for after, early := range map[time.Duration]bool{
			least: false, least - time.Millisecond: true, 0: true, -guard.ReadingsApart: true, -guard.ReadingsApart - time.Millisecond: false,
		} {
			if told := polls(interval, time.Hour, time.Hour+after); told[1] != early {
				t.Errorf("an interval of %v, after %v: %v", interval, after, told[1])
			}
		}
	}
}

func TestD26_ALengthenedIntervalStaysWhenAPollIsInTime(t *testing.T) {
	told := polls(5*time.Second, 0, 100*time.Millisecond, 16*time.Second, 22*time.Second)
	if told[0] || !told[1] || told[2] || !told[3] {
		t.Errorf("told to slow down: %v", told)
	}
}
