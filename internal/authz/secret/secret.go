package secret

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"

	"countersign.dev/internal/authz"
)

// Secrets are the keys derived from the operator's secret. None of them
// is in the database.
type Secrets struct {
	userCode []byte // HMAC of user codes
	refresh  []byte // authenticates refresh tokens, and derives each one's successor
	match    []byte // draws the wrong numbers of a number match
	form     []byte // binds forms to sessions
	sealing  []byte // seals what browsers keep for the server
	code     []byte // derives authorization codes
	keys     cipher.AEAD
	Rand     io.Reader
}

// String keeps the keys out of what is printed.
func (Secrets) String() string { return authz.Redacted }

// GoString keeps them out of what is printed with %#v.
func (Secrets) GoString() string { return authz.Redacted }

// LogValue keeps them out of logs.
func (Secrets) LogValue() slog.Value { return slog.StringValue(authz.Redacted) }

// Derive derives the server's secrets from the operator's, and draws others from
// a source of randomness.
func Derive(master []byte, random io.Reader) (Secrets, error) {
	if len(master) < authz.SecretLength {
		return Secrets{}, fmt.Errorf("the server's secret is %d bytes long; it needs at least %d", len(master), authz.SecretLength)
	}
	s := Secrets{Rand: random}
	var sealKey []byte
	for purpose, key := range map[string]*[]byte{
		"user-code": &s.userCode, "refresh-token": &s.refresh, "number-match": &s.match, "signing-keys": &sealKey,
		"forms": &s.form, "handed-out": &s.sealing, "authorization-codes": &s.code,
	} {
		k, err := hkdf.Key(sha256.New, master, nil, "countersign/v1/"+purpose, 32)
		if err != nil {
			return Secrets{}, err
		}
		*key = k
	}
	var err error
	s.keys, err = newAEAD(sealKey)
	return s, err
}

// Random reads n random bytes. The only failure is a broken source of
// randomness, after which nothing this server does is safe.
func (s Secrets) Random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.Rand, b); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	return b, nil
}

// HashUserCode is how a user code is kept. User codes are short: with a plain
// hash a stolen database would give them all away in minutes.
func (s Secrets) HashUserCode(code string) authz.Hash {
	return authz.Hash(keyed(s.userCode, []byte(code)))
}

// FormToken binds a form to a session.
func (s Secrets) FormToken(session authz.Hash) string {
	return base64.RawURLEncoding.EncodeToString(keyed(s.form, session[:]))
}

// NumberMatch are the bytes that the wrong numbers of a request's number match are drawn
// from, the same each time.
func (s Secrets) NumberMatch(requestID string) []byte { return keyed(s.match, []byte(requestID)) }

func keyed(key, over []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(over)
	return mac.Sum(nil)
}

// Prefixes let secret scanners find codes and tokens that leaked.
const (
	DeviceCodePrefix   authz.Secret = "csd_"
	codePrefix         authz.Secret = "csc_"
	refreshTokenPrefix authz.Secret = "csr_"
	SessionTokenPrefix authz.Secret = "css_"
)

// Draw draws a secret of 256 bits: nobody guesses one (requirements D-13, T-12).
func (s Secrets) Draw(prefix authz.Secret) (authz.Secret, error) {
	b, err := s.Random(32)
	if err != nil {
		return "", err
	}
	return prefix + authz.Secret(base64.RawURLEncoding.EncodeToString(b)), nil
}

// NewID draws an id of 128 bits, not secret but not guessable.
func (s Secrets) NewID() (string, error) {
	b, err := s.Random(16)
	if err != nil {
		return "", err
	}
	return idEncoding.EncodeToString(b), nil
}

// idEncoding has neither upper case nor dashes, so that an id is one word in a
// terminal and is never taken for a flag.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
