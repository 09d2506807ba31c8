package client

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

func TestSeparatorsAreWhatIsNoLetterAndNoDigitOfASCII(t *testing.T) {
	for r := range rune(0x100) {
		digit := r >= '0' && r <= '9'
		if isSeparator(r) != (r < 0x80 && !isLetter(r) && !digit) {
			t.Errorf("%q", r)
		}
	}
	for id, poses := range map[string]bool{"c0untersign": true, "countersi9n": true, "my countersign": true, "my_admin": true, "my:countersign": true, "my-adm1n.tool": true, "0admin": false, "admin9": false, "countersigner": true, "countersig": false} {
		if posesAsServer(id) != poses {
			t.Errorf("%s", id)
		}
	}
}
