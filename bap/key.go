package bap

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"

	base58 "github.com/bsv-blockchain/go-sdk/compat/base58"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	hash "github.com/bsv-blockchain/go-sdk/primitives/hash"
	"github.com/bsv-blockchain/go-sdk/script"
)

const (
	keyLength       = 32
	publicKeyLength = 33
)

// ErrKey says that a text is not a key of the kind that is needed.
var ErrKey = errors.New("not a key")

// ParsePublicKey reads a compressed public key in lower- or upper-case hex.
//
//	ErrKey
func ParsePublicKey(text string) (*ec.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != publicKeyLength || (raw[0] != 2 && raw[0] != 3) {
		return nil, fmt.Errorf("%w: a compressed public key is 66 hex characters that begin with 02 or 03", ErrKey)
	}
	key, err := ec.ParsePubKey(raw)
	if err != nil || key.X.Cmp(ec.S256().P) >= 0 { // which the library lets pass
		return nil, fmt.Errorf("%w: the point is not on the curve", ErrKey)
	}
	return key, nil
}

// FormatPublicKey writes a public key compressed, in lower-case hex.
func FormatPublicKey(key *ec.PublicKey) string { return hex.EncodeToString(key.Compressed()) }

// ParseWIF reads a private key of the main network in wallet import format.
//
//	ErrKey
func ParseWIF(text string) (*ec.PrivateKey, error) {
	const (
		least, most = 51, 52
		mainNetwork = 0x80
		testNetwork = 0xef
	)
	if len(text) < least || len(text) > most {
		if raw, err := hex.DecodeString(text); err == nil && len(raw) == keyLength {
			return nil, fmt.Errorf("%w: this is a private key in hex; give it in wallet import format", ErrKey)
		}
		return nil, fmt.Errorf("%w: wallet import format has 51 or 52 characters", ErrKey)
	}
	decoded, err := base58.Decode(text) // of so many characters no fewer bytes than a key has
	if err != nil {
		return nil, fmt.Errorf("%w: wallet import format is written in base58", ErrKey)
	}
	switch decoded[0] {
	case mainNetwork:
	case testNetwork:
		return nil, fmt.Errorf("%w: this key is for the test network", ErrKey)
	default:
		return nil, fmt.Errorf("%w: unknown network", ErrKey)
	}
	key, err := ec.PrivateKeyFromWif(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if !validScalar(key.Serialize()) {
		return nil, fmt.Errorf("%w: out of range", ErrKey)
	}
	return key, nil
}

func validScalar(raw []byte) bool {
	d := new(big.Int).SetBytes(raw)
	return d.Sign() > 0 && d.Cmp(ec.S256().N) < 0
}

// NewKey draws a private key.
func NewKey(random io.Reader) (*ec.PrivateKey, error) {
	raw := make([]byte, keyLength)
	for {
		if _, err := io.ReadFull(random, raw); err != nil {
			return nil, err
		}
		if validScalar(raw) {
			key, _ := ec.PrivateKeyFromBytes(raw)
			return key, nil
		}
	}
}

// Address is the main network's P2PKH address of a public key.
func Address(key *ec.PublicKey) (string, error) {
	address, err := script.NewAddressFromPublicKey(key, true)
	if err != nil {
		return "", err
	}
	return address.AddressString, nil
}

// AddressOfHex is Address for a compressed public key in hex that is known to be
// one: nothing is checked but its length.
func AddressOfHex(key string) (string, error) {
	if len(key) != 2*publicKeyLength {
		return "", fmt.Errorf("%w: a compressed public key is 66 hex characters", ErrKey)
	}
	address, err := script.NewAddressFromPublicKeyString(key, true)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return address.AddressString, nil
}

// ID is the BAP id of a member key: base58(ripemd160(sha256(address))).
func ID(key *ec.PublicKey) (string, error) {
	address, err := Address(key)
	if err != nil {
		return "", err
	}
	return IDOfAddress(address), nil
}

// IDOfAddress is the BAP id of a root address.
func IDOfAddress(address string) string {
	sum := sha256.Sum256([]byte(address))
	return base58.Encode(hash.Ripemd160(sum[:]))
}

// Child derives the Type-42 (BRC-42) child of a key with itself as counterparty.
func Child(key *ec.PrivateKey, invoice string) (*ec.PrivateKey, error) {
	return key.DeriveChild(key.PubKey(), invoice)
}
