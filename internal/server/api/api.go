package api

import (
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/wire"
)

// API has a method for each endpoint.
type API struct {
	issuer  *issuer.Issuer
	door    *wire.Door
	version string
}

// New returns the API of a server, which says that it is of a version.
func New(i *issuer.Issuer, door *wire.Door, version string) *API {
	return &API{issuer: i, door: door, version: version}
}
