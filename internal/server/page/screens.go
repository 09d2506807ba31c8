// Package page answers people: HTML, a file a screen, named as the screen's template
// (templates) and its script (web/src/page) are.
//
// Here belong the screens, the frame around them (page.go), their words in every language
// (language.go, messages), their style, scripts and looks (asset.go, brand.go, assets). No
// rule is decided here, nothing is answered to programs, and no route is named: the table of
// routes is in package server. Start reading at page.go, then at enter.go, where a person
// comes with a code.
package page

import (
	"cmp"
	"html/template"

	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/wire"
)

// Screens has a method for each thing that a person's browser asks for.
type Screens struct {
	authz *issuer.Issuer
	door  *wire.Door

	brand     Brand
	assets    assets
	catalogue *catalogue
	pages     map[screen]*template.Template
}

// New returns the screens of a server. What is empty in the brand is ours.
func New(service *issuer.Issuer, door *wire.Door, brand Brand) (*Screens, error) {
	s := &Screens{authz: service, door: door, brand: brand}
	s.brand.Name, s.brand.Accent = cmp.Or(brand.Name, defaultName), cmp.Or(brand.Accent, defaultAccent)
	var err error
	if s.assets, err = newAssets(s.brand); err != nil {
		return nil, err
	}
	if s.catalogue, err = embeddedCatalogue(); err != nil {
		return nil, err
	}
	s.pages, err = newPages()
	return s, err
}
