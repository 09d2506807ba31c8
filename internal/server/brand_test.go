package server_test

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"countersign.dev/internal/server/page/assets"
)

func TestAnAccentMustBeReadableOnTheLightPage(t *testing.T) {
	for color, good := range map[string]bool{"#1f5f4a": true, "#000000": true, "#0b57d0": true, "#ffcc00": false, "#ffffff": false, "#999999": false, "#0071ed": true, "#0073ee": false} {
		if err := assets.CheckAccent(color); (err == nil) != good {
			t.Errorf("%s: %v", color, err)
		}
	}
}

func TestALogoIsAnImageOfModestSize(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	if kind, err := assets.LogoType(picture.Bytes()); err != nil || kind != "image/png" {
		t.Errorf("%q %v", kind, err)
	}
	largest := append(picture.Bytes(), make([]byte, 64<<10-picture.Len())...)
	if _, err := assets.LogoType(largest); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	for name, logo := range map[string][]byte{"one byte more": append(largest, 0), "a page": []byte("<!doctype html><script>"), "an SVG": []byte("<svg xmlns='x'/>"), "nothing": nil, "large": append(picture.Bytes(), make([]byte, 65<<10)...)} {
		if kind, err := assets.LogoType(logo); err == nil {
			t.Errorf("%s passes as %s", name, kind)
		}
	}
}

func TestTheOperatorsNameLogoAndColourAreOnEveryPage(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.brand(assets.Brand{Name: "Acme <Sign-in>", Logo: picture.Bytes(), LogoType: "image/png", Accent: "#0b57d0"})
	for _, target := range []string{"/device", "/device/done/x"} {
		r := h.send(http.MethodGet, target, "")
		if !strings.Contains(r.body, "Acme &lt;Sign-in&gt;") || !strings.Contains(r.body, `src="/assets/logo"`) {
			t.Errorf("%s: %s", target, r.body)
		}
	}
	if r := h.send(http.MethodGet, "/assets/logo", "").wantOK(); r.header.Get("Content-Type") != "image/png" || r.body != picture.String() {
		t.Errorf("%v", r.header)
	}
	// On dark paper it is lightened as far as it takes to be read, and no further.
	for accent, rule := range map[string]string{
		"#0b57d0": ":root{--accent:#0b57d0;--accent-ink:#ffffff}\n@media (prefers-color-scheme:dark){:root{--accent:#457fdc;--accent-ink:#000000}}",
		"#000000": ":root{--accent:#000000;--accent-ink:#ffffff}\n@media (prefers-color-scheme:dark){:root{--accent:#838383;--accent-ink:#000000}}",
	} {
		h.brand(assets.Brand{Accent: accent})
		if style := h.send(http.MethodGet, "/assets/style.css", "").wantOK(); !strings.Contains(style.body, rule) {
			t.Errorf("%s: the style sheet ends with %s", accent, style.body[len(style.body)-200:])
		}
		if script := h.send(http.MethodGet, "/assets/page.js", "").wantOK(); strings.Contains(script.body, ":root{") {
			t.Error("a script has a style in it")
		}
	}
	h.send(http.MethodGet, "/assets/logo", "").wantPage(http.StatusNotFound) // there is none now
}
