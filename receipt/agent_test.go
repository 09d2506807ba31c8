package receipt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bitcoinauth"
	"countersign.dev/receipt"
)

// agentTime is when the statements of the vectors were signed.
var agentTime = time.Unix(1795953601, 0)

// signKind writes a signed request in the form of a receipt of a kind. It names who signed.
func signKind(tb testing.TB, signer *ec.PrivateKey, at time.Time, kind, path, body string) string {
	tb.Helper()
	token, err := bitcoinauth.Sign(signer, bitcoinauth.Signing{Path: path, Body: []byte(body), Time: at})
	if err != nil {
		tb.Fatal(err)
	}
	return receipt.Receipt{Kind: kind, BAPID: bapID(tb, signer), Path: path, Body: body, Token: token}.Encode()
}

// delegated is the receipt of an owner's statement.
func delegated(tb testing.TB, d receipt.Delegation, signer *ec.PrivateKey) string {
	tb.Helper()
	return signKind(tb, signer, agentTime, receipt.PurposeDelegation, receipt.ApprovalPath, body("BCDF-GHJK", d.Encode()))
}

func TestN13_TheReceiptOfAnAgentVerifiesFromItselfAlone(t *testing.T) {
	for _, text := range []string{known().Receipt, delegated(t, delegation(t), keyOf(t, "owner"))} {
		v, err := receipt.Verify([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if v.Delegation.Encode() != known().Statement || !v.SignedAt.Equal(agentTime) || !slices.Equal(v.Passed, checks) || v.Kind != receipt.PurposeDelegation ||
			v.PublicKey != known().Keys["owner"].PublicKey {
			t.Errorf("%+v", v)
		}
	}
}

func TestN13_AnyChangedByteOfAnAgentsReceiptIsNoticed(t *testing.T) {
	t.Parallel()
	good := []byte(known().Receipt)
	for i := range good {
		for _, replacement := range []byte{good[i] ^ 1, 'A'} {
			changed := slices.Clone(good)
			changed[i] = replacement
			if _, err := receipt.Verify(changed); replacement != good[i] && failed(err) == "" {
				t.Fatalf("byte %d changed from %q to %q: %v", i, good[i], replacement, err)
			}
		}
	}
}

func TestEachCheckOfAnAgentsReceiptFailsByItsName(t *testing.T) {
	owner, agent := keyOf(t, "owner"), keyOf(t, "agent")
	with := func(change func(*receipt.Delegation)) string {
		d := delegation(t)
		change(&d)
		return delegated(t, d, owner)
	}
	approval := func(kind, body string) string { return signKind(t, owner, agentTime, kind, receipt.ApprovalPath, body) }
	good := known().Statement
	sub := parsed(t, known().SubStatement)
	subTime := time.Unix(sub.IssuedAt, 0)
	for what, row := range map[string]struct {
		want receipt.Check
		text string
	}{
		"of version 1":             {receipt.CheckFormat, strings.Replace(known().Receipt, `"v":2`, `"v":1`, 1)},
		"of another kind":          {receipt.CheckFormat, strings.Replace(known().Receipt, "agent-delegation", "agent-salutation", 1)},
		"with an empty member":     {receipt.CheckFormat, strings.Replace(known().Receipt, `","token"`, `","assertion":"","token"`, 1)},
		"with two who signed":      {receipt.CheckFormat, strings.Replace(known().Receipt, "\"}\n", "\",\"assertion\":\"{}\"}\n", 1)},
		"vouched for, and no need": {receipt.CheckFormat, strings.Replace(known().Receipt, "\"}\n", "\",\"vouch\":{\"path\":\"\",\"body\":\"\",\"token\":\"\"}}\n", 1)},
		"a sub-agent's passkey":    {receipt.CheckFormat, receipt.Receipt{Kind: receipt.PurposeSubdelegation, Assertion: "{}"}.Encode()},
		"nobody signed":            {receipt.CheckSignature, receipt.Receipt{Kind: receipt.PurposeDelegation}.Encode()},
		"another path":             {receipt.CheckPath, signKind(t, owner, agentTime, receipt.PurposeDelegation, receipt.SubdelegationPath, body("BCDF-GHJK", good))},
		"a statement of version 1": {receipt.CheckStatement, approval(receipt.PurposeDelegation, body("BCDF-GHJK", statement(t).Encode()))},
		"of an agent, as a device": {receipt.CheckStatement, approval(receipt.PurposeDeviceApproval, body("BCDF-GHJK", good))},
		"no statement":             {receipt.CheckStatement, approval(receipt.PurposeDelegation, `{"userCode":"BCDF-GHJK"}`)},
		"not a body":               {receipt.CheckStatement, approval(receipt.PurposeDelegation, `{`)},
		"a sub-delegation":         {receipt.CheckStatement, approval(receipt.PurposeDelegation, body("BCDF-GHJK", known().SubStatement))},
		"a person, by a key":       {receipt.CheckStatement, with(func(d *receipt.Delegation) { d.Presence = receipt.PresencePerson })},
		"two networks, by a key":   {receipt.CheckStatement, with(func(d *receipt.Delegation) { d.Presence = receipt.PresenceOtherDevice })},
		"another code":             {receipt.CheckCode, approval(receipt.PurposeDelegation, body("BCDF-GHJL", good))},
		"another key":              {receipt.CheckIdentity, delegated(t, delegation(t), agent)},
		"another identity":         {receipt.CheckIdentity, with(func(d *receipt.Delegation) { d.BAPID = bapID(t, agent) })},
		"signed too late":          {receipt.CheckTime, with(func(d *receipt.Delegation) { d.IssuedAt -= 601; d.ExpiresAt -= 601 })},
		"signed too early":         {receipt.CheckTime, with(func(d *receipt.Delegation) { d.IssuedAt += 302; d.ExpiresAt += 302 })},
		"over as it began":         {receipt.CheckTime, with(func(d *receipt.Delegation) { d.ExpiresAt = d.IssuedAt - 1 })},
		"signed as late as it may": {"", with(func(d *receipt.Delegation) { d.IssuedAt -= 599; d.ExpiresAt -= 599 })},
		"by a key at hand":         {"", with(func(d *receipt.Delegation) { d.Presence = receipt.PresenceKey })},
		"an agent's own":           {"", signKind(t, agent, subTime, receipt.PurposeSubdelegation, receipt.SubdelegationPath, known().SubStatement)},
		"an agent's, for approval": {receipt.CheckPath, signKind(t, agent, subTime, receipt.PurposeSubdelegation, receipt.ApprovalPath, known().SubStatement)},
		"an agent's, of an owner":  {receipt.CheckStatement, signKind(t, owner, agentTime, receipt.PurposeSubdelegation, receipt.SubdelegationPath, good)},
		"an agent's, of another":   {receipt.CheckIdentity, signKind(t, owner, subTime, receipt.PurposeSubdelegation, receipt.SubdelegationPath, known().SubStatement)},
	} {
		if _, err := receipt.Verify([]byte(row.text)); failed(err) != row.want || (row.want == "" && err != nil) {
			t.Errorf("%s: want %q to fail: %v", what, row.want, err)
		}
	}
}

func TestAnAgentSignsWhatItPassesOn(t *testing.T) {
	sub := parsed(t, known().SubStatement)
	text, err := receipt.SignSubdelegation(keyOf(t, "agent"), sub, time.Unix(sub.IssuedAt, 0))
	if err != nil {
		t.Fatal(err)
	}
	v, err := receipt.Verify([]byte(text))
	if err != nil || v.Delegation.Encode() != known().SubStatement || v.Kind != receipt.PurposeSubdelegation || len(v.Passed) != len(checks)-1 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, d := range []receipt.Delegation{delegation(t), {}} {
		if _, err := receipt.SignSubdelegation(keyOf(t, "agent"), d, agentTime); err == nil {
			t.Errorf("signed %s", d.Encode())
		}
	}
	if _, err := receipt.SignSubdelegation(keyOf(t, "owner"), sub, agentTime); err == nil {
		t.Error("signed as another")
	}
}

func ExampleHash() {
	fmt.Println(receipt.Hash("a receipt\n") == receipt.Hash("a receipt"))
	// Output: false
}

func hexKey(k *ec.PrivateKey) string { return fmt.Sprintf("%x", k.PubKey().Compressed()) }
