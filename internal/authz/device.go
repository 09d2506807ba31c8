package authz

import (
	"time"
)

// State of a device request. The only edges are pending → approved, denied or
// expired, and approved → redeemed or expired. Expiry is not written: a request
// that was not redeemed in time is expired by its ExpiresAt.
type State string

// The states of a device request.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Redeemed State = "redeemed"
	Expired  State = "expired"
)

// DeviceRequest is one run of RFC 8628.
type DeviceRequest struct {
	// ID is random and not secret. A grant that comes of the request has the same
	// id, and it is the nonce of the approval statement.
	ID         string
	DeviceCode Hash
	UserCode   Hash
	ClientID   string
	// ClientProved: the client authenticated when it asked, so that it is the one its
	// id names. A public client's id anybody can send.
	ClientProved bool
	// Scope is what was asked and may be granted, space-separated.
	Scope string
	State State
	// AccountID is the account that opened or decided the request, or empty.
	AccountID string
	CreatedAt time.Time
	ExpiresAt time.Time
	// SignatureRequired: a session alone may not approve this request.
	SignatureRequired bool
	// MatchNumber is the number that the device shows, 10 to 99, or 0 for none.
	MatchNumber int
	// Nonce is the OpenID Connect nonce the device sent, or empty.
	Nonce string
	// Resources are the URIs, in canonical form, of what the client asks for access to
	// (RFC 8707); none: to this server.
	Resources []string
	// Thumbprint names the key that the device code is bound to (RFC 7638), or is empty.
	Thumbprint string
	Seen       Seen
	Says       DeviceSays
	// Redirect is where a request leads back to that came by a browser; a device's has none.
	Redirect Redirect
	// Asked is what an agent asks; zero for what no agent asks.
	Asked Asked
}

// ByRedirect reports whether the request leads back to its client by a redirect, with an
// authorization code (RFC 6749 §4.1). Nobody types the user code of such a one, and no
// device polls for it (decision 0071).
func (r DeviceRequest) ByRedirect() bool { return r.Redirect.URI != "" }

// GrantType is the grant type that the request is redeemed with.
func (r DeviceRequest) GrantType() string {
	if r.ByRedirect() {
		return GrantCode
	}
	return GrantDevice
}

// StateAt is the state of the request at a time.
func (r DeviceRequest) StateAt(now time.Time) State {
	if (r.State == Pending || r.State == Approved) && !now.Before(r.ExpiresAt) {
		return Expired
	}
	return r.State
}

// DeviceSays is what the device says of itself; nobody has checked it, and no rule
// may lean on it (decision 0028).
type DeviceSays struct {
	Name     string
	Platform string
	// Origin is the web page that a browser says the request was started from. A
	// program can send the header too.
	Origin string
}

// Clean makes what a device says of itself fit to be kept and shown.
func (d DeviceSays) Clean() DeviceSays {
	return DeviceSays{
		Name:     CleanText(d.Name, maxDeviceText),
		Platform: CleanText(d.Platform, maxDeviceText),
		Origin:   CleanText(d.Origin, maxOrigin),
	}
}

// Review is a person in the middle of deciding about a device request, made each
// time it is shown and used up by the decision.
type Review struct {
	ID        Hash
	Session   Hash
	RequestID string
	// UserCode is the code as it is shown; it is kept for the
	// minutes of the review only.
	UserCode string
	// Facts is a digest of everything the person was shown.
	Facts     Hash
	ExpiresAt time.Time
}

// MaxWait is the longest a poll may wait for the owner (design D5); longer
// wishes are served with this.
const MaxWait = 30 * time.Second
