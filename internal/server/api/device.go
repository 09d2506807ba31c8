package api

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// DeviceStatus is the page's own API (contract, section 1). It claims the request,
// so it is for a script of our own or a tool (ruling 0.13, decision 0027).
func (a *API) DeviceStatus(w http.ResponseWriter, r *http.Request) error {
	if navigation(r) {
		return errForPrograms
	}
	typed := r.URL.Query().Get("user_code")
	who, err := a.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		code, request, err := a.issuer.Approvals.Status(r.Context(), a.door.Asker(r, authz.Owner{}), typed)
		if err != nil {
			return err
		}
		return wire.WriteJSON(w, deviceState{UserCode: code, Status: status(request)})
	}
	if err != nil {
		return err
	}
	code, request, err := a.issuer.Approvals.Open(r.Context(), who, a.door.Asker(r, who), typed, true)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, deviceState{UserCode: code, Status: status(request), ClientID: request.ClientID, Scope: request.Scope})
}

type deviceState struct {
	UserCode string `json:"user_code"`
	Status   string `json:"status"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
}

// status is a state as better-auth clients know it: what became of an approval
// afterwards is the device's business.
func status(r authz.DeviceRequest) string {
	if r.State == authz.Redeemed {
		return string(authz.Approved)
	}
	return string(r.State)
}
