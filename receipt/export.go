package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ExportType is the typ of the JWS that a receipt is exported as.
const ExportType = "receipt-export+jwt"

// export are the facts of a receipt for who knows no BRC-77.
type export struct {
	// IssuedAt is when it was exported, Unix seconds.
	IssuedAt  int64  `json:"iat"`
	Issuer    string `json:"iss"`
	Kind      string `json:"kind"`
	Passkey   string `json:"passkey,omitempty"`
	PublicKey string `json:"pubkey,omitempty"`
	// Receipt is the original, and Hash its Hash.
	Receipt string `json:"receipt"`
	Hash    string `json:"receipt_hash"`
	// SignedAt is when the original was signed, Unix seconds; a passkey does not say.
	SignedAt int64 `json:"signed_at,omitempty"`
	// SignedBy says whose signature this export has: the server's. The owner's is in the
	// original alone.
	SignedBy  string          `json:"signed_by"`
	Statement json.RawMessage `json:"statement"`
	// Subject is who signed the original.
	Subject string `json:"sub"`
}

// ExportPayload is the payload of the JWS that a server signs for a receipt, in the form of
// RFC 8785: the facts, and the receipt itself. Who trusts the server needs no BRC-77; who
// does not, verifies the receipt.
//
//	*CheckError: the receipt is not good. One of a passkey that nobody vouched for is
//	exported, for its server verified it
//	ErrNothingToExport: it is of no approval
func ExportPayload(text []byte, at time.Time) (string, error) {
	v, err := Verify(text)
	if err != nil && !errors.Is(err, ErrUnvouched) {
		return "", err
	}
	e := export{
		IssuedAt: at.Unix(), Kind: v.Kind, Passkey: v.Passkey, PublicKey: v.PublicKey, Receipt: string(text), Hash: Hash(string(text)), SignedBy: "server",
	}
	if !v.SignedAt.IsZero() {
		e.SignedAt = v.SignedAt.Unix()
	}
	switch v.Kind {
	case PurposeDeviceApproval:
		e.Issuer, e.Subject, e.Statement = v.Statement.Issuer, v.Statement.BAPID, json.RawMessage(v.Statement.Encode())
	case PurposeDelegation, PurposeSubdelegation:
		e.Issuer, e.Subject, e.Statement = v.Delegation.Issuer, v.Delegation.BAPID, json.RawMessage(v.Delegation.Encode())
	default:
		return "", fmt.Errorf("%w: %s", ErrNothingToExport, v.Kind)
	}
	return canonical(e), nil
}

// ErrNothingToExport says that a signed request left nothing that was approved.
var ErrNothingToExport = errors.New("not the receipt of an approval")
