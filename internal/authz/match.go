package authz

import (
	"context"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
)

// MatchKind says how an owner shows that the device in front of them is the one
// that asks (device page, "number match"; requirement K-08).
type MatchKind string

// The kinds of match.
const (
	// MatchNone: comparing the codes is enough.
	MatchNone MatchKind = "none"
	// MatchNumber: the owner picks the number the device shows.
	MatchNumber MatchKind = "number"
	// MatchLetters: the owner types the last four letters of the code, for
	// devices that show no number.
	MatchLetters MatchKind = "letters"
)

const (
	leastMatchNumber = 10
	matchNumbers     = 90 // 10 to 99: two digits, none of them a leading zero
	matchChoices     = 3
)

func (s *flow) newMatchNumber() (int, error) {
	const unbiased = 256 / matchNumbers * matchNumbers
	for {
		b, err := s.secrets.random(1)
		if err != nil {
			return 0, err
		}
		if int(b[0]) < unbiased {
			return leastMatchNumber + int(b[0])%matchNumbers, nil
		}
	}
}

// matchKind decides whether a match is asked for: for more than the basic
// scopes, for clients that have not proved who they are (decision 0028), when the
// device is not known to be on its owner's network (requirement K-02, attack B-01), and when
// several people reported what came from there (requirement K-12).
func matchKind(r DeviceRequest, c Client, scope string, network NetworkDistance, reports Reports) MatchKind {
	beyondBasic := slices.ContainsFunc(strings.Fields(scope), func(s string) bool { return !hasScope(basicScope, s) })
	switch {
	case !beyondBasic && c.Registered && r.ClientProved && network == NetworkSame && reports.Network == 0:
		return MatchNone
	case r.MatchNumber != 0:
		return MatchNumber
	default:
		return MatchLetters
	}
}

// matchChoices returns the numbers to choose from, in an order that says
// nothing, the same at each reload.
func (s *approvals) matchChoices(r DeviceRequest) []string {
	stream := s.secrets.numberMatch(r.ID)
	numbers := []int{r.MatchNumber}
	for _, b := range stream[:len(stream)/2] {
		n := leastMatchNumber + int(b)%matchNumbers
		if len(numbers) < matchChoices && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	choices := make([]string, len(numbers))
	for i, n := range numbers {
		choices[i] = strconv.Itoa(n)
	}
	right := int(stream[len(stream)-1]) % len(choices)
	choices[0], choices[right] = choices[right], choices[0]
	return choices
}

// fit is how an owner's answer fits.
type fit int

const (
	// matched: it is what the device shows.
	matched fit = iota
	// mistyped: no device shows that, or it is one slip away from what this one shows.
	mistyped
	// another: another device shows that, or none where a choice was offered.
	another
)

const (
	// slipsForgiven is how often a slip is asked for again, for one request. That makes nobody a guesser:
	// the numbers are on offer and the letters stand on the page, so that who answers
	// knows what to try. Who slips more often does not look at a device.
	slipsForgiven = 2

	slipTag = "slip:"
)

// matches says how the owner's answer fits. Of the numbers on offer a wrong one is
// another device's; any other was mistyped.
func (s *approvals) matches(f Facts, answer string) fit {
	answer = plainCode(answer)
	switch f.Match {
	case MatchNone:
		return matched
	case MatchNumber:
		switch {
		case sameText(answer, strconv.Itoa(f.Request.MatchNumber)):
			return matched
		case slices.Contains(f.Numbers, answer):
			return another
		default:
			return mistyped
		}
	default:
		return matchesLetters(answer, f.UserCode)
	}
}

// matchesLetters takes the last four letters, and as well what people type in
// their place: the last group of a longer code, or all of it. Letters of no code,
// too few or too many, and those that one slip of a finger away are right, were
// mistyped. One code in two thousand ends so alike that another's is asked for again.
func matchesLetters(answer, userCode string) fit {
	_, group, _ := strings.Cut(userCode, "-")
	whole := strings.ReplaceAll(userCode, "-", "")
	same, near, complete := false, false, false
	for _, want := range []string{whole[len(whole)-lastLetters:], group, whole} {
		same = sameText(answer, want) || same
		near = oneSlip(answer, want) || near
		complete = len(answer) == len(want) || complete
	}
	strange := strings.ContainsFunc(answer, func(r rune) bool { return !strings.ContainsRune(userCodeAlphabet, r) })
	switch {
	case same:
		return matched
	case near || strange || !complete:
		return mistyped
	default:
		return another
	}
}

// oneSlip reports whether a text differs from another by one letter replaced, left
// out or put in, or by two neighbours in the wrong order.
func oneSlip(typed, want string) bool {
	a, b := []rune(typed), []rune(want)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return swapped || (len(a) <= 1 && len(b) <= 1)
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// mismatched is an answer that does not fit. Another device's denies: the one in front
// of the owner is not the one that asks. It is no report: they may have two of them, or
// have slipped. What no device shows is a slip, and is asked for again, so often.
func (s *approvals) mismatched(ctx context.Context, owner Owner, r DeviceRequest, fit fit) error {
	if fit == mistyped {
		again, err := s.askAgain(ctx, r)
		if err != nil {
			return err
		}
		if again {
			return errMistyped
		}
	}
	if err := s.deny(ctx, owner, r, false, DeniedForMatch); err != nil {
		return err
	}
	s.log.WarnContext(ctx, "device request denied: what was entered is not what its device shows", "device_request", r.ID, "client_id", r.ClientID,
		by(owner), "device_network", r.Seen.Network)
	return errWrongMatch
}

// askAgain counts a slip, and reports whether the owner may try once more. The request's
// whole life is one window, so that no quarter of the clock begins anew.
func (s *approvals) askAgain(ctx context.Context, r DeviceRequest) (bool, error) {
	slips, window := []string{slipTag + r.ID}, r.CreatedAt
	done, err := s.guard.turns.take(ctx, slips)
	if err != nil {
		return false, err
	}
	defer done()
	before, err := s.store.Guesses(ctx, slips, window)
	if err != nil {
		return false, err
	}
	return before[0] < slipsForgiven, s.store.CountGuesses(ctx, slips, window)
}

var (
	errMistyped   = refuse(Mistyped, "that is nothing that the device can show: look at it again, and enter what it shows")
	errWrongMatch = refuse(WrongMatch, "that is not what the device shows, so the request was denied")
)
