package api

import (
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
)

// API has a method for each endpoint.
type API struct {
	issuer  *issuer.Issuer
	door    *wire.Door
	gate    *owners.Gate
	version string
}

// New returns the API of a server, which says that it is of a version.
func New(i *issuer.Issuer, door *wire.Door, gate *owners.Gate, version string) *API {
	return &API{issuer: i, door: door, gate: gate, version: version}
}

// listed is how many things of a long list a program gets at once.
const listed = 100

// pageOf is a page of a list, with the cursor of the next one if there is one.
func pageOf[T any](name string, page []T, next string) map[string]any {
	answer := map[string]any{name: page}
	if next != "" {
		answer["next"] = next
	}
	return answer
}
