package authz

import (
	"slices"
)

// Grant types a client may be registered for.
const (
	GrantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	GrantRefresh = "refresh_token"
)

// How clients authenticate at the token endpoint (RFC 7591 §2).
const (
	AuthNone  = "none"
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
)

// ApprovalSigned is the Approval of a client whose requests a session alone must not
// approve.
const ApprovalSigned = "signature"

// Client is an application that asks, with the metadata of RFC 7591 §2.
type Client struct {
	ID   string
	Name string
	// Secret is the SHA-256 of the client's secret, or zero for a public client.
	Secret       Hash
	RedirectURIs []string
	GrantTypes   []string
	// Scope is what the client may ask for, space-separated; empty means the
	// basic scopes, and offline_access with the refresh grant.
	Scope      string
	AuthMethod string
	// MemberKey is the key, compressed in hex, whose X-Auth-Token authenticates
	// the client instead of a secret; OwnerBAPID names whose client it is.
	MemberKey  string
	OwnerBAPID string
	// IDTokenAlg is the algorithm of its ID tokens: ES256 when empty.
	IDTokenAlg string
	// Approval is "signature" for a client whose requests a session alone must
	// not approve.
	Approval string
	// Registered is false for an id that nobody registered; owners see such a
	// client as not verified. True says that the operator knows an application of this
	// name, and what it may ask: not that this is who asks.
	Registered bool
	// Proved: the request that named the client was authenticated as the client's.
	// client.Registry.Identify alone says so.
	Proved bool
}

// Confidential reports whether the client has something to authenticate with.
func (c Client) Confidential() bool { return c.Secret != Hash{} || c.MemberKey != "" }

// Allows reports whether the client may use a grant type. A client registered
// without grant types may use the device and refresh grants: they are what
// clients of this server are for.
func (c Client) Allows(grantType string) bool {
	if len(c.GrantTypes) == 0 {
		return grantType == GrantDevice || (grantType == GrantRefresh && c.Registered)
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// DisplayName is the client's name as an owner may be shown it: cleaned, one
// line, and the id where there is no name.
func (c Client) DisplayName() string {
	if name := CleanText(c.Name, 60); name != "" {
		return name
	}
	return CleanText(c.ID, 60)
}
