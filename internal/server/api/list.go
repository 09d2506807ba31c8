package api

import (
	"encoding/json"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// listed is how many things of a long list a program gets at once.
const listed = 100

// Lists is an endpoint that gives owners a list of what they have, for a session or a
// signed request. It is gathered in the owner's turn, and sent after it: whoever reads slowly
// keeps nobody waiting.
func (a *API) Lists(gather func(r *http.Request, who authz.Owner) (any, error)) wire.Handler {
	return a.ListsTo(a.authenticate, gather)
}

// ListsTo is Lists for whom who finds.
func (a *API) ListsTo(who func(r *http.Request, p *wire.Params, does authz.Deed) (authz.Owner, error), gather func(r *http.Request, who authz.Owner) (any, error)) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := who(r, &wire.Params{}, authz.Reads)
		if err != nil {
			return err
		}
		body, err := a.door.InTurn(r, who, func() ([]byte, error) {
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

// pageOf is a page of a list, with the cursor of the next one if there is one.
func pageOf[T any](name string, page []T, next string) map[string]any {
	answer := map[string]any{name: page}
	if next != "" {
		answer["next"] = next
	}
	return answer
}
