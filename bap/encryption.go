package bap

import (
	"errors"
	"fmt"

	ecies "github.com/bsv-blockchain/go-sdk/compat/ecies"
	"github.com/bsv-blockchain/go-sdk/message"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// ErrDecrypt says that a ciphertext is not one, or not for this key.
var ErrDecrypt = errors.New("cannot be decrypted with this key")

// EncryptTo encrypts a message from one key to another (BRC-78).
func EncryptTo(plaintext []byte, sender *ec.PrivateKey, recipient *ec.PublicKey) ([]byte, error) {
	return message.Encrypt(plaintext, sender, recipient)
}

// Decrypt reads a BRC-78 message.
//
//	ErrDecrypt
func Decrypt(ciphertext []byte, recipient *ec.PrivateKey) ([]byte, error) {
	// Version, two keys and key id, then the IV (32) and the tag (16) of the
	// library's AES-GCM, which slices them off unchecked.
	const least = 4 + 2*publicKeyLength + 32 + 32 + 16
	return guarded(ciphertext, least, func() ([]byte, error) { return message.Decrypt(ciphertext, recipient) })
}

// ElectrumEncrypt encrypts a message from one key to another (Electrum ECIES,
// BIE1).
func ElectrumEncrypt(plaintext []byte, sender *ec.PrivateKey, recipient *ec.PublicKey) ([]byte, error) {
	return ecies.ElectrumEncrypt(plaintext, recipient, sender, false)
}

// ElectrumDecrypt reads an Electrum ECIES message that carries its sender's key.
//
//	ErrDecrypt
func ElectrumDecrypt(ciphertext []byte, recipient *ec.PrivateKey) ([]byte, error) {
	const (
		block = 16
		frame = 4 + publicKeyLength + 32 // magic, key, MAC
		least = frame + block
	)
	if len(ciphertext) >= least && (len(ciphertext)-frame)%block != 0 {
		return nil, fmt.Errorf("%w: not whole blocks", ErrDecrypt)
	}
	return guarded(ciphertext, least, func() ([]byte, error) { return ecies.ElectrumDecrypt(ciphertext, recipient, nil) })
}

// guarded calls a library that takes lengths on trust; the recover is a last
// resort.
func guarded(ciphertext []byte, least int, decrypt func() ([]byte, error)) (plaintext []byte, err error) {
	if len(ciphertext) < least {
		return nil, fmt.Errorf("%w: too short", ErrDecrypt)
	}
	defer func() {
		if recover() != nil {
			plaintext, err = nil, ErrDecrypt
		}
	}()
	plaintext, err = decrypt()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDecrypt, err)
	}
	return plaintext, nil
}
