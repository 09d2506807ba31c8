package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"

	"countersign.dev/internal/authz"
)

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// SealKey encrypts a signing key; its id is authenticated with it.
func (s Secrets) SealKey(id string, plaintext []byte) ([]byte, error) {
	nonce := make([]byte, s.keys.NonceSize())
	if _, err := io.ReadFull(s.Rand, nonce); err != nil {
		return nil, err
	}
	return s.keys.Seal(nonce, nonce, plaintext, []byte(id)), nil
}

// OpenKey decrypts a signing key that SealKey encrypted.
//
//	authz.ErrOtherSecret: with another secret, or under another id
func (s Secrets) OpenKey(id string, sealed []byte) ([]byte, error) {
	if len(sealed) < s.keys.NonceSize() {
		return nil, authz.ErrOtherSecret
	}
	nonce, ciphertext := sealed[:s.keys.NonceSize()], sealed[s.keys.NonceSize():]
	plaintext, err := s.keys.Open(nil, nonce, ciphertext, []byte(id))
	if err != nil {
		return nil, authz.ErrOtherSecret
	}
	return plaintext, nil
}

// sealSalt is the length of what makes each sealing's key its own. Anybody may
// ask for as many as they like, and random nonces of AES-GCM under one key are
// safe for 2^32 of them only (NIST SP 800-38D §8.3).
const (
	sealSalt = 32
	sealHead = sealSalt + 12 // and the nonce
)

// sealingAEAD is the cipher of one sealing. purpose keeps one kind from passing as another.
func (s Secrets) sealingAEAD(purpose string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.sealing, salt, "countersign/v1/handed-out/"+purpose, 32)
	if err != nil {
		return nil, err
	}
	return newAEAD(key)
}

// Seal makes of some bytes what a browser keeps for the server.
func (s Secrets) Seal(purpose string, plain []byte) (string, error) {
	head := make([]byte, sealHead)
	if _, err := io.ReadFull(s.Rand, head); err != nil {
		return "", err
	}
	aead, err := s.sealingAEAD(purpose, head[:sealSalt])
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(head, head[sealSalt:], plain, nil)), nil
}

// Decode reads base64url as we write it, and in no other way: the library's decoder
// passes over line breaks and the last bits of the last character.
func Decode(text string) (raw []byte, ok bool) {
	raw, _ = base64.RawURLEncoding.DecodeString(text)
	return raw, base64.RawURLEncoding.EncodeToString(raw) == text
}

// ErrNotSealed is for what Seal did not make, or not for this purpose.
var ErrNotSealed = errors.New("not sealed by this server for this purpose")

// Open decrypts what Seal made for the same purpose.
//
//	ErrNotSealed
func (s Secrets) Open(purpose, sealed string) ([]byte, error) {
	raw, ok := Decode(sealed)
	if !ok || len(raw) < sealHead {
		return nil, ErrNotSealed
	}
	aead, err := s.sealingAEAD(purpose, raw[:sealSalt])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, raw[sealSalt:sealHead], raw[sealHead:], nil)
	if err != nil {
		return nil, ErrNotSealed
	}
	return plain, nil
}
