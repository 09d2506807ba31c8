package receipt_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/receipt"
)

// vectors are what the contract says in bytes.
type vectors struct {
	Statement    string `json:"statement"`
	SubStatement string `json:"sub_statement"`
	Receipt      string `json:"receipt"`
	ReceiptHash  string `json:"receipt_hash"`
	KillFile     string `json:"kill_file"`
	Keys         map[string]struct {
		ID        string `json:"id"`
		BAPID     string `json:"bap_id"`
		JKT       string `json:"jkt"`
		PublicKey string `json:"pubkey"`
		Private   string `json:"private"`
	} `json:"keys"`
	Chains []struct {
		Name  string        `json:"name"`
		At    string        `json:"at"`
		Chain string        `json:"chain"`
		Valid bool          `json:"valid"`
		Link  int           `json:"link"`
		Check receipt.Check `json:"check"`
	} `json:"chains"`
}

var known = sync.OnceValue(func() vectors {
	raw, err := os.ReadFile("testdata/agents.json")
	if err != nil {
		panic(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		panic(err)
	}
	return v
})

// keyOf is a throw-away key of the vectors.
func keyOf(tb testing.TB, name string) *ec.PrivateKey {
	tb.Helper()
	k, err := ec.PrivateKeyFromHex(known().Keys[name].Private)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func delegation(tb testing.TB) receipt.Delegation {
	tb.Helper()
	return parsed(tb, known().Statement)
}

func parsed(tb testing.TB, text string) receipt.Delegation {
	tb.Helper()
	d, err := receipt.ParseDelegation(text)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestN11_TheStatementsOfTheContractAreReadAndWritten(t *testing.T) {
	for _, text := range []string{known().Statement, known().SubStatement} {
		if again := parsed(t, text).Encode(); again != text {
			t.Errorf("%s\nis written as\n%s", text, again)
		}
	}
	d := delegation(t)
	if d.Agent.Name != "Backup tool" || d.Depth != 2 || d.Presence != receipt.PresencePassword || d.NotAfter-d.IssuedAt != 86400 || len(d.Resource) != 2 {
		t.Errorf("%+v", d)
	}
	for _, name := range []string{"agent", "sub_agent"} {
		is := known().Keys[name]
		a, err := receipt.NewDelegate("x", keyOf(t, name).PubKey())
		if err != nil || a.ID != is.ID || a.JKT != is.JKT || a.PublicKey != is.PublicKey {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if receipt.Hash(known().Receipt) != known().ReceiptHash {
		t.Error("a receipt has another hash")
	}
}

func TestADelegationHasOneEncoding(t *testing.T) {
	owners, subs := known().Statement, known().SubStatement
	for name, row := range map[string]struct{ text, old, new string }{
		"space":                      {owners, `,"v":2`, `, "v":2`},
		"another order":              {owners, `"scope":"openid profile","user_code_hash"`, `"user_code_hash":"","scope":"openid profile","user_code_hash"`},
		"unknown member":             {owners, `"v":2`, `"v":2,"x":1`},
		"unknown member of an agent": {owners, `"pubkey"`, `"plan":"","pubkey"`},
		"twice":                      {owners, `"v":2`, `"v":2,"v":2`},
		"another case":               {owners, `"scope"`, `"Scope"`},
		"escaped":                    {owners, `openid profile`, `openid\u0020profile`},
		"no list":                    {owners, `"resource":["https://api.example","https://shop.example"]`, `"resource":null`},
		"no details":                 {subs, `"authorization_details":[{"currency":"USD","payees":["https://shop.example"],"per_transaction":"5.00","redelegate":true,"total":"10.00","type":"spend"}],`, ``},
		"a number that is none":      {owners, `"depth":2`, `"depth":2.0`},
		"minus zero":                 {owners, `"depth":2`, `"depth":-0`},
		"below zero":                 {owners, `"depth":2`, `"depth":-1`},
		"2^53":                       {owners, `"not_after":1796040000`, `"not_after":9007199254740992`},
		"a number as text":           {owners, `"iat":1795953600`, `"iat":"1795953600"`},
		"version 1":                  {owners, `"v":2`, `"v":1`},
		"another purpose":            {owners, `"agent-delegation"`, `"device-approval"`},
		"the other purpose":          {owners, `"agent-delegation"`, `"agent-subdelegation"`},
		"a second too long":          {owners, `"exp":1795953900`, `"exp":1795953901`},
		"session":                    {owners, `"password"`, `"session"`},
		"no presence":                {owners, `"presence":"password",`, ``},
		"no code":                    {owners, `,"user_code_hash":"2460f36941e3e1ec165e1096163265627ce5847e4037af4ea051caee9ec75569"`, ``},
		"a hash in capitals":         {owners, `2460f36941e3e1ec`, `2460F36941e3e1ec`},
		"no agent":                   {owners, `"name":"Backup tool"`, `"name":""`},
		"a NUL":                      {owners, `Backup tool`, `Backup\u0000tool`},
		"no UTF-8":                   {owners, `Backup tool`, "Backup\xfftool"},
		"no issuer":                  {owners, `"https://id.example.org"`, `""`},
		"another's id":               {owners, `"id":"2sbU2CLLZU5vLBEjj2XcHEdBPqBb"`, `"id":"2Ao7qxci5zbU8D56fkF82chmPibn"`},
		"another's thumbprint":       {owners, `pdDgc_f_vbvPDhNSPBBkyLYq1qpgxa7zqbuV7jrfxJg`, `9Wy8W_LNlxhUj8emU0Ym0IJ_K8EQ2pCW9WtbnKs0lfY`},
		"another's key":              {owners, `03d01115d548e7561b15c38f004d734633687cf4419620095bc5b0f47070afe85a`, `03f28773c2d975288bc7d1d205c3748651b075fbc6610e58cddeeddf8f19405aa8`},
		"a key in capitals":          {owners, `03d01115d548`, `03D01115D548`},
		"no key, and a BAP id":       {owners, `,"pubkey":"03d01115d548e7561b15c38f004d734633687cf4419620095bc5b0f47070afe85a"`, ``},
		"an empty key":               {owners, `"pubkey":"03d01115d548e7561b15c38f004d734633687cf4419620095bc5b0f47070afe85a"`, `"pubkey":""`},
		"a parent":                   {owners, `"presence"`, `"parent":"GhuO4-CN3jnEA1Tf9jCfSg-W7Nyc02ULqm5i4f1lwvk","presence"`},
		"an agent that was present":  {subs, `"purpose"`, `"presence":"password","purpose"`},
		"no parent":                  {subs, `"parent":"GhuO4-CN3jnEA1Tf9jCfSg-W7Nyc02ULqm5i4f1lwvk",`, ``},
		"a parent that is no hash":   {subs, `GhuO4-CN3jnEA1Tf9jCfSg-W7Nyc02ULqm5i4f1lwvk`, `GhuO4-CN3jnEA1Tf9jCfSg-W7Nyc02ULqm5i4f1lwvl`},
		"a nonce that is not drawn":  {subs, `"nonce":"e6145358d2ed9f68bca6969bbbf870de"`, `"nonce":"e6145358"`},
		"something behind it":        {owners, `"v":2}`, `"v":2}{}`},
		"a line":                     {owners, `"v":2}`, "\"v\":2}\n"},
		"too long":                   {owners, `openid profile`, "openid" + strings.Repeat(" x", 4<<10)},
	} {
		changed := strings.Replace(row.text, row.old, row.new, 1)
		if changed == row.text {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := receipt.ParseDelegation(changed); !errors.Is(err, receipt.ErrDelegation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADelegationIsAsLongAsAStatementMayBe(t *testing.T) {
	d := delegation(t)
	d.Scope += " " + strings.Repeat("x", 8<<10-len(d.Encode())-1)
	if parsed(t, d.Encode()); len(d.Encode()) != 8<<10 {
		t.Error(len(d.Encode()))
	}
	d.Scope += "x"
	if _, err := receipt.ParseDelegation(d.Encode()); !errors.Is(err, receipt.ErrDelegation) {
		t.Error(err)
	}
}

func TestADelegationIsWrittenByRFC8785(t *testing.T) {
	d := delegation(t)
	d.Agent.Name, d.Details, d.Resource = "<\u2028\"é\u20ac\x01", json.RawMessage(`[ {"b":1e2, "\ud83d\ude00":1, "\ufb33":2} ]`), nil
	for _, part := range []string{
		"\"name\":\"<\u2028\\\"é€\\u0001\"", "\"authorization_details\":[{\"b\":100,\"😀\":1,\"\ufb33\":2}]", `"resource":[]`, // by UTF-16 code units
	} {
		if !strings.Contains(d.Encode(), part) {
			t.Errorf("%s is not in %s", part, d.Encode())
		}
	}
	d.Details = json.RawMessage(`[{"a":1,"a":2}]`)
	if d.Encode() != "" {
		t.Error(d.Encode())
	}
}

func FuzzParseDelegation(f *testing.F) {
	f.Add(known().Statement)
	f.Add(known().SubStatement)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := receipt.ParseDelegation(text)
		if err == nil && d.Encode() != text {
			t.Error("read what it would not write")
		}
	})
}
