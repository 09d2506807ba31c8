package receipt

import (
	"errors"
	"fmt"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

// PurposeKill is of what ends everything that an account allowed.
const PurposeKill = "revoke-everything"

// KillSwitch is what an owner signs beforehand and keeps offline: whoever sends it ends
// every grant, agent and session of the account, at any later time, once. Its one encoding
// is RFC 8785.
type KillSwitch struct {
	BAPID string `json:"bap_id"`
	// IssuedAt is in Unix seconds.
	IssuedAt int64  `json:"iat"`
	Issuer   string `json:"iss"`
	// Nonce are 32 random characters, in lower-case hex.
	Nonce   string `json:"nonce"`
	Purpose string `json:"purpose"`
	Version int    `json:"v"`
}

// ErrKillSwitch says that a text is not a kill switch in its one encoding.
var ErrKillSwitch = errors.New("not a kill switch")

// Encode writes what is signed, in its one encoding.
func (k KillSwitch) Encode() string { return canonical(k) }

// ParseKillSwitch reads what was signed. The text must be exactly what Encode writes.
//
//	ErrKillSwitch
func ParseKillSwitch(text string) (KillSwitch, error) {
	if len(text) > maxStatement {
		return KillSwitch{}, fmt.Errorf("%w: longer than one can be", ErrKillSwitch)
	}
	var k KillSwitch
	switch err := decodeStrictly([]byte(text), &k); {
	case err != nil:
		return KillSwitch{}, fmt.Errorf("%w: not JSON with its members alone", ErrKillSwitch)
	case k.Encode() != text:
		return KillSwitch{}, fmt.Errorf("%w: not in its one encoding, RFC 8785 with all members", ErrKillSwitch)
	case k.Version != DelegationVersion || k.Purpose != PurposeKill:
		return KillSwitch{}, fmt.Errorf("%w: of another version or purpose", ErrKillSwitch)
	case !isHex(k.Nonce, nonceLength):
		return KillSwitch{}, fmt.Errorf("%w: nonce is not 32 characters of lower-case hex", ErrKillSwitch)
	case k.IssuedAt < 0 || k.IssuedAt > maxInteger || k.Issuer == "":
		return KillSwitch{}, fmt.Errorf("%w: no time or no issuer in it", ErrKillSwitch)
	}
	return k, nil
}

// SignKillSwitch makes the file of a kill switch, for the identity of a member key at one
// server. nonce are 32 random characters in hex.
//
//	ErrKillSwitch: the nonce or the issuer is none
func SignKillSwitch(key *ec.PrivateKey, issuer, nonce string, at time.Time) (string, error) {
	id, err := bap.ID(key.PubKey())
	if err != nil {
		return "", err
	}
	body := KillSwitch{BAPID: id, IssuedAt: at.Unix(), Issuer: issuer, Nonce: nonce, Purpose: PurposeKill, Version: DelegationVersion}.Encode()
	if _, err := ParseKillSwitch(body); err != nil {
		return "", err
	}
	return signed(key, Receipt{Kind: PurposeKill, BAPID: id, Path: KillPath, Body: body}, at)
}

// signed signs the request of a receipt, and writes the receipt.
func signed(key *ec.PrivateKey, r Receipt, at time.Time) (text string, err error) {
	r.Token, err = bitcoinauth.Sign(key, bitcoinauth.Signing{Path: r.Path, Body: []byte(r.Body), Time: at})
	return r.Encode(), err
}

// VerifyKillSwitch checks the file of a kill switch, offline. Whether it is still good, and
// whether its identity has an account there, only its server knows.
//
//	*CheckError: the first check that failed
func VerifyKillSwitch(text []byte) (KillSwitch, error) {
	v, err := Verify(text)
	switch {
	case err != nil:
		return KillSwitch{}, err
	case v.Kind != PurposeKill:
		return KillSwitch{}, &CheckError{CheckPath, errors.New("the signed request is no kill switch")}
	}
	return v.KillSwitch, nil
}
