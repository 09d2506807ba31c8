package page

import (
	"html/template"
	"net/http"

	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/page/assets"
	"countersign.dev/internal/server/page/messages"
	"countersign.dev/internal/server/wire"
)

// Screens has a method for each thing that a person's browser asks for.
type Screens struct {
	issuer *issuer.Issuer
	door   *wire.Door

	brand     assets.Brand
	assets    assets.Assets
	catalogue *messages.Catalogue
	pages     map[screen]*template.Template
}

// New returns the screens of a server. What is empty in the brand is ours.
func New(i *issuer.Issuer, door *wire.Door, brand assets.Brand) (*Screens, error) {
	s := &Screens{issuer: i, door: door, brand: brand.OrOurs()}
	var err error
	if s.assets, err = assets.New(s.brand); err != nil {
		return nil, err
	}
	if s.catalogue, err = messages.Embedded(); err != nil {
		return nil, err
	}
	s.pages, err = newPages()
	return s, err
}

// Asset serves a style sheet, a script or the operator's logo.
func (s *Screens) Asset(w http.ResponseWriter, r *http.Request) error { return s.assets.Serve(w, r) }
