package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"github.com/go-json-experiment/json/jsontext"

	"countersign.dev/bap"
	"countersign.dev/details"
	"countersign.dev/dpop"
)

const (
	// DelegationVersion is the version of statements about agents.
	DelegationVersion = 2
	// PurposeDelegation is of what an owner signs to approve an agent.
	PurposeDelegation = "agent-delegation"
	// PurposeSubdelegation is of what an agent signs to pass a part on.
	PurposeSubdelegation = "agent-subdelegation"
	// DelegationLifetime is how long after its iat a statement may be signed, in seconds.
	DelegationLifetime = 300

	maxInteger = 1<<53 - 1 // what every JSON parser reads as it is
	hashLength = 43        // SHA-256 in base64url
)

// The levels of presence that a statement may claim, each above the one before
// (requirement K-16). The first two are the word of the tool that signed; the others need
// a passkey.
const (
	PresenceKey         = "key"
	PresencePassword    = "password"
	PresencePerson      = "presence"
	PresenceOtherDevice = "other-device"
)

// Delegation is version 2 of the statement: what an owner signs to approve an agent, and
// what an agent signs to pass a part of it on to another (requirement N-11). Its one encoding
// is RFC 8785.
// Times are in Unix seconds.
type Delegation struct {
	Agent Delegate `json:"agent"`
	// Details are the authorization details (RFC 9396), a JSON list; empty is none.
	Details json.RawMessage `json:"authorization_details"`
	// BAPID is who delegates: the owner's identity, or the agent id of the agent above.
	BAPID    string `json:"bap_id"`
	ClientID string `json:"client_id"`
	// Depth is how many generations of agents there may be below this one.
	Depth int `json:"depth"`
	// ExpiresAt bounds the signing, NotAfter what was delegated.
	ExpiresAt int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	Issuer    string `json:"iss"`
	// Nonce is the id of the owner's grant; of a sub-delegation 32 random characters, in hex.
	Nonce    string `json:"nonce"`
	NotAfter int64  `json:"not_after"`
	// Parent is Hash of the receipt above; of a sub-delegation alone.
	Parent string `json:"parent,omitempty"`
	// Presence is how present the owner was; of an owner's delegation alone.
	Presence string   `json:"presence,omitempty"`
	Purpose  string   `json:"purpose"`
	Resource []string `json:"resource"`
	// Scope is what the agent gets, space-separated.
	Scope string `json:"scope"`
	// UserCodeHash is UserCodeHash of the code that the agent shows; of an owner's alone.
	UserCodeHash string `json:"user_code_hash,omitempty"`
	Version      int    `json:"v"`
}

// Delegate is an agent, by the key that it alone has.
type Delegate struct {
	// ID is the BAP id of a secp256k1 key, else the thumbprint.
	ID string `json:"id"`
	// JKT is the key's thumbprint (RFC 7638; of a secp256k1 key that of its RFC 8812 JWK).
	JKT  string `json:"jkt"`
	Name string `json:"name"`
	// PublicKey is a secp256k1 key, compressed, in lower-case hex; empty for other keys.
	PublicKey string `json:"pubkey,omitempty"`
}

// NewDelegate names an agent with a secp256k1 key.
func NewDelegate(name string, key *ec.PublicKey) (Delegate, error) {
	id, err := bap.ID(key)
	return Delegate{ID: id, JKT: dpop.Secp256k1KeyThumbprint(key), Name: name, PublicKey: bap.FormatPublicKey(key)}, err
}

// ErrDelegation says that a text is not a statement about an agent in its one encoding.
var ErrDelegation = errors.New("not a statement about an agent")

// Encode writes the statement in its one encoding; empty for details that are no JSON.
func (d Delegation) Encode() string {
	if len(d.Details) == 0 {
		d.Details = json.RawMessage("[]")
	}
	if d.Resource == nil {
		d.Resource = []string{}
	}
	return canonical(d)
}

// canonical writes JSON in the form of RFC 8785, empty for what is none.
func canonical(v any) string {
	text := jsontext.Value(encode(v))
	if err := text.Canonicalize(); err != nil {
		return ""
	}
	return string(text)
}

// ParseDelegation reads a statement of version 2. The text must be exactly what Encode
// writes.
//
//	ErrDelegation
func ParseDelegation(text string) (Delegation, error) {
	if len(text) > maxStatement {
		return Delegation{}, fmt.Errorf("%w: longer than one can be", ErrDelegation)
	}
	var d Delegation
	if err := decodeStrictly([]byte(text), &d); err != nil {
		return Delegation{}, fmt.Errorf("%w: not JSON with its members alone", ErrDelegation)
	}
	if d.Encode() != text {
		return Delegation{}, fmt.Errorf("%w: not in its one encoding, RFC 8785 with all members", ErrDelegation)
	}
	if err := d.check(); err != nil {
		return Delegation{}, fmt.Errorf("%w: %w", ErrDelegation, err)
	}
	return d, nil
}

// AuthorizationDetails are the details as they can be compared and decided by. Of a statement
// that was parsed there is no error.
func (d Delegation) AuthorizationDetails() (details.List, error) {
	if len(d.Details) == 0 {
		return nil, nil
	}
	list, err := details.Parse(d.Details)
	if err != nil {
		return nil, fmt.Errorf("authorization_details: %w", err)
	}
	return list, nil
}

// check is what a statement says by itself, whoever signed it.
func (d Delegation) check() error {
	for _, n := range []int64{int64(d.Depth), d.ExpiresAt, d.IssuedAt, d.NotAfter} {
		if n < 0 || n > maxInteger {
			return errors.New("a number is below zero, or above 2^53 - 1")
		}
	}
	for _, text := range []string{d.Agent.Name, d.BAPID, d.ClientID, d.Issuer, d.Nonce} {
		if text == "" || !IsText(text) {
			return errors.New("a member is empty, or has a NUL in it")
		}
	}
	switch {
	case d.Version != DelegationVersion:
		return errors.New("of another version")
	case d.ExpiresAt > d.IssuedAt+DelegationLifetime:
		return errors.New("exp is more than 300 seconds after iat")
	}
	if err := d.checkPurpose(); err != nil {
		return err
	}
	if _, err := d.AuthorizationDetails(); err != nil {
		return err
	}
	return d.Agent.check()
}

func (d Delegation) checkPurpose() error {
	switch d.Purpose {
	case PurposeDelegation:
		switch {
		case d.Parent != "":
			return errors.New("an owner's statement has no parent")
		case !isHex(d.UserCodeHash, 2*sha256.Size):
			return errors.New("user_code_hash is no SHA-256 in lower-case hex")
		case presenceLevel(d.Presence) < 0:
			return errors.New("presence is no level of presence that can be signed")
		}
		return nil
	case PurposeSubdelegation:
		switch {
		case d.UserCodeHash != "" || d.Presence != "":
			return errors.New("a sub-delegation has neither user_code_hash nor presence")
		case !isHash(d.Parent):
			return errors.New("parent is no hash of a receipt")
		case !isHex(d.Nonce, nonceLength):
			return errors.New("nonce is not 32 characters of lower-case hex")
		}
		return nil
	default:
		return errors.New("of another purpose")
	}
}

func presenceLevel(word string) int {
	for level, known := range []string{PresenceKey, PresencePassword, PresencePerson, PresenceOtherDevice} {
		if word == known {
			return level
		}
	}
	return -1
}

// check: the id and the thumbprint are the key's.
func (a Delegate) check() error {
	if a.PublicKey == "" {
		if a.ID != a.JKT || !isHash(a.JKT) {
			return errors.New("an agent without pubkey has its key's thumbprint as id and as jkt")
		}
		return nil
	}
	key, err := bap.ParsePublicKey(a.PublicKey)
	if err != nil {
		return err
	}
	if named, err := NewDelegate(a.Name, key); err != nil || named != a { // upper-case hex is another
		return errors.New("the agent's id, jkt and pubkey are not one key's")
	}
	return nil
}

// nonceLength is that of a nonce that is drawn for a statement, in hex.
const nonceLength = 32

func isHex(text string, length int) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(text) == length && hex.EncodeToString(raw) == text
}

// isHash: SHA-256 in base64url, in its one spelling.
func isHash(text string) bool {
	_, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == hashLength && !strings.ContainsAny(text, "\r\n")
}

// Hash names a receipt: base64url SHA-256 of its text, the final newline included.
func Hash(receipt string) string {
	sum := sha256.Sum256([]byte(receipt))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// SignSubdelegation makes the receipt of what an agent passes on, signed by the agent's key.
//
//	ErrDelegation: the statement is no sub-delegation, or another's
func SignSubdelegation(key *ec.PrivateKey, d Delegation, at time.Time) (string, error) {
	body := d.Encode()
	if _, err := ParseDelegation(body); err != nil {
		return "", err
	}
	id, err := bap.ID(key.PubKey())
	if err != nil {
		return "", err
	}
	if d.Purpose != PurposeSubdelegation || d.BAPID != id {
		return "", fmt.Errorf("%w: not a sub-delegation by the agent of this key", ErrDelegation)
	}
	return signed(key, Receipt{Kind: PurposeSubdelegation, BAPID: id, Path: SubdelegationPath, Body: body}, at)
}
