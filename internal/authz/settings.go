package authz

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Settings are the operator's decisions.
type Settings struct {
	// Issuer identifies this server, without a trailing slash: its origin, or its origin and
	// IssuerPath. It is what tokens, statements and audiences name, and no address; that is
	// Origin. Both come from configuration and never from a request (design D8).
	Issuer string
	// DeviceCodeLifetime and PollInterval are expires_in and interval of RFC 8628 §3.2.
	DeviceCodeLifetime time.Duration
	PollInterval       time.Duration
	// AccessTokenLifetime is also the ID token's.
	AccessTokenLifetime time.Duration
	// RefreshIdleLifetime ends a refresh token that is not used,
	// RefreshLifetime ends the grant however often it is.
	RefreshIdleLifetime time.Duration
	RefreshLifetime     time.Duration
	// RefreshGrace is how long a rotated refresh token still gives its successor.
	RefreshGrace    time.Duration
	SessionLifetime time.Duration
	// OpenClients admits client ids that nobody registered.
	OpenClients bool
	// SignatureRequired: a session alone approves nothing.
	SignatureRequired bool
	// DPoPNonce: a DPoP proof counts only with a nonce of this server (RFC 9449 §8).
	DPoPNonce bool
	// SignUp lets the first sign-in of a key make its account.
	SignUp bool
	// PendingLimit is the most device requests that may be pending at once.
	PendingLimit int
	// DeviceRequestsPerNetwork is how many device requests an IPv4 address or IPv6
	// /64 may start a minute; 0: any number.
	DeviceRequestsPerNetwork int
	// RotateKeysEvery is how long a signing key signs before another takes its place; 0: until
	// the operator says so.
	RotateKeysEvery time.Duration
	// Agents are the decisions about agents.
	Agents AgentSettings
	// Clients are registered by configuration.
	Clients []Client
}

// IssuerPath is the one path that an issuer may have (decision 0076). Where it has one, nothing
// lies elsewhere for it but metadata.
const IssuerPath = "/api/auth"

// Origin is where an issuer's endpoints and pages are: scheme and host alone.
func Origin(issuer string) string { return strings.TrimSuffix(issuer, IssuerPath) }

// Origin is where this server's endpoints and pages are.
func (s Settings) Origin() string { return Origin(s.Issuer) }

// Local reports whether the issuer is a loopback name: no proxy stands before it.
func (s Settings) Local() bool {
	u, err := url.Parse(s.Issuer)
	if err != nil {
		return false
	}
	addr, _ := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || addr.IsLoopback()
}

// SecretLength is the least length of the operator's secret, in bytes.
const SecretLength = 32

// ErrOtherSecret is what an operator sees who changed or lost the secret.
var ErrOtherSecret = errors.New("a signing key in the database cannot be opened with this secret: start with the secret it was made with")

// UserInfoPath is where the UserInfo endpoint is: a protected resource of this server's that
// has metadata of its own.
const UserInfoPath = "/api/auth/oauth2/userinfo"
