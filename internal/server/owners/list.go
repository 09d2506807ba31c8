package owners

import (
	"encoding/json"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// Lists is an endpoint that gives owners a list of what they have, for a session or a
// signed request. It is gathered in the owner's turn, and sent after it: whoever reads slowly
// keeps nobody waiting.
func (g *Gate) Lists(gather func(r *http.Request, who authz.Owner) (any, error)) wire.Handler {
	return g.ListsTo(g.Authenticate, gather)
}

// ListsTo is Lists for whom who finds.
func (g *Gate) ListsTo(who func(r *http.Request, p *wire.Params, does authz.Deed) (authz.Owner, error), gather func(r *http.Request, who authz.Owner) (any, error)) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := who(r, &wire.Params{}, authz.Reads)
		if err != nil {
			return err
		}
		body, err := g.door.InTurn(r, who, func() ([]byte, error) {
			list, err := gather(r, who)
			if err != nil {
				return nil, err
			}
			return json.Marshal(list)
		})
		if err != nil {
			return err
		}
		wire.WriteBody(w, http.StatusOK, body)
		return nil
	}
}
