package authz_test

import (
	"crypto/rand"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"pgregory.net/rapid"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/usercode"
)

func TestB07_TextsOfStrangersAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"Kitchen TV":                "Kitchen TV",
		"  two \t\n lines ":         "two lines",
		"\u202eevil\u202c":          "evil",
		"zero\u200bwidth\u2060":     "zerowidth",
		"\x1b[31mred":               "[31mred",
		"ﬁne":                       "fine",
		"bad\xffutf8":               "badutf8",
		"Z\u0335\u0322\u0321\u0320": "Z\u0335\u0322",
		strings.Repeat("é", 100):    strings.Repeat("é", 60),
		"\u2028\u2029":              "",
	} {
		if got := authz.CleanText(in, 60); got != want {
			t.Errorf("CleanText(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("Kitchen TV")
	f.Add("\u202eevil\u202c\x1b[31m")
	f.Fuzz(func(t *testing.T, in string) {
		out := authz.CleanText(in, 60)
		if !utf8.ValidString(out) || uniseg.GraphemeClusterCount(out) > 60 {
			t.Errorf("%q became %q", in, out)
		}
		if strings.ContainsFunc(out, func(r rune) bool { return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%q keeps a control character: %q", in, out)
		}
	})
}

func TestD39_UserCodesAreReadAsPeopleTypeThem(t *testing.T) {
	for _, typed := range []string{
		"BCDF-GHJK", "bcdf-ghjk", "BCDFGHJK", " bcdf ghjk ", "ＢＣＤＦ－ＧＨＪＫ", "bcdf—ghjk", "b c d f g h j k", "BCDF\u2011GHJK",
		"http://localhost:8628/device?code=BCDF-GHJK", "https://id.example.org/device?user_code=bcdfghjk",
		"id.example.org/device?lang=de&code=bcdf-ghjk#top", "https://x.example/?code=BCDF%2DGHJK&user_code=BCDF-GHJK", "<https://x.example/?code=BCDF-GHJK>.",
		"BCDF-GHJK.", `"BCDF-GHJK"`, "\u201eBCDF-GHJK\u201c", "\u00abbcdf ghjk\u00bb!", "`BCDF-GHJK`", "(BCDF\u2013GHJK)", "bcdf\u2212ghjk", "bcdf\u30fcghjk",
		"BCDF\u00adGHJK", "\u300cＢＣＤＦ\u3000ＧＨＪＫ\u300d\u3002", "BCDF\u2014\u2014GHJK?", "BCDF:GHJK", "*BCDF-GHJK*", "bcdf_ghjk", "\ufeffBCDF-GHJK\r\n",
	} {
		if got, ok := usercode.Parse(typed); !ok || got != "BCDF-GHJK" {
			t.Errorf("%q was read as %q, %v", typed, got, ok)
		}
	}
	for _, typed := range []string{
		"", "BCDF-GHJ", "BCDF-GHJKLMN", "ABCD-1234", "BCDF/GHJK", strings.Repeat("B", 1000), "http://x/?code=", "http://x.example/BCDFGHJK",
		"http://x/?code=BCDF-GHJK&user_code=LMNP-QRST", "BCDF+GHJK", "BCDF=GHJK", "\u0411CDF-GHJK", // a Cyrillic letter is another letter
	} {
		if got, ok := usercode.Parse(typed); ok {
			t.Errorf("%q was read as %q", typed, got)
		}
	}
}

func TestB02_LongerCodesAreShownInTwoGroups(t *testing.T) {
	for typed, want := range map[string]string{
		"bcdfghjk": "BCDF-GHJK", "bcdfghjkl": "BCDF-GHJKL", "BCDF-GHJKL": "BCDF-GHJKL", "bcdfghjklm": "BCDFG-HJKLM", "BCDFG HJKLM": "BCDFG-HJKLM",
	} {
		if got, ok := usercode.Parse(typed); !ok || got != want {
			t.Errorf("%q was read as %q, %v", typed, got, ok)
		}
	}
}

// TestD39_NothingThatPeopleAddChangesACode writes codes in every way at once.
func TestD39_NothingThatPeopleAddChangesACode(t *testing.T) {
	const alphabet = "BCDFGHJKLMNPQRSTVWXZ"
	between := rapid.SampledFrom([]string{
		"", "", " ", "-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\ufe58", "\ufe63", "\uff0d", "\u30fc", "\uff70", "\u058a", "\u05be",
		"\u3000", "\u00a0", "\u200b", "\u2060", "_", ".", "\t",
	})
	around := rapid.SampledFrom([][2]string{
		{"", ""},
		{`"`, `".`},
		{"\u201c", "\u201d"},
		{"\u00ab", "\u00bb"},
		{"'", "'"},
		{"(", ")"},
		{"", "."},
		{"", "\u3002"},
		{"`", "`"},
		{"https://other.example/device?code=", ""},
		{"http://localhost:8628/device?a=b&user_code=", "#x"},
		{"id.example/device?code=", "&lang=ar"},
	})
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.SampledFrom([]rune(alphabet)), 8, 10, -1).Draw(t, "letters")
		wrap := around.Draw(t, "around")
		var b strings.Builder
		for _, l := range letters {
			switch rapid.IntRange(0, 2).Draw(t, "shape") {
			case 1:
				l = unicode.ToLower(l)
			case 2:
				l += 'Ａ' - 'A'
			}
			b.WriteRune(l)
			b.WriteString(between.Draw(t, "between"))
		}
		typed := wrap[0] + b.String() + wrap[1]
		if strings.Contains(wrap[0], "?") {
			typed = wrap[0] + url.QueryEscape(b.String()) + wrap[1]
		}
		got, ok := usercode.Parse(typed)
		if !ok || strings.ReplaceAll(got, "-", "") != letters {
			t.Errorf("%q was read as %q, %v", typed, got, ok)
		}
	})
}

func FuzzParseUserCode(f *testing.F) {
	f.Add("bcdf-ghjk")
	f.Add("\u00abBCDFG\u2212HJKLM\u00bb.")
	f.Add("x?code=BCDF-GHJKL&user_code=BCDF-GHJKL#")
	f.Add("http://localhost/device?code=BCDF-GHJK")
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := usercode.Parse(typed)
		if !ok {
			return
		}
		if again, ok := usercode.Parse(code); !ok || again != code {
			t.Errorf("%q was read as %q, which reads as %q", typed, code, again)
		}
		if !shownCode.MatchString(code) {
			t.Errorf("%q was read as %q", typed, code)
		}
	})
}

// shownCode is how user codes are shown.
var shownCode = regexp.MustCompile(`^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4,5}$|^[B-DF-HJ-NP-TV-XZ]{5}-[B-DF-HJ-NP-TV-XZ]{5}$`)

func TestSecretsPrintAsRedacted(t *testing.T) {
	secret := authz.Secret("csr_" + rand.Text())
	text, err := secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{secret.String(), secret.GoString(), secret.LogValue().String(), string(text)} {
		if shown != "[redacted]" {
			t.Errorf("shown as %q", shown)
		}
	}
}

// What stands behind very much that is not shown is not looked at.
func TestB07_NoMoreIsReadThanMayBeShown(t *testing.T) {
	for n, want := range map[int]string{5*64/3 - 1: "x", 5*64/3 + 1: ""} {
		if got := authz.CleanText(strings.Repeat("\u200b", n)+"x", 5); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestB07_WhatIsNoCharacterOfALineIsGone(t *testing.T) {
	for text, want := range map[string]string{
		"a\tb\nc\u00a0d\u2028e": "a b c d e", "a\ufe0fb\U000e0100": "ab", "a  b": "a b", " a": "a", "a ": "a", "": "", "a\x00b\x7f\u202e": "ab", "a\ue000b\u200d": "ab",
		"e\u0301\u0301\u0301": "\u00e9\u0301\u0301", "abcdef": "abcde", "\u00fcbcdef": "\u00fcbcde",
	} {
		limit := max(5, len(strings.Fields(want))*2-1)
		if got := authz.CleanText(text, limit); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
