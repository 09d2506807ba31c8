package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/details"
	"countersign.dev/receipt"
)

// offerOf is an offer with these details, that lasts an hour from a time on.
func offerOf(t *testing.T, now time.Time, list string) *offer {
	t.Helper()
	key, err := bap.NewKey(SystemEnv().Rand)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := receipt.NewDelegate("Shopper", key.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOffer(receipt.Delegation{
		Agent: agent, Details: json.RawMessage(list), BAPID: "alice", ClientID: "my-app", Depth: 2, IssuedAt: now.Unix(), ExpiresAt: now.Unix() + 300, Issuer: "https://id.example",
		Nonce: "grant", NotAfter: now.Unix() + 3600, Presence: "password", Purpose: receipt.PurposeDelegation, Resource: []string{"https://a.example", "https://b.example"},
		Scope: "openid profile", UserCodeHash: receipt.UserCodeHash("BCDF-GHJK"), Version: 2,
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAnOfferIsNarrowedByWordsAndWidenedByNone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	const list = `[{"currency":"USD","per_day":"20.00","type":"spend"},{"currency":"JPY","payments":3,"total":"500","type":"spend"},` +
		`{"actions":["a"],"per_day":5,"resource":"https://api.example","type":"call"},{"names":["n"],"type":"skill"}]`
	for said, want := range map[string]string{ // what is in the statement then; nothing where it is refused
		"limit USD:per_day=19.99": `"per_day":"19.99"`, "limit USD:per_day=20.00": `"per_day":"20.00"`, "limit USD:total=7.5": `"total":"7.50"`,
		"limit USD:total=7.50": `"total":"7.50"`, "limit USD:payments=2": `"payments":2`, "limit JPY:total=499": `"total":"499"`,
		"limit https://api.example:per_day=4": `"per_day":4`, "scope profile": `"scope":"profile"`, `scope "openid profile"`: `"scope":"openid profile"`,
		"resource https://b.example": `"resource":["https://b.example"]`, "until 30m": `"not_after":1796128200`, "until 2026-12-01T12:10:00Z": `"not_after":1796127000`,
		"no-subagents": `"depth":0`, "without 4": `"type":"call"}]`, " without  1": `"authorization_details":[{"currency":"JPY"`,

		"limit USD:per_day=20.01": "", "limit JPY:total=501": "", "limit JPY:payments=4": "", "limit https://api.example:per_day=6": "", "limit per_day=1.00": "", "limit EUR:per_day=1.00": "",
		"limit USD:per_day=-1": "", "limit USD:per_day=0.00": "", "limit USD:per_hour=1.00": "", "limit USD:per_day": "", "limit": "", "scope openid profile email": "", "scope": "",
		"resource https://c.example": "", "until 61m": "", "until 1d": "", "until 2026-11-30": "", "until -1m": "", "until soon": "", "without 0": "", "without 5": "", "without x": "", "allow all": "", "": "",
	} {
		o := offerOf(t, now, list)
		before := o.left.Encode()
		err := o.narrow(said, now)
		switch {
		case want == "" && (err == nil || o.left.Encode() != before || len(o.out) != 0):
			t.Errorf("%q: %v\n%s", said, err, o.left.Encode())
		case want != "" && (err != nil || !strings.Contains(o.left.Encode(), want) || o.left.NarrowerThan(o.widest) != nil):
			t.Errorf("%q: %v\n%s", said, err, o.left.Encode())
		}
	}
	o := offerOf(t, now, list)
	for _, said := range []string{"limit USD:per_day=1.00", "without 2", "without 3", "limit per_day=0.50"} { // which then is of one alone
		if err := o.narrow(said, now); err != nil {
			t.Fatal(said, err)
		}
	}
	if got := string(o.left.Details); got != `[{"currency":"USD","per_day":"0.50","type":"spend"},{"names":["n"],"type":"skill"}]` {
		t.Error(got)
	}
}

func TestDetailsAreSaidInWords(t *testing.T) {
	t.Parallel()
	list, err := details.Parse([]byte(`[{"type":"spend","currency":"USD","per_transaction":"5.00","per_week":"7.00","per_month":"9.00","total":"10.00","payments":3,"payees":["https://shop.example"],"redelegate":true,"once":true},
		{"type":"call","resource":"https://api.example","actions":["a","b"],"per_day":5,"constraints":{"x":{"eq":"y"},"n":{"min":1,"max":2},"c":{"in":["p","q"]},"d":{"not_in":[1]}}},
		{"type":"skill","names":["n"]},{"type":"spend","currency":"BSV","per_day":"0.00000001"}]`))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, d := range list {
		what, limits := detailInWords(d)
		said = append(append(said, what), limits...)
	}
	const want = `Spend USD at https://shop.example
it may pass a part of this on to its sub-agents
at most 5.00 USD at once (per_transaction)
at most 7.00 USD a week (per_week)
at most 9.00 USD a month (per_month)
at most 10.00 USD in all (total)
at most 3 payments in all (payments)
once, and never again
Call a, b at https://api.example
the argument c must be one of "p", "q"
the argument d must be none of 1
the argument n must be 1 at least and 2 at most
the argument x must be "y"
at most 5 calls of each a day (per_day)
Load the skills n
Spend BSV at anybody
at most 0.00000001 BSV a day (per_day)`
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("%s", got)
	}
}
