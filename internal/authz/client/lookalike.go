package client

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"countersign.dev/internal/authz"
)

// A client that nobody registered chooses its own id, and the id is all the name
// it has; an agent chooses its name. One that looks like the name of a registered client, or like this
// server's own, is told to the owner as what it is: not that (attack B-07).

// serverName is this server's own, and reservedNames are what no stranger should be
// taken for.
const serverName = "countersign"

var reservedNames = []string{serverName, "administrator", "admin", "security", "support", "verified", "official", "system"}

// Imitation says what an unregistered client's id could be taken for.
type Imitation struct {
	// Name is the registered client's name, empty when nothing is imitated or
	// when it is the server itself.
	Name string
	// Server: the id poses as a part of this server.
	Server bool
}

// Imitated compares the id of an unregistered client, and the name of its agent where one
// asks, with every registered name and id. An agent may be called as its own client is.
func (s *Registry) Imitated(ctx context.Context, c authz.Client, agent string) (Imitation, error) {
	var chosen []string
	if !c.Registered {
		chosen = append(chosen, c.ID)
	}
	if agent != "" && (!c.Registered || !looksLike(skeleton(agent), c)) {
		chosen = append(chosen, agent)
	}
	if len(chosen) == 0 {
		return Imitation{}, nil
	}
	stored, err := s.store.Clients(ctx)
	if err != nil {
		return Imitation{}, err
	}
	for known := range maps.Values(s.configured) {
		stored = append(stored, known)
	}
	for _, known := range stored {
		if slices.ContainsFunc(chosen, func(name string) bool { return looksLike(skeleton(name), known) }) {
			return Imitation{Name: known.DisplayName()}, nil
		}
	}
	return Imitation{Server: slices.ContainsFunc(chosen, posesAsServer)}, nil
}

func looksLike(mine string, known authz.Client) bool {
	return mine != "" && (mine == skeleton(known.Name) || mine == skeleton(known.ID))
}

// posesAsServer reports whether an id is a reserved name or has one as one of its
// words. The server's own name counts in pieces too, and at the beginning or the end of
// a word: no ordinary word has it there, as "supporter" and "ecosystem" have others.
func posesAsServer(name string) bool {
	id := folded(name)
	reserved := func(text string) bool {
		return slices.ContainsFunc(reservedNames, func(name string) bool { return skeleton(text) == skeleton(name) })
	}
	if reserved(id) {
		return true
	}
	own := skeleton(serverName)
	words := strings.FieldsFunc(id, func(r rune) bool { return !isLetter(r) && (r < '0' || r > '9') })
	for i, word := range words {
		seen := skeleton(word)
		if reserved(word) || strings.HasPrefix(seen, own) || strings.HasSuffix(seen, own) {
			return true
		}
		for _, next := range words[i+1:] { // a skeleton is half as long at least
			if word += next; len(word) > 2*len(own) {
				break
			}
			if skeleton(word) == own {
				return true
			}
		}
	}
	return false
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// folded is a text without case and accents, and with Latin letters for those of other
// scripts that look the same.
func folded(text string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(text))
	return foreign.Replace(strings.ToLower(foreignCapitals.Replace(plain)))
}

// foreign are the letters of Cyrillic, Greek and Armenian that look like Latin ones, and
// foreignCapitals those of which that is so of the capital alone.
var (
	foreign = strings.NewReplacer(
		"а", "a", "с", "c", "ԁ", "d", "е", "e", "һ", "h", "і", "i", "ј", "j", "к", "k", "ӏ", "l", "м", "m", "о", "o", "р", "p", "ԛ", "q", "ѕ", "s", "т", "t", "ѵ", "v", "ԝ", "w", "х", "x", "у", "y",
		"α", "a", "ε", "e", "η", "n", "ι", "i", "κ", "k", "ν", "v", "ο", "o", "ρ", "p", "τ", "t", "υ", "u", "χ", "x", "γ", "y",
		"օ", "o", "ս", "u", "ո", "n", "հ", "h", "ı", "i", "ø", "o", "ł", "l", "đ", "d",
	)
	foreignCapitals = strings.NewReplacer("В", "b", "Н", "h", "Β", "b", "Ζ", "z", "Η", "h", "Μ", "m", "Ν", "n", "Υ", "y")
)

// What passes for something else at a glance, of the ASCII characters that a client
// id may have (RFC 6749 appendix A.1): single characters, then pairs of them.
var (
	confusable = strings.NewReplacer(
		"0", "o", "1", "l", "i", "l", "|", "l", "!", "l", "5", "s", "$", "s", "2", "z", "8", "b", "3", "e", "4", "a", "@", "a", "9", "g", "q", "g",
	)
	confusablePairs = strings.NewReplacer("rn", "m", "vv", "w", "cl", "d")
)

// skeleton reduces a text to what is seen of it at a glance: two texts with one
// skeleton are easily taken for each other.
func skeleton(text string) string {
	seen := folded(text)
	seen = strings.TrimFunc(seen, isSeparator) // there a "!" is no "l"
	seen = strings.Map(func(r rune) rune {
		if isSeparator(r) {
			return -1
		}
		return r
	}, confusable.Replace(seen))
	return confusablePairs.Replace(seen)
}

// isSeparator is true of the ASCII characters that stand between words.
func isSeparator(r rune) bool { return r < 0x80 && !isLetter(r) && (r < '0' || r > '9') }
