package owners

import (
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/wire"
)

// Gate lets owners and their programs in.
type Gate struct {
	issuer *issuer.Issuer
	door   *wire.Door
}

// New returns the gate of a server.
func New(i *issuer.Issuer, door *wire.Door) *Gate { return &Gate{i, door} }
