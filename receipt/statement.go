package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	// StatementVersion is the version of statements written and read here.
	StatementVersion = 1
	// PurposeDeviceApproval keeps a signature for one purpose from passing for
	// another.
	PurposeDeviceApproval = "device-approval"

	maxStatement = 8 << 10
)

// Statement is what an owner signs to approve a device request (requirement N-11).
// Times are in Unix seconds.
type Statement struct {
	Version int    `json:"v"`
	Issuer  string `json:"iss"`
	Purpose string `json:"purpose"`
	// UserCodeHash is UserCodeHash of the code the device shows.
	UserCodeHash string `json:"user_code_hash"`
	ClientID     string `json:"client_id"`
	// Scope is what the device gets, space-separated.
	Scope    string   `json:"scope"`
	Resource []string `json:"resource,omitempty"`
	Agent    *Agent   `json:"agent,omitempty"`
	// BAPID is the identity that approves.
	BAPID string `json:"bap_id"`
	// Nonce is the id of the device request, and of the grant it becomes.
	Nonce     string `json:"nonce"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
}

// Agent is the agent a request is for: its name and the thumbprint of its key.
type Agent struct {
	Name string `json:"name"`
	JKT  string `json:"jkt"`
}

// ErrStatement says that a text is not a statement in its one encoding.
var ErrStatement = errors.New("not an approval statement")

// Encode writes the statement in its one encoding: compact JSON on one line.
func (s Statement) Encode() string { return encode(s) }

// encode writes JSON without HTML escaping or a final newline. The types of this
// package hold nothing that cannot be encoded.
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ParseStatement reads a statement. The text must be exactly what Encode writes.
//
//	ErrStatement
func ParseStatement(text string) (Statement, error) {
	if len(text) > maxStatement {
		return Statement{}, fmt.Errorf("%w: longer than one can be", ErrStatement)
	}
	var s Statement
	if err := decodeStrictly([]byte(text), &s); err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if s.Encode() != text {
		return Statement{}, fmt.Errorf("%w: not in its one encoding", ErrStatement)
	}
	if s.Version != StatementVersion || s.Purpose != PurposeDeviceApproval {
		return Statement{}, fmt.Errorf("%w: of another version or purpose", ErrStatement)
	}
	return s, nil
}

func decodeStrictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// UserCodeHash is the hash of a user code, whether it is written with or without
// its dash: hex SHA-256 of its letters.
func UserCodeHash(code string) string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(code, "-", "")))
	return hex.EncodeToString(sum[:])
}
