package authz_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"countersign.dev/internal/authz"
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
	} {
		if got, ok := authz.ParseUserCode(typed); !ok || got != "BCDF-GHJK" {
			t.Errorf("%q was read as %q, %v", typed, got, ok)
		}
	}
	for _, typed := range []string{"", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-1234", "BCDF/GHJK", strings.Repeat("B", 1000), "http://x/?code="} {
		if got, ok := authz.ParseUserCode(typed); ok {
			t.Errorf("%q was read as %q", typed, got)
		}
	}
}

func FuzzParseUserCode(f *testing.F) {
	f.Add("bcdf-ghjk")
	f.Add("http://localhost/device?code=BCDF-GHJK")
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := authz.ParseUserCode(typed)
		if !ok {
			return
		}
		if again, ok := authz.ParseUserCode(code); !ok || again != code {
			t.Errorf("%q was read as %q, which reads as %q", typed, code, again)
		}
	})
}

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
