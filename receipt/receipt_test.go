package receipt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

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
	return sign(tb, signer, at, receipt.ApprovalPath, body("BCDF-GHJK", s.Encode()))
}

// body is that of an approve request.
func body(userCode, statement string) string {
	return fmt.Sprintf(`{"userCode":%q,"statement":%q}`, userCode, statement)
}

// sign writes any signed request in the form of a receipt.
func sign(tb testing.TB, signer *ec.PrivateKey, at time.Time, path, body string) string {
	tb.Helper()
	token, err := bitcoinauth.Sign(signer, bitcoinauth.Signing{Path: path, Body: []byte(body), Time: at})
	if err != nil {
		tb.Fatal(err)
	}
	return receipt.Receipt{BAPID: bapID(tb, key(7)), Path: path, Body: body, Token: token}.Encode()
}

// checks are all of them, in their order.
var checks = []receipt.Check{
	receipt.CheckFormat, receipt.CheckSignature, receipt.CheckPath, receipt.CheckStatement, receipt.CheckCode, receipt.CheckIdentity, receipt.CheckTime,
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
	if v.Statement.Encode() != statement(t).Encode() || !v.SignedAt.Equal(signedAt) || len(v.Passed) != len(checks) {
		t.Errorf("%+v", v)
	}
}

func TestN13_AnyChangedByteIsNoticedByANamedCheck(t *testing.T) {
	t.Parallel()
	good := []byte(makeReceipt(t, statement(t), key(7), signedAt))
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
	good := statement(t).Encode()
	with := func(change func(*receipt.Statement)) string {
		s := statement(t)
		change(&s)
		return makeReceipt(t, s, key(7), signedAt)
	}
	of := func(path, body string) string { return sign(t, key(7), signedAt, path, body) }
	for what, row := range map[string]struct {
		want receipt.Check
		text string
	}{
		"no receipt":                  {receipt.CheckFormat, `{"v":1}`},
		"a changed body":              {receipt.CheckSignature, strings.Replace(makeReceipt(t, statement(t), key(7), signedAt), "BCDF-GHJK", "BCDF-GHJL", 1)},
		"a denial":                    {receipt.CheckPath, of("/api/auth/device/deny", body("BCDF-GHJK", good))},
		"a grant taken back":          {receipt.CheckPath, of("/api/grants/mzxw6ytboi/revoke", body("BCDF-GHJK", good))},
		"an approval with a query":    {receipt.CheckPath, of(receipt.ApprovalPath+"?a=1", body("BCDF-GHJK", good))},
		"another purpose":             {receipt.CheckStatement, with(func(s *receipt.Statement) { s.Purpose = "sign-in" })},
		"no statement":                {receipt.CheckStatement, of(receipt.ApprovalPath, `{"userCode":"BCDF-GHJK"}`)},
		"a statement that is no text": {receipt.CheckStatement, of(receipt.ApprovalPath, `{"userCode":"BCDF-GHJK","statement":`+good+`}`)},
		"a statement in another case": {receipt.CheckStatement, of(receipt.ApprovalPath, strings.Replace(body("BCDF-GHJK", good), "statement", "Statement", 1))},
		"two statements":              {receipt.CheckStatement, of(receipt.ApprovalPath, strings.Replace(body("BCDF-GHJK", good), "{", `{"statement":"",`, 1))},
		"two statements, one escaped": {receipt.CheckStatement, of(receipt.ApprovalPath, strings.Replace(body("BCDF-GHJK", good), "{", `{"\u0073tatement":"x",`, 1))},
		"a match that is no text":     {receipt.CheckStatement, of(receipt.ApprovalPath, strings.Replace(body("BCDF-GHJK", good), "{", `{"match":42,`, 1))},
		"something after it":          {receipt.CheckStatement, of(receipt.ApprovalPath, body("BCDF-GHJK", good)+"{}")},
		"another code":                {receipt.CheckCode, of(receipt.ApprovalPath, body("BCDF-GHJL", good))},
		"no code":                     {receipt.CheckCode, of(receipt.ApprovalPath, `{"statement":`+fmt.Sprintf("%q", good)+`}`)},
		"another identity":            {receipt.CheckIdentity, with(func(s *receipt.Statement) { s.BAPID = bapID(t, key(8)) })},
		"another key":                 {receipt.CheckIdentity, makeReceipt(t, statement(t), key(8), signedAt)},
		"signed at another time":      {receipt.CheckTime, makeReceipt(t, statement(t), key(7), signedAt.Add(-time.Hour))},
	} {
		if _, err := receipt.Verify([]byte(row.text)); failed(err) != row.want {
			t.Errorf("%s: want %s to fail: %v", what, row.want, err)
		}
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

// FuzzReadMembers: what is read is what any careful reader reads; what one reader
// could take for something else is refused.
func FuzzReadMembers(f *testing.F) {
	f.Add([]byte(`{"userCode":"BCDF-GHJK","statement":"{}","match":null,"report":true,"x":[{"a":1}]}`))
	f.Add([]byte(`{"statement":"a","Statement":"b","\u0073tatement":"c"}`))
	f.Add([]byte(`{"a":{"b":1,"b":2}}`))
	f.Add([]byte("{\"a\":\"\\ud800\",\"b\":\"\xff\"} x"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := receipt.ReadMembers(body)
		if err != nil {
			return
		}
		var again map[string]any
		if err := json.Unmarshal(body, &again); err != nil {
			t.Fatalf("%q is no JSON: %v", body, err)
		}
		maps.DeleteFunc(again, func(_ string, value any) bool { return value == nil })
		if len(m.Texts)+len(m.Others) != len(again) {
			t.Errorf("%q has %d members: %v", body, len(again), m)
		}
		for name, value := range again {
			text, isText := value.(string)
			if truth, other := m.Others[name]; other == isText || m.Texts[name] != text || truth != (value == true) {
				t.Errorf("%q: %q was read otherwise: %v", body, name, m)
			}
		}
	})
}

func ExampleUserCodeHash() {
	fmt.Println(receipt.UserCodeHash("BCDF-GHJK") == receipt.UserCodeHash("BCDFGHJK"))
	// Output: true
}
