package oauth

import (
	"encoding/json"
	"net/http"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/scopes"
)

// protectedResource is the metadata of what this server itself protects (RFC 9728 §2,
// requirement S-01). offline_access is not among its scopes: it is for the client, and
// opens nothing here (requirement S-09).
type protectedResource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	DPoPAlgs             []string `json:"dpop_signing_alg_values_supported"`
}

// prepareResources encodes the metadata of all that access tokens for this server are good
// for, and of the UserInfo endpoint.
func (e *Endpoints) prepareResources() (err error) {
	e.resource, err = e.describe(e.issuer.Identifier(), []string{"openid", "profile", "email", scopes.Grants}, "header")
	if err != nil {
		return err
	}
	e.userInfoResource, err = e.describe(e.issuer.Origin()+authz.UserInfoPath, []string{"openid", "profile", "email"}, "header", "body")
	return err
}

func (e *Endpoints) describe(resource string, scopes []string, bearer ...string) ([]byte, error) {
	return json.MarshalIndent(protectedResource{resource, []string{e.issuer.Identifier()}, scopes, bearer, dpop.Algorithms()}, "", "  ")
}

// ProtectedResource and UserInfoResource answer where challenges say that the metadata of a
// resource are.
func (e *Endpoints) ProtectedResource(w http.ResponseWriter, _ *http.Request) error {
	return publicDocument(w, e.resource)
}

// UserInfoResource is ProtectedResource for the UserInfo endpoint.
func (e *Endpoints) UserInfoResource(w http.ResponseWriter, _ *http.Request) error {
	return publicDocument(w, e.userInfoResource)
}
