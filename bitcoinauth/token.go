package bitcoinauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	bsm "github.com/bsv-blockchain/go-sdk/compat/bsm"
	"github.com/bsv-blockchain/go-sdk/message"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Header is the name of the HTTP header that carries a token.
const Header = "X-Auth-Token"

// DefaultWindow is how far a token's time may be from the verifier's clock, on
// both sides.
const DefaultWindow = 5 * time.Minute

// Scheme is how a token is signed.
type Scheme string

// The schemes there are.
const (
	// BRC77 is a BRC-77 signed message for anyone. It is the default.
	BRC77 Scheme = "brc77"
	// BSM is a Bitcoin Signed Message with a compact signature.
	BSM Scheme = "bsm"
)

const (
	// timeLayout is what JavaScript's toISOString writes: UTC, milliseconds.
	timeLayout = "2006-01-02T15:04:05.000Z"
	// maxToken bounds a token in bytes, before anything is parsed.
	maxToken = 8 << 10
	fields   = 5
)

// Signing is what a token is made for.
type Signing struct {
	// Path is the request target: path and query, no origin.
	Path string
	// Body is the exact body to be sent; empty for none.
	Body []byte
	Time time.Time
	// Scheme is BRC77 when empty.
	Scheme Scheme
}

// Sign makes a token for one request.
//
//	*Error with UnknownScheme, or BadPath for a path that cannot be carried
func Sign(key *ec.PrivateKey, s Signing) (string, error) {
	if s.Scheme == "" {
		s.Scheme = BRC77
	}
	if !validPath(s.Path) {
		return "", &Error{Reason: BadPath}
	}
	timestamp := s.Time.UTC().Format(timeLayout)
	text := signedText(s.Path, timestamp, s.Body)
	var signature []byte
	var err error
	switch s.Scheme {
	case BRC77:
		signature, err = message.Sign(text, key, nil)
	case BSM:
		signature, err = bsm.SignMessage(key, text)
	default:
		return "", &Error{Reason: UnknownScheme}
	}
	if err != nil {
		return "", err
	}
	return strings.Join([]string{
		hex.EncodeToString(key.PubKey().Compressed()), string(s.Scheme), timestamp, s.Path,
		base64.StdEncoding.EncodeToString(signature),
	}, "|"), nil
}

// validPath: a pipe would make a sixth field, a line break another header.
func validPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, func(r rune) bool { return r == '|' || r <= ' ' || r == 0x7f })
}

// signedText is what a signature covers.
func signedText(path, timestamp string, body []byte) []byte {
	var hash string
	if len(body) > 0 {
		sum := sha256.Sum256(body)
		hash = hex.EncodeToString(sum[:])
	}
	return []byte(path + "|" + timestamp + "|" + hash)
}

// Token is a token taken apart; nothing is verified yet.
type Token struct {
	// PublicKey is compressed, in lower-case hex.
	PublicKey string
	Scheme    Scheme
	Time      time.Time
	Path      string
	Signature []byte

	raw       []byte // the public key, compressed
	key       *secp256k1.PublicKey
	timestamp string
}

// Parse takes a token apart, strictly: exactly five fields, each in its one
// encoding (requirement N-06).
//
//	*Error
func Parse(token string) (*Token, error) {
	if len(token) > maxToken {
		return nil, &Error{Reason: Malformed}
	}
	part := strings.Split(token, "|")
	if len(part) != fields {
		return nil, &Error{Reason: Malformed}
	}
	t := &Token{PublicKey: part[0], Scheme: Scheme(part[1]), Path: part[3], timestamp: part[2]}
	if t.Scheme != BRC77 && t.Scheme != BSM {
		return nil, &Error{Reason: UnknownScheme}
	}
	var err error
	if t.raw, t.key, err = parseKey(t.PublicKey); err != nil {
		return nil, err
	}
	if t.Time, err = time.Parse(timeLayout, t.timestamp); err != nil || t.Time.Format(timeLayout) != t.timestamp { // a comma, or 9:00
		return nil, &Error{Reason: BadTime}
	}
	if !validPath(t.Path) {
		return nil, &Error{Reason: BadPath}
	}
	if t.Signature, err = base64.StdEncoding.Strict().DecodeString(part[4]); err != nil || strings.ContainsAny(part[4], "\r\n") {
		return nil, &Error{Reason: BadSignatureEncoding}
	}
	return t, nil
}

// parseKey reads a compressed key in lower-case hex: other spellings of the same
// key would be other replay keys to a careless verifier (requirement N-03).
func parseKey(text string) ([]byte, *secp256k1.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != keyLength || text != strings.ToLower(text) {
		return nil, nil, &Error{Reason: BadKey}
	}
	key, err := secp256k1.ParsePubKey(raw)
	if err != nil {
		return nil, nil, &Error{Reason: BadKey}
	}
	return raw, key, nil
}
