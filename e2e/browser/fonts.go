//go:build e2e

package browser

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The fonts of the pages are the suite's own, which npm brings: how wide a text is
// must not depend on what is installed on a machine. A browser that asks fontconfig,
// as on Linux, sees no others.
const (
	// Narrow is what every page is shown in: the narrowest that is common.
	Narrow = "PT Sans Narrow"
	// Wide is the widest that is common; it has the letters of Arabic, too.
	Wide = "DejaVu Sans"

	mono     = "DejaVu Sans Mono"
	japanese = "Kosugi"
)

// fontDirs are where npm puts them, seen from the root of the module.
var fontDirs = []string{
	"web/node_modules/@expo-google-fonts/pt-sans-narrow", "web/node_modules/@expo-google-fonts/kosugi", "web/node_modules/dejavu-fonts-ttf/ttf",
}

// writeFontConfig writes what fontconfig is to know into a directory, and returns the
// path of the file.
func writeFontConfig(dir string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	var config strings.Builder
	config.WriteString("<?xml version=\"1.0\"?>\n<fontconfig>\n")
	element := func(name, text string) {
		fmt.Fprintf(&config, "<%s>", name)
		_ = xml.EscapeText(&config, []byte(text)) // a builder takes everything
		fmt.Fprintf(&config, "</%s>\n", name)
	}
	element("cachedir", filepath.Join(dir, "fonts"))
	for _, fonts := range fontDirs {
		fonts = filepath.Join(root, fonts)
		if _, err := os.Stat(fonts); err != nil {
			return "", fmt.Errorf("there are no fonts: `make web` installs them: %w", err)
		}
		element("dir", fonts)
	}
	// What a style sheet asks for and the suite has not is shown as one of these, and so
	// is what asks for nothing, as Chromium does for system-ui.
	for _, alias := range [][]string{{"monospace", mono, japanese}, {"", Narrow, Wide, japanese}} {
		config.WriteString("<match>")
		if alias[0] != "" {
			config.WriteString(`<test name="family"><string>` + alias[0] + `</string></test>`)
		}
		config.WriteString(`<edit name="family" mode="append_last" binding="same">`)
		for _, family := range alias[1:] {
			element("string", family)
		}
		config.WriteString("</edit></match>\n")
	}
	config.WriteString("</fontconfig>\n")
	file := filepath.Join(dir, "fonts.conf")
	return file, os.WriteFile(file, []byte(config.String()), 0o600)
}

// Font shows the page at hand in a font, except what is in the one of code. It is
// that document's only.
func (p *Tab) Font(family string) {
	p.t.Helper()
	p.Eval(`document.adoptedStyleSheets = [new CSSStyleSheet()]`)
	p.Eval(`document.adoptedStyleSheets[0].replaceSync(` + quote(`body { font-family: "`+family+`", sans-serif !important; }`) + `)`)
}
