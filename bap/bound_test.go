package bap_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	base58 "github.com/bsv-blockchain/go-sdk/compat/base58"
	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
)

var order = ec.S256().N.Bytes()

// orderAnd is the order of the curve and so many more.
func orderAnd(more int) []byte {
	b := bytes.Clone(order)
	b[31] = byte(int(b[31]) + more) // 0x41
	return b
}

func TestAKeyIsDrawnFromTheWholeRangeAndNoFurther(t *testing.T) {
	for name, draw := range map[string][]byte{"the least": {31: 1}, "the greatest": orderAnd(-1)} {
		outside := append(make([]byte, 32), append(orderAnd(0), orderAnd(1)...)...)
		key, err := bap.NewKey(bytes.NewReader(append(outside, draw...)))
		if err != nil || !bytes.Equal(key.Serialize(), draw) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("no randomness")
	if _, err := bap.NewKey(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a key: %v", err)
	}
	if _, err := bap.NewMaster(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a master: %v", err)
	}
	backup, err := bap.NewKeyBackup(private(t, strings.Repeat("01", 32)), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Encrypt(iotest.ErrReader(broken), "password", 1); !errors.Is(err, broken) {
		t.Errorf("a backup: %v", err)
	}
}

// wif writes bytes as a WIF, right or wrong.
func wif(payload ...byte) string {
	once := sha256.Sum256(payload)
	twice := sha256.Sum256(once[:])
	return base58.Encode(append(bytes.Clone(payload), twice[:4]...))
}

func TestAWIFIsOfTheMainNetworkAndInTheRange(t *testing.T) {
	key := private(t, strings.Repeat("01", 32))
	raw := key.Serialize()
	compressed := append(append([]byte{0x80}, raw...), 1)
	for _, good := range []string{key.Wif(), wif(compressed...), wif(compressed[:33]...)} {
		if got, err := bap.ParseWIF(good); err != nil || !bytes.Equal(got.Serialize(), raw) {
			t.Errorf("%d characters: %v", len(good), err)
		}
	}
	test, unknown := append([]byte{0xef}, compressed[1:]...), append([]byte{0x81}, compressed[1:]...)
	for want, text := range map[string]string{
		"hex": hex.EncodeToString(raw), "51 or 52": key.Wif()[:50], "52 characters": key.Wif() + "1", "51": hex.EncodeToString(raw[1:]), "characters": hex.EncodeToString(raw) + "z",
		"test network": wif(test...), "unknown network": wif(unknown...), "key": key.Wif()[:51] + "x", "written in base58": strings.Repeat("0", 51),
		"range": wif(append(append([]byte{0x80}, order...), 1)...),
	} {
		if _, err := bap.ParseWIF(text); !errors.Is(err, bap.ErrKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestAPublicKeyIsCompressedAndOnTheCurve(t *testing.T) {
	for seed, good := range map[string]bool{"01": true, "02": true, "03": true} {
		text := bap.FormatPublicKey(private(t, strings.Repeat(seed, 32)).PubKey())
		if _, err := bap.ParsePublicKey(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := bap.AddressOfHex(text); err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"04" + text[2:], "01" + text[2:], text[2:], text + "00", "zz" + text[2:], "02" + strings.Repeat("ff", 32), "02" + strings.Repeat("00", 31) + "05", ""} {
			word := "begin with 02 or 03"
			if len(bad) == 66 && strings.HasPrefix(bad, "02") {
				word = "curve"
			}
			if _, err := bap.ParsePublicKey(bad); !errors.Is(err, bap.ErrKey) || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		for _, bad := range []string{text[2:], text + "00", "zz" + text[2:], ""} {
			if _, err := bap.AddressOfHex(bad); !errors.Is(err, bap.ErrKey) {
				t.Errorf("the address of %s: %v", bad, err)
			}
		}
	}
}

const maxBackup = 1 << 20

func TestABackupIsAsLongAsItMayBe(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString
	for n, encrypted := range map[int]bool{44: false, 45: true, maxBackup / 4 * 3: true, maxBackup/4*3 + 1: false} {
		if bap.IsEncrypted(encoded(make([]byte, n))) != encrypted {
			t.Errorf("%d bytes", n)
		}
	}
	if bap.IsEncrypted(strings.Repeat("A", 63) + "!") {
		t.Error("what is no base64")
	}
	for _, text := range []string{"", "AAAA", "!", strings.Repeat("A", maxBackup+4)} {
		if _, err := bap.DecryptBackup(text, "password"); !errors.Is(err, bap.ErrNotABackup) {
			t.Errorf("%d characters: %v", len(text), err)
		}
	}
	head, tail := `{"wif":"`+private(t, strings.Repeat("01", 32)).Wif()+`","label":"`, `"}`
	longest := head + strings.Repeat("x", maxBackup-len(head)-len(tail)) + tail
	if _, err := bap.ParseBackup([]byte(longest)); err != nil {
		t.Error(err)
	}
	if _, err := bap.ParseBackup([]byte(longest + " ")); !errors.Is(err, bap.ErrNotABackup) {
		t.Errorf("one more: %v", err)
	}
}

func TestABackupSaysWhatItIs(t *testing.T) {
	key := private(t, strings.Repeat("01", 32)).Wif()
	for text, want := range map[string]struct {
		kind bap.Kind
		name string
	}{
		key + "\n":                                                   {bap.KindKey, ""},
		`{"wif":"` + key + `"}`:                                      {bap.KindKey, ""},
		`{"wif":"` + key + `","label":"a"}`:                          {bap.KindKey, "a"},
		`{"wif":"` + key + `","label":"a","name":"b"}`:               {bap.KindKey, "b"},
		`{"wif":"` + key + `","id":"unreadable","label":"a"}`:        {bap.KindMember, "a"},
		`{"derivedPrivateKey":"` + key + `","name":"b","label":"a"}`: {bap.KindMember, "b"},
		`{"rootPk":"` + key + `"}`:                                   {bap.KindMaster, ""},
	} {
		b, err := bap.ParseBackup([]byte(text))
		if err != nil || b.Kind != want.kind || len(b.Identities) != 1 || b.Identities[0].Name != want.name || (b.Master != nil) != (want.kind == bap.KindMaster) {
			t.Errorf("%s: %v", want.kind, err)
		}
		if err == nil && !b.CreatedAt.IsZero() && strings.HasPrefix(text, "{") {
			t.Errorf("made at %v", b.CreatedAt)
		}
	}
	for text, word := range map[string]string{
		"{": "the JSON cannot be read", "{}": "no key in it", "x": "neither JSON nor a WIF", `{"wif":"x"}`: "51 or 52", `{"wif":"x","id":"y"}`: "51 or 52",
		`{"derivedPrivateKey":"x"}`: "51 or 52", `{"rootPk":"x"}`: "51 or 52", `{"rootPk":"` + key + `","ids":"!"}`: "not base64",
		`{"rootPk":"` + key + `","ids":"AAAA"}`: "too short", `{"xprv":"x"}`: "xprv", `{"id":"x"}`: "no key in it",
	} {
		if _, err := bap.ParseBackup([]byte(text)); !errors.Is(err, bap.ErrNotABackup) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A member's name is in what is encrypted; the label outside is anybody's.
func TestAMembersNameIsTheOneItEncrypted(t *testing.T) {
	identity, err := bap.NewIdentity("Alice", private(t, strings.Repeat("01", 32)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := bap.NewMemberBackup(identity, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	relabelled := strings.Replace(string(b.Payload()), `"label":"Alice"`, `"label":"Mallory"`, 1)
	if b, err = bap.ParseBackup([]byte(relabelled)); err != nil || b.Identities[0].Name != "Alice" || b.Label != "Mallory" {
		t.Errorf("%v", err)
	}
}

// listed is a master's backup with a list of identities.
func listed(t *testing.T, list string) error {
	t.Helper()
	root := private(t, strings.Repeat("01", 32))
	own, err := bap.Child(root, "m/424150'/2147483647'/2147483647'")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := bap.ElectrumEncrypt([]byte(list), own, own.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"rootPk": root.Wif(), "ids": base64.StdEncoding.EncodeToString(ids)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bap.ParseBackup(text)
	return err
}

func TestAMastersListNamesWhatItsPathsGive(t *testing.T) {
	master, err := bap.MasterFromWIF(private(t, strings.Repeat("01", 32)).Wif())
	if err != nil {
		t.Fatal(err)
	}
	first, err := master.Identity(0, "")
	if err != nil {
		t.Fatal(err)
	}
	entry := func(members string) string { return `{"ids":[{"rootPath":"bap:0"` + members + `}]}` }
	for _, good := range []string{entry(""), entry(`,"bapId":"` + first.BAPID() + `"`), entry(`,"identityKey":"` + first.BAPID() + `"`), `{"ids":[]}`} {
		if err := listed(t, good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	many := func(n int) string {
		return `{"ids":[` + strings.TrimSuffix(strings.Repeat(`{"rootPath":"bap:0"},`, n), ",") + `]}`
	}
	for _, bad := range []string{entry(`,"bapId":"another"`), entry(`,"identityKey":"another"`), "no JSON", many(1001)} {
		if err := listed(t, bad); !errors.Is(err, bap.ErrNotABackup) {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
	if err := listed(t, many(1000)); err != nil {
		t.Error(err)
	}
}

func TestACiphertextIsAsLongAsItMustBe(t *testing.T) {
	key := private(t, strings.Repeat("01", 32))
	electrum, err := bap.ElectrumEncrypt([]byte("x"), key, key.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	message, err := bap.EncryptTo(nil, key, key.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := bap.ElectrumDecrypt(electrum, key); err != nil || string(text) != "x" || len(electrum) != 85 {
		t.Errorf("%q, %v: %d bytes", text, err, len(electrum))
	}
	if text, err := bap.Decrypt(message, key); err != nil || len(text) != 0 {
		t.Errorf("%q, %v: %d bytes", text, err, len(message))
	}
	for n := range len(electrum) {
		_, err := bap.ElectrumDecrypt(electrum[:n], key)
		if !errors.Is(err, bap.ErrDecrypt) || strings.Contains(err.Error(), "too short") != (n < len(electrum)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for n := range len(message) {
		_, err := bap.Decrypt(message[:n], key)
		if !errors.Is(err, bap.ErrDecrypt) || strings.Contains(err.Error(), "too short") != (n < len(message)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := bap.ElectrumDecrypt(append(electrum, 0), key); !errors.Is(err, bap.ErrDecrypt) || !strings.Contains(err.Error(), "whole blocks") {
		t.Error(err)
	}
}

// sealed is a .bep file that holds whatever text.
func sealed(t *testing.T, plaintext, password string) string {
	t.Helper()
	head := make([]byte, 28) // salt and IV
	key, err := pbkdf2.Key(sha256.New, password, head[:16], bap.Iterations, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(head, head[16:], []byte(plaintext), nil))
}

func TestAFileThatOpensAndHoldsNoBackupIsNone(t *testing.T) {
	for _, plaintext := range []string{"{}", `{"wif":"x"}`} {
		if b, err := bap.DecryptBackup(sealed(t, plaintext, "password"), "password"); !errors.Is(err, bap.ErrNotABackup) || b != nil {
			t.Errorf("%s: %v, %v", plaintext, b, err)
		}
	}
}
