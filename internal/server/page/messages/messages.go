package messages

import (
	"embed"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"

	"countersign.dev/internal/authz"
)

//go:embed *.toml
var messageFiles embed.FS

// languages are those of the message catalogue, the first one when nothing fits.
// Every text of every page stands there, so that a translator needs no template.
var languages = []language.Tag{language.English, language.German, language.Spanish, language.Japanese, language.Arabic}

// selfNames are what the languages call themselves. x/text knows it too, at the cost
// of two megabytes of names of other languages.
var selfNames = map[language.Tag]string{
	language.English: "English", language.German: "Deutsch", language.Spanish: "Español", language.Japanese: "日本語", language.Arabic: "العربية",
}

// rightToLeft are the languages written from right to left.
var rightToLeft = map[language.Tag]bool{language.Arabic: true}

// longestLanguages is a list of languages that is still read, in bytes. Browsers
// send some dozens; ten thousand would cost more time than the page itself.
const longestLanguages = 1024

// Catalogue is every message in every language.
type Catalogue struct {
	matcher   language.Matcher
	localizer map[language.Tag]*i18n.Localizer
	// script are the messages that a script shows, by language.
	script map[language.Tag]map[string]string
}

// Embedded is the catalogue that is in the program.
var Embedded = sync.OnceValues(func() (*Catalogue, error) {
	bundle := i18n.NewBundle(languages[0])
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	c := &Catalogue{
		matcher:   language.NewMatcher(languages),
		localizer: map[language.Tag]*i18n.Localizer{}, script: map[language.Tag]map[string]string{},
	}
	for _, tag := range languages {
		file := tag.String() + ".toml"
		if _, err := bundle.LoadMessageFileFS(messageFiles, file); err != nil {
			return nil, fmt.Errorf("messages in %v: %w", tag, err)
		}
		text, err := messageFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var tables struct {
			Script map[string]string `toml:"script"`
		}
		if err := toml.Unmarshal(text, &tables); err != nil {
			return nil, err
		}
		c.localizer[tag], c.script[tag] = i18n.NewLocalizer(bundle, tag.String()), tables.Script
	}
	return c, nil
})

// Words are the messages of one language, for one page.
type Words struct {
	tag       language.Tag
	localizer *i18n.Localizer
	script    map[string]string
}

// Lang and Dir are the attributes of the html element.
func (w Words) Lang() string { return w.tag.String() }

// Dir is the direction of writing.
func (w Words) Dir() string {
	if rightToLeft[w.tag] {
		return "rtl"
	}
	return "ltr"
}

// Script are the messages that a script shows.
func (w Words) Script() map[string]string { return w.script }

// T is a message as HTML. Texts put into it, named in pairs, are escaped (attack B-08)
// and kept apart from the direction of what surrounds them (attack B-07).
func (w Words) T(id string, pairs ...any) (template.HTML, error) {
	text, err := w.message(id, nil, pairs, func(s string) string { return "<bdi>" + html.EscapeString(s) + "</bdi>" })
	return template.HTML(text), err //nolint:gosec // the message is the catalogue's, what is put into it is escaped
}

// A is a message as plain text, for attributes and titles.
func (w Words) A(id string, pairs ...any) (string, error) {
	return w.message(id, nil, pairs, func(s string) string { return s })
}

// N is a message that counts.
func (w Words) N(id string, n int, pairs ...any) (string, error) {
	return w.message(id, n, append(pairs, "n", n), func(s string) string { return s })
}

// Network is a coarse network in words, or as the numbers it is.
func (w Words) Network(network string) (template.HTML, error) {
	if network == authz.LoopbackNetwork {
		return w.T("network.here")
	}
	return template.HTML(`<code dir="ltr">` + html.EscapeString(network) + `</code>`), nil //nolint:gosec // escaped here
}

// message finds a message and puts texts into it.
func (w Words) message(id string, count any, pairs []any, put func(string) string) (string, error) {
	data := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case template.HTML:
			data[name] = string(v)
		case string:
			data[name] = put(v)
		default:
			data[name] = fmt.Sprint(v)
		}
	}
	return w.localizer.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: data, PluralCount: count})
}

// Words are those of the language that suits best what a person wants: lists of
// languages, the one that counts most first.
func (c *Catalogue) Words(wanted []string) Words {
	wanted = slices.DeleteFunc(wanted, func(list string) bool { return len(list) > longestLanguages })
	_, index := language.MatchStrings(c.matcher, wanted...)
	tag := languages[index]
	return Words{tag: tag, localizer: c.localizer[tag], script: c.script[tag]}
}

// Link leads to the page at hand in another language.
type Link struct {
	Tag     string
	Name    string // in the language itself
	Here    bool
	Address string
}

// Links are the languages a page can be read in, at the page's own address.
func Links(current Words, address string) []Link {
	links := make([]Link, len(languages))
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	for i, tag := range languages {
		links[i] = Link{
			Tag: tag.String(), Name: selfNames[tag], Here: tag == current.tag,
			Address: address + separator + "lang=" + tag.String(),
		}
	}
	return links
}
