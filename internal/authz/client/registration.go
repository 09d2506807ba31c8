package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"countersign.dev/internal/authz"
)

// Registration is the metadata that a client is registered with, in the words of
// RFC 7591 §2 and ours, before anything of it is checked.
type Registration struct {
	ID   string
	Name string
	// Secret is in the clear; only a hash of it is kept.
	Secret string
	// JWKS are public keys, as JSON; JWKSURI is where there are some, which is refused.
	JWKS                    string
	JWKSURI                 string
	RedirectURIs            []string
	PostLogoutRedirectURIs  []string
	ApplicationType         string
	GrantTypes              []string
	Scope                   string
	TokenEndpointAuthMethod string
	// MemberPubkey authenticates the client by X-Auth-Token; OwnerBAPID names its owner.
	MemberPubkey string
	OwnerBAPID   string
	IDTokenAlg   string
	Approval     string
	DPoPBound    bool
	// Resources are the URIs of what the client serves.
	Resources []string
	// ExchangeFor are the resources for which it exchanges tokens, ExchangeActors the clients
	// that it may say are acting.
	ExchangeFor    []string
	ExchangeActors []string
	// Agents: its agents may ask where only those of listed clients may. MayCharge: it
	// charges agents for what it serves.
	Agents    bool
	MayCharge bool
}

// leastClientSecret is how short a client's secret may be, in characters.
const leastClientSecret = 16

// Check says what is wrong with a client's metadata, and in which member.
func (r Registration) Check() (member string, err error) {
	switch {
	case r.ID == "" || len(r.ID) > maxClientID || strings.ContainsFunc(r.ID, func(c rune) bool { return c < 0x21 || c > 0x7e }):
		return "client_id", errors.New("must be 1 to 255 printable ASCII characters without spaces")
	case likeAnAccount(r.ID):
		return "client_id", errors.New("must not look like the number of a person's account: 26 of the characters a to z and 2 to 7")
	case r.Secret != "" && len(r.Secret) < leastClientSecret:
		return "client_secret", fmt.Errorf("must have at least %d characters", leastClientSecret)
	case r.MemberPubkey != "" && !isCompressedKey(r.MemberPubkey):
		return "member_pubkey", errors.New("must be a compressed public key, 66 lower-case hex characters")
	case r.JWKSURI != "":
		return "jwks_uri", errors.New("is not fetched: put the public keys themselves into jwks")
	}
	if err := checkKeys(r.JWKS); err != nil {
		return "jwks", err
	}
	for _, choice := range []struct {
		member, text string
		choices      []string
	}{
		{"token_endpoint_auth_method", r.TokenEndpointAuthMethod, []string{authz.AuthNone, authz.AuthBasic, authz.AuthPost, authz.AuthJWT}},
		{"application_type", r.ApplicationType, []string{authz.ApplicationWeb, authz.ApplicationNative}},
		{"id_token_signed_response_alg", r.IDTokenAlg, []string{"ES256", "RS256", "EdDSA"}},
		{"approval", r.Approval, []string{"session", authz.ApprovalSigned}},
	} {
		if choice.text != "" {
			if err := oneOf(choice.text, choice.choices...); err != nil {
				return choice.member, err
			}
		}
	}
	if member, err := r.checkAuthentication(); err != nil {
		return member, err
	}
	if member, err := r.checkURIs(); err != nil {
		return member, err
	}
	return r.checkGrantTypes()
}

// checkAuthentication wants one way in which the client authenticates, and the method
// that goes with it.
func (r Registration) checkAuthentication() (member string, err error) {
	goes := []string{authz.AuthNone} // an X-Auth-Token is no method of RFC 7591
	switch {
	case r.Secret != "" && r.MemberPubkey != "":
		return "member_pubkey", errors.New("goes without client_secret: a client authenticates in one way")
	case r.JWKS != "" && (r.Secret != "" || r.MemberPubkey != ""):
		return "jwks", errors.New("goes without client_secret and member_pubkey: a client authenticates in one way")
	case r.Secret != "":
		goes = []string{authz.AuthBasic, authz.AuthPost}
	case r.JWKS != "":
		goes = []string{authz.AuthJWT}
	}
	if r.TokenEndpointAuthMethod != "" && !slices.Contains(goes, r.TokenEndpointAuthMethod) {
		return "token_endpoint_auth_method", errors.New("must be client_secret_basic or client_secret_post with client_secret, private_key_jwt with jwks, and none without either")
	}
	return "", nil
}

func (r Registration) checkURIs() (member string, err error) {
	for _, uri := range r.RedirectURIs {
		if err := checkRedirect(uri, r.ApplicationType); err != nil {
			return "redirect_uris", err
		}
	}
	for _, uri := range r.PostLogoutRedirectURIs {
		if err := checkRedirect(uri, r.ApplicationType); err != nil {
			return "post_logout_redirect_uris", err
		}
	}
	errResource := errors.New("must be http or https URIs with a host, without fragment and user (RFC 8707 §2), of 255 bytes at most")
	if slices.Contains(canonicalResources(r.Resources), "") {
		return "resources", errResource
	}
	if slices.Contains(canonicalResources(r.ExchangeFor), "") {
		return "exchange_for", errResource
	}
	return "", nil
}

func (r Registration) checkGrantTypes() (member string, err error) {
	c, proves := r.client(), r.Secret != "" || r.JWKS != "" || r.MemberPubkey != ""
	for _, g := range r.GrantTypes {
		if err := oneOf(g, authz.GrantDevice, authz.GrantRefresh, authz.GrantCode, authz.GrantCredentials, authz.GrantExchange); err != nil {
			return "grant_types", err
		}
	}
	switch {
	case c.Allows(authz.GrantCode) && len(r.RedirectURIs) == 0:
		return "redirect_uris", errors.New("must name at least one with authorization_code")
	case c.Allows(authz.GrantExchange) && len(r.ExchangeFor) == 0: // requirement X-07
		return "exchange_for", errors.New("must name at least one resource with " + authz.GrantExchange)
	case c.Allows(authz.GrantExchange) && !proves:
		return "exchange_for", errors.New("must be empty for a client that has nothing to authenticate with: give it a secret or keys")
	case !c.Allows(authz.GrantExchange) && len(r.ExchangeFor)+len(r.ExchangeActors) > 0:
		return "grant_types", errors.New("must have " + authz.GrantExchange + " with exchange_for, which exchange_actors needs")
	case c.Allows(authz.GrantCredentials) && !proves: // RFC 6749 §4.4
		return "grant_types", errors.New("must be without client_credentials for a client that has nothing to authenticate with: give it a secret or keys")
	case r.MayCharge && !proves:
		return "may_charge", errors.New("must be left out for a client that has nothing to authenticate with: give it a secret or keys")
	case r.MayCharge && len(r.Resources) == 0:
		return "resources", errors.New("must name at least one with may_charge: it charges for these alone")
	default:
		return "", nil
	}
}

// likeAnAccount reports whether a client id could be an account's, both of which are
// subjects of tokens (RFC 9700 §4.15, requirement Z-24).
func likeAnAccount(id string) bool {
	const length = 26
	return len(id) == length && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func oneOf(text string, choices ...string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return errors.New("must be " + strings.Join(choices, " or "))
}

func isCompressedKey(text string) bool {
	const length = 66
	return len(text) == length && (strings.HasPrefix(text, "02") || strings.HasPrefix(text, "03")) &&
		strings.Trim(text, "0123456789abcdef") == ""
}

// Client is the client that is registered so. A person chose its secret, if it has one.
func (r Registration) Client(random io.Reader) (authz.Client, error) {
	c := r.client()
	if r.Secret == "" {
		return c, nil
	}
	var err error
	c.ChosenSecret, err = hashChosen(r.Secret, random)
	return c, err
}

// ClientWithMade is Client where this program made the secret.
func (r Registration) ClientWithMade(secret authz.Secret) authz.Client {
	c := r.client()
	c.Secret = secret.Hash()
	return c
}

func (r Registration) client() authz.Client {
	c := authz.Client{
		ID: r.ID, Name: r.Name, Keys: r.keys(), RedirectURIs: r.RedirectURIs, PostLogoutRedirectURIs: r.PostLogoutRedirectURIs,
		ApplicationType: r.ApplicationType, GrantTypes: r.GrantTypes, Scope: r.Scope,
		AuthMethod: r.TokenEndpointAuthMethod, MemberKey: r.MemberPubkey, OwnerBAPID: r.OwnerBAPID,
		IDTokenAlg: r.IDTokenAlg, Approval: r.Approval, DPoPBound: r.DPoPBound, Registered: true,
		Resources: canonicalResources(r.Resources), ExchangeFor: canonicalResources(r.ExchangeFor), ExchangeActors: r.ExchangeActors,
		Agents: r.Agents, MayCharge: r.MayCharge,
	}
	return c
}

// keys are the client's public keys, without what makes them readable only.
func (r Registration) keys() string {
	var short bytes.Buffer
	if json.Compact(&short, []byte(r.JWKS)) != nil {
		return ""
	}
	return short.String()
}

// Reserved reports whether an id is that of a client that is always there, and
// that no database keeps.
func Reserved(id string) bool { return id == CLI().ID }
