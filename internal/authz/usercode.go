package authz

import (
	"crypto/subtle"
	"fmt"
	"io"
	"math"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	// userCodeAlphabet is RFC 8628 §6.1's: consonants, so that no words appear
	// and nothing is mistaken for something else.
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	// lastLetters are what an owner types where the device shows no number; every
	// code ends in a group of at least as many.
	lastLetters = 4
	// maxTypedCode bounds what may be typed or pasted in place of a code.
	maxTypedCode = 512
)

// codeLength is a length of user codes.
type codeLength struct {
	letters int
	most    int // so many pending requests or more have longer codes
}

// space is how many codes of this length there are.
func (l codeLength) space() float64 {
	return math.Pow(float64(len(userCodeAlphabet)), float64(l.letters))
}

// codeLengths keep codes rare in their space (attack B-02): at most one of
// 256 000 is in use, so that even a site with millions of devices waiting gives
// a guesser no more than that.
var codeLengths = [...]codeLength{{8, 100_000}, {9, 2_000_000}, {10, math.MaxInt}}

// lengthFor is the index of the length that new codes have when so many requests
// are pending.
func lengthFor(pending int) int {
	for i, l := range codeLengths {
		if pending < l.most {
			return i
		}
	}
	return len(codeLengths) - 1
}

// newUserCode draws a user code as it is shown, every letter equally likely
// (requirement D-12).
func newUserCode(random io.Reader, letters int) (string, error) {
	// 240 is the largest multiple of 20 in a byte: bytes from there on would make
	// the first letters likelier.
	const unbiased = 256 / len(userCodeAlphabet) * len(userCodeAlphabet)
	code := make([]byte, 0, letters)
	var buf [16]byte
	for {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", fmt.Errorf("randomness: %w", err)
		}
		for _, b := range buf {
			if int(b) >= unbiased {
				continue
			}
			if code = append(code, userCodeAlphabet[int(b)%len(userCodeAlphabet)]); len(code) == letters {
				return groupCode(code), nil
			}
		}
	}
}

// groupCode writes a code's letters as they are shown: XXXX-XXXX, XXXX-XXXXX or
// XXXXX-XXXXX.
func groupCode(letters []byte) string {
	half := len(letters) / 2
	return string(letters[:half]) + "-" + string(letters[half:])
}

// ParseUserCode reads a user code as people type it: any case, spaces, dashes of
// every script, full-width letters, quotes or a full stop around it, or a whole
// link pasted (requirement D-39). Which site a link names does not matter: what
// counts is the code. It returns the code as it is shown, and false for what
// cannot be one.
func ParseUserCode(typed string) (string, bool) {
	if len(typed) > maxTypedCode {
		return "", false
	}
	shortest, longest := codeLengths[0].letters, codeLengths[len(codeLengths)-1].letters
	letters := make([]byte, 0, longest)
	for _, r := range plainCode(codeOfLink(typed)) {
		letter := strings.IndexRune(userCodeAlphabet, r)
		if letter < 0 || len(letters) == longest {
			return "", false
		}
		letters = append(letters, userCodeAlphabet[letter])
	}
	if len(letters) < shortest {
		return "", false
	}
	return groupCode(letters), true
}

// codeOfLink returns the code that a link carries, or what was typed where it is
// no link. A link with two different codes has none.
func codeOfLink(typed string) string {
	_, query, _ := strings.Cut(typed, "?")
	query, _, _ = strings.Cut(query, "#")
	values, err := url.ParseQuery(query)
	if err != nil {
		return typed
	}
	code, other := values.Get("code"), values.Get("user_code")
	switch {
	case code == "" && other == "":
		return typed
	case code == "":
		return other
	case other == "" || other == code:
		return code
	default:
		return ""
	}
}

// isDecoration reports what stands in and around codes in people's messages: all
// spaces, dashes, invisible characters, quotes, brackets and full stops, and the
// long-vowel mark, which is where a Japanese keyboard has its dash.
func isDecoration(r rune) bool {
	return unicode.IsSpace(r) || r == 'ー' || strings.ContainsRune("_*`´<>", r) ||
		unicode.In(r, unicode.Dash, unicode.Pd, unicode.Cf, unicode.Quotation_Mark, unicode.Terminal_Punctuation, unicode.Ps, unicode.Pe, unicode.Pi, unicode.Pf)
}

// plainCode is what is left of a typed text without what people put around the
// characters that count.
func plainCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if isDecoration(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, norm.NFKC.String(typed))
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
