package client_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/token"
)

func TestAClientIsRegisteredWithMetadataThatMeansSomething(t *testing.T) {
	const good, ok = "client", ""
	key, secret, api := "02"+strings.Repeat("a", 64), strings.Repeat("s", 16), []string{"https://api.example"}
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
		{client.Registration{ID: strings.Repeat("a2", 13)}, "client_id", "must not look like the number of a person's account"},
		{client.Registration{ID: strings.Repeat("a", 25)}, ok, ""},
		{client.Registration{ID: strings.Repeat("a", 27)}, ok, ""},
		{client.Registration{ID: strings.Repeat("a1", 13)}, ok, ""},
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
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthBasic}, "token_endpoint_auth_method", "must be client_secret_basic or client_secret_post with client_secret"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthNone, Secret: strings.Repeat("s", 16)}, "token_endpoint_auth_method", "none without either"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthJWT, Secret: strings.Repeat("s", 16)}, "token_endpoint_auth_method", "private_key_jwt with jwks"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthJWT, MemberPubkey: key}, "token_endpoint_auth_method", "private_key_jwt with jwks"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthJWT}, "token_endpoint_auth_method", "private_key_jwt with jwks"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthBasic, JWKS: keySet(ecKey)}, "token_endpoint_auth_method", "private_key_jwt with jwks"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: "client_secret_jwt"}, "token_endpoint_auth_method", "must be none or client_secret_basic or"},
		{client.Registration{ID: good, TokenEndpointAuthMethod: authz.AuthJWT, JWKS: keySet(ecKey)}, ok, ""},
		{client.Registration{ID: good, JWKS: keySet(ecKey), Secret: strings.Repeat("s", 16)}, "jwks", "a client authenticates in one way"},
		{client.Registration{ID: good, JWKS: keySet(ecKey), MemberPubkey: key}, "jwks", "a client authenticates in one way"},
		{client.Registration{ID: good, JWKSURI: "https://client.example/jwks"}, "jwks_uri", "put the public keys themselves into jwks"},
		{client.Registration{ID: good, ApplicationType: authz.ApplicationNative}, ok, ""},
		{client.Registration{ID: good, ApplicationType: "mobile"}, "application_type", "must be web or native"},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantDevice, authz.GrantRefresh}}, ok, ""},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantRefresh, "password"}}, "grant_types", "must be " + authz.GrantDevice + " or refresh_token"},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantCode}}, "redirect_uris", "at least one with authorization_code"},
		{client.Registration{ID: good, Secret: secret, GrantTypes: []string{authz.GrantDevice, authz.GrantExchange}, ExchangeFor: api, ExchangeActors: []string{"other"}}, ok, ""},
		{client.Registration{ID: good, JWKS: keySet(ecKey), ExchangeFor: api}, ok, ""},
		{client.Registration{ID: good, MemberPubkey: key, ExchangeFor: api}, ok, ""},
		{client.Registration{ID: good, Secret: secret, GrantTypes: []string{authz.GrantExchange}}, "exchange_for", "must name at least one resource"},
		{client.Registration{ID: good, ExchangeFor: api}, "exchange_for", "nothing to authenticate with"},
		{client.Registration{ID: good, Secret: secret, ExchangeFor: []string{api[0], "rs-2"}}, "exchange_for", "must be http or https URIs"},
		{client.Registration{ID: good, Secret: secret, GrantTypes: []string{authz.GrantDevice}, ExchangeFor: api}, "grant_types", "with exchange_for"},
		{client.Registration{ID: good, Secret: secret, ExchangeActors: []string{"other"}}, "grant_types", "which exchange_actors needs"},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantDevice}, RedirectURIs: []string{"https://rp.example/cb"}}, ok, ""},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantCredentials}}, "grant_types", "must be without client_credentials"},
		{client.Registration{ID: good, GrantTypes: []string{authz.GrantCredentials}, JWKS: keySet(ecKey)}, ok, ""},
		{client.Registration{ID: good, Resources: []string{"https://api.example", "http://api.internal:8080/v1"}}, ok, ""},
		{client.Registration{ID: good, Resources: []string{"https://api.example", "api"}}, "resources", "must be http or https URIs with a host"},
		{client.Registration{ID: good, Agents: true, MayCharge: true, Secret: secret, Resources: api}, ok, ""},
		{client.Registration{ID: good, MayCharge: true, Resources: api}, "may_charge", "nothing to authenticate with"},
		{client.Registration{ID: good, MayCharge: true, Secret: secret}, "resources", "must name at least one with may_charge"},
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

func registered(t *testing.T, r client.Registration) authz.Client {
	t.Helper()
	c, err := r.Client(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARegisteredClientIsWhatItsMetadataSays(t *testing.T) {
	secret := strings.Repeat("s", 16)
	r := client.Registration{
		ID: "client", Name: "Client", Secret: secret, RedirectURIs: []string{"https://client.example/back"}, GrantTypes: []string{authz.GrantDevice},
		Scope: "openid", TokenEndpointAuthMethod: authz.AuthBasic, OwnerBAPID: "owner", IDTokenAlg: "RS256", Approval: authz.ApprovalSigned,
	}
	c, err := r.Client(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != r.ID || c.Name != r.Name || c.Secret != (authz.Hash{}) || !strings.HasPrefix(c.ChosenSecret, "$argon2id$v=19$") || !slices.Equal(c.RedirectURIs, r.RedirectURIs) ||
		!slices.Equal(c.GrantTypes, r.GrantTypes) || c.Scope != r.Scope || c.AuthMethod != r.TokenEndpointAuthMethod || c.OwnerBAPID != r.OwnerBAPID ||
		c.IDTokenAlg != r.IDTokenAlg || c.Approval != r.Approval || !c.Registered || !c.Confidential() {
		t.Errorf("%+v", c)
	}
	if again, err := r.Client(rand.Reader); err != nil || again.ChosenSecret == c.ChosenSecret {
		t.Errorf("two hashes of a secret are the same: %v", err)
	}
	if _, err := r.Client(strings.NewReader("no salt")); err == nil {
		t.Error("a secret was hashed without randomness")
	}
	if made := r.ClientWithMade(authz.Secret(secret)); made.Secret != authz.Secret(secret).Hash() || made.ChosenSecret != "" || !made.Confidential() {
		t.Errorf("%+v", made)
	}
	if public := registered(t, client.Registration{ID: "client"}); public.Confidential() {
		t.Error("a client without a secret has one")
	}
	if key := registered(t, client.Registration{ID: "client", MemberPubkey: "02"}); key.MemberKey != "02" {
		t.Errorf("%+v", key)
	}
	service := registered(t, client.Registration{
		ID: "service", JWKS: "{ \"keys\": [" + ecKey + "] }", PostLogoutRedirectURIs: []string{"https://client.example/bye"},
		ApplicationType: authz.ApplicationWeb, DPoPBound: true, Resources: []string{"HTTPS://API.example:443/v1/"},
		ExchangeFor: []string{"https://B.example/"}, ExchangeActors: []string{"other"}, Agents: true, MayCharge: true,
	})
	if service.Keys != keySet(ecKey) || !service.Confidential() || !slices.Equal(service.PostLogoutRedirectURIs, []string{"https://client.example/bye"}) ||
		service.ApplicationType != authz.ApplicationWeb || !service.DPoPBound || !slices.Equal(service.Resources, []string{"https://api.example/v1"}) ||
		!slices.Equal(service.ExchangeFor, []string{"https://b.example"}) || !slices.Equal(service.ExchangeActors, []string{"other"}) || !service.Agents || !service.MayCharge {
		t.Errorf("%+v", service)
	}
}

const (
	ecKey  = `{"kty":"EC","kid":"a","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	ec384  = `{"kty":"EC","kid":"b","crv":"P-384","x":"QScg9kxLLVrWlJ9YbhnRPUKeIgM1cNloBVoRR5Dj_xsJeHDfXWOfZ6uyKKmF8WPf","y":"CgVB2LqSwTDmk902z4i8enJtDQY__6KB7pIpa7Y4qj2jaFcbhnzYQ-1D-_-nOLkV"}`
	edKey  = `{"kty":"OKP","kid":"c","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	octKey = `{"kty":"oct","kid":"d","k":"GawgguFyGrWKav7AX4VKUg"}`
)

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func TestAClientIsRegisteredWithPublicKeysThatSign(t *testing.T) {
	with := func(key, members string) string { return strings.TrimSuffix(key, "}") + "," + members + "}" }
	for text, says := range map[string]string{
		keySet(ecKey):        "",
		keySet(ecKey, edKey): "",
		keySet(with(ecKey, `"use":"sig","alg":"ES256"`)): "",
		"{":                                  "must be a JWK set",
		ecKey:                                "must be a JWK set",
		keySet():                             "must be a JWK set",
		keySet(make([]string, 11)...):        "must be a JWK set",
		keySet(`{"kty":"EC"}`):               "must be a JWK set",
		keySet(ecKey, ecKey):                 "a kid of its own",
		keySet(ec384):                        "must have keys that sign",
		keySet(octKey):                       "must have keys that sign",
		keySet(with(ecKey, `"use":"enc"`)):   "use is sig",
		keySet(with(ecKey, `"alg":"ES384"`)): "each for the one that it is made for",
		keySet(with(ecKey, `"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"`)): "has a private key in it",
		strings.Repeat(" ", 16<<10) + keySet(ecKey):                              "must be a JWK set",
	} {
		member, err := (client.Registration{ID: "client", JWKS: text}).Check()
		if (err == nil) != (says == "") || (err != nil && (member != "jwks" || !strings.Contains(err.Error(), says))) {
			t.Errorf("%.60s: %s %v; want %q", text, member, err, says)
		}
	}
}

func TestTheClientOfTheCommandLineIsNobodysToRegister(t *testing.T) {
	if !client.Reserved(client.CLI().ID) || client.Reserved("my-tv") {
		t.Error("the id of the command line's client is free, or another's is not")
	}
}
