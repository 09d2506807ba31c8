package authz

import (
	"context"
	"net/netip"
	"time"
)

// Wrong user codes are counted (RFC 8628 §5.1, attack B-02): a hit would let a
// guesser approve somebody's device with an account of their own.
const (
	guessWindow     = 15 * time.Minute
	accountGuesses  = 5
	networkGuesses  = 10
	tooManyGuesses  = "too many wrong codes: wait a quarter of an hour, then enter the code your device shows"
	guessAccountTag = "account:"
	guessNetworkTag = "network:"
)

// Asker is who tries a user code.
type Asker struct {
	// AccountID is empty for somebody who is not signed in.
	AccountID string
	// Address is where the request came from.
	Address netip.Addr
}

// subjects are what a failure is counted against, and how many each may have.
// Loopback and private addresses are not counted: behind a proxy everybody has
// the same one, and a lock would be everybody's.
func (a Asker) subjects() (names []string, limits []int) {
	if a.AccountID != "" {
		names, limits = append(names, guessAccountTag+a.AccountID), append(limits, accountGuesses)
	}
	if addr := a.Address.Unmap(); addr.IsValid() && !addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast() {
		bits := 32
		if addr.Is6() {
			bits = 64
		}
		if prefix, err := addr.Prefix(bits); err == nil {
			names, limits = append(names, guessNetworkTag+prefix.String()), append(limits, networkGuesses)
		}
	}
	return names, limits
}

// mayGuess refuses an asker who has failed too often in this window, even with a
// right code (requirement D-34).
//
//	TooManyGuesses
func (s *Service) mayGuess(ctx context.Context, a Asker) error {
	names, limits := a.subjects()
	if len(names) == 0 {
		return nil
	}
	failures, err := s.store.Guesses(ctx, names, s.now().Truncate(guessWindow))
	if err != nil {
		return err
	}
	for i, n := range failures {
		if n >= limits[i] {
			return refuse(TooManyGuesses, tooManyGuesses)
		}
	}
	return nil
}

// guessedWrong counts a failure. Success never resets a counter.
func (s *Service) guessedWrong(ctx context.Context, a Asker) error {
	names, _ := a.subjects()
	if len(names) == 0 {
		return nil
	}
	return s.store.CountGuesses(ctx, names, s.now().Truncate(guessWindow))
}
