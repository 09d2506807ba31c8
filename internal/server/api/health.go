package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/server/wire"
)

// Greeting says to a program what this is, which set-up guides use as a health check.
func (a *API) Greeting(w http.ResponseWriter, _ *http.Request) error {
	issuer, origin := a.issuer.Identifier(), a.issuer.Origin()
	return wire.WriteJSON(w, map[string]any{
		"name": "Countersign", "version": a.version, "issuer": issuer,
		"links": map[string]string{
			"metadata": origin + "/.well-known/oauth-authorization-server" + strings.TrimPrefix(issuer, origin),
			"device":   origin + "/device",
			"health":   origin + "/healthz",
		},
	})
}

// Healthz says that the process answers.
func (a *API) Healthz(w http.ResponseWriter, _ *http.Request) error {
	return wire.WriteJSON(w, map[string]string{"status": "ok"})
}

// Readyz says whether the server can do its work: keys are open by the time it
// listens, so what is left to ask is whether the database can be written.
func (a *API) Readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.issuer.Ready(ctx); err != nil {
		return errors.Join(contract.ErrUnreachable, err) // whatever the reason, another server may be
	}
	return wire.WriteJSON(w, map[string]string{"status": "ready"})
}
