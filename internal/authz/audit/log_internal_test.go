package audit

import (
	"testing"
	"time"
)

func TestTenLinesAMinuteAreSaidAndTheRestIsCounted(t *testing.T) {
	var l Sparing
	now := time.Unix(1_800_000_000, 0)
	say := func(n int) (said, leftOut int) {
		for range n {
			if before, ok := l.Say(now); ok {
				said, leftOut = said+1, leftOut+before
			}
		}
		return said, leftOut
	}
	for i, step := range []struct {
		later         time.Duration
		n             int
		said, leftOut int
	}{{0, 12, 10, 0}, {Period - 1, 1, 0, 0}, {1, 11, 10, 3}, {-time.Second, 1, 1, 1}, {time.Hour, 1, 1, 0}} {
		now = now.Add(step.later)
		if said, leftOut := say(step.n); said != step.said || leftOut != step.leftOut {
			t.Errorf("step %d: %d said, %d left out before", i, said, leftOut)
		}
	}
}
