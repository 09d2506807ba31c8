package cli

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// What a password is worth, by the same scale as the pages have it
// (web/src/strength.ts): how many guesses it takes somebody who knows how people
// choose. Lengths are in UTF-16 units, as there. Both are held to one list
// (web/testdata/strength.json).

// Bits from which on a password is worth that.
const (
	fairBits   = 36
	strongBits = 44
)

// strength says in a word what a password is worth. known are texts that an attacker
// would try first: the identity's name.
func strength(password string, known ...string) string {
	words := strings.Split(commonWords, "|")
	for _, text := range known {
		words = append(words, strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })...)
	}
	switch bits := worth(units(password), words); {
	case tooShort(password):
		return "too short"
	case bits < fairBits:
		return "easily guessed"
	case bits < strongBits:
		return "fair"
	default:
		return "strong"
	}
}

// commonWords are what people choose, besides their own names.
const commonWords = "correct horse battery staple|passwort|password|passw0rd|p4ssword|kennwort|qwerty|qwertz|azerty|asdf|zxcv|iloveyou|letmein|welcome|willkommen|" +
	"changeme|default|football|baseball|superman|batman|master|dragon|monkey|shadow|sunshine|princess|michael|jordan|starwars|computer|internet|" +
	"secret|geheim|admin|administrator|root|login|user|guest|test|hello|hallo|summer|sommer|winter|spring|autumn|monday|friday|january|october|" +
	"bitcoin|satoshi|nakamoto|wallet|crypto|hodl|moon|lambo|countersign|identity|love|lovely|baby|please|thank|thanks|always|forever|nothing|" +
	"the|you|and|for|are|not|this|that|with|have|from|your|what|when|will|make|like|just|know|good|some|time"

// patterns are neighbours on a keyboard, in the alphabet, and among the digits.
var patterns = []string{"abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm"}

var substitutes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// text is a password, a UTF-16 unit an element.
type text []rune

func units(s string) (t text) {
	for _, u := range utf16.Encode([]rune(s)) {
		t = append(t, rune(u))
	}
	return t
}

func (t text) lower() text {
	lower := make(text, len(t))
	for i, r := range t {
		lower[i] = unicode.ToLower(r)
	}
	return lower
}

// key is a text as one of a set: half a pair is no character that a string could hold.
func (t text) key() (key string) {
	for _, r := range t {
		key += string(0x10000 + r)
	}
	return key
}

func (t text) hasPrefix(s string) bool {
	prefix := units(s)
	if len(t) < len(prefix) {
		return false
	}
	for i, r := range prefix {
		if t[i] != r {
			return false
		}
	}
	return true
}

// worth is how many bits a password is worth.
func worth(password text, words []string) (bits float64) {
	if period := smallestPeriod(password); period < len(password) {
		return worth(password[:period], words) + math.Log2(float64(len(password))/float64(period))
	}
	seen := map[string]bool{}
	for rest := password; len(rest) > 0; {
		length, is := nextPart(rest, words)
		part := rest[:length].lower().key()
		if length >= 3 && seen[part] {
			is = 1 // what is repeated is worth little
		}
		bits += is
		seen[part] = true
		rest = rest[length:]
	}
	return bits
}

// smallestPeriod is the length of the shortest text that, repeated, gives this one.
func smallestPeriod(t text) int {
	for period := 1; period <= len(t)/2; period++ {
		i := period
		for i < len(t) && t[i] == t[i-period] {
			i++
		}
		if i == len(t) {
			return period
		}
	}
	return len(t)
}

var year = regexp.MustCompile(`^(19|20)[0-9][0-9]`)

// nextPart is the longest thing that a text begins with, and the bits it is worth.
func nextPart(rest text, words []string) (length int, bits float64) {
	const commonBits, patternBits = 5, 6
	lower := rest.lower()
	plain := units(substitutes.Replace(string(lower)))
	word := ""
	for _, w := range words {
		if len(units(w)) >= 3 && len(units(w)) > len(units(word)) && (lower.hasPrefix(w) || plain.hasPrefix(w)) {
			word = w
		}
	}
	n, pattern := len(units(word)), max(runLength(lower), sequenceLength(lower))
	switch {
	case n > 0 && n >= pattern && rest.hasPrefix(word):
		return n, commonBits
	case n > 0 && n >= pattern:
		return n, commonBits + 1.5
	case pattern >= 3:
		return pattern, patternBits + math.Log2(float64(pattern))
	case year.MatchString(string(rest[:min(4, len(rest))])):
		return 4, 6
	}
	letters := 0
	for letters < len(rest) && unicode.IsLetter(rest[letters]) && (letters == 0 || !unicode.IsUpper(rest[letters])) {
		letters++
	}
	switch first := rest[0]; {
	case letters > 0:
		return letters, letterBits(rest[:letters])
	case first >= '0' && first <= '9':
		return 1, math.Log2(10)
	case unicode.Is(unicode.Z, first) || strings.ContainsRune("_.-", first):
		return 1, 1
	default:
		return 1, 5
	}
}

var unspeakable = regexp.MustCompile(`(?i)[bcdfghjklmnpqrstvwxz]{5}`)

// letterBits is what a run of letters is worth: a word or two, unless no word looks like it.
func letterBits(letters text) float64 {
	const perLetter = 3.7
	capital := 0.0
	if unicode.IsUpper(letters[0]) {
		capital = 1
	}
	n := float64(len(letters))
	if unspeakable.MatchString(string(letters)) {
		return n*4 + capital
	}
	return min(n*perLetter, 3*perLetter) + max(0, n-4)*0.7 + capital
}

// runLength is how often the first character is repeated.
func runLength(t text) int {
	n := 1
	for n < len(t) && t[n] == t[0] {
		n++
	}
	return n
}

// sequenceLength is how far a text follows one of the patterns, in either direction.
func sequenceLength(t text) (longest int) {
	longest = 1
	for _, pattern := range patterns {
		for _, step := range []int{1, -1} {
			start := strings.IndexRune(pattern, t[0])
			if step < 0 {
				start = strings.LastIndex(pattern, string(t[0]))
			}
			n := 0
			for at := start; start >= 0 && n < len(t) && at >= 0 && at < len(pattern) && rune(pattern[at]) == t[n]; at += step {
				n++
			}
			longest = max(longest, n)
		}
	}
	return longest
}
