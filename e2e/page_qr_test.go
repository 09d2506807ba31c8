//go:build e2e

package e2e

import (
	"image"
	"image/color"
	"regexp"
	"strconv"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"countersign.dev/e2e/browser"
)

func TestPageAQRCodeTakesTheRequestToAPhone(t *testing.T) {
	t.Parallel()
	site := browser.NewSite(t, "qr")
	h := startInstance(t, "--issuer", site.URL+"/api/auth", "--unregistered-clients", "open")
	site.Serve(h.url)
	h.base = site.URL
	tab, device := h.guest(t), h.ask(t, nil)
	h.link(tab, device)
	tab.Click("details.phone summary")
	tab.WaitFor(".qr")
	tab.Axe()
	tab.Screenshot("sign-in-qr-code")
	if got, want := decodeQR(t, tab), site.URL+"/device?code="+device.code; got != want {
		t.Errorf("the QR code says %q, want %q", got, want)
	}
	tab.Phone()
	tab.Touch()
	tab.WaitGone(".phone") // this is the phone
}

func TestPageNoQRCodeLeadsToALoopbackAddress(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	h.link(tab, h.ask(t, nil))
	if browser.Eval[bool](tab, `document.querySelector(".qr, .phone") !== null`) {
		t.Error("a phone is sent to a loopback address")
	}
}

var module = regexp.MustCompile(`M(\d+) (\d+)h1v1h-1z`)

// decodeQR draws the path of the page's QR code and reads it as a phone does.
func decodeQR(t *testing.T, tab *browser.Tab) string {
	t.Helper()
	const scale = 4
	size := browser.Eval[int](tab, `document.querySelector(".qr").viewBox.baseVal.width`)
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	for _, at := range module.FindAllStringSubmatch(browser.Eval[string](tab, `document.querySelector(".qr path").getAttribute("d")`), -1) {
		x, _ := strconv.Atoi(at[1])
		y, _ := strconv.Atoi(at[2])
		for dx := range scale {
			for dy := range scale {
				picture.SetGray(x*scale+dx, y*scale+dy, color.Gray{})
			}
		}
	}
	bits, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	text, err := qrcode.NewQRCodeReader().Decode(bits, nil)
	if err != nil {
		t.Fatal("reading the QR code:", err)
	}
	return text.GetText()
}
