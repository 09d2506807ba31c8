package server_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
)

const scriptTable = "script."

// forms are a message's texts by CLDR plural form; one that does not count has
// only "other".
type forms map[string]string

func formsOf(m *i18n.Message) forms {
	all := forms{"zero": m.Zero, "one": m.One, "two": m.Two, "few": m.Few, "many": m.Many, "other": m.Other}
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

// messages is every file of the catalogue: language, id, forms.
func messages(t testing.TB) map[string]map[string]forms {
	t.Helper()
	all, err := readMessages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readMessages reads the files as go-i18n does. It keeps some keys for itself:
// id, description, hash, leftdelim, rightdelim, translation and the plural forms
// name no message; beside others in one table they are an error.
var readMessages = sync.OnceValues(func() (map[string]map[string]forms, error) {
	files, err := filepath.Glob("page/messages/*.toml")
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]forms{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := i18n.ParseMessageFileBytes(content, name, map[string]i18n.UnmarshalFunc{"toml": toml.Unmarshal})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		ids := map[string]forms{}
		for _, m := range file.Messages {
			ids[m.ID] = formsOf(m)
		}
		all[file.Tag.String()] = ids
	}
	return all, nil
})

// pluralForms asks the library which forms a language uses for whole numbers,
// and for how many of those tried.
func pluralForms(t *testing.T, tag string) map[string]int {
	t.Helper()
	bundle := i18n.NewBundle(language.Make(tag))
	every := &i18n.Message{ID: "n", Zero: "zero", One: "one", Two: "two", Few: "few", Many: "many", Other: "other"}
	if err := bundle.AddMessages(language.Make(tag), every); err != nil {
		t.Fatal(err)
	}
	localizer := i18n.NewLocalizer(bundle, tag)
	used := map[string]int{}
	try := func(n int) {
		form, err := localizer.Localize(&i18n.LocalizeConfig{MessageID: "n", PluralCount: n})
		if err != nil {
			t.Fatal(err)
		}
		used[form]++
	}
	for n := range 1000 {
		try(n)
		try((n + 1) * 1_000_000) // Spanish has a form for whole millions
	}
	return used
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var (
	placeholder       = regexp.MustCompile(`\{\{\.[a-z]+\}\}`)
	scriptPlaceholder = regexp.MustCompile(`\{[a-z]+\}`)
)

// placeholders are the names that are put into a text, each once; all braces of
// the text belong to them.
func placeholders(t *testing.T, where, text string) []string {
	t.Helper()
	pattern := placeholder
	if strings.Contains(where, scriptTable) {
		pattern = scriptPlaceholder
	}
	if strings.ContainsAny(pattern.ReplaceAllString(text, ""), "{}") {
		t.Errorf("%s: %q has a brace that belongs to no name", where, text)
	}
	return slices.Compact(slices.Sorted(slices.Values(pattern.FindAllString(text, -1))))
}

func TestEveryLanguageSaysTheSame(t *testing.T) {
	all := messages(t)
	english := all["en"]
	for tag, ids := range all {
		used := pluralForms(t, tag)
		for id := range ids {
			if english[id] == nil {
				t.Errorf("%s: %s is not in English", tag, id)
			}
		}
		for id, source := range english {
			where := tag + " " + id
			if ids[id] == nil {
				t.Errorf("%s is missing", where)
				continue
			}
			want := []string{"other"}
			if len(source) > 1 {
				want = sorted(used)
			}
			if got := sorted(ids[id]); !slices.Equal(got, want) {
				t.Errorf("%s has the forms %v, want %v", where, got, want)
			}
			for form, text := range ids[id] {
				want := placeholders(t, where, source["other"])
				got := placeholders(t, where, text)
				if used[form] == 1 && len(source) > 1 { // a form for one number may say it in a word
					notN := func(name string) bool { return name == "{{.n}}" }
					want, got = slices.DeleteFunc(want, notN), slices.DeleteFunc(got, notN)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s (%s) puts in %v, want %v", where, form, got, want)
				}
				if strings.TrimSpace(text) != text || text == "" {
					t.Errorf("%s (%s) is empty or has spaces around it: %q", where, form, text)
				}
			}
		}
		if got := ids[scriptTable+"language"]["other"]; got != tag {
			t.Errorf("%s: script.language is %q", tag, got)
		}
	}
}
