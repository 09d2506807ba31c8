package config

// Client is a [[clients]] table: the metadata names of RFC 7591 §2, and ours. What they
// may say is for whoever loads the settings to check.
type Client struct {
	ID                      string   `toml:"client_id"`
	Name                    string   `toml:"client_name"`
	Secret                  string   `toml:"client_secret"`
	JWKS                    string   `toml:"jwks"` // JSON
	JWKSURI                 string   `toml:"jwks_uri"`
	RedirectURIs            []string `toml:"redirect_uris"`
	PostLogoutRedirectURIs  []string `toml:"post_logout_redirect_uris"`
	ApplicationType         string   `toml:"application_type"`
	GrantTypes              []string `toml:"grant_types"`
	Scope                   string   `toml:"scope"`
	TokenEndpointAuthMethod string   `toml:"token_endpoint_auth_method"`
	// MemberPubkey authenticates the client by X-Auth-Token; OwnerBAPID names its owner.
	MemberPubkey string `toml:"member_pubkey"`
	OwnerBAPID   string `toml:"owner_bap_id"`
	// IDTokenAlg is ES256, RS256 or EdDSA.
	IDTokenAlg string `toml:"id_token_signed_response_alg"`
	// Approval is session or signature.
	Approval  string `toml:"approval"`
	DPoPBound bool   `toml:"dpop_bound_access_tokens"`
	// Resources are the URIs of what the client serves.
	Resources []string `toml:"resources"`
	// ExchangeFor are the resources for which it exchanges tokens, ExchangeActors the clients
	// that it may say are acting.
	ExchangeFor    []string `toml:"exchange_for"`
	ExchangeActors []string `toml:"exchange_actors"`
	// Agents: its agents may ask where only those of listed clients may. MayCharge: it
	// charges agents for what it serves.
	Agents    bool `toml:"agents"`
	MayCharge bool `toml:"may_charge"`
}
