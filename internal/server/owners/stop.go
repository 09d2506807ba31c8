package owners

import (
	"context"
	"net/http"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// Stops is an endpoint that stops what its path names, for a session or a signed request.
func (g *Gate) Stops(stop func(ctx context.Context, owner authz.Owner, id string) error) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := g.authenticateStop(r)
		if err != nil {
			return err
		}
		if err := stop(r.Context(), who, r.PathValue("id")); err != nil {
			return err
		}
		return wire.WriteJSON(w, Success{Success: true})
	}
}

// StopsAll is Stops for what may concern any number of things.
func (g *Gate) StopsAll(stop func(ctx context.Context, owner authz.Owner) (int, error)) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := g.authenticateStop(r)
		if err != nil {
			return err
		}
		n, err := stop(r.Context(), who)
		if err != nil {
			return err
		}
		return wire.WriteJSON(w, counted{true, n})
	}
}

// counted is the answer to what may concern any number of things.
type counted struct {
	Success bool `json:"success"`
	Count   int  `json:"count"`
}

// Success is the answer to what was done.
type Success struct {
	Success bool   `json:"success"`
	GrantID string `json:"grant_id,omitempty"`
}
