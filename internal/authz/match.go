package authz

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
)

// MatchKind says how an owner shows that the device in front of them is the one
// that asks (device page, "number match").
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

func (s *Service) newMatchNumber() (int, error) {
	const unbiased = 256 / matchNumbers * matchNumbers
	for {
		b, err := s.random(1)
		if err != nil {
			return 0, err
		}
		if int(b[0]) < unbiased {
			return leastMatchNumber + int(b[0])%matchNumbers, nil
		}
	}
}

// matchKind decides whether a match is asked for: for more than the basic
// scopes, for clients nobody registered (reported ones among them), when the
// device is not known to be on its owner's network (attack B-01), and when
// several people reported what came from there (requirement K-12).
func matchKind(r DeviceRequest, c Client, scope string, network NetworkDistance, reports Reports) MatchKind {
	beyondBasic := slices.ContainsFunc(strings.Fields(scope), func(s string) bool { return !hasScope(basicScope, s) })
	switch {
	case !beyondBasic && c.Registered && network == NetworkSame && reports.Network < warnedReports:
		return MatchNone
	case r.MatchNumber != 0:
		return MatchNumber
	default:
		return MatchLetters
	}
}

// matchChoices returns the numbers to choose from, in an order that says
// nothing, the same at each reload.
func (s *Service) matchChoices(r DeviceRequest) []string {
	mac := hmac.New(sha256.New, s.secrets.match)
	mac.Write([]byte(r.ID))
	stream := mac.Sum(nil)
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

// matches reports whether the owner's answer fits.
func matches(kind MatchKind, r DeviceRequest, userCode, answer string) bool {
	answer = plainCode(answer)
	switch kind {
	case MatchNone:
		return true
	case MatchNumber:
		return sameText(answer, strconv.Itoa(r.MatchNumber))
	default:
		return matchesLetters(answer, userCode)
	}
}

// matchesLetters takes the last four letters, and as well what people type in
// their place: the last group of a longer code, or all of it.
func matchesLetters(answer, userCode string) bool {
	_, group, _ := strings.Cut(userCode, "-")
	whole := strings.ReplaceAll(userCode, "-", "")
	matched := false
	for _, want := range []string{whole[len(whole)-lastLetters:], group, whole} {
		matched = sameText(answer, want) || matched
	}
	return matched
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
