package cli

import (
	"cmp"
	"net/url"
	"strings"
	"unicode"
)

// wholeCode refuses what cannot be a code, before it is sent: to the server it would be
// a wrong guess, of which it hears only so many.
func wholeCode(typed string) error {
	if code := codeLetters(plainCode(typed)); code == "" || strings.ContainsAny(code, "AEIOUY") { // RFC 8628 §6.1: consonants
		return &Failure{Code: ExitUsage, What: "that is no whole code", Next: "Give the eight to ten letters that your device shows, like BCDF-GHJK"}
	}
	return nil
}

// codeLetters are the letters of a user code as a server shows it; none for what is
// no whole code.
func codeLetters(shown string) string {
	const shortest, longest = 8, 10
	letters := strings.ReplaceAll(shown, "-", "")
	if len(letters) < shortest || len(letters) > longest || strings.Trim(letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return letters
}

// plainCode is the code that was typed, or pasted as a link, without what stands between
// and around its letters.
func plainCode(typed string) string {
	if _, query, isLink := strings.Cut(typed, "?"); isLink {
		query, _, _ = strings.Cut(query, "#")
		values, err := url.ParseQuery(query)
		if found := cmp.Or(values.Get("code"), values.Get("user_code")); err == nil && found != "" {
			typed = found
		}
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r
		case r >= 'Ａ' && r <= 'Ｚ': // full-width letters
			return r - 'Ａ' + 'A'
		case r >= 'ａ' && r <= 'ｚ':
			return r - 'ａ' + 'A'
		case r != 'ー' && (unicode.IsLetter(r) || unicode.IsNumber(r)): // a Japanese keyboard has that in its dash's place
			return r
		default:
			return -1
		}
	}, typed)
}
