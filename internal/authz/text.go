package authz

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// CleanText makes a text that a stranger chose fit to be shown: NFKC, one line,
// without control, formatting, direction-changing, private-use or variation
// characters, single spaces, at most limit graphemes, no piled-up accents
// (attack B-07).
func CleanText(s string, limit int) string {
	if isPlain(s, limit) {
		return s
	}
	const bytesPerGrapheme = 16
	if len(s) > limit*64 {
		s = strings.ToValidUTF8(s[:limit*64], "")
	}
	s = norm.NFKC.String(strings.ToValidUTF8(s, ""))
	var b strings.Builder
	marks := 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			r, marks = ' ', 0
		case unicode.Is(unicode.Variation_Selector, r), !unicode.IsGraphic(r):
			continue
		case unicode.IsMark(r):
			if marks++; marks > 2 {
				continue
			}
		default:
			marks = 0
		}
		b.WriteRune(r)
	}
	words := strings.Join(strings.Fields(b.String()), " ")
	var out strings.Builder
	graphemes := uniseg.NewGraphemes(words)
	for n := 0; n < limit && graphemes.Next(); n++ {
		if len(graphemes.Bytes()) <= bytesPerGrapheme {
			out.WriteString(graphemes.Str())
		}
	}
	return strings.TrimSpace(out.String())
}

// isPlain reports whether a text is clean as it is: short, printable ASCII,
// single spaces inside. Nearly all are.
func isPlain(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	before := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || (c == ' ' && before == ' ') {
			return false
		}
		before = c
	}
	return s == "" || before != ' '
}
