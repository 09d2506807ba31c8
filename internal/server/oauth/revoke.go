package oauth

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// Revoke is the revocation endpoint (RFC 7009). token_type_hint is not needed:
// whatever the token is, it is found.
func (e *Endpoints) Revoke(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	token := authz.Secret(p.Text("token"))
	client, err := e.identifyClient(r, p)
	if err != nil {
		return err
	}
	if err := e.issuer.Grants.RevokeToken(r.Context(), client, token); err != nil {
		return err
	}
	return wire.WriteJSON(w, struct{}{})
}
