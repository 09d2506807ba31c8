//go:build e2e

package browser

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

// screenshots is where pictures go, seen from the root of the module. They are
// committed, so that a person can look at them.
const screenshots = "e2e/screenshots"

// Screenshot takes a picture of the whole page. With SCREENSHOTS=1 in the
// environment (`make screenshots`) it is written to e2e/screenshots/NAME.png, in the
// font that more people know.
func (p *Tab) Screenshot(name string) {
	p.t.Helper()
	written := os.Getenv("SCREENSHOTS") != ""
	if written {
		p.Font(Wide)
		defer p.Font(Narrow)
	}
	size := do(p, page.GetLayoutMetrics, cdp.Empty{}).CSSContentSize
	beyond := true
	dots := Eval[float64](p, "devicePixelRatio") // one in the picture for each pixel of the page
	shot := do(p, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond,
		Clip:                  &page.Viewport{Width: size.Width, Height: size.Height, Scale: 1 / dots},
	})
	picture, err := png.Decode(bytes.NewReader(shot.Data))
	if err != nil {
		p.t.Fatalf("the picture %s: %v", name, err)
	}
	if isEmpty(picture) {
		p.t.Errorf("the picture %s of %s is empty", name, p.URL())
	}
	if !written {
		return
	}
	root, err := moduleRoot()
	if err != nil {
		p.t.Fatal(err)
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&file, reduce(picture, countColors(picture))); err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, screenshots), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, screenshots, name+".png"), file.Bytes(), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// isEmpty reports whether a picture has one colour.
func isEmpty(picture image.Image) bool {
	bounds := picture.Bounds()
	first := picture.At(bounds.Min.X, bounds.Min.Y)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if picture.At(x, y) != first {
				return false
			}
		}
	}
	return true
}

func countColors(picture image.Image) map[color.RGBA]int {
	counts := map[color.RGBA]int{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			counts[rgba(picture.At(x, y))]++
		}
	}
	return counts
}

// reduce leaves a picture the colours it uses most, and of the others those that
// look different: all that an eye sees of our pages, in a fourth of the bytes.
func reduce(picture image.Image, counts map[color.RGBA]int) image.Image {
	const always, colors = 6, 16
	byUse := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return cmp.Compare(counts[b], counts[a]) })
	var palette color.Palette
	for _, c := range byUse {
		if len(palette) < always || (len(palette) < colors && distance(c, palette.Convert(c)) > 28) {
			palette = append(palette, c)
		}
	}
	index := map[color.RGBA]uint8{}
	for _, c := range byUse {
		index[c] = uint8(palette.Index(c))
	}
	reduced := image.NewPaletted(picture.Bounds(), palette)
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			reduced.SetColorIndex(x, y, index[rgba(picture.At(x, y))])
		}
	}
	return reduced
}

// distance is how much two colours differ in the channel that differs most.
func distance(a, b color.Color) int {
	x, y := rgba(a), rgba(b)
	apart := func(m, n uint8) int { return max(int(m)-int(n), int(n)-int(m)) }
	return max(apart(x.R, y.R), apart(x.G, y.G), apart(x.B, y.B))
}

func rgba(c color.Color) color.RGBA {
	r, g, b, a := c.RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)}
}
