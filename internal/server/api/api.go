// Package api answers an owner's programs and the scripts of our pages: JSON, a file a
// noun. It says whether the server is well, too.
//
// A handler decodes (package wire), identifies who asks (owner.go), asks the domain once,
// and encodes. No rule is decided here, no page is made, and no route is named: the table of
// routes is in package server. What devices and other clients ask is package oauth's. Start
// reading at grant.go.
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
