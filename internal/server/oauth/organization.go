package oauth

import (
	"encoding/json"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// organization is how existing clients are told of an identity, which to them is an
// organization (contract section 6). Metadata is a document in a string, as they read it.
type organization struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Slug     string `json:"slug"`
	Metadata string `json:"metadata"`
}

// Organizations is GET /api/auth/organization/list: the identity of the grant, if its scope
// tells who that is.
func (e *Endpoints) Organizations(w http.ResponseWriter, r *http.Request) error {
	list, err := e.organizations(r, &wire.Params{})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, list)
}

var errNoOrganization = authz.Refuse(authz.NotFound, "this access token is for no such identity: take one of GET /api/auth/organization/list")

// SetActiveOrganization is POST /api/auth/organization/set-active. Which identity a token acts
// as its owner decided; to choose that one again changes nothing.
func (e *Endpoints) SetActiveOrganization(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	id := p.Text("organizationId")
	if p.Err != nil {
		return p.Err
	}
	list, err := e.organizations(r, p)
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.ID == id {
			return wire.WriteJSON(w, o)
		}
	}
	return errNoOrganization
}

func (e *Endpoints) organizations(r *http.Request, p *wire.Params) ([]organization, error) {
	if r.URL.Query().Has("access_token") {
		return nil, errTokenInQuery
	}
	presented, ok := e.door.Presented(r, p)
	if !ok {
		return nil, errNoToken
	}
	info, err := e.issuer.Grants.UserInfo(r.Context(), presented)
	if err != nil {
		return nil, err
	}
	if info.BAPID == "" {
		return []organization{}, nil
	}
	metadata, err := json.Marshal(map[string]string{"type": "bap_identity", "bap_id": info.BAPID, "pubkey": info.Pubkey})
	return []organization{{ID: info.BAPID, Name: info.Name, Slug: info.BAPID, Metadata: string(metadata)}}, err
}
