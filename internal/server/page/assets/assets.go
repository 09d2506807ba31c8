package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"countersign.dev/internal/authz"
)

// The scripts are built from web/ and committed, so that `go build` needs no
// Node; `make web-check` holds them to their sources.
//
//go:embed *.css *.js
var assetFiles embed.FS

// The names of what every page loads, and of the operator's logo.
const (
	StyleSheet = "style.css"
	Script     = "page.js"
	logo       = "logo"
)

// Asset is a file as it is served.
type Asset struct {
	mediaType string
	content   []byte
	// packed is the content under gzip, nil where that saves nothing.
	packed  []byte
	version string
	// Parts are the addresses of what a script imports at once: a page names them,
	// so that the browser need not read the script to ask for them.
	Parts []string
}

// Assets are the files of a server, by name.
type Assets map[string]Asset

var mediaTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// embeddedAssets are the files that are served as they are in the program: packing them
// takes longer than all else that a server does before it serves.
var embeddedAssets = sync.OnceValues(func() (Assets, error) {
	all := Assets{}
	packer, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	files, err := fs.ReadDir(assetFiles, ".")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Name() == StyleSheet {
			continue
		}
		content, err := fs.ReadFile(assetFiles, f.Name())
		if err != nil {
			return nil, err
		}
		if all[f.Name()], err = newAsset(packer, mediaTypes[path.Ext(f.Name())], content); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// New returns the embedded files and what the operator adds. The accent is a part
// of the style sheet: pages hold no style of their own, which their policy forbids.
func New(brand Brand) (Assets, error) {
	files, err := embeddedAssets()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(files)
	packer, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	style, err := fs.ReadFile(assetFiles, StyleSheet)
	if err != nil {
		return nil, err
	}
	if all[StyleSheet], err = newAsset(packer, mediaTypes[".css"], append(style, brand.style()...)); err != nil {
		return nil, err
	}
	if len(brand.Logo) > 0 {
		all[logo], err = newAsset(packer, brand.LogoType, brand.Logo)
	}
	return all, err
}

// newAsset packs a file. The packer takes a megabyte to make, so it is not made for each.
func newAsset(packer *gzip.Writer, mediaType string, content []byte) (Asset, error) {
	var b bytes.Buffer
	packer.Reset(&b)
	if _, err := packer.Write(content); err != nil {
		return Asset{}, err
	}
	if err := packer.Close(); err != nil {
		return Asset{}, err
	}
	sum := sha256.Sum256(content)
	a := Asset{mediaType: mediaType, content: content, version: hex.EncodeToString(sum[:6])}
	if b.Len() < len(content) {
		a.packed = b.Bytes()
	}
	for _, found := range importOf.FindAllSubmatch(content, -1) {
		a.Parts = append(a.Parts, "/assets/"+string(found[1]))
	}
	return a, nil
}

// importOf finds what a script imports at once, as esbuild writes it.
var importOf = regexp.MustCompile(`(?:from|import)"\./(chunk-[A-Z0-9]+\.js)"`)

// Address is where a page finds an asset: it changes with the content, so that
// browsers may keep what they have.
func (a Assets) Address(name string) string { return "/assets/" + name + "?v=" + a[name].version }

// Serve answers with the file that a path names.
func (a Assets) Serve(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	found, ok := a[name]
	if !ok {
		return &authz.Error{Code: authz.NotFound, Description: "there is no such page: check the address"}
	}
	h := w.Header()
	h.Set("Content-Type", found.mediaType)
	h.Set("Cache-Control", "public, max-age=3600")
	// A part of the script has its content's hash in its name.
	if r.URL.Query().Get("v") == found.version || strings.HasPrefix(name, "chunk-") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	content := found.content
	if found.packed != nil {
		h.Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			content = found.packed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // a reader that has gone is told nothing
	return nil
}
