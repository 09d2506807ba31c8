package oauth

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/grant"
	"countersign.dev/internal/server/wire"
)

// notActive is all that is said of a token that is not alive, or not the caller's business
// (RFC 7662 §2.2, requirement R-14).
var notActive = []byte(`{"active":false}` + "\n")

// Introspect is the introspection endpoint (RFC 7662). token_type_hint is not needed:
// whatever the token is, it is found.
func (e *Endpoints) Introspect(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	token := authz.Secret(p.Text("token"))
	if p.Text("client_id") == "" && p.Text("client_assertion") == "" && !wire.UsedBasic(r) && p.Err == nil {
		return grant.ErrAnonymous // requirement R-13
	}
	client, err := e.identifyClient(r, p)
	if err != nil {
		return err
	}
	told, err := e.issuer.Grants.Introspect(r.Context(), client, token)
	if err != nil {
		return err
	}
	if told == nil {
		wire.WriteBody(w, http.StatusOK, notActive)
		return nil
	}
	return wire.WriteJSON(w, told)
}
