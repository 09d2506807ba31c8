package bitcoinauth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/big"

	"github.com/bsv-blockchain/go-sdk/message"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// The BRC-77 envelope: version, signer's key, recipient, key id, DER signature.
const (
	versionLength = 4
	keyLength     = 33
	keyIDLength   = 32
	recipientAt   = versionLength + keyLength
	keyIDAt       = recipientAt + 1
	signatureAt   = keyIDAt + keyIDLength
)

func (t *Token) verifyBRC77(text []byte) error {
	envelope := t.Signature
	if len(envelope) <= recipientAt || !bytes.Equal(envelope[:versionLength], message.VERSION_BYTES) {
		return &Error{Reason: BadSignatureEncoding}
	}
	if subtle.ConstantTimeCompare(envelope[versionLength:recipientAt], t.raw) != 1 {
		return &Error{Reason: WrongSigner}
	}
	if envelope[recipientAt] != 0 {
		return &Error{Reason: NotForAnyone}
	}
	r, s, ok := strictDER(envelope[min(signatureAt, len(envelope)):])
	if !ok {
		return &Error{Reason: BadSignatureEncoding}
	}
	if !t.signedForAnyone(text, envelope[keyIDAt:signatureAt], r, s) {
		return &Error{Reason: SignatureMismatch}
	}
	return nil
}

// signedForAnyone verifies the signature of an envelope whose shape was checked, as made by
// the key that the token names (requirement N-01). BRC-77
// signs with a key that BRC-42 derives, P + hG: h is an HMAC over the key id, by the secret
// that signer and verifier share, and the verifier is anyone, whose key is 1, so that the
// secret is P itself. Deriving it is two multiplications, and verifying by it (ECDSA) two
// more. One of each kind are enough,
//
//	u1·G + u2·(P + hG) = (u1 + u2·h)·G + u2·P
//
// which, with arithmetic made for this curve, takes between a third and a quarter of the time.
// A test has the library decide the same.
func (t *Token) signedForAnyone(text, keyID []byte, r, s *big.Int) bool {
	mac := hmac.New(sha256.New, t.raw)
	mac.Write([]byte("2-message signing-" + base64.StdEncoding.EncodeToString(keyID)))
	digest := sha256.Sum256(text)
	h, e, u1, u2 := scalar(mac.Sum(nil)), scalar(digest[:]), new(secp256k1.ModNScalar), new(secp256k1.ModNScalar)
	rn := scalar(r.FillBytes(make([]byte, sha256.Size)))
	w := scalar(s.FillBytes(make([]byte, sha256.Size)))
	w.InverseNonConst()
	u1.Mul2(e, w)
	u2.Mul2(rn, w)
	u1.Add(h.Mul(u2))

	var p, ofG, ofP, x secp256k1.JacobianPoint
	t.key.AsJacobian(&p)
	secp256k1.ScalarBaseMultNonConst(u1, &ofG)
	secp256k1.ScalarMultNonConst(u2, &p, &ofP)
	secp256k1.AddNonConst(&ofG, &ofP, &x)
	if (x.X.IsZero() && x.Y.IsZero()) || x.Z.IsZero() { // the point at infinity
		return false
	}
	x.ToAffine()
	return scalar(x.X.Bytes()[:]).Equals(rn)
}

// scalar is a number of 32 bytes modulo the order of the curve.
func scalar(b []byte) *secp256k1.ModNScalar {
	var n secp256k1.ModNScalar
	n.SetByteSlice(b)
	return &n
}
