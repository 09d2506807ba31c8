package api

import (
	"net/http"
	"slices"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// clientView is a client as clients of Sigma Identity know it.
type clientView struct {
	ID            string   `json:"clientId"`
	OwnerBAPID    string   `json:"ownerBapId"`
	Name          string   `json:"name"`
	RedirectURIs  []string `json:"redirectUris"`
	AccountPubkey string   `json:"accountPubkey,omitempty"`
}

// Clients lists the clients that the operator registered for the owner's identities; with a
// clientId, that one, if it is among them.
func (a *API) Clients(r *http.Request, who authz.Owner) (any, error) {
	clients, err := a.clients(r, who)
	if err != nil {
		return nil, err
	}
	if id := r.URL.Query().Get("clientId"); id != "" {
		clients = slices.DeleteFunc(clients, func(c clientView) bool { return c.ID != id })
	}
	return map[string]any{"clients": clients}, nil
}

func (a *API) clients(r *http.Request, who authz.Owner) ([]clientView, error) {
	identities, err := a.issuer.Accounts.Identities(r.Context(), who)
	if err != nil {
		return nil, err
	}
	owned, err := a.issuer.Clients.OwnedBy(r.Context(), identities)
	views := make([]clientView, len(owned))
	for i, c := range owned {
		views[i] = clientView{c.ID, c.OwnerBAPID, c.Name, append([]string{}, c.RedirectURIs...), c.MemberKey}
	}
	return views, err
}

// AddClient answers an owner who wants a client registered: with the one that the operator
// registered so, if there is one. Programs ask each time; the operator alone registers.
func (a *API) AddClient(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	want := clientView{p.Text("clientId"), p.Text("ownerBapId"), p.Text("name"), p.List("redirectUris"), p.Text("accountPubkey")}
	who, err := a.gate.Authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	clients, err := a.clients(r, who)
	if err != nil {
		return err
	}
	for _, c := range clients {
		if c.ID == want.ID && c.OwnerBAPID == want.OwnerBAPID && c.Name == want.Name && c.AccountPubkey == want.AccountPubkey && slices.Equal(c.RedirectURIs, want.RedirectURIs) {
			return wire.WriteJSON(w, map[string]any{"client": c})
		}
	}
	return errOperatorRegisters
}

var errOperatorRegisters = authz.Refuse(authz.Forbidden,
	"you have no client like this, and the operator registers clients here: ask for countersign clients add with this id, name, redirect URIs, member key and owner")
