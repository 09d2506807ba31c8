package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"countersign.dev/internal/server/page/assets"
)

// packedAlike is what gzip makes no shorter and no longer.
func packedAlike(t *testing.T) string {
	t.Helper()
	for n := 1; n < 1000; n++ {
		content := strings.Repeat("a", n) + "b"
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = z.Write([]byte(content)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		if packed.Len() == len(content) {
			return content
		}
	}
	t.Fatal("gzip makes everything shorter or longer")
	return ""
}

// A browser keeps for good what is at an address that changes with it, and gets packed
// what is shorter for it.
func TestWhatAPageIsMadeOfIsKeptAndPacked(t *testing.T) {
	h := newHouse(t)
	logo := packedAlike(t)
	h.brand(assets.Brand{Logo: []byte(logo), LogoType: "image/png"})
	page := h.send(http.MethodGet, "/device", "").wantOK().body
	find := func(pattern string) []string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(page, -1)
		if len(found) == 0 {
			t.Fatalf("the page has no %s", pattern)
		}
		var all []string
		for _, f := range found {
			all = append(all, f[1])
		}
		return all
	}
	style, script, parts := find(`stylesheet" href="(/assets/style\.css\?v=[^"]+)"`)[0], find(`<script type="module" src="(/assets/page\.js\?v=[^"]+)"`)[0], find(`modulepreload" href="([^"]+)"`)
	for target, good := range map[string]bool{
		style: true, script: true, parts[0]: true, "/assets/style.css": false, "/assets/style.css?v=" + strings.Repeat("0", 12): false, "/assets/page.js?v=": false, "/assets/logo": false,
	} {
		plain := h.send(http.MethodGet, target, "").wantOK()
		packed := h.send(http.MethodGet, target, "", "Accept-Encoding", "br, gzip").wantOK()
		if kept := strings.Contains(plain.header.Get("Cache-Control"), "immutable"); kept != good || !strings.HasPrefix(plain.header.Get("Cache-Control"), "public, max-age=") {
			t.Errorf("%s: Cache-Control: %s", target, plain.header.Get("Cache-Control"))
		}
		body, shorter := packed.body, target != "/assets/logo"
		if shorter {
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			unpacked, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			body = string(unpacked)
		}
		if body != plain.body || body == "" {
			t.Errorf("%s: %d bytes, unpacked %d", target, len(plain.body), len(body))
		}
		encoding, vary := packed.header.Get("Content-Encoding"), plain.header.Get("Vary")
		if (encoding == "gzip") != shorter || (vary == "Accept-Encoding") != shorter || plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: Content-Encoding %q, Vary %q", target, encoding, vary)
		}
	}
	h.send(http.MethodGet, "/assets/nothing", "").wantPage(http.StatusNotFound)
}
