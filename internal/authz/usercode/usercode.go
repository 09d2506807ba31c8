package usercode

import (
	"fmt"
	"io"
	"math"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	// Alphabet is RFC 8628 §6.1's: consonants, so that no words appear
	// and nothing is mistaken for something else.
	Alphabet = "BCDFGHJKLMNPQRSTVWXZ"
	// lastLetters are what an owner types where the device shows no number; every
	// code ends in a group of at least as many.
	lastLetters = 4
	// maxTypedCode bounds what may be typed or pasted in place of a code.
	maxTypedCode = 512
)

// Length is a length of user codes.
type Length struct {
	Letters int
	Most    int // so many pending requests or more have longer codes
}

// Space is how many codes of this length there are.
func (l Length) Space() float64 {
	return math.Pow(float64(len(Alphabet)), float64(l.Letters))
}

// Lengths keep codes rare in their space (attack B-02): at most one of
// 256 000 is in use, so that even a site with millions of devices waiting gives
// a guesser no more than that.
var Lengths = [...]Length{{8, 100_000}, {9, 2_000_000}, {10, math.MaxInt}}

// LengthFor is the index of the length that new codes have when so many requests
// are pending.
func LengthFor(pending int) int {
	for i, l := range Lengths {
		if pending < l.Most {
			return i
		}
	}
	return len(Lengths) - 1
}

// New draws a user code as it is shown, every letter equally likely
// (requirement D-12).
func New(random io.Reader, letters int) (string, error) {
	// 240 is the largest multiple of 20 in a byte: bytes from there on would make
	// the first letters likelier.
	const unbiased = 256 / len(Alphabet) * len(Alphabet)
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
			if code = append(code, Alphabet[int(b)%len(Alphabet)]); len(code) == letters {
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

// Parse reads a user code as people type it: any case, spaces, dashes of
// every script, full-width letters, quotes or a full stop around it, or a whole
// link pasted (requirement D-39). Which site a link names does not matter: what
// counts is the code. It returns the code as it is shown, and false for what
// cannot be one.
func Parse(typed string) (string, bool) {
	if len(typed) > maxTypedCode {
		return "", false
	}
	shortest, longest := Lengths[0].Letters, Lengths[len(Lengths)-1].Letters
	letters := make([]byte, 0, longest)
	for _, r := range Plain(codeOfLink(typed)) {
		letter := strings.IndexRune(Alphabet, r)
		if letter < 0 || len(letters) == longest {
			return "", false
		}
		letters = append(letters, Alphabet[letter])
	}
	if len(letters) < shortest {
		return "", false
	}
	return groupCode(letters), true
}

// codeOfLink returns the code that a link carries, or what was typed where it
// carries none. A link with two different codes has none.
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

// Plain is what is left of a typed text without what people put around the
// characters that count.
func Plain(typed string) string {
	return strings.Map(func(r rune) rune {
		if isDecoration(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, norm.NFKC.String(typed))
}
