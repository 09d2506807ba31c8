package bitcoinauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"time"

	bsm "github.com/bsv-blockchain/go-sdk/compat/bsm"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
)

// Check is what a token is verified against: the request as it was received.
type Check struct {
	// Path is the request target: path and query, as received.
	Path string
	// Body is the body as received; empty for none.
	Body []byte
	// Now is the verifier's clock.
	Now time.Time
	// Window is how far the token's time may be from Now; 0 is DefaultWindow.
	Window time.Duration
	// RefuseBSM accepts BRC-77 only (requirement N-08).
	RefuseBSM bool
}

// Verified is what a good token proves.
type Verified struct {
	// PublicKey is the key that signed: compressed, lower-case hex.
	PublicKey string
	Scheme    Scheme
	Time      time.Time
	// BodySigned is whether there was a body, and so whether one is covered.
	BodySigned bool
	// ReplayKey names what was signed and by whom. A token may be accepted once:
	// remember this key until the window has passed.
	ReplayKey [sha256.Size]byte
}

// Verify verifies a token against the request it came with: its time (requirement N-02),
// its path and body (requirement N-04), and that the key it names has signed them
// (requirement N-01).
//
//	*Error: it is refused; Reason says why
func Verify(token string, c Check) (*Verified, error) {
	t, err := Parse(token)
	if err != nil {
		return nil, err
	}
	window := c.Window
	if window == 0 {
		window = DefaultWindow
	}
	switch age := c.Now.Sub(t.Time); {
	case age > window:
		return nil, &Error{Reason: TooOld}
	case age < -window:
		return nil, &Error{Reason: TooNew}
	}
	if subtle.ConstantTimeCompare([]byte(t.Path), []byte(c.Path)) != 1 {
		return nil, &Error{Reason: WrongPath}
	}
	if c.RefuseBSM && t.Scheme == BSM {
		return nil, &Error{Reason: UnknownScheme}
	}
	if err := t.verifySignature(signedText(c.Path, t.timestamp, c.Body)); err != nil {
		return nil, err
	}
	return &Verified{
		PublicKey: t.PublicKey, Scheme: t.Scheme, Time: t.Time, BodySigned: len(c.Body) > 0,
		ReplayKey: t.replayKey(c.Body),
	}, nil
}

// replayKey hashes the parts with their lengths, so that no two sets of parts
// look alike.
func (t *Token) replayKey(body []byte) [sha256.Size]byte {
	h := sha256.New()
	bodyHash := sha256.Sum256(body)
	for _, part := range [][]byte{
		[]byte("bitcoin-auth replay key v1"), t.raw, []byte(t.Path), []byte(t.timestamp), bodyHash[:],
	} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) // a hash never fails
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// verifySignature checks the shape of the signature before it calls the library,
// which takes lengths on trust; the recover is a last resort (requirement N-05, attack
// B-25).
func (t *Token) verifySignature(text []byte) (err error) {
	defer func() {
		if recover() != nil {
			err = &Error{Reason: BadSignatureEncoding}
		}
	}()
	if t.Scheme == BSM {
		return t.verifyBSM(text)
	}
	return t.verifyBRC77(text)
}

// strictDER reads the one encoding of a signature with a low s.
func strictDER(der []byte) (r, s *big.Int, ok bool) {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil || !inRange(sig.R, sig.S) {
		return nil, nil, false
	}
	again, err := asn1.Marshal(sig) // without what asn1 lets stand behind, or in the sequence
	return sig.R, sig.S, err == nil && bytes.Equal(again, der)
}

var halfOrder = new(big.Int).Rsh(ec.S256().N, 1)

// inRange: both numbers in [1, n-1], s in the lower half.
func inRange(r, s *big.Int) bool {
	return r.Sign() > 0 && s.Sign() > 0 && r.Cmp(ec.S256().N) < 0 && s.Cmp(halfOrder) <= 0
}

func (t *Token) verifyBSM(text []byte) error {
	const (
		length             = 65
		least, most        = 31, 34 // header bytes that name a compressed key
		numberAt, numberTo = 1, 33
	)
	sig := t.Signature
	if len(sig) != length || sig[0] < least || sig[0] > most ||
		!inRange(new(big.Int).SetBytes(sig[numberAt:numberTo]), new(big.Int).SetBytes(sig[numberTo:])) {
		return &Error{Reason: BadSignatureEncoding}
	}
	key, _, err := bsm.PubKeyFromSignature(sig, text)
	if err != nil {
		return &Error{Reason: SignatureMismatch}
	}
	if subtle.ConstantTimeCompare(key.Compressed(), t.raw) != 1 {
		// Recovery gives some key for any text, so another key and another text
		// look the same.
		return &Error{Reason: SignatureMismatch}
	}
	return nil
}
