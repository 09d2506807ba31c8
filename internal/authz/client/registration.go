package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign.dev/internal/authz"
)

// Registration is the metadata that a client is registered with, in the words of
// RFC 7591 §2 and ours, before anything of it is checked.
type Registration struct {
	ID   string
	Name string
	// Secret is in the clear; Client keeps its hash only.
	Secret                  string
	RedirectURIs            []string
	GrantTypes              []string
	Scope                   string
	TokenEndpointAuthMethod string
	// MemberPubkey authenticates the client by X-Auth-Token; OwnerBAPID names its owner.
	MemberPubkey string
	OwnerBAPID   string
	IDTokenAlg   string
	Approval     string
}

// leastClientSecret is how short a client's secret may be, in characters.
const leastClientSecret = 16

// Check says what is wrong with a client's metadata, and in which member.
func (r Registration) Check() (member string, err error) {
	switch {
	case r.ID == "" || len(r.ID) > maxClientID || strings.ContainsFunc(r.ID, func(c rune) bool { return c < 0x21 || c > 0x7e }):
		return "client_id", errors.New("must be 1 to 255 printable ASCII characters without spaces")
	case r.Secret != "" && len(r.Secret) < leastClientSecret:
		return "client_secret", fmt.Errorf("must have at least %d characters", leastClientSecret)
	case r.MemberPubkey != "" && !isCompressedKey(r.MemberPubkey):
		return "member_pubkey", errors.New("must be a compressed public key, 66 lower-case hex characters")
	case r.Secret != "" && r.MemberPubkey != "":
		return "member_pubkey", errors.New("goes without client_secret: a client authenticates in one way")
	case r.TokenEndpointAuthMethod != "" && (r.TokenEndpointAuthMethod == authz.AuthNone) != (r.Secret == ""):
		return "token_endpoint_auth_method", errors.New("must be none without client_secret, and not none with one")
	}
	for _, g := range r.GrantTypes {
		if err := oneOf(g, authz.GrantDevice, authz.GrantRefresh); err != nil {
			return "grant_types", err
		}
	}
	for _, choice := range []struct {
		member, text string
		choices      []string
	}{
		{"token_endpoint_auth_method", r.TokenEndpointAuthMethod, []string{authz.AuthNone, authz.AuthBasic, authz.AuthPost}},
		{"id_token_signed_response_alg", r.IDTokenAlg, []string{"ES256", "RS256", "EdDSA"}},
		{"approval", r.Approval, []string{"session", authz.ApprovalSigned}},
	} {
		if choice.text != "" {
			if err := oneOf(choice.text, choice.choices...); err != nil {
				return choice.member, err
			}
		}
	}
	return "", nil
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

// Client is the client that is registered so.
func (r Registration) Client() authz.Client {
	c := authz.Client{
		ID: r.ID, Name: r.Name, RedirectURIs: r.RedirectURIs, GrantTypes: r.GrantTypes, Scope: r.Scope,
		AuthMethod: r.TokenEndpointAuthMethod, MemberKey: r.MemberPubkey, OwnerBAPID: r.OwnerBAPID,
		IDTokenAlg: r.IDTokenAlg, Approval: r.Approval, Registered: true,
	}
	if r.Secret != "" {
		c.Secret = authz.Secret(r.Secret).Hash()
	}
	return c
}

// Reserved reports whether an id is that of a client that is always there, and
// that no database keeps.
func Reserved(id string) bool { return id == CLI().ID }
