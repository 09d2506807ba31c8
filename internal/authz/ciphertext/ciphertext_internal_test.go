package ciphertext

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
)

// What a backup may look like, at the bounds of each look.
func TestWhatABackupLooksLikeAtItsBounds(t *testing.T) {
	base58 := "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23"
	for text, wif := range map[string]bool{
		"5" + base58[:48]: false, "5" + base58[:49]: true, "K" + base58[:52]: true, "c" + base58[:53]: false,
		"L" + base58[:51]: true, "9" + base58[:51]: true, "A" + base58[:51]: false, "5" + base58[:50] + "0": false, "5" + base58[:50] + "l": false,
	} {
		if looksLikeWIF([]byte(text)) != wif {
			t.Errorf("%q: a WIF is %v", text, !wif)
		}
	}
	for _, digit := range "0123456789abcdefABCDEF" {
		if !isHex([]byte(string(digit))) {
			t.Errorf("%q is no digit", digit)
		}
	}
	for text, hex := range map[string]bool{
		"0x1f": true, "0X1f": true, "1 f": true, "1:f": true, "1-f": true, "1\nf": true, "1\rf": true, "1\tf": true,
		"": false, " :-\n\r\t": false, "1/f": false, "1;f": false, "1@f": false, "1Gf": false, "1`f": false, "1gf": false, "1\x00f": false, "1.f": false,
	} {
		if isHex([]byte(text)) != hex {
			t.Errorf("%q: hex is %v", text, !hex)
		}
	}
	for text, words := range map[string]bool{
		"two words": false, "now three words": true, "a,b,c": true, "a\nb\nc": true, "a\rb\rc": true, "a\tb\tc": true, "a\u3000b\u3000c": true, "a.b.c": false,
		"a b c4": false, "a b c=": false, "a b \xff": false,
	} {
		if areWords([]byte(text)) != words {
			t.Errorf("%q: words are %v", text, !words)
		}
	}
	noise := strings.Repeat("\xff", 200)
	for text, is := range map[string]bool{
		strings.Repeat(" ~", 16) + noise: true, noise + strings.Repeat(" ~", 16): true, strings.Repeat(" ~", 15) + "a" + noise: false,
		strings.Repeat("abc\xff", 16): true, strings.Repeat("abc\xff", 15) + "ab\xff\xff": false, "été": true,
		strings.Repeat("a\x00c\xff", 16): true, strings.Repeat("a\tc\xff", 16): true, strings.Repeat("a\nc\xff", 16): true, strings.Repeat("a\rc\xff", 16): true,
		strings.Repeat("a\x01c\xff", 16): false, strings.Repeat("a\x1fc\xff", 16): false, strings.Repeat("a\x7fc\xff", 16): false,
	} {
		if isText([]byte(text)) != is {
			t.Errorf("%.20q: text is %v", text, !is)
		}
	}
	for text, encoded := range map[string]bool{"": false, "=": false, "aGVsbG8gd29ybGQ=": true, "aGVsbG8 gd29y\nbGQ": true, "aGVsbG8gd29ybGQ!": false, "__79-w": false} {
		if isEncodedText(text) != encoded {
			t.Errorf("%q: text in base64 is %v", text, !encoded)
		}
	}
	random := rand.NewChaCha8([32]byte{1})
	cipher := func(n int) string {
		raw := make([]byte, n)
		_, _ = random.Read(raw) // never fails
		return base64.StdEncoding.EncodeToString(raw)
	}
	whole := cipher(60)
	const xprv = "9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
	for text, want := range map[string]string{
		"": reasonMissing, "====": reasonNotBackup, "cGxhaW4gdGV4dC4": reasonEncoded, "cGxhaW4\ngdGV4dC4=": reasonEncoded, "cGxhaW4gdGV4dC4=": reasonEncoded, cipher(leastBackup): "", cipher(leastBackup - 1): reasonNotBackup,
		cipher(maxBackupText / 4 * 3): "", cipher(maxBackupText/4*3 + 1): reasonTooLarge,
		whole: "", whole[:40] + "\n" + whole[40:]: reasonNotBackup, whole[:40] + "\r" + whole[40:]: reasonNotBackup, "null": reasonNotBackup,
		`"` + whole + `"`: reasonJSON, `["`: reasonJSON, base64.StdEncoding.EncodeToString([]byte(" {} ")): reasonJSON,
		"xprv" + xprv: reasonXPrv, "tprv" + xprv: reasonXPrv, "xprv" + whole[:56] + "0+/0": "", base58[:56]: reasonNotBackup, "1 f": reasonHex, "x y z": reasonWords,
	} {
		if got := Refusal(text); got != want {
			t.Errorf("%.20q: %q, want %q", text, got, want)
		}
	}
}
