package receipt_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/receipt"
)

const killNonce = "00112233445566778899aabbccddeeff"

func TestAKillSwitchIsMadeAndVerifiedOffline(t *testing.T) {
	is, err := receipt.VerifyKillSwitch([]byte(known().KillFile))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(is.IssuedAt, 0)
	made, err := receipt.SignKillSwitch(keyOf(t, "owner"), is.Issuer, killNonce, at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := receipt.VerifyKillSwitch([]byte(made))
	if err != nil || again != is || is.BAPID != known().Keys["owner"].BAPID || again.Nonce != killNonce {
		t.Errorf("%+v is made, %+v was known: %v", again, is, err)
	}
	if body := strings.SplitAfter(made, `"token"`)[0]; body != strings.SplitAfter(known().KillFile, `"token"`)[0] {
		t.Errorf("made as %s", made)
	}
	for _, wrong := range [][2]string{{is.Issuer, "short"}, {"", killNonce}, {is.Issuer, strings.ToUpper(killNonce)}} {
		if _, err := receipt.SignKillSwitch(keyOf(t, "owner"), wrong[0], wrong[1], at); !errors.Is(err, receipt.ErrKillSwitch) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestAKillSwitchThatWasChangedIsNone(t *testing.T) {
	t.Parallel()
	good := []byte(known().KillFile)
	for i := range good {
		changed := slices.Clone(good)
		changed[i] ^= 1
		if _, err := receipt.VerifyKillSwitch(changed); failed(err) == "" {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	owner, at := keyOf(t, "owner"), time.Unix(1795953600, 0)
	var f struct{ Body string }
	if err := json.Unmarshal(good, &f); err != nil {
		t.Fatal(err)
	}
	with := func(old, new string) string { return strings.Replace(f.Body, old, new, 1) }
	for name, row := range map[string]struct {
		text string
		want receipt.Check
	}{
		"an approval":          {known().Receipt, receipt.CheckPath},
		"another path":         {signKind(t, owner, at, receipt.PurposeKill, receipt.ApprovalPath, f.Body), receipt.CheckPath},
		"another purpose":      {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with("revoke", "unlock")), receipt.CheckStatement},
		"another version":      {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with(`"v":2`, `"v":1`)), receipt.CheckStatement},
		"a space":              {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with(`"v":2`, `"v": 2`)), receipt.CheckStatement},
		"a member more":        {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with(`"v":2`, `"v":2,"w":1`)), receipt.CheckStatement},
		"a nonce not drawn":    {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with("0011", "")), receipt.CheckStatement},
		"a time that is none":  {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with("1795953600", "-1")), receipt.CheckStatement},
		"no server":            {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with("https://id.example.org", "")), receipt.CheckStatement},
		"too long":             {signKind(t, owner, at, receipt.PurposeKill, receipt.KillPath, with("https://id", "https://"+strings.Repeat("x", 9000))), receipt.CheckStatement},
		"another's":            {signKind(t, keyOf(t, "agent"), at, receipt.PurposeKill, receipt.KillPath, f.Body), receipt.CheckIdentity},
		"signed an hour later": {signKind(t, owner, at.Add(time.Hour), receipt.PurposeKill, receipt.KillPath, f.Body), receipt.CheckTime},
	} {
		if _, err := receipt.VerifyKillSwitch([]byte(row.text)); failed(err) != row.want {
			t.Errorf("%s: %v, want %s to fail", name, err, row.want)
		}
	}
}

func FuzzParseKillSwitch(f *testing.F) {
	f.Add(`{"bap_id":"x","iat":1,"iss":"https://id.example.org","nonce":"` + killNonce + `","purpose":"revoke-everything","v":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := receipt.ParseKillSwitch(text)
		if err == nil && k.Encode() != text {
			t.Error("read what it would not write")
		}
	})
}
