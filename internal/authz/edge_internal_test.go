package authz

import (
	"strings"
	"testing"
)

func TestTheLettersAreTwentySixTwice(t *testing.T) {
	n := 0
	for r := range rune(0x100) {
		if isLetter(r) != strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
			t.Errorf("%q", r)
		}
		if isLetter(r) {
			n++
		}
	}
	if n != 52 {
		t.Errorf("%d letters", n)
	}
}

// What is one character to a reader has sixteen bytes at most.
func TestB07_ACharacterHasSixteenBytesAtMost(t *testing.T) {
	sixteen := strings.Repeat("ᄀ", 4) + "\U0001e8d0" // with a mark of four bytes
	if got := CleanText(sixteen, 5); got != sixteen || len(got) != 16 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	hangul := strings.Repeat("ᄀ", 5) + "a" // jamo that lead, three bytes each, are one
	if got := CleanText(hangul, 5); got != hangul {
		t.Errorf("%d bytes: %q", len(hangul)-1, got)
	}
	if got := CleanText("é"+strings.Repeat("ᄀ", 6)+"a", 5); got != "éa" {
		t.Errorf("eighteen bytes: %q", got)
	}
}
