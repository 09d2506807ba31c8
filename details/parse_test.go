package details_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign.dev/details"
)

// widest has each bound at its end.
var widest = `[{"actions":["x"],"constraints":{"` + strings.Repeat("a", 128) + `":{"eq":-9007199254740991,"max":9007199254740991,"min":-9007199254740991,"not_in":[9007199254740991,""]}},"per_day":9007199254740991,"resource":"https://api.example","type":"call"},` +
	`{"currency":"USD","payments":0,"per_day":"90071992547409.91","type":"spend"}]`

const asked = `[{"type":"spend","currency":"USD","per_transaction":"5","per_day":"20.5","total":"100.00","payments":10,"payees":["https://shop.example","https://a.example"],"redelegate":true},` +
	`{"type":"call","resource":"https://api.example","actions":["orders.read","orders.create"],"constraints":{"currency":{"in":["USD","EUR"]},"amount":{"max":1000,"min":-1}},"per_day":50,"once":false},` +
	`{"type":"skill","names":["pdf","csv"]},` +
	`{"type":"skill","digests":["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]}]`

func parse(tb testing.TB, text string) details.List {
	tb.Helper()
	list, err := details.Parse([]byte(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return list
}

func TestAListIsKeptInTheOrderInWhichItWasAsked(t *testing.T) {
	const want = `[{"currency":"USD","payees":["https://shop.example","https://a.example"],"payments":10,"per_day":"20.50","per_transaction":"5.00","redelegate":true,"total":"100.00","type":"spend"},` +
		`{"actions":["orders.read","orders.create"],"constraints":{"amount":{"max":1000,"min":-1},"currency":{"in":["USD","EUR"]}},"per_day":50,"resource":"https://api.example","type":"call"},` +
		`{"names":["pdf","csv"],"type":"skill"},` +
		`{"digests":["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"],"type":"skill"}]`
	list := parse(t, asked)
	if list.Encode() != want || list.String() != want {
		t.Errorf("%s", list)
	}
	if again := parse(t, want); again.Encode() != want {
		t.Errorf("%s", again)
	}
	if list := parse(t, widest); list.Encode() != widest {
		t.Errorf("%s", list)
	}
	if text := parse(t, " [ ] ").Encode(); text != "[]" {
		t.Error(text)
	}
	if text := details.List(nil).Encode(); text != "[]" {
		t.Error(text)
	}
}

func repeated(n int, part func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = part(i)
	}
	return strings.Join(parts, ",")
}

// of letters makes names, each another.
func name(i int) string { return string([]rune{'a' + rune(i/26), 'a' + rune(i%26)}) }

func TestWhatIsNoListIsRefused(t *testing.T) {
	skills := func(n int) string {
		return "[" + repeated(n, func(i int) string { return `{"type":"skill","names":["` + name(i) + `"]}` }) + "]"
	}
	names := func(n int) string {
		return `[{"type":"skill","names":[` + repeated(n, func(i int) string { return `"` + name(i) + `"` }) + `]}]`
	}
	// sized is a list of exactly so many bytes.
	sized := func(n int) string {
		long := repeated(31, func(i int) string { return `"` + name(i) + strings.Repeat("x", 126) + `"` })
		text := `[{"names":[` + long + `,"y"],"type":"skill"}]`
		return strings.Replace(text, `"y"`, `"`+strings.Repeat("y", n-len(text)+1)+`"`, 1)
	}
	for _, good := range []string{skills(16), names(64), sized(4096), `[{"type":"skill","names":["` + strings.Repeat("x", 128) + `"]}]`} {
		parse(t, good)
	}
	for _, bad := range []string{skills(17), names(65), sized(4097), sized(4096) + " ", `[{"type":"skill","names":["` + strings.Repeat("x", 129) + `"]}]`} {
		if list, err := details.Parse([]byte(bad)); err == nil {
			t.Errorf("%d bytes: %s", len(bad), list)
		}
	}
	for _, bad := range []string{
		``, ` `, `null`, `{}`, `"[]"`, `[`, `[]]`, `[] []`, `[,]`, `[{}`, `[null]`, `[[]]`, `["spend"]`, `[{}]`, `[{"type":null}]`, `[{"type":1}]`, `[{"type":"sp\ud800end"}]`,
		`[{"type":"admin"}]`, `[{"type":"Spend"}]`, `[{"type":"skill","names":["a"],"names":["b"]}]`, "[{\"type\":\"skill\",\"names\":[\"\xff\"]}]",
	} {
		var e *details.Error
		if list, err := details.Parse([]byte(bad)); !errors.As(err, &e) || (e.Element == 0) != strings.HasPrefix(err.Error(), "authorization_details must be a JSON array") {
			t.Errorf("%s: %s, %v", bad, list, err)
		}
	}
	for text, want := range map[string]string{
		`{}`: "authorization_details must be a JSON array", skills(17): "authorization_details must have 16 elements", sized(4097): "authorization_details must be 4096 bytes",
		`[{"type":"skill","names":["` + strings.Repeat("é", 65) + `"]}]`: "names of element 1 of authorization_details must be names",
	} {
		if _, err := details.Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// What is short as it was sent may be too long with all its digits.
func TestAListIsBoundedAsItIsWritten(t *testing.T) {
	of := func(payees int, last string) string {
		return `[{"type":"spend","currency":"BSV","total":"1","payees":[` + repeated(payees, func(i int) string { return `"https://` + name(i) + strings.Repeat("x", 117) + `"` }) + `,"urn:` + last + `"]}]`
	}
	const total = `"1.00000000"`
	fits := of(30, "x")
	fits = of(30, strings.Repeat("x", details.MaxBytes-len(fits)-len(total)+len(`"1"`)+1))
	if list := parse(t, fits); len(list.Encode()) != details.MaxBytes {
		t.Fatalf("it has %d bytes", len(list.Encode()))
	}
	if list, err := details.Parse([]byte(strings.Replace(fits, "urn:", "urn:x", 1))); err == nil {
		t.Errorf("it has %d bytes", len(list.Encode()))
	}
}

func TestListsAreMembersOfWhatIsWrittenAsJSON(t *testing.T) {
	var message struct {
		Details details.List `json:"authorization_details"`
	}
	const text = `{"authorization_details":[{"names":["csv","pdf"],"type":"skill"}]}`
	if err := json.Unmarshal([]byte(text), &message); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(message); err != nil || string(again) != text {
		t.Errorf("%s, %v", again, err)
	}
	var e *details.Error
	if err := json.Unmarshal([]byte(`{"authorization_details":[5]}`), &message); !errors.As(err, &e) || len(message.Details) != 1 {
		t.Errorf("%v, %s", err, message.Details)
	}
}

// A program may put together what no JSON can say.
func TestListsThatWerePutTogetherAreChecked(t *testing.T) {
	type set = func(d *details.Detail)
	ofSpend := []set{
		func(d *details.Detail) { d.Currency = "USD" }, func(d *details.Detail) { d.Payees = []string{"urn:x:y"} }, func(d *details.Detail) { d.Redelegate = true },
	}
	ofCall := []set{
		func(d *details.Detail) { d.Resource = "https://api.example" }, func(d *details.Detail) { d.Actions = []string{"x"} },
		func(d *details.Detail) { d.Constraints = map[string]details.Constraint{} },
	}
	ofSkill := []set{func(d *details.Detail) { d.Names = []string{"x"} }, func(d *details.Detail) { d.Digests = []string{"sha256:" + zeros(64)} }}
	limited := func(name string, n int64) set {
		return func(d *details.Detail) { d.Limits = map[string]int64{name: n} }
	}
	once := func(d *details.Detail) { d.Once = true }
	for good, bad := range map[string][]set{
		dollars: slices.Concat(ofCall, ofSkill, []set{limited(details.Once, 1), limited(details.PerDay, -1), limited(details.Total, 1<<53)}),
		orders:  slices.Concat(ofSpend, ofSkill, []set{limited(details.Total, 1), limited(details.PerDay, -1), limited(details.PerDay, 1<<53)}),
		skills:  slices.Concat(ofSpend, ofCall, []set{limited(details.PerDay, 1), once, func(d *details.Detail) { d.Names = []string{"\xff"} }}),
	} {
		for i, change := range bad {
			list := parse(t, "["+good+"]")
			change(&list[0])
			var e *details.Error
			if err := list.Check(); !errors.As(err, &e) || e.Element != 1 {
				t.Errorf("change %d of %s: %v", i, good, err)
			}
		}
	}
	if text := (details.List{{Type: details.TypeSkill, Names: []string{"\xff"}}}).Encode(); text != "" {
		t.Error(text)
	}
	many := make(details.List, details.MaxElements+1)
	for i := range many {
		many[i] = details.Detail{Type: details.TypeSkill, Names: []string{name(i)}}
	}
	if err := many[1:].Check(); err != nil {
		t.Error(err)
	}
	if err := many.Check(); err == nil || err.Error() != "authorization_details must have 16 elements at most" {
		t.Error(err)
	}
}

func TestValuesAreTextsOrIntegers(t *testing.T) {
	if n, ok := details.Integer(5).Integer(); n != 5 || !ok {
		t.Error(n, ok)
	}
	if text, ok := details.Text("5").Text(); text != "5" || !ok {
		t.Error(text, ok)
	}
	if _, ok := details.Integer(5).Text(); ok {
		t.Error("5 is a text")
	}
	if _, ok := details.Text("5").Integer(); ok {
		t.Error("the text 5 is an integer")
	}
}

var descriptions = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

// refusals are what an element may be told, by its first words.
func TestEachMistakeIsNamed(t *testing.T) {
	spend := func(rest string) string { return `{"type":"spend","currency":"USD",` + rest + `}` }
	call := func(rest string) string {
		return `{"type":"call","resource":"https://api.example","actions":["x"],` + rest + `}`
	}
	for element, want := range map[string]string{
		`5`:                      "element 2 of authorization_details is not an object",
		`null`:                   "element 2 of authorization_details is not an object",
		`{"type":"admin","x":1}`: "type of element 2 of authorization_details is none",
		call(`"constraints":{"a\u200b":{"eq":1}}`):                                  "constraints of element 2 of authorization_details must name arguments",
		`{"type":"spend","per_day":"1"}`:                                            "currency of element 2 of authorization_details is no code",
		`{"type":"spend","currency":"usd","per_day":"1"}`:                           "currency of element 2 of authorization_details is no code",
		`{"type":"spend","currency":"XXX","payments":1}`:                            "currency of element 2 of authorization_details is no code",
		`{"type":"spend","currency":5,"payments":1}`:                                "currency of element 2 of authorization_details must be a text",
		`{"type":"spend","currency":"USD"}`:                                         "element 2 of authorization_details has no limit",
		spend(`"once":true`):                                                        "element 2 of authorization_details has no limit",
		spend(`"per_day":"1","actions":["x"]`):                                      "element 2 of authorization_details has a member",
		spend(`"per_year":"1"`):                                                     "element 2 of authorization_details has a member",
		spend(`"per_day":1`):                                                        "per_day of element 2 of authorization_details must be an amount",
		spend(`"per_day":null`):                                                     "per_day of element 2 of authorization_details must be an amount",
		spend(`"per_day":""`):                                                       "per_day of element 2 of authorization_details must be an amount",
		spend(`"per_week":"1.001"`):                                                 "per_week of element 2 of authorization_details must be an amount",
		spend(`"per_month":"-1"`):                                                   "per_month of element 2 of authorization_details must be an amount",
		spend(`"total":"90071992547409.92"`):                                        "total of element 2 of authorization_details must be less than 2^53",
		spend(`"payments":"1"`):                                                     "payments of element 2 of authorization_details must be an integer",
		spend(`"payments":1.0`):                                                     "payments of element 2 of authorization_details must be an integer",
		spend(`"payments":-1`):                                                      "payments of element 2 of authorization_details must be an integer",
		spend(`"payments":9007199254740992`):                                        "payments of element 2 of authorization_details must be an integer",
		spend(`"payments":1,"payees":[]`):                                           "payees of element 2 of authorization_details is an empty list",
		spend(`"payments":1,"payees":"https://a.example"`):                          "payees of element 2 of authorization_details must be a list",
		spend(`"payments":1,"payees":[1,"https://a.example"]`):                      "payees of element 2 of authorization_details must be a list",
		spend(`"payments":1,"payees":["shop.example"]`):                             "payees of element 2 of authorization_details must be absolute",
		spend(`"payments":1,"redelegate":"true"`):                                   "redelegate of element 2 of authorization_details must be true or false",
		spend(`"payments":1,"once":1`):                                              "once of element 2 of authorization_details must be true or false",
		`{"type":"spend","currency":"EUR","payments":1}`:                            "currency of element 2 of authorization_details is that of an element before",
		`{"type":"call","actions":["x"]}`:                                           "resource of element 2 of authorization_details must be an absolute",
		`{"type":"call","resource":"https://api.example#x","actions":["x"]}`:        "resource of element 2 of authorization_details must be an absolute",
		`{"type":"call","resource":"https://api.example"}`:                          "actions of element 2 of authorization_details must be there",
		`{"type":"call","resource":"https://api.example","actions":[]}`:             "actions of element 2 of authorization_details is an empty list",
		`{"type":"call","resource":"https://api.example","actions":[""]}`:           "actions of element 2 of authorization_details must be names",
		`{"type":"call","resource":"https://api.example","actions":["x","x"]}`:      "actions of element 2 of authorization_details has one that was named",
		call(`"per_day":"5"`):                                                       "per_day of element 2 of authorization_details must be an integer",
		call(`"total":5`):                                                           "element 2 of authorization_details has a member",
		call(`"payees":["https://shop.example"]`):                                   "element 2 of authorization_details has a member",
		call(`"constraints":{}`):                                                    "constraints of element 2 of authorization_details has nothing",
		call(`"constraints":[]`):                                                    "constraints of element 2 of authorization_details must be an object",
		call(`"constraints":{"a":5}`):                                               "constraints of element 2 of authorization_details must be an object",
		call(`"constraints":{"a":{}}`):                                              "constraints of element 2 of authorization_details has an argument without",
		call(`"constraints":{"a":{"like":"x"}}`):                                    "constraints of element 2 of authorization_details has an operator",
		call(`"constraints":{"a~":{"eq":"x"}}`):                                     "constraints of element 2 of authorization_details must name arguments",
		call(`"constraints":{"` + strings.Repeat("a", 129) + `":{"eq":"x"}}`):       "constraints of element 2 of authorization_details must name arguments",
		call(`"constraints":{"a":{"eq":true}}`):                                     "constraints.eq of element 2 of authorization_details must be a text or",
		call(`"constraints":{"a":{"eq":1.5}}`):                                      "constraints.eq of element 2 of authorization_details must be a text or",
		call(`"constraints":{"a":{"eq":-0}}`):                                       "constraints.eq of element 2 of authorization_details must be a text or",
		call(`"constraints":{"a":{"eq":9007199254740992}}`):                         "constraints.eq of element 2 of authorization_details must have integers",
		call(`"constraints":{"a":{"eq":"\u202e"}}`):                                 "constraints.eq of element 2 of authorization_details must be texts that can be seen",
		call(`"constraints":{"a":{"in":[]}}`):                                       "constraints.in of element 2 of authorization_details is an empty list",
		call(`"constraints":{"a":{"in":"x"}}`):                                      "constraints.in of element 2 of authorization_details must be a list",
		call(`"constraints":{"a":{"in":[null,1]}}`):                                 "constraints.in of element 2 of authorization_details must be a list",
		call(`"constraints":{"a":{"in":[-9007199254740992]}}`):                      "constraints.in of element 2 of authorization_details must have integers",
		call(`"constraints":{"a":{"not_in":[]}}`):                                   "constraints.not_in of element 2 of authorization_details is an empty list",
		call(`"constraints":{"a":{"not_in":[1e3]}}`):                                "constraints.not_in of element 2 of authorization_details must be a list",
		call(`"constraints":{"a":{"not_in":["\u0000"]}}`):                           "constraints.not_in of element 2 of authorization_details must be texts that can be seen",
		call(`"constraints":{"a":{"min":"1"}}`):                                     "constraints.min of element 2 of authorization_details must be an integer",
		call(`"constraints":{"a":{"min":-9007199254740992}}`):                       "constraints.min of element 2 of authorization_details must have integers",
		call(`"constraints":{"a":{"max":[1]}}`):                                     "constraints.max of element 2 of authorization_details must be an integer",
		call(`"constraints":{"a":{"max":9007199254740992}}`):                        "constraints.max of element 2 of authorization_details must have integers",
		`{"type":"skill"}`:                                                          "element 2 of authorization_details must have either",
		`{"type":"skill","names":["a"],"digests":["sha256:` + zeros(64) + `"]}`:     "element 2 of authorization_details must have either",
		`{"type":"skill","names":[" a"]}`:                                           "names of element 2 of authorization_details must be names",
		`{"type":"skill","names":["a\u200bb"]}`:                                     "names of element 2 of authorization_details must be names",
		`{"type":"skill","digests":["` + zeros(64) + `"]}`:                          "digests of element 2 of authorization_details must be sha256",
		`{"type":"skill","digests":["sha256:` + zeros(63) + `"]}`:                   "digests of element 2 of authorization_details must be sha256",
		`{"type":"skill","digests":["sha256:` + zeros(63) + `A"]}`:                  "digests of element 2 of authorization_details must be sha256",
		`{"type":"skill","names":["a"],"once":true}`:                                "element 2 of authorization_details has a member",
		`{"type":"skill","names":["a"],"per_day":1}`:                                "element 2 of authorization_details has a member",
		`{"type":"call","resource":"HTTPS://old.example:443/","actions":["a","b"]}`: "actions of element 2 of authorization_details has one that was named",
	} {
		first := `{"type":"spend","currency":"EUR","per_day":"1"}`
		if strings.Contains(element, "old.example") {
			first = `{"type":"call","resource":"https://old.example","actions":["b"]}`
		}
		list, err := details.Parse([]byte("[" + first + "," + element + "]"))
		var e *details.Error
		if !errors.As(err, &e) || e.Element != 2 || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v", element, list, err)
		}
		if err != nil && !descriptions.MatchString(err.Error()) {
			t.Errorf("no error_description: %s", err)
		}
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }
