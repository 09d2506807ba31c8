package api

import (
	"net/http"

	"countersign.dev/internal/authz"
)

// eventView is something that happened, as the owner sees it; times in Unix seconds.
type eventView struct {
	ID         string `json:"id"`
	At         int64  `json:"at"`
	Kind       string `json:"kind"`
	BAPID      string `json:"bap_id,omitempty"`
	ClientID   string `json:"client_id,omitempty"`
	ClientName string `json:"client_name,omitempty"`
	GrantID    string `json:"grant_id,omitempty"`
	ACR        string `json:"acr,omitempty"`
	Network    string `json:"network,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	Subject    string `json:"subject,omitempty"`
}

// Events lists what happened to the owner's account.
func (a *API) Events(r *http.Request, who authz.Owner) (any, error) {
	list, next, err := a.issuer.Accounts.Events(r.Context(), who, r.URL.Query().Get("cursor"), listed)
	if err != nil {
		return nil, err
	}
	views := make([]eventView, len(list))
	for i, e := range list {
		name, err := a.door.ClientOf(r, e)
		if err != nil {
			return nil, err
		}
		views[i] = newEventView(e, name)
	}
	return pageOf("events", views, next), nil
}

func newEventView(e authz.Event, clientName string) eventView {
	if e.Kind == authz.EventDenied || e.Kind == authz.EventReported {
		e.GrantID, e.ACR = "", "" // of a request that is no grant, and has no receipt
	}
	return eventView{
		ID: e.ID, At: e.At.Unix(), Kind: string(e.Kind), BAPID: e.BAPID, ClientID: e.ClientID, ClientName: clientName, GrantID: e.GrantID, ACR: e.ACR,
		Network: e.Network, UserAgent: e.UserAgent, Subject: e.Subject,
	}
}
