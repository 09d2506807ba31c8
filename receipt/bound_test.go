package receipt_test

import (
	"errors"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

func TestABodyIsOneObjectWithEachMemberOnce(t *testing.T) {
	nested := func(depth int) string {
		return `{"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"a":"b"}`
	}
	for _, body := range []string{`{"a":"b"}`, ` {"a":"b","n":null} `, `{"a":"b","x":{"y":[1,{"y":2}]}}`, nested(15)} {
		m, err := receipt.ReadMembers([]byte(body))
		if a, _ := m.Text("a"); err != nil || a != "b" {
			t.Errorf("%s: %q, %v", body, a, err)
		}
	}
	for _, body := range []string{
		``, `null`, `[]`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":"b"`, `{"a":"b",`, `{"a":"b"} x`, `{"a":"b"}{}`, `{"a":"b","a":"b"}`, `{"a":"b","x":{"y":1,"y":1}}`,
		`{"a":"b","x":tru}`, `{"a":"b","x":[1}`, `{"a":"\u0000"}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, nested(16),
	} {
		if m, err := receipt.ReadMembers([]byte(body)); err == nil {
			t.Errorf("%s: %v", body, m)
		}
	}
	for _, body := range []string{`{"a":"b","a":"c"}`, `{"x":{"y":1,"y":2}}`} {
		if _, err := receipt.ReadMembers([]byte(body)); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := receipt.ReadMembers([]byte(`{"a":"b"`)); err == nil || strings.Contains(err.Error(), "twice") {
		t.Errorf("cut off: %v", err)
	}
	m, err := receipt.ReadMembers([]byte(`{"yes":true,"no":false,"none":null,"number":1,"Yes":"text"}`))
	if err != nil {
		t.Fatal(err)
	}
	if yes, there := m.Others["yes"]; !yes || !there {
		t.Error("true is not true")
	}
	if no, there := m.Others["no"]; no || !there {
		t.Error("false is not false")
	}
	if _, there := m.Others["none"]; there {
		t.Error("null is something")
	}
	for name, good := range map[string]bool{"Yes": true, "none": true, "absent": true, "yes": false, "number": false} {
		if _, err := m.Text(name); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATextIsUTF8WithoutANUL(t *testing.T) {
	for text, good := range map[string]bool{"": true, "é\ufffd": true, "\xff": false, "a\x00b": false} {
		if receipt.IsText(text) != good {
			t.Errorf("%q", text)
		}
	}
}

func TestStatementsAndReceiptsAreAsLongAsTheyMayBe(t *testing.T) {
	s := statement(t)
	s.Scope += " " + strings.Repeat("x", 8<<10-len(s.Encode())-1)
	if _, err := receipt.ParseStatement(s.Encode()); err != nil || len(s.Encode()) != 8<<10 {
		t.Errorf("%d bytes: %v", len(s.Encode()), err)
	}
	s.Scope += "x"
	if _, err := receipt.ParseStatement(s.Encode()); !errors.Is(err, receipt.ErrStatement) {
		t.Errorf("%d bytes: %v", len(s.Encode()), err)
	}
	padded := func(n int) string {
		body := `{"userCode":"BCDF-GHJK","statement":"` + strings.ReplaceAll(statement(t).Encode(), `"`, `\"`) + `","x":"` + strings.Repeat("x", n) + `"}`
		token, err := bitcoinauth.Sign(key(7), bitcoinauth.Signing{Path: receipt.ApprovalPath, Body: []byte(body), Time: signedAt})
		if err != nil {
			t.Fatal(err)
		}
		return receipt.Receipt{BAPID: bapID(t, key(7)), Path: receipt.ApprovalPath, Body: body, Token: token}.Encode()
	}
	// Signatures differ in length by nothing, so that the padding says it all.
	room := 64<<10 - len(padded(0))
	for n, want := range map[int]receipt.Check{room: "", room + 1: receipt.CheckFormat} {
		if _, err := receipt.Verify([]byte(padded(n))); failed(err) != want || (want == "" && err != nil) {
			t.Errorf("%d more than a receipt may have: %v", n-room, err)
		}
	}
}

func TestAReceiptWhoseTokenIsNoneFailsAtItsSignature(t *testing.T) {
	for _, token := range []string{"", "x", strings.Repeat("|", 5)} {
		text := receipt.Receipt{BAPID: bapID(t, key(7)), Path: receipt.ApprovalPath, Body: "{}", Token: token}.Encode()
		if _, err := receipt.Verify([]byte(text)); failed(err) != receipt.CheckSignature {
			t.Errorf("%q: %v", token, err)
		}
	}
}
