// Package api answers programs: JSON, a file a noun.
//
// A handler decodes (package wire), identifies who asks (client.go, owner.go), asks the
// domain once, and encodes. No rule is decided here, no page is made, and no route is
// named: the table of routes is in package server. Start reading at device.go, the way of
// one poll.
package api

import (
	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/wire"
)

// API has a method for each endpoint.
type API struct {
	authz *authz.Service
	door  *wire.Door

	version  string
	metadata []byte // the discovery document
	jwks     []byte
}

// New returns the API of a server, which says that it is of a version.
func New(service *authz.Service, door *wire.Door, version string) (*API, error) {
	a := &API{authz: service, door: door, version: version}
	return a, a.prepareDocuments()
}
