package authz

import (
	"time"
)

// SigningKey is a key of the server as it is kept. What it may do is said by its times
// (decision 0068).
type SigningKey struct {
	ID        string
	Algorithm string
	// Sealed is the PKCS #8 private key, encrypted with a key that is not in the
	// database; empty once nothing will be signed with it any more.
	Sealed []byte
	// Public is the PKIX public key, which stays; empty in a row of before there was this
	// column, until a server has started on it.
	Public []byte
	// CreatedAt is since when it is published.
	CreatedAt time.Time
	SignsFrom time.Time
	// SignsUntil is when another key begins to sign in its place, and LeavesAt when it is
	// published no more; zero for the last key of its algorithm.
	SignsUntil time.Time
	LeavesAt   time.Time
	// WithdrawnAt is when somebody said that nothing it signed counts; zero: nobody did.
	WithdrawnAt time.Time
}

// KeyState is what a signing key may do.
type KeyState string

// The states of a signing key, in the order in which they follow each other.
const (
	KeyPending  KeyState = "pending"  // published, and signs later
	KeyActive   KeyState = "active"   // signs
	KeyRetiring KeyState = "retiring" // signs no more; what it signed may still live
	KeyGone     KeyState = "gone"     // published no more; nothing it signed is accepted
)

// StateAt is the key's state, which is computed and never written, like that of a device
// request.
func (k SigningKey) StateAt(now time.Time) KeyState {
	switch {
	case !k.WithdrawnAt.IsZero() || (!k.LeavesAt.IsZero() && !now.Before(k.LeavesAt)):
		return KeyGone
	case !k.SignsUntil.IsZero() && !now.Before(k.SignsUntil):
		return KeyRetiring
	case now.Before(k.SignsFrom):
		return KeyPending
	default:
		return KeyActive
	}
}
