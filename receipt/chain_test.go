package receipt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"
	"pgregory.net/rapid"

	"countersign.dev/receipt"
)

// chainTime is a time at which the chains of the vectors are good.
var chainTime = time.Date(2026, 11, 29, 12, 10, 0, 0, time.UTC)

func TestTheChainsOfTheContractAreJudgedRight(t *testing.T) {
	t.Parallel()
	for _, c := range known().Chains {
		at, err := time.Parse(time.RFC3339, c.At)
		if err != nil {
			t.Fatal(err)
		}
		_, err = receipt.VerifyChain([]byte(c.Chain), at)
		if link, check := failedAt(err); link != c.Link || check != c.Check || (err == nil) != c.Valid {
			t.Errorf("%s: %v, want link %d to fail at %q", c.Name, err, c.Link, c.Check)
		}
		links, err := receipt.ParseChain([]byte(c.Chain))
		if err != nil || receipt.EncodeChain(links) != c.Chain {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

func failedAt(err error) (link int, check receipt.Check) {
	if failed, ok := errors.AsType[*receipt.ChainError](err); ok {
		return failed.Link, failed.Check
	}
	return 0, ""
}

// three are the statements of a good chain of three links, which tests change before it is
// signed.
func three(tb testing.TB) []receipt.Delegation {
	tb.Helper()
	links, err := receipt.ParseChain([]byte(known().Chains[1].Chain))
	if err != nil {
		tb.Fatal(err)
	}
	var last struct{ Body string }
	if err := json.Unmarshal([]byte(links[2]), &last); err != nil {
		tb.Fatal(err)
	}
	return []receipt.Delegation{delegation(tb), parsed(tb, known().SubStatement), parsed(tb, last.Body)}
}

// chained signs statements, each by the key that the one before names.
func chained(tb testing.TB, statements []receipt.Delegation) string {
	tb.Helper()
	return receipt.EncodeChain(signedLinks(tb, statements))
}

func signedLinks(tb testing.TB, statements []receipt.Delegation) (links []string) {
	tb.Helper()
	for i, d := range statements {
		if i == 0 {
			links = append(links, delegated(tb, d, keyOf(tb, "owner")))
			continue
		}
		signer := []*ec.PrivateKey{keyOf(tb, "agent"), keyOf(tb, "sub_agent")}[i-1]
		if d.Parent == "" {
			d.Parent = receipt.Hash(links[i-1])
		}
		links = append(links, signKind(tb, signer, time.Unix(d.IssuedAt+1, 0), receipt.PurposeSubdelegation, receipt.SubdelegationPath, d.Encode()))
	}
	return links
}

func TestAChainSaysWhoActsForWhom(t *testing.T) {
	statements := three(t)
	statements[1].Parent, statements[2].Parent = "", ""
	c, err := receipt.VerifyChain([]byte(chained(t, statements)), chainTime)
	if err != nil {
		t.Fatal(err)
	}
	if c.Owner() != known().Keys["owner"].BAPID || c.Last().Agent.Name != "Courier" || c.Presence() != receipt.PresencePassword || len(c.Links) != 3 {
		t.Errorf("%+v", c)
	}
	all := []receipt.Check{
		receipt.CheckFormat, receipt.CheckSignature, receipt.CheckStatement, receipt.CheckIdentity, receipt.CheckTime, receipt.CheckLink, receipt.CheckNarrower,
		receipt.CheckDepth, receipt.CheckAlive,
	}
	if !slices.Equal(c.Links[1].Passed, all) {
		t.Errorf("%v", c.Links[1].Passed)
	}
}

// Each way in which a delegation can be widened, and each in which a chain can be put
// together wrongly, fails at the link and by the check that is named.
func TestEachMutationOfAChainIsRefusedByItsName(t *testing.T) {
	t.Parallel()
	type statements = []receipt.Delegation
	details := func(i int, from, to string) func(statements) {
		return func(s statements) {
			changed := strings.Replace(string(s[i].Details), from, to, 1)
			if changed == string(s[i].Details) {
				t.Errorf("%s is not in %s", from, changed)
			}
			s[i].Details = json.RawMessage(changed)
		}
	}
	whole := func(i int, text string) func(statements) {
		return func(s statements) { s[i].Details = json.RawMessage(text) }
	}
	for name, row := range map[string]struct {
		link   int
		check  receipt.Check
		change func(s statements)
	}{
		"nothing":                        {0, "", func(statements) {}},
		"less in another order":          {0, "", func(s statements) { s[1].Scope = "profile openid" }},
		"nothing left":                   {0, "", func(s statements) { s[2].Scope, s[2].Resource, s[2].Details = "", nil, nil }},
		"a scope":                        {2, receipt.CheckNarrower, func(s statements) { s[1].Scope = "openid profile email" }},
		"a scope of the first":           {3, receipt.CheckNarrower, func(s statements) { s[2].Scope = "openid profile" }},
		"a scope twice":                  {2, receipt.CheckNarrower, func(s statements) { s[1].Scope += " " + s[1].Scope }},
		"a scope far away":               {2, receipt.CheckNarrower, func(s statements) { s[1].Scope = "openid  profile" }},
		"a cent":                         {2, receipt.CheckNarrower, details(1, `"per_transaction":"5.00"`, `"per_transaction":"5.01"`)},
		"a cent in all":                  {3, receipt.CheckNarrower, details(2, `"total":"2.00"`, `"total":"10.01"`)},
		"a limit less":                   {2, receipt.CheckNarrower, details(1, `"per_transaction":"5.00",`, ``)},
		"a payee":                        {2, receipt.CheckNarrower, details(1, `["https://shop.example"]`, `["https://shop.example","https://spa.example"]`)},
		"any payee":                      {2, receipt.CheckNarrower, details(1, `"payees":["https://shop.example"],`, ``)},
		"another currency":               {2, receipt.CheckNarrower, details(1, `USD`, `EUR`)},
		"what may not be passed on":      {2, receipt.CheckNarrower, details(0, `"redelegate":true,`, ``)},
		"a constraint more than there":   {2, receipt.CheckNarrower, whole(1, `[{"actions":["orders.create"],"constraints":{"amount":{"max":1001},"currency":{"eq":"EUR"}},"resource":"https://api.example","type":"call"}]`)},
		"a constraint less":              {2, receipt.CheckNarrower, whole(1, `[{"actions":["orders.create"],"constraints":{"amount":{"max":1000}},"resource":"https://api.example","type":"call"}]`)},
		"another action":                 {2, receipt.CheckNarrower, whole(1, `[{"actions":["orders.drop"],"constraints":{"amount":{"max":1000},"currency":{"eq":"EUR"}},"resource":"https://api.example","type":"call"}]`)},
		"a constraint more":              {3, receipt.CheckNarrower, whole(1, `[{"actions":["orders.create"],"constraints":{"amount":{"max":1000},"currency":{"eq":"EUR"}},"resource":"https://api.example","type":"call"}]`)},
		"a resource":                     {2, receipt.CheckNarrower, func(s statements) { s[1].Resource = []string{"https://else.example"} }},
		"a resource twice":               {2, receipt.CheckNarrower, func(s statements) { s[1].Resource = append(s[1].Resource, s[1].Resource...) }},
		"a second":                       {2, receipt.CheckNarrower, func(s statements) { s[1].NotAfter = s[0].NotAfter + 1 }},
		"a second of the last":           {3, receipt.CheckNarrower, func(s statements) { s[2].NotAfter = s[1].NotAfter + 1 }},
		"a generation":                   {2, receipt.CheckDepth, func(s statements) { s[1].Depth = 2 }},
		"a generation where is none":     {3, receipt.CheckDepth, func(s statements) { s[1].Depth = 0 }},
		"another server":                 {2, receipt.CheckLink, func(s statements) { s[1].Issuer = "https://id.example.com" }},
		"another client":                 {3, receipt.CheckLink, func(s statements) { s[2].ClientID = "other-app" }},
		"before the one above":           {2, receipt.CheckLink, func(s statements) { s[1].IssuedAt, s[1].ExpiresAt = s[0].IssuedAt-1, s[0].ExpiresAt-1 }},
		"as old as the one above":        {0, "", func(s statements) { s[1].IssuedAt, s[1].ExpiresAt = s[0].IssuedAt, s[0].ExpiresAt }},
		"of another chain":               {2, receipt.CheckLink, func(s statements) { s[1].Parent = receipt.Hash("another\n") }},
		"the last of another chain":      {3, receipt.CheckLink, func(s statements) { s[2].Parent = receipt.Hash("another\n") }},
		"over in the middle":             {2, receipt.CheckAlive, func(s statements) { s[1].NotAfter = chainTime.Unix() }},
		"over at the end":                {3, receipt.CheckAlive, func(s statements) { s[2].NotAfter = chainTime.Unix() }},
		"good for one more second":       {0, "", func(s statements) { s[2].NotAfter = chainTime.Unix() + 1 }},
		"not yet":                        {1, receipt.CheckAlive, func(s statements) { s[0].IssuedAt = chainTime.Unix() + 301; s[0].ExpiresAt = s[0].IssuedAt }},
		"signed by none the link names":  {2, receipt.CheckIdentity, func(s statements) { s[0].Agent = s[1].Agent }},
		"by an agent that cannot":        {2, receipt.CheckIdentity, func(s statements) { s[0].Agent = s[2].Agent }},
		"in another's name":              {2, receipt.CheckIdentity, func(s statements) { s[1].BAPID = s[0].BAPID }},
		"longer to be signed":            {2, receipt.CheckStatement, func(s statements) { s[1].ExpiresAt = s[1].IssuedAt + 301 }},
		"details that are none":          {2, receipt.CheckStatement, details(1, `"total"`, `"sum"`)},
		"a present agent":                {2, receipt.CheckStatement, func(s statements) { s[1].Presence = receipt.PresencePassword }},
		"a code of another":              {1, receipt.CheckStatement, func(s statements) { s[0].UserCodeHash = receipt.UserCodeHash("BBBBBBBB") }},
		"signed outside its time":        {1, receipt.CheckTime, func(s statements) { s[0].IssuedAt -= 601; s[0].ExpiresAt -= 601 }},
		"signed outside its time, below": {2, receipt.CheckTime, func(s statements) { s[1].ExpiresAt = s[1].IssuedAt - 1 }},
	} {
		statements := three(t)
		statements[1].Parent, statements[2].Parent = "", ""
		row.change(statements)
		at := chainTime
		if name == "not yet" {
			statements = statements[:1]
		}
		text := chained(t, statements)
		if name == "not yet" {
			text = receipt.EncodeChain([]string{signKind(t, keyOf(t, "owner"), time.Unix(statements[0].IssuedAt, 0), receipt.PurposeDelegation, receipt.ApprovalPath,
				body("BCDF-GHJK", statements[0].Encode()))})
		}
		_, err := receipt.VerifyChain([]byte(text), at)
		if link, check := failedAt(err); link != row.link || check != row.check || (check == "") != (err == nil) {
			t.Errorf("%s: %v, want link %d to fail at %q", name, err, row.link, row.check)
		}
	}
}

func TestTheLinksOfAChainAreInTheirPlaces(t *testing.T) {
	t.Parallel()
	statements := three(t)
	statements[1].Parent, statements[2].Parent = "", ""
	l := signedLinks(t, statements)
	sub := func(kind, path, body string) string {
		return signKind(t, keyOf(t, "agent"), time.Unix(statements[1].IssuedAt, 0), kind, path, body)
	}
	hung := statements[1]
	hung.Parent = receipt.Hash(l[0])
	passkeys := newPasskey(t)
	for name, row := range map[string]struct {
		link  int
		check receipt.Check
		text  string
	}{
		"as they are":                  {0, "", receipt.EncodeChain(l)},
		"the owner's alone":            {0, "", receipt.EncodeChain(l[:1])},
		"without the owner's":          {1, receipt.CheckLink, receipt.EncodeChain(l[1:])},
		"without the one between":      {2, receipt.CheckIdentity, receipt.EncodeChain([]string{l[0], l[2]})},
		"the owner's twice":            {2, receipt.CheckIdentity, receipt.EncodeChain([]string{l[0], l[0]})},
		"a device's":                   {1, receipt.CheckLink, receipt.EncodeChain([]string{makeReceipt(t, statement(t), key(7), signedAt)})},
		"a kill switch":                {1, receipt.CheckLink, receipt.EncodeChain([]string{known().KillFile})},
		"no receipt":                   {2, receipt.CheckFormat, receipt.EncodeChain([]string{l[0], "{}"})},
		"without its newline":          {1, receipt.CheckFormat, receipt.EncodeChain([]string{strings.TrimSpace(l[0])})},
		"by a path of approvals":       {2, receipt.CheckLink, receipt.EncodeChain([]string{l[0], sub(receipt.PurposeSubdelegation, receipt.ApprovalPath, hung.Encode())})},
		"by a path of requests":        {2, receipt.CheckLink, receipt.EncodeChain([]string{l[0], sub(receipt.PurposeSubdelegation, "/api/agents", hung.Encode())})},
		"an owner's, at a lower place": {2, receipt.CheckLink, receipt.EncodeChain([]string{l[0], signedByAgent(t, statements[0])})},
		"a passkey's, vouched for": {0, "", receipt.EncodeChain([]string{
			byPerson(t, receipt.PresencePerson, passkeys.answer(personal(t, receipt.PresencePerson)), passkeys.vouch(passkeys.added())),
		})},
		"a passkey's, of nobody": {1, receipt.CheckSignature, receipt.EncodeChain([]string{
			byPerson(t, receipt.PresencePerson, passkeys.answer(personal(t, receipt.PresencePerson)), nil),
		})},
		"none at all":             {0, receipt.CheckFormat, receipt.EncodeChain([]string{})},
		"a receipt, and no list":  {0, receipt.CheckFormat, l[0]},
		"of version 1":            {0, receipt.CheckFormat, strings.Replace(receipt.EncodeChain(l), `"v":2`, `"v":1`, 1)},
		"of another kind":         {0, receipt.CheckFormat, strings.Replace(receipt.EncodeChain(l), `delegation-chain`, `relegation-chain`, 1)},
		"reformatted":             {0, receipt.CheckFormat, strings.Replace(receipt.EncodeChain(l), `,"links"`, `, "links"`, 1)},
		"with something more":     {0, receipt.CheckFormat, strings.Replace(receipt.EncodeChain(l), `,"links"`, `,"x":1,"links"`, 1)},
		"with something behind":   {0, receipt.CheckFormat, receipt.EncodeChain(l) + "\n"},
		"too many":                {0, receipt.CheckFormat, receipt.EncodeChain(slices.Repeat(l[:1], 17))},
		"as many as there can be": {2, receipt.CheckIdentity, receipt.EncodeChain(slices.Repeat(l[:1], 16))},
	} {
		_, err := receipt.VerifyChain([]byte(row.text), chainTime)
		if link, check := failedAt(err); link != row.link || check != row.check || (check == "") != (err == nil) {
			t.Errorf("%s: %v, want link %d to fail at %q", name, err, row.link, row.check)
		}
	}
	if _, err := receipt.VerifyChain([]byte(receipt.EncodeChain([]string{strings.Repeat("x", 1<<20)})), chainTime); err == nil || !strings.Contains(err.Error(), "format") {
		t.Error(err)
	}
}

// signedByAgent is an owner's statement in the agent's name, signed by it as an approval.
func signedByAgent(tb testing.TB, d receipt.Delegation) string {
	tb.Helper()
	d.BAPID = known().Keys["agent"].ID
	return signKind(tb, keyOf(tb, "agent"), agentTime, receipt.PurposeDelegation, receipt.ApprovalPath, body("BCDF-GHJK", d.Encode()))
}

// One byte anywhere in a chain, changed to anything, is noticed; what is left out or put in,
// too.
func TestAnyChangedByteOfAChainIsNoticed(t *testing.T) {
	t.Parallel()
	good := []byte(known().Chains[1].Chain)
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, len(good)-1).Draw(rt, "at")
		b := rapid.Byte().Draw(rt, "byte")
		changed := slices.Clone(good)
		switch rapid.IntRange(0, 2).Draw(rt, "how") {
		case 0:
			changed[i] = b
		case 1:
			changed = slices.Insert(changed, i, b)
		case 2:
			changed = slices.Delete(changed, i, i+1)
		}
		_, err := receipt.VerifyChain(changed, chainTime)
		if _, check := failedAt(err); (check == "") != (string(changed) == string(good)) {
			rt.Errorf("byte %d: %v", i, err)
		}
	})
}

func FuzzVerifyChain(f *testing.F) {
	for _, c := range known().Chains {
		f.Add([]byte(c.Chain))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		links, err := receipt.ParseChain(text)
		if err == nil && receipt.EncodeChain(links) != string(text) {
			t.Error("read what it would not write")
		}
		if _, err := receipt.VerifyChain(text, chainTime); err != nil {
			if _, check := failedAt(err); check == "" {
				t.Errorf("failed without a named check: %v", err)
			}
		}
	})
}

func BenchmarkVerifyChain3(b *testing.B) {
	text := []byte(known().Chains[1].Chain)
	for b.Loop() {
		if _, err := receipt.VerifyChain(text, chainTime); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleVerifyChain() {
	text, err := os.ReadFile("testdata/chain.json") // from GET /api/agents/{id}/chain
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := receipt.VerifyChain(text, time.Date(2026, 11, 29, 12, 10, 0, 0, time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s acts for %s, with %q.\n", c.Last().Agent.Name, c.Owner(), c.Last().Scope)
	_, err = receipt.VerifyChain(text, time.Date(2026, 11, 30, 12, 10, 0, 0, time.UTC))
	fmt.Println(err)
	// Output:
	// Courier acts for 2SPwP5DJR6duvDqbrqAmhkGwRxc4, with "openid".
	// link 1, check "alive" failed: it is over
}
