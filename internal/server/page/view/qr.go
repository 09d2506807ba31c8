package view

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// QR is a QR code as one path of an SVG.
type QR struct {
	Size int
	Path string
}

// NewQR is nil for what is too long.
func NewQR(text string) *QR {
	const quiet = 4 // modules of white around, as the standard wants
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return &QR{Size: code.Size + 2*quiet, Path: path.String()}
}
