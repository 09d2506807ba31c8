// Package assets is what pages load and how they look: the style sheet, the scripts as
// they are built from web/, and what the operator adds to them, a name, a logo and an
// accent colour.
//
// It knows no page and no language. Start reading at New.
package assets
