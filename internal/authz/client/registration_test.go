package client_test

import (
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/token"
)

func TestAClientIsRegisteredWithMetadataThatMeansSomething(t *testing.T) {
	const good, ok = "client", ""
	key := "02" + strings.Repeat("a", 64)
	for _, c := range []struct {
		r     client.Registration
		wrong string // the member
		says  string
	}{
		{client.Registration{ID: good}, ok, ""},
		{client.Registration{ID: "!" + strings.Repeat("~", 254)}, ok, ""},
		{client.Registration{}, "client_id", "must be 1 to 255 printable ASCII characters without spaces"},
		{client.Registration{ID: strings.Repeat("a", 256)}, "client_id", ""},
		{client.Registration{ID: "a b"}, "client_id", ""},
		{client.Registration{ID: "a\x7f"}, "client_id", ""},
		{client.Registration{ID: "é"}, "client_id", ""},
		{client.Registration{ID: good, Secret: strings.Repeat("s", 16), TokenEndpointAuthMethod: authz.AuthPost}, ok, ""},
		{client.Registration{ID: good, Secret: strings.Repeat("s", 15)}, "client_secret", "must have at least 16 characters"},
		{client.Registration{ID: good, MemberPubkey: key}, ok, ""},
		{client.Registration{ID: good, MemberPubkey: "03" + strings.Repeat("0", 64)}, ok, ""},
		{client.Registration{ID: good, MemberPubkey: "04" + key[2:]}, "member_pubkey", "must be a compressed public key, 66 lower-case hex characters"},
		{client.Registration{ID: good, MemberPubkey: key[:65]}, "member_pubkey", "must be a compressed"},
		{client.Registration{ID: good, MemberPubkey: "02" + strings.Repeat("A", 64)}, "member_pubkey", "must be a compressed"},
		{client.Registration{ID: good, MemberPubkey: "02" + strings.Repeat("a", 63) + "g"}, "member_pubkey", "must be a compressed"},
		{client.Registration{ID: good, MemberPubkey: key, Secret: strings.Repeat("s", 16)}, "member_pubkey", "a client authenticates in one way"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthNone}, ok, ""},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthBasic}, "token_endpoint_auth_method", "must be none without client_secret, and not none with one"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthNone, Secret: strings.Repeat("s", 16)}, "token_endpoint_auth_method", "not none with one"},
		{
			client.Registration{ID: good, TokenEndpointAuthMethod: "private_key_jwt", Secret: strings.Repeat("s", 16)},
			"token_endpoint_auth_method", "must be none or client_secret_basic or client_secret_post",
		},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantDevice, authz.GrantRefresh}}, ok, ""},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantRefresh, "password"}}, "grant_types", "must be " + authz.GrantDevice + " or refresh_token"},
		{client.Registration{ID: good, GrantTypes: []string{""}}, "grant_types", ""},
		{client.Registration{ID: good, IDTokenAlg: "HS256"}, "id_token_signed_response_alg", "must be ES256 or RS256 or EdDSA"},
		{client.Registration{ID: good, Approval: authz.ApprovalSigned}, ok, ""},
		{client.Registration{ID: good, Approval: "session"}, ok, ""},
		{client.Registration{ID: good, Approval: "none"}, "approval", "must be session or signature"},
	} {
		member, err := c.r.Check()
		if member != c.wrong || (err == nil) != (c.wrong == ok) || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %q %v; want %q, %q", c.r, member, err, c.wrong, c.says)
		}
	}
	for _, alg := range token.SigningAlgs() {
		if member, err := (client.Registration{ID: good, IDTokenAlg: alg}).Check(); err != nil {
			t.Errorf("there is a key for %s, and no client may want it: %s %v", alg, member, err)
		}
	}
}

func TestARegisteredClientIsWhatItsMetadataSays(t *testing.T) {
	secret := strings.Repeat("s", 16)
	r := client.Registration{
		ID: "client", Name: "Client", Secret: secret, RedirectURIs: []string{"https://client.example/back"}, GrantTypes: []string{authz.GrantDevice},
		Scope: "openid", TokenEndpointAuthMethod: authz.AuthBasic, OwnerBAPID: "owner", IDTokenAlg: "RS256", Approval: authz.ApprovalSigned,
	}
	c := r.Client()
	if c.ID != r.ID || c.Name != r.Name || c.Secret != authz.Secret(secret).Hash() || !slices.Equal(c.RedirectURIs, r.RedirectURIs) ||
		!slices.Equal(c.GrantTypes, r.GrantTypes) || c.Scope != r.Scope || c.AuthMethod != r.TokenEndpointAuthMethod || c.OwnerBAPID != r.OwnerBAPID ||
		c.IDTokenAlg != r.IDTokenAlg || c.Approval != r.Approval || !c.Registered || !c.Confidential() {
		t.Errorf("%+v", c)
	}
	if public := (client.Registration{ID: "client"}).Client(); public.Confidential() {
		t.Error("a client without a secret has one")
	}
	if key := (client.Registration{ID: "client", MemberPubkey: "02"}).Client(); key.MemberKey != "02" {
		t.Errorf("%+v", key)
	}
}

func TestTheClientOfTheCommandLineIsNobodysToRegister(t *testing.T) {
	if !client.Reserved(client.CLI().ID) || client.Reserved("my-tv") {
		t.Error("the id of the command line's client is free, or another's is not")
	}
}
