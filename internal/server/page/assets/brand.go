package assets

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// Brand is how the operator wants the pages to look.
type Brand struct {
	// Name stands where "Countersign" would.
	Name string
	// Logo is an image and LogoType its media type; empty for none.
	Logo     []byte
	LogoType string
	// Accent is the one accent colour, #rrggbb; empty for ours.
	Accent string
}

const (
	defaultName   = "Countersign"
	defaultAccent = "#1f5f4a"
	maxLogo       = 64 << 10
	// leastContrast is what WCAG 2.2 asks of text (1.4.3).
	leastContrast = 4.5
)

// The paper of the style sheet, light and dark.
var (
	lightPaper = color.RGBA{0xfd, 0xfd, 0xfc, 0xff}
	darkPaper  = color.RGBA{0x17, 0x18, 0x1a, 0xff}
	white      = color.RGBA{0xff, 0xff, 0xff, 0xff}
	black      = color.RGBA{0x00, 0x00, 0x00, 0xff}
)

// OrOurs is the brand with what is empty in it as we have it.
func (b Brand) OrOurs() Brand {
	b.Name, b.Accent = cmp.Or(b.Name, defaultName), cmp.Or(b.Accent, defaultAccent)
	return b
}

// CheckAccent reports why a colour, #rrggbb, cannot be the accent.
func CheckAccent(text string) error {
	if got := contrast(parseColor(text), lightPaper); got < leastContrast {
		return fmt.Errorf("has a contrast of %.1f to the light page; it needs %.1f: choose a darker colour", got, leastContrast)
	}
	return nil
}

// LogoType returns the media type of a logo, by its content.
func LogoType(logo []byte) (string, error) {
	if len(logo) > maxLogo {
		return "", errors.New("must be at most 64 KiB")
	}
	switch found := http.DetectContentType(logo); found {
	case "image/png", "image/jpeg", "image/webp", "image/gif":
		return found, nil
	default:
		return "", errors.New("must be a PNG, JPEG, WebP or GIF image")
	}
}

// style is what the accent adds to the style sheet. On dark paper the accent is
// lightened until it can be read.
func (b Brand) style() string {
	light := parseColor(b.Accent)
	dark := light
	for contrast(dark, darkPaper) < leastContrast { // white has enough
		dark = lighter(dark)
	}
	return fmt.Sprintf(":root{--accent:%s;--accent-ink:%s}\n@media (prefers-color-scheme:dark){:root{--accent:%s;--accent-ink:%s}}\n",
		hexOf(light), hexOf(inkOn(light)), hexOf(dark), hexOf(inkOn(dark)))
}

// inkOn is the colour of text on a background.
func inkOn(background color.RGBA) color.RGBA {
	if contrast(white, background) >= contrast(black, background) {
		return white
	}
	return black
}

func lighter(c color.RGBA) color.RGBA {
	step := func(v uint8) uint8 { return v + (255-v)/12 + min(1, 255-v) }
	return color.RGBA{step(c.R), step(c.G), step(c.B), 0xff}
}

func parseColor(text string) color.RGBA {
	n, _ := strconv.ParseUint(strings.TrimPrefix(text, "#"), 16, 24) // configuration has checked it
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 0xff} //nolint:gosec // each is one byte of three
}

func hexOf(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// contrast is the contrast ratio of two colours (WCAG 2.2).
func contrast(a, b color.RGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(c color.RGBA) float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}
