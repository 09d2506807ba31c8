package statement

import (
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/passkey"
)

// lifetime is how long an owner has from seeing a statement to sending it back signed.
const lifetime = 5 * time.Minute

// Statements are those of one server.
type Statements struct {
	settings authz.Settings
	now      func() time.Time
	passkeys *passkey.Passkeys
}

// New makes the statements of a server.
func New(settings authz.Settings, now func() time.Time, passkeys *passkey.Passkeys) *Statements {
	return &Statements{settings: settings, now: now, passkeys: passkeys}
}

// Offer is a request as its owner may approve it now.
type Offer struct {
	Request authz.DeviceRequest
	// UserCode is the code as it is shown.
	UserCode string
	// Scope is what of the request's would be granted.
	Scope string
	// BAPID is the identity that approves.
	BAPID string
}

// times are those that a statement about an offer has that is made now.
func (s *Statements) times(o Offer) (issued, expires int64) {
	now := s.now()
	until := now.Add(lifetime)
	if o.Request.ExpiresAt.Before(until) {
		until = o.Request.ExpiresAt
	}
	return now.Unix(), until.Unix()
}

// timely reports whether a statement with these times is one of this server's. It may come
// from a server whose clock is ahead, as the signature may.
//
//	Forbidden: it is not, or it has expired
func (s *Statements) timely(issued, expires int64) error {
	now := s.now().Unix()
	longest, apart := int64(lifetime/time.Second), int64(bitcoinauth.DefaultWindow/time.Second)
	if issued > now+apart || expires > issued+longest { // the difference of two times may be more than a number holds
		return errOther
	}
	if now >= expires {
		return authz.Refuse(authz.Forbidden, "the signed statement has expired: fetch it again and sign that")
	}
	return nil
}

var errOther = authz.Refuse(authz.Forbidden, "the signed statement is not the one of this request: fetch it again and sign that")
