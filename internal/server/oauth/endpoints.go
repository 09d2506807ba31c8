package oauth

import (
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/wire"
)

// Endpoints has a method for each endpoint.
type Endpoints struct {
	issuer *issuer.Issuer
	door   *wire.Door

	metadata                   []byte // the discovery document
	resource, userInfoResource []byte // those of RFC 9728
}

// New returns the endpoints of a server.
func New(i *issuer.Issuer, door *wire.Door) (*Endpoints, error) {
	e := &Endpoints{issuer: i, door: door}
	return e, e.prepareDocuments()
}
