package config

import (
	"errors"
	"fmt"
	"strings"
)

// Client is a [[clients]] table: the metadata names of RFC 7591 §2, and ours.
type Client struct {
	ID                      string   `toml:"client_id"`
	Name                    string   `toml:"client_name"`
	Secret                  string   `toml:"client_secret"`
	RedirectURIs            []string `toml:"redirect_uris"`
	GrantTypes              []string `toml:"grant_types"`
	Scope                   string   `toml:"scope"`
	TokenEndpointAuthMethod string   `toml:"token_endpoint_auth_method"`
	// MemberPubkey authenticates the client by X-Auth-Token; OwnerBAPID names its owner.
	MemberPubkey string `toml:"member_pubkey"`
	OwnerBAPID   string `toml:"owner_bap_id"`
	// IDTokenAlg is ES256, RS256 or EdDSA.
	IDTokenAlg string `toml:"id_token_signed_response_alg"`
	// Approval is session or signature.
	Approval string `toml:"approval"`
}

// Check says what is wrong with a client's metadata, and in which member.
func (c Client) Check() (member string, err error) {
	const leastSecret = 16
	switch {
	case c.ID == "" || len(c.ID) > 255 || strings.ContainsFunc(c.ID, func(r rune) bool { return r < 0x21 || r > 0x7e }):
		return "client_id", errors.New("must be 1 to 255 printable ASCII characters without spaces")
	case c.Secret != "" && len(c.Secret) < leastSecret:
		return "client_secret", fmt.Errorf("must have at least %d characters", leastSecret)
	case c.MemberPubkey != "" && !isCompressedKey(c.MemberPubkey):
		return "member_pubkey", errors.New("must be a compressed public key, 66 lower-case hex characters")
	case c.Secret != "" && c.MemberPubkey != "":
		return "member_pubkey", errors.New("goes without client_secret: a client authenticates in one way")
	case c.TokenEndpointAuthMethod != "" && (c.TokenEndpointAuthMethod == "none") != (c.Secret == ""):
		return "token_endpoint_auth_method", errors.New("must be none without client_secret, and not none with one")
	}
	for _, g := range c.GrantTypes {
		if err := oneOf(g, []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}); err != nil {
			return "grant_types", err
		}
	}
	for _, choice := range []struct {
		member, text string
		choices      []string
	}{
		{"token_endpoint_auth_method", c.TokenEndpointAuthMethod, []string{"none", "client_secret_basic", "client_secret_post"}},
		{"id_token_signed_response_alg", c.IDTokenAlg, []string{"ES256", "RS256", "EdDSA"}},
		{"approval", c.Approval, []string{"session", "signature"}},
	} {
		if choice.text != "" {
			if err := oneOf(choice.text, choice.choices); err != nil {
				return choice.member, err
			}
		}
	}
	return "", nil
}

func isCompressedKey(text string) bool {
	const length = 66
	return len(text) == length && (strings.HasPrefix(text, "02") || strings.HasPrefix(text, "03")) &&
		strings.Trim(text, "0123456789abcdef") == ""
}
