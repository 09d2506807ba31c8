package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// metadata is the discovery document (RFC 8414 §2, OpenID Connect Discovery §3):
// what is here works, what does not work is not here (requirement M-04), and empty
// lists are left out (RFC 8414 §3.2, requirement M-03). Devices find their endpoint in
// it (requirement D-33).
type metadata struct {
	Issuer                      string   `json:"issuer"`
	TokenEndpoint               string   `json:"token_endpoint"`
	DeviceAuthorizationEndpoint string   `json:"device_authorization_endpoint"`
	UserInfoEndpoint            string   `json:"userinfo_endpoint"`
	RevocationEndpoint          string   `json:"revocation_endpoint"`
	JWKSURI                     string   `json:"jwks_uri"`
	ScopesSupported             []string `json:"scopes_supported"`
	GrantTypesSupported         []string `json:"grant_types_supported"`
	TokenAuthMethods            []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods       []string `json:"revocation_endpoint_auth_methods_supported"`
	SubjectTypesSupported       []string `json:"subject_types_supported"`
	IDTokenAlgs                 []string `json:"id_token_signing_alg_values_supported"`
	ACRValues                   []string `json:"acr_values_supported"`
	ClaimsSupported             []string `json:"claims_supported"`
	ClaimsParameter             bool     `json:"claims_parameter_supported"`
	RequestParameter            bool     `json:"request_parameter_supported"`
	RequestURIParameter         bool     `json:"request_uri_parameter_supported"`
}

// prepareDocuments encodes once what every client reads. The issuer is the configured
// one, to the letter (requirement M-02); public clients are told that they may come
// (requirement M-05).
func (a *API) prepareDocuments() error {
	issuer := a.authz.Issuer()
	authMethods := []string{authz.AuthNone, authz.AuthBasic, authz.AuthPost}
	var err error
	a.metadata, err = json.MarshalIndent(metadata{
		Issuer:                      issuer,
		TokenEndpoint:               issuer + "/api/auth/oauth2/token",
		DeviceAuthorizationEndpoint: issuer + "/api/auth/device/code",
		UserInfoEndpoint:            issuer + "/api/auth/oauth2/userinfo",
		RevocationEndpoint:          issuer + "/api/auth/oauth2/revoke",
		JWKSURI:                     issuer + "/api/auth/jwks",
		ScopesSupported:             authz.ScopesSupported(),
		GrantTypesSupported:         []string{authz.GrantDevice, authz.GrantRefresh},
		TokenAuthMethods:            authMethods,
		RevocationAuthMethods:       authMethods,
		SubjectTypesSupported:       []string{"public"},
		IDTokenAlgs:                 authz.SigningAlgs(),
		ACRValues:                   []string{authz.ACRSignature, authz.ACRPasskey, authz.ACRSession},
		ClaimsSupported: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash",
			"name", "given_name", "family_name", "picture", "bap_id", "pubkey", "bap",
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	a.jwks, err = json.MarshalIndent(a.authz.PublicKeys(), "", "  ")
	return err
}

// publicDocument answers with a document that is the same for everybody. Caches
// keep it a few minutes: shorter than a new key waits before it is used (B-20).
func publicDocument(w http.ResponseWriter, document []byte) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	wire.WriteBody(w, http.StatusOK, document)
	return nil
}

// Discovery answers wherever clients look for the document (requirement M-01).
func (a *API) Discovery(w http.ResponseWriter, _ *http.Request) error {
	return publicDocument(w, a.metadata)
}

// KeySet is the key set (RFC 7517 §5): the keys that tokens are signed with.
func (a *API) KeySet(w http.ResponseWriter, _ *http.Request) error {
	return publicDocument(w, a.jwks)
}

// Greeting says to a program what this is, which set-up guides use as a health check.
func (a *API) Greeting(w http.ResponseWriter, _ *http.Request) error {
	issuer := a.authz.Issuer()
	return wire.WriteJSON(w, map[string]any{
		"name": "Countersign", "version": a.version, "issuer": issuer,
		"links": map[string]string{
			"metadata": issuer + "/.well-known/oauth-authorization-server",
			"device":   issuer + "/device",
			"health":   issuer + "/healthz",
		},
	})
}

// Healthz says that the process answers.
func (a *API) Healthz(w http.ResponseWriter, _ *http.Request) error {
	return wire.WriteJSON(w, map[string]string{"status": "ok"})
}

// Readyz says whether the server can do its work: keys are open by the time it
// listens, so what is left to ask is whether the database can be written.
func (a *API) Readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.authz.Ready(ctx); err != nil {
		return errors.Join(authz.ErrUnreachable, err) // whatever the reason, another server may be
	}
	return wire.WriteJSON(w, map[string]string{"status": "ready"})
}
