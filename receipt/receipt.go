package receipt

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

const (
	// ApprovalPath is where approvals are sent. A signed request to anywhere else, a
	// denial among them, is no receipt of one.
	ApprovalPath = "/api/auth/device/approve"
	// SubdelegationPath is what an agent signs a sub-delegation over. Nothing is sent there.
	SubdelegationPath = "/api/agents/delegate"
	// KillPath is where a kill switch is sent.
	KillPath = "/api/kill"

	receiptVersion = 1
	maxReceipt     = 64 << 10
	// clockSkew is how far the signing time may lie outside the statement's own
	// times: the window of bitcoin-auth tokens.
	clockSkew = bitcoinauth.DefaultWindow
)

// kinds are the kinds of receipts, named by the purpose of what was signed: the version of
// the file, and the path that the request was signed over.
var kinds = map[string]struct {
	version int
	path    string
}{
	PurposeDeviceApproval: {receiptVersion, ApprovalPath},
	PurposeDelegation:     {DelegationVersion, ApprovalPath},
	PurposeSubdelegation:  {DelegationVersion, SubdelegationPath},
	PurposeKill:           {DelegationVersion, KillPath},
}

// Receipt is a signed request: the one that was sent, whole. That of an approval is of a
// grant where a server gave it out for one.
type Receipt struct {
	// Kind is the purpose of what was signed; empty is PurposeDeviceApproval.
	Kind string
	// BAPID is who signed: an identity, or an agent of its id.
	BAPID string
	// Path is the path the request was sent to.
	Path string
	// Body is its exact body; it carries the statement.
	Body string
	// Token is its X-Auth-Token.
	Token string
	// Assertion is what a passkey answered over the statement, in place of Token: the JSON
	// of the PublicKeyCredential (WebAuthn §5.1). Of PurposeDelegation alone.
	Assertion string
	// Vouch is the request that added the passkey, where it was kept.
	Vouch *Vouch
}

// file is a receipt as it is written.
type file struct {
	Version   int    `json:"v"`
	Kind      string `json:"kind"`
	BAPID     string `json:"bap_id"`
	Path      string `json:"path"`
	Body      string `json:"body"`
	Token     string `json:"token,omitempty"`
	Assertion string `json:"assertion,omitempty"`
	Vouch     *Vouch `json:"vouch,omitempty"`
}

// Encode writes the receipt in its one encoding: one line of JSON and a newline.
func (r Receipt) Encode() string {
	kind := cmp.Or(r.Kind, PurposeDeviceApproval)
	return encode(file{kinds[kind].version, kind, r.BAPID, r.Path, r.Body, r.Token, r.Assertion, r.Vouch}) + "\n"
}

// Check names one of the checks a receipt goes through.
type Check string

// The checks of a receipt, in their order. One of no approval has no code to check.
const (
	CheckFormat    Check = "format"    // a receipt, in its one encoding
	CheckSignature Check = "signature" // the token covers path and body, or the passkey's answer the statement
	CheckPath      Check = "path"      // the request is of the receipt's kind
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
	// Kind says which of the three that follow was signed; the others are empty.
	Kind string
	// Statement is of PurposeDeviceApproval.
	Statement Statement
	// Delegation is of PurposeDelegation and PurposeSubdelegation. One of the latter proves
	// what its agent passed on; whether it had it to pass on, only a chain says.
	Delegation Delegation
	// KillSwitch is of PurposeKill.
	KillSwitch KillSwitch
	// PublicKey signed; compressed, hex. Its BAP id is the one named. Where a passkey
	// signed, it is the member key that vouched for it.
	PublicKey string
	// Passkey is the id of the passkey that signed in place of a key, in base64url.
	Passkey string
	// SignedAt is when it was signed; zero for a passkey, which does not say.
	SignedAt time.Time
	// Passed are the checks, in the order they were made.
	Passed []Check
}

// Verify checks a receipt of any kind with nothing but the receipt itself (requirement
// N-13).
//
//	*CheckError: the first check that failed. With ErrUnvouched in it the rest was
//	checked all the same, and what is known comes with the error
func Verify(text []byte) (*Verified, error) {
	r := reading{}
	var unvouched error
	for _, step := range []step{
		{CheckFormat, func() error { return r.format(text) }},
		{CheckSignature, r.signature},
		{CheckPath, r.path},
		{CheckStatement, func() error { return cmp.Or(r.statement(), r.purpose()) }},
		{CheckCode, r.code},
		{CheckIdentity, r.identity},
		{CheckTime, r.time},
	} {
		switch err := step.run(); {
		case errors.Is(err, errNothingToCheck):
		case errors.Is(err, ErrUnvouched):
			unvouched = &CheckError{step.check, err}
		case err != nil:
			return nil, &CheckError{step.check, err}
		default:
			r.v.Passed = append(r.v.Passed, step.check)
		}
	}
	return &r.v, unvouched
}

// step is one check.
type step struct {
	check Check
	run   func() error
}

// errNothingToCheck: a receipt of this kind, or without what was not kept, has no such thing.
var errNothingToCheck = errors.New("nothing to check")

// reading is a receipt that is being checked, and what is known of it so far.
type reading struct {
	file
	v        Verified
	userCode string
	answer   *answer // a passkey's
}

func (r *reading) format(text []byte) error {
	if len(text) > maxReceipt {
		return errors.New("larger than a receipt can be")
	}
	if err := decodeStrictly(text, &r.file); err != nil {
		return errors.New("not the JSON of a receipt")
	}
	if encode(r.file)+"\n" != string(text) {
		return errors.New("not exactly as a receipt is written: it was changed, or saved by a program that reformats")
	}
	kind, known := kinds[r.Kind]
	switch {
	case !known || kind.version != r.Version:
		return errors.New("of a kind or version that is not known here")
	case r.Assertion != "" && (r.Kind != PurposeDelegation || r.Token != ""), r.Vouch != nil && r.Assertion == "":
		return errors.New("signed by a key and by a passkey, or by a passkey where only a key can sign")
	}
	r.v.Kind = r.Kind
	return nil
}

// signature checks the signature as of the time it was made.
func (r *reading) signature() (err error) {
	if r.Assertion != "" {
		return r.answered()
	}
	signed, err := verifyToken(r.Token, r.Path, r.Body)
	if err != nil {
		return err
	}
	r.v.PublicKey, r.v.SignedAt = signed.PublicKey, signed.Time
	return nil
}

func verifyToken(token, path, body string) (*bitcoinauth.Verified, error) {
	t, err := bitcoinauth.Parse(token)
	if err != nil {
		return nil, err
	}
	return bitcoinauth.Verify(token, bitcoinauth.Check{Path: path, Body: []byte(body), Now: t.Time})
}

func (r *reading) path() error {
	if r.Path != kinds[r.Kind].path {
		return errors.New("the signed request is of another kind: an approval, a sub-delegation and a kill switch have their own paths")
	}
	return nil
}

// statement reads what the body says: that of an approval as the server does.
func (r *reading) statement() (err error) {
	switch r.Kind {
	case PurposeKill:
		r.v.KillSwitch, err = ParseKillSwitch(r.Body)
		return err
	case PurposeSubdelegation:
		r.v.Delegation, err = ParseDelegation(r.Body)
		return err
	}
	text, userCode, err := readBody(r.Body)
	if err != nil {
		return err
	}
	r.userCode = userCode
	if r.Kind == PurposeDeviceApproval {
		r.v.Statement, err = ParseStatement(text)
		return err
	}
	if r.v.Delegation, err = ParseDelegation(text); err != nil {
		return err
	}
	return r.presence()
}

// purpose: a signature for one purpose does not pass for another. ParseStatement and
// ParseKillSwitch know of one alone.
func (r *reading) purpose() error {
	if p := r.v.Delegation.Purpose; p != "" && p != r.Kind {
		return errors.New("the statement is of another purpose than the receipt")
	}
	return nil
}

// presence: a key is no person, and a passkey answers only to one.
func (r *reading) presence() error {
	person := presenceLevel(r.v.Delegation.Presence) >= presenceLevel(PresencePerson)
	if person != (r.Assertion != "") {
		return errors.New("the presence that it claims is not what signed: key and password are a key's, presence and other-device a passkey's")
	}
	if r.Assertion != "" {
		return r.answer.at(r.v.Delegation.Issuer)
	}
	return nil
}

// readBody reads the body of an approve request, and returns the statement in it and the
// code.
func readBody(body string) (statement, userCode string, err error) {
	members, err := ReadMembers([]byte(body))
	if err != nil {
		return "", "", err
	}
	texts := map[string]string{}
	for _, name := range []string{"userCode", "scope", "statement", "match"} { // what the server reads
		if texts[name], err = members.Text(name); err != nil {
			return "", "", err
		}
	}
	return texts["statement"], texts["userCode"], nil
}

func (r *reading) code() error {
	hash := cmp.Or(r.v.Statement.UserCodeHash, r.v.Delegation.UserCodeHash)
	if r.Kind != PurposeDeviceApproval && r.Kind != PurposeDelegation {
		return errNothingToCheck
	}
	if UserCodeHash(r.userCode) != hash {
		return errors.New("the statement is about another code than the request")
	}
	return nil
}

func (r *reading) identity() error {
	if r.v.PublicKey == "" {
		return errNothingToCheck // a passkey that nobody vouched for
	}
	key, err := bap.ParsePublicKey(r.v.PublicKey)
	if err != nil {
		return err
	}
	id, err := bap.ID(key)
	if err != nil {
		return err
	}
	named := r.v.Statement.BAPID + r.v.Delegation.BAPID + r.v.KillSwitch.BAPID // one of them
	if r.BAPID != id || named != id {
		return errors.New("the key that signed is not the member key of the identity named")
	}
	return nil
}

func (r *reading) time() error {
	issued, expires := r.v.Statement.IssuedAt, r.v.Statement.ExpiresAt
	switch r.Kind {
	case PurposeKill:
		issued, expires = r.v.KillSwitch.IssuedAt, r.v.KillSwitch.IssuedAt
	case PurposeDelegation, PurposeSubdelegation:
		issued, expires = r.v.Delegation.IssuedAt, r.v.Delegation.ExpiresAt
	}
	first, last := time.Unix(issued, 0).Add(-clockSkew), time.Unix(expires, 0).Add(clockSkew)
	switch at := r.v.SignedAt; {
	case expires < issued:
		return errors.New("the statement ends before it begins")
	case r.answer != nil && r.answer.added.After(last):
		return errors.New("the passkey was added after the statement was valid")
	case r.answer == nil && (at.Before(first) || at.After(last)):
		return errors.New("signed outside the time the statement was valid for")
	}
	return nil
}
