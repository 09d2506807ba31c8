package guard

import (
	"context"
	"time"
)

const (
	// slipsForgiven is how often a slip is asked for again, for one request. That makes nobody a guesser:
	// the numbers are on offer and the letters stand on the page, so that who answers
	// knows what to try. Who slips more often does not look at a device.
	slipsForgiven = 2

	slipTag = "slip:"
)

// Slip counts a slip of who answers a request's match, and reports whether they may try
// once more. The request's whole life, which began at a time, is one window, so that no
// quarter of the clock begins anew.
func (s *Guard) Slip(ctx context.Context, requestID string, began time.Time) (again bool, err error) {
	slips := []string{slipTag + requestID}
	done, err := s.turns.take(ctx, slips)
	if err != nil {
		return false, err
	}
	defer done()
	before, err := s.guesses.Guesses(ctx, slips, began)
	if err != nil {
		return false, err
	}
	return before[0] < slipsForgiven, s.guesses.CountGuesses(ctx, slips, began)
}
