package usercode

import (
	"crypto/subtle"
	"strings"
)

// Fit is how an owner's answer fits.
type Fit int

const (
	// Matched is what the device shows.
	Matched Fit = iota
	// Mistyped is what no device shows, or it is one slip away from what this one shows.
	Mistyped
	// Another is what another device shows, or none where a choice was offered.
	Another
)

// MatchLetters takes the last four letters, and as well what people type in
// their place: the last group of a longer code, or all of it. Letters of no code,
// too few or too many, and those that one slip of a finger away are right, were
// mistyped. One code in two thousand ends so alike that another's is asked for again.
func MatchLetters(answer, userCode string) Fit {
	_, group, _ := strings.Cut(userCode, "-")
	whole := strings.ReplaceAll(userCode, "-", "")
	same, near, complete := false, false, false
	for _, want := range []string{whole[len(whole)-lastLetters:], group, whole} {
		same = Same(answer, want) || same
		near = oneSlip(answer, want) || near
		complete = len(answer) == len(want) || complete
	}
	strange := strings.ContainsFunc(answer, func(r rune) bool { return !strings.ContainsRune(Alphabet, r) })
	switch {
	case same:
		return Matched
	case near || strange || !complete:
		return Mistyped
	default:
		return Another
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

// Same compares two texts in a time that says nothing of where they differ.
func Same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
