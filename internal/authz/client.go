package authz

import (
	"slices"
)

// Grant types a client may be registered for.
const (
	GrantDevice      = "urn:ietf:params:oauth:grant-type:device_code"
	GrantRefresh     = "refresh_token"
	GrantCode        = "authorization_code"
	GrantCredentials = "client_credentials"
	GrantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Kinds of applications (OpenID Connect Dynamic Client Registration §2).
const (
	ApplicationWeb    = "web"
	ApplicationNative = "native"
)

// How clients authenticate at the token endpoint (RFC 7591 §2).
const (
	AuthNone  = "none"
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
	AuthJWT   = "private_key_jwt"
)

// ApprovalSigned is the Approval of a client whose requests a session alone must not
// approve.
const ApprovalSigned = "signature"

// Client is an application that asks, with the metadata of RFC 7591 §2.
type Client struct {
	ID   string
	Name string
	// Secret is the SHA-256 of a secret that this program made, ChosenSecret what is kept
	// of one that a person chose; the other is zero, and both are of a client without.
	Secret       Hash
	ChosenSecret string
	// Keys are its public keys, a JWK set (RFC 7517 §5), where it authenticates by
	// what it signs with one of them (RFC 7523).
	Keys string
	// RedirectURIs are where authorization codes may be sent, PostLogoutRedirectURIs
	// where a browser may be sent that was signed out.
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	// ApplicationType is web or native, or empty where nobody said.
	ApplicationType string
	GrantTypes      []string
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
	// DPoPBound: no access token of it is good without a proof by its key (RFC 9449
	// §5.2).
	DPoPBound bool
	// Resources are the URIs, in canonical form, of what the client itself serves:
	// others ask for access tokens for them (RFC 8707).
	Resources []string
	// ExchangeFor are the resources, in canonical form, for which it may exchange tokens that
	// others gave it (RFC 8693); for no others. Of whom tokens come as actor tokens, but for
	// itself, is ExchangeActors.
	ExchangeFor    []string
	ExchangeActors []string
	// Agents: its agents may ask where only those of listed clients may.
	Agents bool
	// MayCharge: it charges agents of others for the resources that it serves, and
	// introspects tokens for them.
	MayCharge bool
	// Registered is false for an id that nobody registered; owners see such a
	// client as not verified. True says that the operator knows an application of this
	// name, and what it may ask: not that this is who asks.
	Registered bool
	// Proved: the request that named the client was authenticated as the client's.
	// client.Registry.Identify alone says so.
	Proved bool
}

// Confidential reports whether the client has something to authenticate with.
func (c Client) Confidential() bool {
	return c.Secret != Hash{} || c.ChosenSecret != "" || c.Keys != "" || c.MemberKey != ""
}

// Allows reports whether the client may use a grant type. A client registered
// without grant types may use the device and refresh grants: they are what
// clients of this server are for. One that says where authorization codes may be
// sent may ask for them too, and one that says for whom it exchanges tokens may exchange them.
func (c Client) Allows(grantType string) bool {
	if len(c.GrantTypes) > 0 {
		return slices.Contains(c.GrantTypes, grantType)
	}
	switch grantType {
	case GrantDevice:
		return true
	case GrantRefresh:
		return c.Registered
	case GrantCode:
		return len(c.RedirectURIs) > 0
	case GrantExchange:
		return len(c.ExchangeFor) > 0
	default:
		return false
	}
}

// DisplayName is the client's name as an owner may be shown it: cleaned, one
// line, and the id where there is no name.
func (c Client) DisplayName() string {
	if name := CleanText(c.Name, 60); name != "" {
		return name
	}
	return CleanText(c.ID, 60)
}
