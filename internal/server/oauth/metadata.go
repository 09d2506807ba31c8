package oauth

import (
	"encoding/json"
	"net/http"

	"countersign.dev/details"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/token"
	"countersign.dev/internal/server/wire"
)

// metadata is the discovery document (RFC 8414 §2, OpenID Connect Discovery §3):
// what is here works, what does not work is not here (requirement M-04), and empty
// lists are left out (RFC 8414 §3.2, requirement M-03). Devices find their endpoint in
// it (requirement D-33).
type metadata struct {
	Issuer                      string   `json:"issuer"`
	AuthorizationEndpoint       string   `json:"authorization_endpoint"`
	TokenEndpoint               string   `json:"token_endpoint"`
	DeviceAuthorizationEndpoint string   `json:"device_authorization_endpoint"`
	UserInfoEndpoint            string   `json:"userinfo_endpoint"`
	EndSessionEndpoint          string   `json:"end_session_endpoint"`
	RevocationEndpoint          string   `json:"revocation_endpoint"`
	IntrospectionEndpoint       string   `json:"introspection_endpoint"`
	JWKSURI                     string   `json:"jwks_uri"`
	ScopesSupported             []string `json:"scopes_supported"`
	ResponseTypesSupported      []string `json:"response_types_supported"`
	ResponseModesSupported      []string `json:"response_modes_supported"`
	GrantTypesSupported         []string `json:"grant_types_supported"`
	CodeChallengeMethods        []string `json:"code_challenge_methods_supported"`
	ResponseIss                 bool     `json:"authorization_response_iss_parameter_supported"`
	PromptValues                []string `json:"prompt_values_supported"`
	TokenAuthMethods            []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs               []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods       []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs          []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods    []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs       []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	SubjectTypesSupported       []string `json:"subject_types_supported"`
	IDTokenAlgs                 []string `json:"id_token_signing_alg_values_supported"`
	DPoPAlgs                    []string `json:"dpop_signing_alg_values_supported"`     // RFC 9449 §5.1, requirement P-14
	DetailTypes                 []string `json:"authorization_details_types_supported"` // RFC 9396 §10
	RefreshExpirationTypes      []string `json:"refresh_token_expiration_types_supported"`
	ACRValues                   []string `json:"acr_values_supported"`
	ClaimsSupported             []string `json:"claims_supported"`
	ClaimsParameter             bool     `json:"claims_parameter_supported"`
	RequestParameter            bool     `json:"request_parameter_supported"`
	RequestURIParameter         bool     `json:"request_uri_parameter_supported"`
}

// prepareDocuments encodes once what every client reads. The issuer is the configured
// one, to the letter (requirement M-02); public clients are told that they may come
// (requirement M-05).
func (e *Endpoints) prepareDocuments() error {
	origin := e.issuer.Origin()
	authMethods := []string{authz.AuthNone, authz.AuthBasic, authz.AuthPost, authz.AuthJWT}
	var err error
	e.metadata, err = json.MarshalIndent(metadata{
		Issuer:                      e.issuer.Identifier(),
		AuthorizationEndpoint:       origin + "/oauth2/authorize",
		TokenEndpoint:               origin + "/api/auth/oauth2/token",
		DeviceAuthorizationEndpoint: origin + "/api/auth/device/code",
		UserInfoEndpoint:            origin + authz.UserInfoPath,
		EndSessionEndpoint:          origin + "/oauth2/logout",
		RevocationEndpoint:          origin + "/api/auth/oauth2/revoke",
		IntrospectionEndpoint:       origin + "/api/auth/oauth2/introspect",
		JWKSURI:                     origin + "/api/auth/jwks",
		ScopesSupported:             scopes.Supported(),
		ResponseTypesSupported:      []string{"code"},
		ResponseModesSupported:      []string{"query"},
		GrantTypesSupported:         []string{authz.GrantCode, authz.GrantDevice, authz.GrantRefresh, authz.GrantCredentials, authz.GrantExchange},
		CodeChallengeMethods:        []string{"S256"},
		ResponseIss:                 true,
		PromptValues:                []string{"none", "login", "consent", "select_account"},
		TokenAuthMethods:            authMethods,
		TokenAuthAlgs:               proof.AssertionAlgs(),
		RevocationAuthMethods:       authMethods,
		RevocationAuthAlgs:          proof.AssertionAlgs(),
		IntrospectionAuthMethods:    authMethods[1:], // nobody asks without authenticating
		IntrospectionAuthAlgs:       proof.AssertionAlgs(),
		SubjectTypesSupported:       []string{"public"},
		IDTokenAlgs:                 token.SigningAlgs(),
		DPoPAlgs:                    dpop.Algorithms(),
		DetailTypes:                 details.Types(),
		RefreshExpirationTypes:      []string{"authorization", "credential"},
		ACRValues:                   []string{authz.ACRSignature, authz.ACRPasskey, authz.ACRSession, authz.ACRBefore},
		ClaimsSupported: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash",
			"name", "given_name", "family_name", "picture", "bap_id", "pubkey", "bap",
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	return e.prepareResources()
}

// publicDocument answers with a document that is the same for everybody. Caches
// keep it a few minutes: shorter than a new key waits before it signs (B-20).
func publicDocument(w http.ResponseWriter, document []byte) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	wire.WriteBody(w, http.StatusOK, document)
	return nil
}

// Discovery answers wherever clients look for the document (requirements M-01, S-04).
func (e *Endpoints) Discovery(w http.ResponseWriter, _ *http.Request) error {
	return publicDocument(w, e.metadata)
}

// KeySet is the key set (RFC 7517 §5): the keys that tokens are signed with, were, or soon
// will be (requirement M-08).
func (e *Endpoints) KeySet(w http.ResponseWriter, _ *http.Request) error {
	return publicDocument(w, e.issuer.Tokens.KeySet())
}
