package details_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"countersign.dev/details"
)

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
		if list, err := details.Parse([]byte(bad)); err == nil {
			t.Errorf("%s: %s", bad, list)
		}
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
		spend(`"payments":1,"payees":[1]`):                                          "payees of element 2 of authorization_details must be a list",
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
		call(`"constraints":{"a":{"in":[null]}}`):                                   "constraints.in of element 2 of authorization_details must be a list",
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
