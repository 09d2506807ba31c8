package api

import (
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
	"countersign.dev/receipt"
)

// grantView is a grant as its owner sees it; times in Unix seconds.
type grantView struct {
	ID         string `json:"id"`
	ClientID   string `json:"client_id"`
	ClientName string `json:"client_name"`
	Scope      string `json:"scope"`
	// Resources are whose APIs it is for; none: this server alone.
	Resources  []string `json:"resources,omitempty"`
	BAPID      string   `json:"bap_id"`
	ACR        string   `json:"acr"`
	CreatedAt  int64    `json:"created_at"`
	ExpiresAt  int64    `json:"expires_at"`
	LastUsedAt int64    `json:"last_used_at,omitempty"`
	RevokedAt  int64    `json:"revoked_at,omitempty"`
	// Where the device asked from, and what it says of itself.
	Network    string `json:"network,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
	Platform   string `json:"platform,omitempty"`
}

// Grants lists what the owner allowed.
func (a *API) Grants(r *http.Request, who authz.Owner) (any, error) {
	grants, next, err := a.issuer.Grants.List(r.Context(), who, r.URL.Query().Get("cursor"), listed)
	if err != nil {
		return nil, err
	}
	views := make([]grantView, len(grants))
	for i, g := range grants {
		name, err := a.door.ClientName(r, g.ClientID)
		if err != nil {
			return nil, err
		}
		views[i] = grantView{
			ID: g.ID, ClientID: g.ClientID, ClientName: name, Scope: g.Scope, Resources: g.Resources, BAPID: g.BAPID, ACR: g.ACR,
			CreatedAt: g.CreatedAt.Unix(), ExpiresAt: g.ExpiresAt.Unix(),
			LastUsedAt: wire.UnixOrZero(g.LastUsedAt), RevokedAt: wire.UnixOrZero(g.RevokedAt),
			Network: g.Seen.Network, UserAgent: g.Seen.UserAgent, DeviceName: g.Says.Name, Platform: g.Says.Platform,
		}
	}
	return pageOf("grants", views, next), nil
}

// GrantReceipt gives the owner the signature over an approval, byte for byte; with format=jws
// the same facts as a JWS that this server signs, for who knows no BRC-77.
func (a *API) GrantReceipt(w http.ResponseWriter, r *http.Request) error {
	who, err := a.gate.AuthenticateForGrants(r, &wire.Params{}, authz.Reads)
	if err != nil {
		return err
	}
	text, err := a.issuer.Grants.Receipt(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	kind, name := "application/json", "receipt.json"
	switch r.URL.Query().Get("format") {
	case "":
	case "jws":
		if text, err = a.exported(text); err != nil {
			return err
		}
		kind, name = "application/jose", "receipt.jws"
	default:
		return &authz.Error{Code: authz.InvalidRequest, Description: "format is jws, or is left out for the receipt itself"}
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write([]byte(text)) // a client that has gone reads no error either
	return nil
}

// exported is a receipt as a JWS (RFC 7515).
func (a *API) exported(text string) (string, error) {
	payload, err := receipt.ExportPayload([]byte(text), a.issuer.Now())
	if err != nil {
		return "", err
	}
	return a.issuer.Tokens.SignExport(payload)
}

// RevokeGrant takes back what the owner allowed; report says that they did not
// mean to allow it.
func (a *API) RevokeGrant(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	report := p.Flag("report")
	who, err := a.gate.AuthenticateForGrants(r, p, authz.Stops)
	if err != nil {
		return err
	}
	revoke := a.issuer.Grants.Revoke
	if report {
		revoke = a.issuer.Grants.Report
	}
	if err := revoke(r.Context(), who, r.PathValue("id")); err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true})
}
