package authz

import (
	"bytes"
	"context"
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

// SaveBackup keeps an encrypted backup of one of the owner's identities, by default the
// one that acts, byte for byte (attack B-29) in place of the one that was kept before.
//
// The request must be signed: what is given out later is not put in by a session
// alone.
//
//	VouchRequired: a session asks
//	InvalidRequest: it is not an encrypted backup, or too large
//	NotFound: the account has no such identity
func (s *accounts) SaveBackup(ctx context.Context, owner Owner, bapID, text string) (Backup, error) {
	if !owner.Signed() {
		return Backup{}, errOnlySigned
	}
	text = strings.TrimSpace(text)
	if reason := notCiphertext(text); reason != "" {
		return Backup{}, refuse(InvalidRequest, reason)
	}
	identity, err := s.Identity(ctx, owner, ownIfEmpty(owner, bapID))
	if err != nil {
		return Backup{}, err
	}
	b := Backup{AccountID: owner.AccountID, BAPID: identity.BAPID, Text: text, Size: len(text), UpdatedAt: s.now(), Network: owner.Seen.clean().Network}
	event, err := s.newWayEvent(ctx, owner, EventBackupSaved, "")
	if err != nil {
		return Backup{}, err
	}
	event.BAPID = b.BAPID
	if err := s.store.SaveBackup(ctx, b, owner.BAPID, event); err != nil {
		return Backup{}, notFound(err, "this account has no such identity")
	}
	s.log.InfoContext(ctx, "backup saved", by(owner), "of", b.BAPID, "bytes", b.Size)
	return b, nil
}

// fetchesRemembered bounds how many lines of fetched backups are kept from being repeated.
const fetchesRemembered = 4096

// Backup returns the backup of one of the owner's identities, by default of the
// one that acts.
//
//	NotFound: none is kept, or the identity is somebody else's
func (s *accounts) Backup(ctx context.Context, owner Owner, bapID string) (Backup, error) {
	b, err := s.store.Backup(ctx, owner.AccountID, ownIfEmpty(owner, bapID))
	if err != nil {
		return Backup{}, notFound(err, noSuchBackup)
	}
	// To fetch it costs nothing, so a line is kept from being repeated as often.
	fetched, now := owner.AccountID+" "+b.BAPID+" "+owner.Seen.Network, s.now()
	if said, ok := s.fetched.Get(fetched); !ok || now.Before(said) || !now.Before(said.Add(sparinglyEach)) {
		s.fetched.Add(fetched, now)
		s.log.InfoContext(ctx, "backup fetched", by(owner), "of", b.BAPID)
	}
	return b, nil
}

const noSuchBackup = "no backup of such an identity of yours is kept here"

// Backups lists the backups of the owner's account, without their texts.
func (s *accounts) Backups(ctx context.Context, owner Owner) ([]Backup, error) {
	return s.store.Backups(ctx, owner.AccountID, ListedAtMost)
}

// RemoveBackup deletes the backup of one of the owner's identities, by default of
// the one that acts. It may be the only one there is, and who lost the key gets nothing
// back: so it takes a key (decision 0041).
//
//	VouchRequired: a session asks
//	NotFound: none is kept, or the identity is somebody else's
func (s *accounts) RemoveBackup(ctx context.Context, owner Owner, bapID string) error {
	if !owner.Signed() {
		return errOnlySigned
	}
	event, err := s.newWayEvent(ctx, owner, EventBackupRemoved, "")
	if err != nil {
		return err
	}
	event.BAPID = ownIfEmpty(owner, bapID)
	if err := s.store.RemoveBackup(ctx, owner.AccountID, event.BAPID, owner.BAPID, event); err != nil {
		return notFound(err, noSuchBackup)
	}
	s.log.InfoContext(ctx, "backup removed", by(owner), "of", event.BAPID)
	return nil
}

func ownIfEmpty(owner Owner, bapID string) string {
	if bapID == "" {
		return owner.BAPID
	}
	return bapID
}

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

// notCiphertext says why a text is not an encrypted backup, or nothing for what
// looks like one: base64 of at least 45 bytes that are no text. More cannot be
// seen without the password.
func notCiphertext(text string) string {
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
