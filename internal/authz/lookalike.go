package authz

import (
	"context"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A client that nobody registered chooses its own id, and the id is all the name
// it has. One that looks like the name of a registered client, or like this
// server's own, is told to the owner as what it is: not that (attack B-07).

// reservedNames are what no stranger should be taken for.
var reservedNames = []string{"countersign", "administrator", "admin", "security", "support", "verified", "official", "system"}

// Imitation says what an unregistered client's id could be taken for.
type Imitation struct {
	// Name is the registered client's name, empty when nothing is imitated or
	// when it is the server itself.
	Name string
	// Server: the id poses as a part of this server.
	Server bool
}

// imitation compares the id of an unregistered client with every registered name
// and id.
func (s *Service) imitation(ctx context.Context, c Client) (Imitation, error) {
	if c.Registered {
		return Imitation{}, nil
	}
	stored, err := s.store.Clients(ctx)
	if err != nil {
		return Imitation{}, err
	}
	mine := skeleton(c.ID)
	for _, known := range s.configured {
		if looksLike(mine, known) {
			return Imitation{Name: known.DisplayName()}, nil
		}
	}
	for _, known := range stored {
		if looksLike(mine, known) {
			return Imitation{Name: known.DisplayName()}, nil
		}
	}
	return Imitation{Server: posesAsServer(c.ID)}, nil
}

func looksLike(mine string, known Client) bool {
	return mine != "" && (mine == skeleton(known.Name) || mine == skeleton(known.ID))
}

// posesAsServer reports whether an id has a reserved name as one of its words.
func posesAsServer(id string) bool {
	words := strings.FieldsFunc(id, func(r rune) bool { return !isLetter(r) && (r < '0' || r > '9') })
	for _, word := range words {
		for _, reserved := range reservedNames {
			if skeleton(word) == skeleton(reserved) {
				return true
			}
		}
	}
	return false
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

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
	seen := strings.ToLower(norm.NFKC.String(text))
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
