package ciphertext

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

const (
	// maxBackupText bounds a backup in characters; a master with a hundred
	// identities needs 40 KiB.
	maxBackupText = 48 << 10
	// leastBackup is the salt, nonce and tag of a .bep file and one byte.
	leastBackup = 45
)

// What is wrong with a text that is not an encrypted backup: a key in the clear
// is named, so that its owner knows what almost happened.
const (
	reasonMissing   = "encryptedBackup is missing: send the text of a .bep file"
	reasonTooLarge  = "the backup is larger than 48 KiB: export its identities one by one"
	reasonJSON      = "this is a backup in the clear, as JSON: encrypt it with a password first; nothing was kept"
	reasonWIF       = "this is a private key in the clear (WIF): encrypt it with a password first; nothing was kept"
	reasonHex       = "this is a key or a seed in the clear, in hex: encrypt it with a password first; nothing was kept"
	reasonXPrv      = "this is an extended private key in the clear (xprv): encrypt it with a password first; nothing was kept"
	reasonWords     = "these are words, perhaps a recovery phrase, in the clear: encrypt the backup with a password first; nothing was kept"
	reasonEncoded   = "this is text in base64, which hides nothing: encrypt the backup with a password first; nothing was kept"
	reasonMember    = "this is an identity's export, encrypted to a key and not with a password: make a .bep of it; nothing was kept"
	reasonNotBackup = "this is not an encrypted backup: send the text of a .bep file, one line of base64"
)

// Refusal says why a text is not an encrypted backup, or nothing for what
// looks like one: base64 of at least 45 bytes that are no text. More cannot be
// seen without the password.
func Refusal(text string) string {
	if text == "" {
		return reasonMissing
	}
	if len(text) > maxBackupText {
		return reasonTooLarge
	}
	if reason := inTheClear([]byte(text)); reason != "" {
		return reason
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		if isEncodedText(text) {
			return reasonEncoded
		}
		return reasonNotBackup
	}
	switch {
	case json.Valid(bytes.TrimSpace(raw)):
		return reasonJSON
	case isText(raw): // so is every key that is written out
		return reasonEncoded
	case bytes.HasPrefix(raw, []byte("BIE1")):
		return reasonMember
	case len(raw) < leastBackup:
		return reasonNotBackup
	default:
		return ""
	}
}

// inTheClear says what kind of plaintext a text is that has a beginning, or nothing.
func inTheClear(text []byte) string {
	switch {
	case isHex(text):
		return reasonHex
	case bytes.ContainsAny(text[:1], "{[\""):
		return reasonJSON
	case looksLikeWIF(text):
		return reasonWIF
	case (bytes.HasPrefix(text, []byte("xprv")) || bytes.HasPrefix(text, []byte("tprv"))) && isBase58(text):
		return reasonXPrv
	case areWords(text):
		return reasonWords
	default:
		return ""
	}
}

// textRun is how many printable characters in a row are no accident: every key
// that is written as text is as long, and 36 KiB of ciphertext hold such a run
// less than once in a billion backups.
const textRun = 32

// isText reports whether bytes are text in UTF-8, for the most part text in
// another encoding, or hold a run of it. Of 45 bytes that are encrypted well,
// three quarters are printable once in millions of backups, and of a real
// backup's never.
func isText(raw []byte) bool {
	n, run := 0, 0
	for _, c := range raw {
		printable := c >= ' ' && c <= '~'
		if printable || c == 0 || c == '\t' || c == '\n' || c == '\r' {
			n++
		}
		if !printable {
			run = 0
		} else if run++; run >= textRun {
			return true
		}
	}
	return utf8.Valid(raw) || 4*n >= 3*len(raw)
}

// isEncodedText reports whether a text is base64 of text, whichever alphabet and
// padding it is in, and whatever whitespace is between.
func isEncodedText(text string) bool {
	text = strings.Join(strings.Fields(strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(text)), "")
	raw, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil && len(raw) > 0 && isText(raw)
}

// looksLikeWIF recognises a WIF of any network, and one with a typing mistake.
func looksLikeWIF(text []byte) bool {
	return len(text) >= 50 && len(text) <= 53 && bytes.ContainsAny(text[:1], "5KL9c") && isBase58(text)
}

func isBase58(text []byte) bool {
	return len(bytes.Trim(text, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")) == 0
}

// isHex takes digits with any of the separators that people put between them.
func isHex(text []byte) bool {
	digits := bytes.TrimPrefix(bytes.TrimPrefix(text, []byte("0x")), []byte("0X"))
	n := 0
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			n++
		case c == ' ', c == ':', c == '-', c == '\n', c == '\r', c == '\t':
		default:
			return false
		}
	}
	return n > 0
}

// areWords reports whether a text is several words of letters, of any alphabet.
func areWords(text []byte) bool {
	words := bytes.FieldsFunc(text, func(r rune) bool {
		return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' || r == '\u3000'
	})
	if len(words) < 3 {
		return false
	}
	for _, word := range words {
		if !utf8.Valid(word) || bytes.ContainsAny(word, "0123456789+/=-") {
			return false
		}
	}
	return true
}
