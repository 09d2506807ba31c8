package authz

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	// userCodeAlphabet is RFC 8628 §6.1's: consonants, so that no words appear
	// and nothing is mistaken for something else.
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLetters  = 8
	userCodeGroup    = 4
	// maxTypedCode bounds what may be typed or pasted in place of a code.
	maxTypedCode = 512
)

// newUserCode draws a user code as it is shown, XXXX-XXXX, every letter equally
// likely (requirement D-12).
func newUserCode(random io.Reader) (string, error) {
	// 240 is the largest multiple of 20 in a byte: bytes from there on would make
	// the first letters likelier.
	const unbiased = 256 / len(userCodeAlphabet) * len(userCodeAlphabet)
	code := make([]byte, 0, userCodeLetters+1)
	var buf [2 * userCodeLetters]byte
	for {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", fmt.Errorf("randomness: %w", err)
		}
		for _, b := range buf {
			if int(b) >= unbiased {
				continue
			}
			if len(code) == userCodeGroup {
				code = append(code, '-')
			}
			code = append(code, userCodeAlphabet[int(b)%len(userCodeAlphabet)])
			if len(code) == userCodeLetters+1 {
				return string(code), nil
			}
		}
	}
}

// ParseUserCode reads a user code as people type it: any case, spaces, dashes,
// full-width letters, or the whole link pasted (requirement D-39). It returns
// the code as it is shown, XXXX-XXXX, and false for what cannot be one.
func ParseUserCode(typed string) (string, bool) {
	if len(typed) > maxTypedCode {
		return "", false
	}
	if u, err := url.Parse(strings.TrimSpace(typed)); err == nil && u.Scheme != "" && u.RawQuery != "" {
		q := u.Query()
		if typed = q.Get("code"); typed == "" {
			typed = q.Get("user_code")
		}
	}
	letters := make([]byte, 0, userCodeLetters)
	for _, r := range norm.NFKC.String(typed) {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf) || r == '_' || r == '.' || r == '\u2212' {
			continue
		}
		r = unicode.ToUpper(r)
		if r > unicode.MaxASCII || !strings.ContainsRune(userCodeAlphabet, r) || len(letters) == userCodeLetters {
			return "", false
		}
		letters = append(letters, byte(r))
	}
	if len(letters) != userCodeLetters {
		return "", false
	}
	return string(letters[:userCodeGroup]) + "-" + string(letters[userCodeGroup:]), true
}

// userCodeHash is how a user code is kept. User codes are short: with a plain
// hash a stolen database would give them all away in minutes.
func (s *Service) userCodeHash(code string) Hash {
	mac := hmac.New(sha256.New, s.secrets.userCode)
	mac.Write([]byte(code))
	return Hash(mac.Sum(nil))
}
