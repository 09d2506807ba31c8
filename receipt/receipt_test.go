package receipt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

const approvePath = "/api/auth/device/approve"

var signedAt = time.Date(2026, 11, 23, 9, 0, 30, 0, time.UTC)

func key(seed byte) *ec.PrivateKey {
	k, _ := ec.PrivateKeyFromBytes([]byte{31: seed})
	return k
}

func bapID(tb testing.TB, k *ec.PrivateKey) string {
	tb.Helper()
	id, err := bap.ID(k.PubKey())
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func statement(tb testing.TB) receipt.Statement {
	tb.Helper()
	return receipt.Statement{
		Version: receipt.StatementVersion, Issuer: "http://localhost:8628", Purpose: receipt.PurposeDeviceApproval,
		UserCodeHash: receipt.UserCodeHash("BCDF-GHJK"), ClientID: "my-app", Scope: "openid profile", BAPID: bapID(tb, key(7)),
		Nonce: "mzxw6ytboi", IssuedAt: signedAt.Unix() - 30, ExpiresAt: signedAt.Unix() + 270,
	}
}

// make signs a statement as an owner's tool would and returns the receipt.
func makeReceipt(tb testing.TB, s receipt.Statement, signer *ec.PrivateKey, at time.Time) string {
	tb.Helper()
	body, err := json.Marshal(map[string]string{"userCode": "BCDF-GHJK", "statement": s.Encode()})
	if err != nil {
		tb.Fatal(err)
	}
	token, err := bitcoinauth.Sign(signer, bitcoinauth.Signing{Path: approvePath, Body: body, Time: at})
	if err != nil {
		tb.Fatal(err)
	}
	return receipt.Receipt{BAPID: bapID(tb, key(7)), Path: approvePath, Body: string(body), Token: token}.Encode()
}

func failed(err error) receipt.Check {
	var e *receipt.CheckError
	if errors.As(err, &e) {
		return e.Check
	}
	return ""
}

func TestN13_AReceiptVerifiesFromItselfAlone(t *testing.T) {
	v, err := receipt.Verify([]byte(makeReceipt(t, statement(t), key(7), signedAt)))
	if err != nil {
		t.Fatal(err)
	}
	if v.Statement.Encode() != statement(t).Encode() || !v.SignedAt.Equal(signedAt) || len(v.Passed) != 5 {
		t.Errorf("%+v", v)
	}
}

func TestN13_AnyChangedByteIsNoticedByANamedCheck(t *testing.T) {
	good := []byte(makeReceipt(t, statement(t), key(7), signedAt))
	checks := []receipt.Check{receipt.CheckFormat, receipt.CheckSignature, receipt.CheckStatement, receipt.CheckIdentity, receipt.CheckTime}
	seen := map[receipt.Check]int{}
	for i := range good {
		for _, replacement := range []byte{good[i] ^ 1, good[i] ^ 0x20, 'A', ' '} {
			if replacement == good[i] {
				continue
			}
			changed := slices.Clone(good)
			changed[i] = replacement
			_, err := receipt.Verify(changed)
			if !slices.Contains(checks, failed(err)) {
				t.Fatalf("byte %d changed from %q to %q: %v", i, good[i], replacement, err)
			}
			seen[failed(err)]++
		}
	}
	if seen[receipt.CheckFormat] == 0 || seen[receipt.CheckSignature] == 0 {
		t.Errorf("checks that noticed: %v", seen)
	}
}

func TestEachCheckFailsByItsName(t *testing.T) {
	other := statement(t)
	other.BAPID = bapID(t, key(8))
	early := statement(t)
	wrongPurpose := statement(t)
	wrongPurpose.Purpose = "sign-in"
	for want, text := range map[receipt.Check]string{
		receipt.CheckFormat:    `{"v":1}`,
		receipt.CheckSignature: strings.Replace(makeReceipt(t, statement(t), key(7), signedAt), "BCDF-GHJK", "BCDF-GHJL", 1),
		receipt.CheckStatement: makeReceipt(t, wrongPurpose, key(7), signedAt),
		receipt.CheckIdentity:  makeReceipt(t, other, key(7), signedAt),
		receipt.CheckTime:      makeReceipt(t, early, key(7), signedAt.Add(-time.Hour)),
	} {
		if _, err := receipt.Verify([]byte(text)); failed(err) != want {
			t.Errorf("want %s to fail: %v", want, err)
		}
	}
	if _, err := receipt.Verify([]byte(makeReceipt(t, statement(t), key(8), signedAt))); failed(err) != receipt.CheckIdentity {
		t.Errorf("signed by another key: %v", err)
	}
}

func TestAStatementHasOneEncoding(t *testing.T) {
	text := statement(t).Encode()
	if _, err := receipt.ParseStatement(text); err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string]string{
		"space":          strings.Replace(text, ",", ", ", 1),
		"unknown member": strings.Replace(text, `{"v"`, `{"x":1,"v"`, 1),
		"escaped slash":  strings.Replace(text, "//", `\/\/`, 1),
		"trailing":       text + "{}",
		"other version":  strings.Replace(text, `"v":1`, `"v":2`, 1),
		"too long":       text + strings.Repeat(" ", 9000),
	} {
		if _, err := receipt.ParseStatement(changed); !errors.Is(err, receipt.ErrStatement) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(statement(f).Encode())
	f.Fuzz(func(t *testing.T, text string) {
		s, err := receipt.ParseStatement(text)
		if err == nil && s.Encode() != text {
			t.Error("read what it would not write")
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(makeReceipt(f, statement(f), key(7), signedAt)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := receipt.Verify(text); err != nil && failed(err) == "" {
			t.Errorf("failed without a named check: %v", err)
		}
	})
}

func ExampleUserCodeHash() {
	fmt.Println(receipt.UserCodeHash("BCDF-GHJK") == receipt.UserCodeHash("BCDFGHJK"))
	// Output: true
}
