package protect

import (
	"encoding/json"
	"net/http"
	"slices"

	"countersign.dev/dpop"
)

// wellKnown is where the metadata of a resource are, before its path (RFC 9728 §3.1).
const wellKnown = "/.well-known/oauth-protected-resource"

// resourceMetadata is RFC 9728 §2.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	DPoPAlgs             []string `json:"dpop_signing_alg_values_supported"`
}

// Metadata describes the API to programs that meet it for the first time (RFC 9728): which
// issuer to ask for a token, and for what. It is both arguments of ServeMux.Handle:
//
//	mux.Handle(api.Metadata())
//
// Its scopes are those that something was required with. The address is on the resource's
// host and before its path: what takes the path off must let it through.
func (a *API) Metadata() (pattern string, handler http.Handler) {
	return "GET " + a.wellKnown, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		scopes := slices.Clone(a.scopes)
		a.mu.Unlock()
		slices.Sort(scopes)
		body, err := json.MarshalIndent(resourceMetadata{a.resources[0], []string{a.issuer.id}, slices.Compact(scopes), []string{"header"}, dpop.Algorithms()}, "", "  ")
		if err != nil { // texts
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("Access-Control-Allow-Origin", "*") // it is public, and clients in browsers read it
		_, _ = w.Write(body)
	})
}
