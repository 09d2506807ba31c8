package wire

import (
	"errors"
	"net/http"

	"countersign.dev/internal/authz"
)

// ClientName is a client's name for an owner; a client that is gone is its id.
func (d *Door) ClientName(r *http.Request, id string) (string, error) {
	c, err := d.issuer.Clients.Get(r.Context(), id)
	if errors.Is(err, authz.NotFound) {
		c, err = authz.Client{ID: id}, nil
	}
	return c.DisplayName(), err
}

// ClientOf is the name of the client that an event is about; empty: about none.
func (d *Door) ClientOf(r *http.Request, e authz.Event) (string, error) {
	if e.ClientID == "" {
		return "", nil
	}
	return d.ClientName(r, e.ClientID)
}
