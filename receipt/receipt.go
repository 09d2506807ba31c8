package receipt

import (
	"errors"
	"fmt"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

const (
	// ApprovalPath is where approvals are sent. A signed request to anywhere else, a
	// denial among them, is no receipt.
	ApprovalPath = "/api/auth/device/approve"

	receiptVersion = 1
	maxReceipt     = 64 << 10
	// clockSkew is how far the signing time may lie outside the statement's own
	// times: the window of bitcoin-auth tokens.
	clockSkew = bitcoinauth.DefaultWindow
)

// Receipt is a signed approval: the request that was sent, whole. It is of a grant where
// a server gave it out for one.
type Receipt struct {
	// BAPID is the identity that approved.
	BAPID string
	// Path is the path the request was sent to.
	Path string
	// Body is its exact body; it carries the statement.
	Body string
	// Token is its X-Auth-Token.
	Token string
}

// file is a receipt as it is written.
type file struct {
	Version int    `json:"v"`
	Kind    string `json:"kind"`
	BAPID   string `json:"bap_id"`
	Path    string `json:"path"`
	Body    string `json:"body"`
	Token   string `json:"token"`
}

// Encode writes the receipt in its one encoding: one line of JSON and a newline.
func (r Receipt) Encode() string {
	return encode(file{receiptVersion, PurposeDeviceApproval, r.BAPID, r.Path, r.Body, r.Token}) + "\n"
}

// Check names one of the checks a receipt goes through.
type Check string

// The checks, in their order.
const (
	CheckFormat    Check = "format"    // a receipt, in its one encoding
	CheckSignature Check = "signature" // the token covers path and body
	CheckPath      Check = "path"      // the request is an approval
	CheckStatement Check = "statement" // the body carries a statement, in its one encoding
	CheckCode      Check = "code"      // the statement is about the code that the request names
	CheckIdentity  Check = "identity"  // the key that signed is the identity's
	CheckTime      Check = "time"      // signed while the statement was valid
)

// CheckError says which check failed, and why.
type CheckError struct {
	Check Check
	Err   error
}

// Error names the check, and says what it found.
func (e *CheckError) Error() string { return fmt.Sprintf("check %q failed: %v", e.Check, e.Err) }

// Unwrap returns what it found.
func (e *CheckError) Unwrap() error { return e.Err }

// Verified is what a good receipt proves: what was signed, and not that it was granted.
type Verified struct {
	Statement Statement
	// PublicKey signed; compressed, hex. Its BAP id is Statement.BAPID.
	PublicKey string
	SignedAt  time.Time
	// Passed are the checks, in the order they were made.
	Passed []Check
}

// Verify checks a receipt with nothing but the receipt itself (requirement N-13).
//
//	*CheckError: the first check that failed
func Verify(text []byte) (*Verified, error) {
	v := &Verified{}
	var r file
	var token *bitcoinauth.Verified
	var userCode string
	steps := []struct {
		check Check
		run   func() error
	}{
		{CheckFormat, func() (err error) { r, err = parseFile(text); return err }},
		{CheckSignature, func() (err error) { token, err = verifyToken(r); return err }},
		{CheckPath, func() error { return checkPath(r.Path) }},
		{CheckStatement, func() (err error) { v.Statement, userCode, err = readBody(r.Body); return err }},
		{CheckCode, func() error { return checkCode(v.Statement, userCode) }},
		{CheckIdentity, func() error { return checkIdentity(r, v.Statement, token.PublicKey) }},
		{CheckTime, func() error { return checkTime(v.Statement, token.Time) }},
	}
	for _, step := range steps {
		if err := step.run(); err != nil {
			return nil, &CheckError{step.check, err}
		}
		v.Passed = append(v.Passed, step.check)
	}
	v.PublicKey, v.SignedAt = token.PublicKey, token.Time
	return v, nil
}

func parseFile(text []byte) (file, error) {
	if len(text) > maxReceipt {
		return file{}, errors.New("larger than a receipt can be")
	}
	var f file
	if err := decodeStrictly(text, &f); err != nil {
		return file{}, errors.New("not the JSON of a receipt")
	}
	if (Receipt{f.BAPID, f.Path, f.Body, f.Token}).Encode() != string(text) {
		return file{}, errors.New("not exactly as a receipt is written: it was changed, or saved by a program that reformats")
	}
	return f, nil
}

// verifyToken checks the signature as of the time it was made.
func verifyToken(r file) (*bitcoinauth.Verified, error) {
	t, err := bitcoinauth.Parse(r.Token)
	if err != nil {
		return nil, err
	}
	return bitcoinauth.Verify(r.Token, bitcoinauth.Check{Path: r.Path, Body: []byte(r.Body), Now: t.Time})
}

func checkPath(path string) error {
	if path != ApprovalPath {
		return errors.New("the signed request is not an approval")
	}
	return nil
}

// readBody reads the body of an approve request as the server does, and returns the
// statement in it and the code.
func readBody(body string) (s Statement, userCode string, err error) {
	members, err := ReadMembers([]byte(body))
	if err != nil {
		return s, "", err
	}
	texts := map[string]string{}
	for _, name := range []string{"userCode", "scope", "statement", "match"} { // what the server reads
		if texts[name], err = members.Text(name); err != nil {
			return s, "", err
		}
	}
	s, err = ParseStatement(texts["statement"])
	return s, texts["userCode"], err
}

func checkCode(s Statement, userCode string) error {
	if UserCodeHash(userCode) != s.UserCodeHash {
		return errors.New("the statement is about another code than the request")
	}
	return nil
}

func checkIdentity(r file, s Statement, publicKey string) error {
	key, err := bap.ParsePublicKey(publicKey)
	if err != nil {
		return err
	}
	id, err := bap.ID(key)
	if err != nil {
		return err
	}
	if r.BAPID != id || s.BAPID != id {
		return errors.New("the key that signed is not the member key of the identity named")
	}
	return nil
}

func checkTime(s Statement, signedAt time.Time) error {
	if s.ExpiresAt < s.IssuedAt {
		return errors.New("the statement ends before it begins")
	}
	if signedAt.Before(time.Unix(s.IssuedAt, 0).Add(-clockSkew)) || signedAt.After(time.Unix(s.ExpiresAt, 0).Add(clockSkew)) {
		return errors.New("signed outside the time the statement was valid for")
	}
	return nil
}
