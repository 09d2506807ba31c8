package receipt_test

import (
	"encoding/json"
	"errors"
	"testing"

	"countersign.dev/receipt"
)

func TestAnExportHasTheFactsAndTheOriginalAndSaysWhoSignedIt(t *testing.T) {
	p := newPasskey(t)
	says := personal(t, receipt.PresencePerson)
	sub := parsed(t, known().SubStatement)
	passedOn, err := receipt.SignSubdelegation(keyOf(t, "agent"), sub, agentTime)
	if err != nil {
		t.Fatal(err)
	}
	owner := known().Keys["owner"]
	for name, row := range map[string]struct {
		text, issuer, subject, statement, key, passkey string
		signed                                         int64
	}{
		"a device's": {
			makeReceipt(t, statement(t), key(7), signedAt), statement(t).Issuer, statement(t).BAPID, statement(t).Encode(), hexKey(key(7)), "", signedAt.Unix(),
		},
		"an agent's":         {known().Receipt, "https://id.example.org", owner.BAPID, known().Statement, owner.PublicKey, "", agentTime.Unix()},
		"a sub-agent's":      {passedOn, "https://id.example.org", known().Keys["agent"].ID, known().SubStatement, known().Keys["agent"].PublicKey, "", agentTime.Unix()},
		"a passkey's":        {byPerson(t, receipt.PresencePerson, p.answer(says), p.vouch(p.added())), "https://id.example.org", owner.BAPID, says, owner.PublicKey, base64url(p.id), 0},
		"of an unknown hand": {byPerson(t, receipt.PresencePerson, p.answer(says), nil), "https://id.example.org", owner.BAPID, says, "", base64url(p.id), 0},
	} {
		payload, err := receipt.ExportPayload([]byte(row.text), chainTime)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var e struct {
			IAT       int64           `json:"iat"`
			Issuer    string          `json:"iss"`
			Passkey   string          `json:"passkey"`
			Key       string          `json:"pubkey"`
			Receipt   string          `json:"receipt"`
			Hash      string          `json:"receipt_hash"`
			SignedAt  int64           `json:"signed_at"`
			SignedBy  string          `json:"signed_by"`
			Statement json.RawMessage `json:"statement"`
			Subject   string          `json:"sub"`
		}
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatal(err)
		}
		if e.IAT != chainTime.Unix() || e.Issuer != row.issuer || e.Subject != row.subject || e.Receipt != row.text || e.Hash != receipt.Hash(row.text) ||
			e.SignedBy != "server" || e.Key != row.key || e.Passkey != row.passkey || e.SignedAt != row.signed || !sameJSON(t, e.Statement, row.statement) {
			t.Errorf("%s: %s", name, payload)
		}
	}
	if _, err := receipt.ExportPayload([]byte(known().KillFile), chainTime); !errors.Is(err, receipt.ErrNothingToExport) {
		t.Error(err)
	}
	if _, err := receipt.ExportPayload([]byte("{}\n"), chainTime); failed(err) != receipt.CheckFormat {
		t.Error(err)
	}
}

// sameJSON: a device's statement has an order of its own.
func sameJSON(t *testing.T, a []byte, b string) bool {
	t.Helper()
	var x, y map[string]any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	same, err := json.Marshal(y)
	if err != nil {
		t.Fatal(err)
	}
	return string(again) == string(same)
}
