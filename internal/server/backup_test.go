package server_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"countersign.dev/bap"
)

const backupPath = "/api/backup"

// bep is an encrypted backup of a person's key.
func bep(t testing.TB, name string) string {
	t.Helper()
	backup, err := bap.NewKeyBackup(person(name), "label", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	text, err := backup.Encrypt(strings.NewReader(strings.Repeat(name+"\x00\xff\x07", 100)), "correct horse", bap.LegacyIterations)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// saveBackup keeps a backup of the identity that signs.
func (h *house) saveBackup(signer, text string) reply {
	h.t.Helper()
	body, err := json.Marshal(map[string]string{"aud": testIssuer, "encryptedBackup": text})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.signed(signer, http.MethodPost, backupPath, string(body))
}

func TestAnIdentitysEncryptedBackupIsKept(t *testing.T) {
	h := newHouse(t)
	cookie, text := h.signIn("alice"), bep(t, "alice")
	target := backupPath + "?bapId=" + bapIDOf(t, "alice")
	h.send(http.MethodGet, target, "", "Cookie", cookie).wantError(http.StatusNotFound, "not_found")
	h.postJSON(backupPath, map[string]any{"encryptedBackup": text}).wantError(http.StatusUnauthorized, "unauthorized")
	byCookie := h.postJSON(backupPath, map[string]any{"aud": testIssuer, "encryptedBackup": text}, "Cookie", cookie)
	if byCookie.wantError(http.StatusForbidden, "access_denied"); byCookie.text("code") != "VOUCH_REQUIRED" {
		t.Errorf("%s", byCookie.body)
	}
	h.signed("alice", http.MethodPost, backupPath, `{"encryptedBackup":"`+text+`","aud":"https://other.example"}`).wantError(http.StatusBadRequest, "invalid_request") // N-07
	h.send(http.MethodGet, target, "", "Cookie", cookie).wantError(http.StatusNotFound, "not_found")
	h.saveBackup("alice", bep(t, "older")).wantOK()
	if r := h.saveBackup("alice", "\n"+text+" ").wantOK(); r.text("bapId") != bapIDOf(t, "alice") || strings.Contains(r.body, text) {
		t.Errorf("%s", r.body)
	}
	r := h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK()
	if r.text("encryptedBackup") != text || r.text("bapId") != bapIDOf(t, "alice") || r.text("updatedAt") == "" {
		t.Errorf("%s", r.body)
	}
	if b, err := bap.DecryptBackup(r.text("encryptedBackup"), "correct horse"); err != nil || b.Kind != bap.KindKey {
		t.Error(err)
	}
	if r := h.send(http.MethodGet, "/api/backups", "", "Cookie", cookie).wantOK(); !strings.Contains(r.body, bapIDOf(t, "alice")) || strings.Contains(r.body, text) {
		t.Errorf("%s", r.body)
	}

	mallory := h.signIn("mallory")
	h.send(http.MethodGet, target, "", "Cookie", mallory).wantError(http.StatusNotFound, "not_found")
	theirs := `{"aud":"` + testIssuer + `","encryptedBackup":"` + text + `","bapId":"` + bapIDOf(t, "alice") + `"}`
	h.signed("mallory", http.MethodPost, backupPath, theirs).wantError(http.StatusNotFound, "not_found")
	h.signed("mallory", http.MethodPost, backupPath+"/remove", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, "alice")+`"}`).wantError(http.StatusNotFound, "not_found")
	if r := h.send(http.MethodGet, "/api/backups", "", "Cookie", mallory).wantOK(); r.body != `{"backups":[]}` {
		t.Errorf("%s", r.body)
	}

	remove := func(aud string) reply {
		return h.signed("alice", http.MethodPost, backupPath+"/remove", `{"aud":"`+aud+`"}`)
	}
	for _, session := range []string{cookie, cookieOf(h.passkeySignIn(h.registered("alice")).wantOK())} { // it may be the only copy there is
		h.postJSON(backupPath+"/remove", map[string]any{"aud": testIssuer}, "Cookie", session).wantVouch()
	}
	h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK()
	remove("https://other.example").wantError(http.StatusBadRequest, "invalid_request") // N-07
	remove(testIssuer).wantOK()
	remove(testIssuer).wantError(http.StatusNotFound, "not_found")
	h.send(http.MethodGet, target, "", "Cookie", cookie).wantError(http.StatusNotFound, "not_found")
}

// TestAKeyInTheClearIsRefusedByName sends what people send by mistake.
func TestAKeyInTheClearIsRefusedByName(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	key := person("alice")
	payload := func(b *bap.Backup, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(b.Payload())
	}
	identity, err := bap.NewIdentity("Alice", key)
	if err != nil {
		t.Fatal(err)
	}
	member := payload(bap.NewMemberBackup(identity, time.Unix(0, 0)))
	var export struct{ ID string }
	if err := json.Unmarshal([]byte(member), &export); err != nil {
		t.Fatal(err)
	}
	wif, raw := key.Wif(), key.Serialize()
	encoded := base64.StdEncoding.EncodeToString
	words := strings.Repeat("abandon ", 11) + "about"
	const xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
	for text, word := range map[string]string{
		"":                                       "missing",
		wif:                                      "WIF",
		" " + wif + "\n":                         "WIF",
		wif[:51] + "x":                           "WIF",
		hex.EncodeToString(raw):                  "hex",
		strings.ToUpper(hex.EncodeToString(raw)): "hex",
		"0x" + hex.EncodeToString(raw):           "hex",
		hex.EncodeToString(append(raw, raw...)):  "hex",
		xprv:                                     "xprv",
		words:                                    "words",
		strings.ReplaceAll(words, " ", "\n"):     "words",
		"ábaco abdomen abeja abierto abogado":    "words",
		"あいこくしん　あいさつ　あいだ　あおぞら": "words",
		member: "JSON",
		payload(bap.NewKeyBackup(key, "", time.Unix(0, 0))): "JSON",
		`{"xprv":"` + xprv + `"}`:                           "JSON",
		"[1,2":                                              "JSON",
		encoded([]byte(member)):                             "JSON",
		encoded([]byte(`{"wif":"` + wif + "\",\"label\":\"\xff\"}")):                            "JSON",
		encoded([]byte("\xff\xfe\x80" + wif + "\xff" + strings.Repeat("\xff\xfe\x80\x07", 40))): "base64",
		encoded([]byte(wif)):                                        "base64",
		encoded([]byte(encoded([]byte(wif)))):                       "base64",
		encoded([]byte(words)):                                      "base64",
		encoded([]byte(strings.ReplaceAll(words, "o", "\xf3"))):     "base64",
		base64.RawURLEncoding.EncodeToString([]byte(words + words)): "base64",
		export.ID:                  "export",
		encoded(raw):               "not an encrypted backup",
		encoded(make44()):          "not an encrypted backup",
		"-----BEGIN PRIVATE KEY--": "not an encrypted backup",
		"!" + bep(t, "alice"):      "not an encrypted backup",
		strings.Repeat("A", 49153): "48 KiB",
	} {
		r := h.saveBackup("alice", text)
		if r.status != http.StatusBadRequest || r.text("error") != "invalid_request" || !strings.Contains(r.text("error_description"), word) {
			t.Errorf("%.40q: %d %s", text, r.status, r.body)
		}
	}
	if r := h.send(http.MethodGet, "/api/backups", "", "Cookie", cookie).wantOK(); r.body != `{"backups":[]}` {
		t.Errorf("%s", r.body)
	}
	if strings.Contains(h.log.String(), wif) {
		t.Error("the log has the key")
	}
	largest := encoded(append([]byte{0xff, 0xfe, 0x80}, slices.Repeat([]byte{0xc3, 0x07, 0x99}, 12287)...))
	h.saveBackup("alice", largest).wantOK()
}

// make44 is one byte less than an empty .bep would have.
func make44() []byte { return slices.Repeat([]byte{0xff}, 44) }

// neverInTheClear fails if a kept text is something that holds a key in the clear.
func neverInTheClear(h *house, cookie, text string) {
	h.t.Helper()
	if r := h.saveBackup("alice", text); r.status != http.StatusOK {
		answersInJSON(h.t.(*testing.T), r)
		return
	}
	kept := h.send(http.MethodGet, backupPath, "", "Cookie", cookie).wantOK().text("encryptedBackup")
	raw, err := base64.StdEncoding.DecodeString(kept)
	if err != nil || !bap.IsEncrypted(kept) {
		h.t.Errorf("kept %q, which is no .bep", kept)
	}
	for _, plaintext := range [][]byte{[]byte(kept), []byte(text), raw} {
		if _, err := bap.ParseBackup(plaintext); err == nil {
			h.t.Errorf("kept %q, which is a key in the clear", text)
		}
	}
}

func FuzzBackups(f *testing.F) {
	h := newHouse(f)
	cookie := h.signIn("alice")
	wif := person("alice").Wif()
	for _, text := range []string{wif, `{"wif":"` + wif + `"}`, bep(f, "alice"), hex.EncodeToString(person("alice").Serialize()), "abandon ability able"} {
		f.Add(text)
		f.Add(base64.StdEncoding.EncodeToString([]byte(text)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		h.t = t
		neverInTheClear(h, cookie, text)
		neverInTheClear(h, cookie, base64.StdEncoding.EncodeToString([]byte(text)))
	})
}

// TestNothingThatHoldsAKeyIsEverKept wraps keys in everything that ParseBackup
// reads through: whitespace, other members, labels of any bytes, base64.
func TestNothingThatHoldsAKeyIsEverKept(t *testing.T) {
	h := newHouse(t)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(rt, "key")
		text := person(string(seed)).Wif()
		space := rapid.SampledFrom([]string{"", " ", "\n\t", "\u00a0"})
		if rapid.Bool().Draw(rt, "json") {
			label := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(rt, "label")
			safe := strings.NewReplacer(`"`, "", `\`, "").Replace(strings.Map(func(r rune) rune {
				if r < ' ' {
					return -1
				}
				return r
			}, string(label)))
			member := rapid.SampledFrom([]string{"wif", "derivedPrivateKey", "rootPk"}).Draw(rt, "member")
			text = `{"label":"` + safe + rapid.SampledFrom([]string{"", "\xff\xfe"}).Draw(rt, "bytes") + `","` + member + `":"` + text + `"}`
		}
		text = space.Draw(rt, "before") + text + space.Draw(rt, "after")
		for range rapid.IntRange(0, 3).Draw(rt, "encoded") {
			text = base64.StdEncoding.EncodeToString([]byte(text))
		}
		if r := h.saveBackup("alice", text); r.status != http.StatusBadRequest {
			rt.Errorf("%q: %d %s", text, r.status, r.body)
		}
	})
}

// TestWhatIsEncryptedIsTaken: none of many encrypted backups is taken for text.
func TestWhatIsEncryptedIsTaken(t *testing.T) {
	h := newHouse(t)
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.NewChaCha8([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "seed")))
		raw := make([]byte, rapid.IntRange(45, 400).Draw(rt, "length"))
		_, _ = random.Read(raw) // never fails
		if r := h.saveBackup("alice", base64.StdEncoding.EncodeToString(raw)); r.status != http.StatusOK {
			rt.Errorf("%d %s", r.status, r.body)
		}
	})
}

// Whoever fetches a backup again and again writes one line a minute, whatever somebody
// does to the server's clock.
func TestAFetchedBackupIsToldOncePerMinute(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.saveBackup("alice", bep(t, "alice")).wantOK()
	lines := 0
	for _, step := range []struct {
		later time.Duration
		told  bool
	}{{0, true}, {0, false}, {time.Minute - 1, false}, {1, true}, {-time.Nanosecond, true}, {-time.Hour, true}, {time.Second, false}} {
		h.advance(step.later)
		h.send(http.MethodGet, backupPath, "", "Cookie", cookie).wantOK()
		if step.told {
			lines++
		}
		if n := len(h.lines("backup fetched")); n != lines {
			t.Fatalf("%v later: %d lines, want %d", step.later, n, lines)
		}
	}
}
