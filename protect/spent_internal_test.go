package protect

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"countersign.dev/dpop"
)

func proofOf(n uint64) (p [sha256.Size]byte) {
	binary.BigEndian.PutUint64(p[:], n)
	return p
}

func TestAProofIsRememberedForAsLongAsItIsGood(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for _, before := range []time.Duration{0, time.Second, 9 * time.Minute} {
		s := &spent{most: maxSpent}
		if s.once(proofOf(1), start) != nil || s.once(proofOf(2), start.Add(before)) != nil {
			t.Fatal("a new proof was refused")
		}
		for _, after := range []time.Duration{0, time.Minute, 2 * dpop.DefaultWindow} {
			if s.once(proofOf(2), start.Add(before+after)) != errReplayed {
				t.Errorf("%v after the first and %v later it counts again", before, after)
			}
		}
		if s.once(proofOf(2), start.Add(before+4*dpop.DefaultWindow)) != nil {
			t.Error("it is remembered for ever")
		}
	}
}

func TestWhereNoMoreProofsAreRememberedNoneCounts(t *testing.T) {
	const most = 3
	s, now := &spent{most: most}, time.Unix(1_800_000_000, 0)
	for n := range uint64(most) {
		if s.once(proofOf(n), now) != nil {
			t.Fatal("a new proof was refused")
		}
	}
	if s.once(proofOf(most), now) != errCrowded || s.once(proofOf(1), now) != errReplayed {
		t.Error("one more counts than is remembered")
	}
	if s.once(proofOf(most), now.Add(turn)) != nil {
		t.Error("it does not end")
	}
}
