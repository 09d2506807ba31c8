package authz

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// serverSecrets are the keys derived from the operator's secret. None of them
// is in the database.
type serverSecrets struct {
	userCode []byte // HMAC of user codes
	refresh  []byte // authenticates refresh tokens, and derives each one's successor
	match    []byte // draws the wrong numbers of a number match
	form     []byte // binds forms to sessions
	handed   []byte // seals what browsers keep for the server
	seal     cipher.AEAD
	rand     io.Reader
}

// String keeps the keys out of what is printed.
func (serverSecrets) String() string { return redacted }

// GoString keeps them out of what is printed with %#v.
func (serverSecrets) GoString() string { return redacted }

// LogValue keeps them out of logs.
func (serverSecrets) LogValue() slog.Value { return slog.StringValue(redacted) }

// deriveSecrets derives the server's secrets from the operator's, and draws others from
// a source of randomness.
func deriveSecrets(master []byte, random io.Reader) (serverSecrets, error) {
	if len(master) < SecretLength {
		return serverSecrets{}, fmt.Errorf("the server's secret is %d bytes long; it needs at least %d", len(master), SecretLength)
	}
	s := serverSecrets{rand: random}
	var sealKey []byte
	for purpose, key := range map[string]*[]byte{
		"user-code": &s.userCode, "refresh-token": &s.refresh, "number-match": &s.match, "signing-keys": &sealKey,
		"forms": &s.form, "handed-out": &s.handed,
	} {
		k, err := hkdf.Key(sha256.New, master, nil, "countersign/v1/"+purpose, 32)
		if err != nil {
			return serverSecrets{}, err
		}
		*key = k
	}
	var err error
	s.seal, err = newAEAD(sealKey)
	return s, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealKeyFor encrypts a signing key; its id is authenticated with it.
func (s serverSecrets) sealKeyFor(id string, plaintext []byte) ([]byte, error) {
	nonce := make([]byte, s.seal.NonceSize())
	if _, err := io.ReadFull(s.rand, nonce); err != nil {
		return nil, err
	}
	return s.seal.Seal(nonce, nonce, plaintext, []byte(id)), nil
}

func (s serverSecrets) openKeyFor(id string, sealed []byte) ([]byte, error) {
	if len(sealed) < s.seal.NonceSize() {
		return nil, ErrOtherSecret
	}
	nonce, ciphertext := sealed[:s.seal.NonceSize()], sealed[s.seal.NonceSize():]
	plaintext, err := s.seal.Open(nil, nonce, ciphertext, []byte(id))
	if err != nil {
		return nil, ErrOtherSecret
	}
	return plaintext, nil
}

// handedSalt is the length of what makes each sealing's key its own. Anybody may
// ask for as many as they like, and random nonces of AES-GCM under one key are
// safe for 2^32 of them only (NIST SP 800-38D §8.3).
const (
	handedSalt = 32
	handedHead = handedSalt + 12 // and the nonce
)

// handedAEAD is the cipher of one sealing. purpose keeps one kind from passing as another.
func (s serverSecrets) handedAEAD(purpose string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.handed, salt, "countersign/v1/handed-out/"+purpose, 32)
	if err != nil {
		return nil, err
	}
	return newAEAD(key)
}

// handOut makes of some bytes what a browser keeps for the server.
func (s serverSecrets) handOut(purpose string, plain []byte) (string, error) {
	head := make([]byte, handedHead)
	if _, err := io.ReadFull(s.rand, head); err != nil {
		return "", err
	}
	aead, err := s.handedAEAD(purpose, head[:handedSalt])
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(head, head[handedSalt:], plain, nil)), nil
}

// unpacked reads base64url as we write it, and in no other way: the library's decoder
// passes over line breaks and the last bits of the last character.
func unpacked(text string) (raw []byte, ok bool) {
	raw, _ = base64.RawURLEncoding.DecodeString(text)
	return raw, base64.RawURLEncoding.EncodeToString(raw) == text
}

var errNotHandedOut = errors.New("not sealed by this server for this purpose")

// takeBack opens what was handed out.
//
//	errNotHandedOut
func (s serverSecrets) takeBack(purpose, sealed string) ([]byte, error) {
	raw, ok := unpacked(sealed)
	if !ok || len(raw) < handedHead {
		return nil, errNotHandedOut
	}
	aead, err := s.handedAEAD(purpose, raw[:handedSalt])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, raw[handedSalt:handedHead], raw[handedHead:], nil)
	if err != nil {
		return nil, errNotHandedOut
	}
	return plain, nil
}

// refreshToken makes a token of a grant: the hash of the token that it replaces, or
// for the first something random, the grant, and a MAC over both that nobody else
// can make. Being derived, two parallel uses of one token give the same successor
// without the server ever storing a token (requirements ); naming its
// grant, it is known for ours when no row of it is kept any more (decision 0024).
func (s serverSecrets) refreshToken(replaces Hash, grantID string) Secret {
	raw := append(replaces[:], grantID...)
	return refreshTokenPrefix + Secret(base64.RawURLEncoding.EncodeToString(append(raw, s.refreshMAC(raw)...)))
}

func (s serverSecrets) refreshMAC(over []byte) []byte { return keyed(s.refresh, over) }

// refreshParts reads what a refresh token says of itself; ok is false for one that
// this server did not make, or made when they still said nothing.
func (s serverSecrets) refreshParts(token Secret) (replaces Hash, grantID string, ok bool) {
	text, prefixed := strings.CutPrefix(token.Reveal(), refreshTokenPrefix.Reveal())
	raw, whole := unpacked(text)
	if !prefixed || !whole || len(raw) <= 2*sha256.Size {
		return Hash{}, "", false
	}
	said, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !hmac.Equal(mac, s.refreshMAC(said)) {
		return Hash{}, "", false
	}
	return Hash(said[:sha256.Size]), string(said[sha256.Size:]), true
}

// successor is the token that follows another of a grant. One that says nothing of
// itself is known by its row only, which must stay: its successor names no row.
func (s serverSecrets) successor(token Secret, grantID string) Secret {
	if _, _, ok := s.refreshParts(token); !ok {
		return s.refreshToken(Hash(s.refreshMAC([]byte(token.Reveal()))), grantID)
	}
	return s.refreshToken(token.Hash(), grantID)
}

// random reads n random bytes. The only failure is a broken source of
// randomness, after which nothing this server does is safe.
func (s serverSecrets) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.rand, b); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	return b, nil
}

// userCodeHash is how a user code is kept. User codes are short: with a plain
// hash a stolen database would give them all away in minutes.
func (s serverSecrets) userCodeHash(code string) Hash { return Hash(keyed(s.userCode, []byte(code))) }

// formToken binds a form to a session.
func (s serverSecrets) formToken(session Hash) string {
	return base64.RawURLEncoding.EncodeToString(keyed(s.form, session[:]))
}

// numberMatch are the bytes that the wrong numbers of a request's number match are drawn
// from, the same each time.
func (s serverSecrets) numberMatch(requestID string) []byte { return keyed(s.match, []byte(requestID)) }

func keyed(key, over []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(over)
	return mac.Sum(nil)
}

// Prefixes let secret scanners find codes and tokens that leaked.
const (
	deviceCodePrefix   Secret = "csd_"
	refreshTokenPrefix Secret = "csr_"
	sessionTokenPrefix Secret = "css_"
)

// newSecret draws a secret of 256 bits: nobody guesses one (requirements D-13, T-12).
func (s serverSecrets) newSecret(prefix Secret) (Secret, error) {
	b, err := s.random(32)
	if err != nil {
		return "", err
	}
	return prefix + Secret(base64.RawURLEncoding.EncodeToString(b)), nil
}

// newID draws an id of 128 bits, not secret but not guessable.
func (s serverSecrets) newID() (string, error) {
	b, err := s.random(16)
	if err != nil {
		return "", err
	}
	return idEncoding.EncodeToString(b), nil
}

// idEncoding has neither upper case nor dashes, so that an id is one word in a
// terminal and is never taken for a flag.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
