package protect

import (
	"crypto/sha256"
	"sync"
	"time"

	"countersign.dev/dpop"
)

const (
	// turn is as long as a proof can be good: from one window ahead of the clock here to
	// one behind it. bitcoinauth has the same window.
	turn = 2 * dpop.DefaultWindow
	// maxSpent bounds what is remembered in a turn: 1700 proofs a second, 40 MB.
	maxSpent = 1 << 20
)

// spent are the proofs that were used: each counts once (RFC 9449 §11.1). They are in the
// memory of this process: of several that serve one API each remembers its own. A proof is
// remembered for one turn at least and two at most.
type spent struct {
	most         int
	mu           sync.Mutex // guards all below
	now, earlier map[[sha256.Size]byte]struct{}
	since        time.Time
}

// once remembers a proof. Where no more can be remembered none counts: what is forgotten could
// be used again.
func (s *spent) once(proof [sha256.Size]byte, at time.Time) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.Sub(s.since) >= turn { // the first time, too
		s.now, s.earlier, s.since = map[[sha256.Size]byte]struct{}{}, s.now, at
	}
	_, used := s.now[proof]
	_, usedEarlier := s.earlier[proof]
	switch {
	case used || usedEarlier:
		return errReplayed
	case len(s.now) >= s.most:
		return errCrowded
	}
	s.now[proof] = struct{}{}
	return nil
}
