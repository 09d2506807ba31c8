package dpop

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DefaultWindow is how far a proof's time may be from the verifier's clock, on both sides.
const DefaultWindow = 5 * time.Minute

const (
	proofType = "dpop+jwt"
	// maxProof bounds a proof in bytes, before anything is parsed: four times one
	// with the largest RSA key.
	maxProof = 8 << 10
	// maxID and maxNonce bound what a verifier may have to remember or read.
	maxID, maxNonce = 255, 255
	parts           = 3
)

// Proof is a proof that was read. It holds nothing that anybody has verified until
// Check and VerifySignature have; Verify does all of it.
type Proof struct {
	// Thumbprint names the key that it brings (RFC 7638).
	Thumbprint string
	// PublicKey is a secp256k1 key, compressed, in lower-case hex, as X-Auth-Token names it;
	// empty for other keys.
	PublicKey string
	// ID is its jti, Method and URL its htm and htu, Time its iat.
	ID, Method, URL string
	Time            time.Time
	// Nonce and TokenHash (ath) may be empty.
	Nonce, TokenHash string

	key       publicKey
	algorithm algorithm
	signed    []byte
	signature []byte
}

// Parse reads a proof, strictly: one JWT in its one encoding with the header that
// RFC 9449 §4.2 wants (requirements P-01, P-02). It does no arithmetic.
//
//	*Error
func Parse(proof string) (*Proof, error) {
	malformed := &Error{Reason: Malformed}
	if len(proof) > maxProof {
		return nil, malformed
	}
	part := strings.Split(proof, ".")
	if len(part) != parts {
		return nil, malformed
	}
	raw := make([][]byte, parts)
	for i := range part {
		var ok bool
		if raw[i], ok = decode(part[i]); !ok {
			return nil, malformed
		}
	}
	head, ok := readObject(raw[0])
	if !ok || head["crit"] != nil {
		return nil, malformed
	}
	p := &Proof{signed: []byte(part[0] + "." + part[1]), signature: raw[2]}
	if text(head, "typ") != proofType {
		return nil, &Error{Reason: WrongType}
	}
	if p.algorithm, ok = algorithmCalled(text(head, "alg")); !ok {
		return nil, &Error{Reason: UnknownAlgorithm}
	}
	var err error
	if p.key, err = parseJWK(head["jwk"], p.algorithm); err != nil {
		return nil, err
	}
	p.Thumbprint, p.PublicKey = p.key.thumbprint(), p.key.compressed()
	if !p.readClaims(raw[1]) {
		return nil, &Error{Reason: BadClaims}
	}
	return p, nil
}

// readClaims reads the claims of RFC 9449 §4.2; others are nobody's business.
func (p *Proof) readClaims(raw []byte) bool {
	claims, _ := readObject(raw) // what is no object has none of them
	p.ID, p.Method, p.URL = text(claims, "jti"), text(claims, "htm"), text(claims, "htu")
	p.TokenHash, p.Nonce = text(claims, "ath"), text(claims, "nonce")
	for name, value := range map[string]string{"ath": p.TokenHash, "nonce": p.Nonce} {
		if claims[name] != nil && value == "" {
			return false
		}
	}
	made, ok := date(claims["iat"])
	p.Time = made
	return ok && p.ID != "" && len(p.ID) <= maxID && p.Method != "" && p.URL != "" && len(p.Nonce) <= maxNonce
}

// Check is what a proof is held against: the request as it was received.
type Check struct {
	Method string
	// URL is the address that clients know this endpoint by, whatever a proxy made of it.
	URL string
	// AccessToken is the one that the request carries; empty at a token endpoint.
	AccessToken string
	// Now is the verifier's clock.
	Now time.Time
	// Window is how far the proof's time may be from Now; 0 is DefaultWindow.
	Window time.Duration
	// Fresh: the verifier knows by a nonce of its own when the proof was made, and the
	// time of a clock that it does not know counts for nothing.
	Fresh bool
}

// Verify verifies a proof against the request that it came with.
//
//	*Error: it is refused; Reason says why
func Verify(proof string, c Check) (*Proof, error) {
	p, err := Parse(proof)
	if err != nil {
		return nil, err
	}
	if err := p.Check(c); err != nil {
		return nil, err
	}
	return p, p.VerifySignature()
}

// Check holds what a proof says against a request (RFC 9449 §4.3, requirements P-04,
// P-05, P-10). It does no arithmetic.
//
//	*Error
func (p *Proof) Check(c Check) error {
	window := c.Window
	if window == 0 {
		window = DefaultWindow
	}
	said, readable := normalForm(p.URL)
	asked, _ := normalForm(c.URL) // empty where it is none
	age := c.Now.Sub(p.Time)
	switch {
	case p.Method != c.Method:
		return &Error{Reason: WrongMethod}
	case !readable || said != asked:
		return &Error{Reason: WrongURL}
	case !c.Fresh && age > window:
		return &Error{Reason: TooOld}
	case !c.Fresh && age < -window:
		return &Error{Reason: TooNew}
	case c.AccessToken != "" && subtle.ConstantTimeCompare([]byte(p.TokenHash), []byte(tokenHash(c.AccessToken))) != 1:
		return &Error{Reason: WrongToken}
	}
	return nil
}

// VerifySignature verifies that the key in the proof signed it (requirement P-03).
//
//	*Error
func (p *Proof) VerifySignature() error {
	if !p.key.verify(p.algorithm, p.signed, p.signature) {
		return &Error{Reason: SignatureMismatch}
	}
	return nil
}

// ReplayKey names the proof: who accepts one once remembers it until the window has
// passed (RFC 9449 §11.1). Two proofs by different keys never have the same.
func (p *Proof) ReplayKey() [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{"dpop replay key v1", p.Thumbprint, p.ID} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) //nolint:gosec // a few hundred bytes at most; a hash never fails
		h.Write([]byte(part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// readObject reads a JSON object whose members have different names, to the letter.
func readObject(raw []byte) (map[string]json.RawMessage, bool) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if start, _ := d.Token(); start != json.Delim('{') {
		return nil, false
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		token, _ := d.Token() // all of it is valid
		name, _ := token.(string)
		if members[name] != nil {
			return nil, false
		}
		var value json.RawMessage
		_ = d.Decode(&value)
		members[name] = value
	}
	return members, true
}

// text is a member that is a text, empty where it is none.
func text(members map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(members[name], &s) != nil {
		return ""
	}
	return s
}

// bytesOf is a member that is bytes in base64url, nil where it is none.
func bytesOf(members map[string]json.RawMessage, name string) []byte {
	b, ok := decode(text(members, name))
	if !ok {
		return nil
	}
	return b
}

// date reads a NumericDate (RFC 7519 §2), which may have a fraction.
func date(raw json.RawMessage) (time.Time, bool) {
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(seconds) > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
