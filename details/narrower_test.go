package details_test

import (
	"errors"
	"strings"
	"testing"

	"countersign.dev/details"
)

const (
	dollars = `{"type":"spend","currency":"USD","per_transaction":"5.00","total":"20.00","payees":["https://shop.example"],"redelegate":true}`
	orders  = `{"type":"call","resource":"https://api.example","actions":["orders.create","orders.read"],"constraints":{"amount":{"max":1000},"currency":{"in":["EUR","USD"]}},"per_day":50}`
	skills  = `{"type":"skill","names":["csv","pdf"]}`
)

// replaced is an element with one thing changed.
func replaced(tb testing.TB, element, old, new string) string {
	tb.Helper()
	if !strings.Contains(element, old) {
		tb.Fatalf("%s has no %s", element, old)
	}
	return strings.Replace(element, old, new, 1)
}

func TestWhatIsNarrower(t *testing.T) {
	given := parse(t, "["+dollars+","+orders+","+skills+"]")
	for _, x := range []string{
		``, dollars, orders, skills, skills + "," + orders + "," + dollars,
		replaced(t, dollars, `"20.00"`, `"19.99"`), replaced(t, dollars, `"5.00"`, `"5"`), replaced(t, dollars, `"total"`, `"per_day":"3","total"`), replaced(t, dollars, `,"redelegate":true`, ``),
		replaced(t, dollars, `true`, `false`), replaced(t, dollars, `"total"`, `"once":true,"total"`),
		replaced(t, orders, `,"orders.read"`, ``), replaced(t, orders, `1000`, `999`), replaced(t, orders, `"EUR",`, ``), replaced(t, orders, `{"in":["EUR","USD"]}`, `{"eq":"USD"}`),
		replaced(t, orders, `{"max":1000}`, `{"eq":1000}`), replaced(t, orders, `{"max":1000}`, `{"in":[1,-5]}`), replaced(t, orders, `{"max":1000}`, `{"max":1000,"min":1}`),
		replaced(t, orders, `50`, `0`), replaced(t, orders, `"constraints":{`, `"constraints":{"note":{"not_in":["x"]},`), replaced(t, orders, `https://api.example`, `HTTPS://API.example:443/`),
		replaced(t, skills, `"csv",`, ``), `{"type":"skill","names":["pdf"]},{"type":"skill","names":["csv"]}`,
	} {
		if err := details.Narrower(parse(t, "["+x+"]"), given); err != nil {
			t.Errorf("%s: %v", x, err)
		}
	}
	for x, member := range map[string]string{
		replaced(t, dollars, `"USD"`, `"EUR"`):                                  "currency",
		replaced(t, dollars, `"20.00"`, `"20.01"`):                              "total",
		replaced(t, dollars, `,"total":"20.00"`, ``):                            "total",
		replaced(t, dollars, `"per_transaction":"5.00",`, `"payments":1,`):      "per_transaction",
		replaced(t, dollars, `,"payees":["https://shop.example"]`, ``):          "payees",
		replaced(t, dollars, `"https://shop.example"`, `"https://shop.e"`):      "payees",
		replaced(t, orders, `"orders.read"`, `"orders.delete"`):                 "actions",
		replaced(t, orders, `https://api`, `https://other`):                     "actions",
		replaced(t, orders, `,"per_day":50`, ``):                                "per_day",
		replaced(t, orders, `50`, `51`):                                         "per_day",
		replaced(t, orders, `1000`, `1001`):                                     "constraints.max",
		replaced(t, orders, `{"max":1000}`, `{"min":5}`):                        "constraints.max",
		replaced(t, orders, `{"max":1000}`, `{"eq":1001}`):                      "constraints.max",
		replaced(t, orders, `{"max":1000}`, `{"eq":"1"}`):                       "constraints.max",
		replaced(t, orders, `{"max":1000}`, `{"in":[1,1001]}`):                  "constraints.max",
		replaced(t, orders, `"amount":{"max":1000},`, ``):                       "constraints.max",
		replaced(t, orders, `"amount"`, `"sum"`):                                "constraints.max",
		replaced(t, orders, `"EUR",`, `"CHF",`):                                 "constraints.in",
		replaced(t, orders, `{"in":["EUR","USD"]}`, `{"not_in":["CHF"]}`):       "constraints.in",
		replaced(t, skills, `"csv"`, `"exe"`):                                   "names",
		`{"type":"skill","digests":["sha256:` + strings.Repeat("0", 64) + `"]}`: "digests",
	} {
		err := details.Narrower(parse(t, "["+`{"type":"skill","names":["pdf"]}`+","+x+"]"), given)
		var e *details.Error
		if !errors.As(err, &e) || e.Element != 2 || e.Member != member || !descriptions.MatchString(err.Error()) {
			t.Errorf("%s: %v, want %s of element 2", x, err, member)
		}
	}
}

func TestWhatIsOfNoTypeIsNarrowerThanNothing(t *testing.T) {
	odd := details.List{{Type: "admin"}}
	var e *details.Error
	if err := details.Narrower(odd, odd); !errors.As(err, &e) || e.Member != "type" || odd.Check() == nil {
		t.Error(err)
	}
}

func TestOneSpendOrCallInAllCannotBecomeMore(t *testing.T) {
	for _, once := range []string{`{"type":"spend","currency":"USD","total":"1","once":true}`, `{"type":"call","resource":"https://api.example","actions":["x"],"once":true}`} {
		more := replaced(t, once, `,"once":true`, ``)
		var e *details.Error
		if err := details.Narrower(parse(t, "["+more+"]"), parse(t, "["+once+"]")); !errors.As(err, &e) || e.Member != "once" {
			t.Errorf("%s: %v", more, err)
		}
		if err := details.Narrower(parse(t, "["+once+"]"), parse(t, "["+more+"]")); err != nil {
			t.Error(err)
		}
	}
}

func TestASubAgentSpendsWhatMayBePassedOn(t *testing.T) {
	may := parse(t, "["+dollars+"]")
	mayNot := parse(t, "["+replaced(t, dollars, `,"redelegate":true`, ``)+"]")
	for _, x := range []details.List{{}, may, mayNot, parse(t, "["+orders+"]")} {
		if err := details.NarrowerForSubAgent(x, append(may.Clone(), parse(t, "["+orders+"]")...)); err != nil {
			t.Errorf("%s: %v", x, err)
		}
	}
	var e *details.Error
	if err := details.Narrower(may, mayNot); !errors.As(err, &e) || e.Member != "redelegate" {
		t.Errorf("redelegate was added: %v", err)
	}
	if err := details.NarrowerForSubAgent(mayNot, mayNot); !errors.As(err, &e) || e.Element != 1 || !strings.Contains(err.Error(), "passed on") {
		t.Errorf("it was passed on without redelegate: %v", err)
	}
	if err := details.Narrower(mayNot, mayNot); err != nil {
		t.Error(err)
	}
}

// What a not_in lets pass is of a kind that is in it: one that names texts besides lets
// texts pass, which one of integers alone does not.
func TestANotInIsNarrowerOnlyWithoutANewKind(t *testing.T) {
	of := func(values string) details.List {
		return parse(t, `[{"type":"call","resource":"https://api.example","actions":["x"],"constraints":{"a":{"not_in":[`+values+`]}}}]`)
	}
	for _, x := range []string{`1`, `1,2`, `2,1,1`} {
		if err := details.Narrower(of(x), of("1")); err != nil {
			t.Errorf("%s: %v", x, err)
		}
	}
	for _, x := range []string{`2`, `"1"`, `1,"2"`} {
		if err := details.Narrower(of(x), of("1")); err == nil {
			t.Errorf("%s is narrower than 1", x)
		}
	}
	if err := details.Narrower(of(`1,2,"x"`), of(`1,"x"`)); err != nil {
		t.Error(err)
	}
}

func TestTheCanonicalFormIsOne(t *testing.T) {
	for text, want := range map[string]string{
		asked: `[{"actions":["orders.create"],"constraints":{"amount":{"max":1000,"min":-1},"currency":{"in":["EUR","USD"]}},"per_day":50,"resource":"https://api.example","type":"call"},` +
			`{"actions":["orders.read"],"constraints":{"amount":{"max":1000,"min":-1},"currency":{"in":["EUR","USD"]}},"per_day":50,"resource":"https://api.example","type":"call"},` +
			`{"currency":"USD","payees":["https://a.example","https://shop.example"],"payments":10,"per_day":"20.50","per_transaction":"5.00","redelegate":true,"total":"100.00","type":"spend"},` +
			`{"digests":["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"],"type":"skill"},` +
			`{"names":["csv","pdf"],"type":"skill"}]`,
		"[" + skills + `,{"type":"skill","names":["pdf","a"]}]`:                                                            `[{"names":["a","csv","pdf"],"type":"skill"}]`,
		`[{"type":"skill","digests":["sha256:` + strings.Repeat("1", 64) + `","sha256:` + strings.Repeat("0", 64) + `"]}]`: `[{"digests":["sha256:` + strings.Repeat("0", 64) + `","sha256:` + strings.Repeat("1", 64) + `"],"type":"skill"}]`,
		`[]`: `[]`,
	} {
		if got := parse(t, text).Canonical().Encode(); got != want {
			t.Errorf("%s\n%s, want\n%s", text, got, want)
		}
	}
}

func constrained(tb testing.TB, constraint string) details.List {
	tb.Helper()
	return parse(tb, `[{"type":"call","resource":"https://api.example","actions":["x"],"constraints":{"a":`+constraint+`}}]`)
}

func TestConstraintsHaveOneForm(t *testing.T) {
	for constraint, want := range map[string]string{
		`{"in":["x",1,"a",-1,0,"",1]}`:              `{"in":[-1,0,1,"","a","x"]}`,
		`{"not_in":[2,2,"",0]}`:                     `{"not_in":[0,2,""]}`,
		`{"in":[5,5]}`:                              `{"eq":5}`,
		`{"in":[5],"eq":5,"min":1,"max":5}`:         `{"eq":5}`,
		`{"eq":1,"in":[1,2]}`:                       `{"eq":1}`,
		`{"eq":2,"in":[1]}`:                         `{"eq":1,"in":[2]}`,
		`{"eq":1,"in":[2]}`:                         `{"eq":1,"in":[2]}`,
		`{"eq":3,"in":[1,2]}`:                       `{"eq":3,"in":[1,2]}`,
		`{"in":[1,2],"max":2,"min":1,"not_in":[3]}`: `{"in":[1,2]}`,
		`{"in":[1,2],"max":1,"not_in":["x"]}`:       `{"in":[1,2],"max":1,"not_in":["x"]}`,
		`{"min":1,"max":2}`:                         `{"max":2,"min":1}`,
	} {
		got := constrained(t, constraint).Canonical().Encode()
		if _, got, _ = strings.Cut(got, `"constraints":{"a":`); !strings.HasPrefix(got, want+"}") {
			t.Errorf("%s became %s, want %s", constraint, got, want)
		}
	}
}

func TestAConstraintIsImpliedByItsOwnOperatorOrByValues(t *testing.T) {
	for y, row := range map[string]struct{ narrower, wider []string }{
		`{"eq":1}`:         {[]string{`{"eq":1}`, `{"in":[1]}`, `{"in":[1,1]}`, `{"eq":1,"max":5}`}, []string{`{"eq":2}`, `{"eq":"1"}`, `{"in":[1,2]}`, `{"min":1,"max":1}`, `{"not_in":[2]}`}},
		`{"in":[1,"x"]}`:   {[]string{`{"eq":"x"}`, `{"in":["x"]}`, `{"in":["x",1]}`}, []string{`{"eq":"1"}`, `{"in":[1,2]}`, `{"min":1,"max":1}`, `{"not_in":[2]}`}},
		`{"min":5}`:        {[]string{`{"min":5}`, `{"min":6}`, `{"eq":5}`, `{"in":[5,9]}`, `{"min":5,"in":[1]}`}, []string{`{"min":4}`, `{"eq":4}`, `{"eq":"5"}`, `{"in":[5,4]}`, `{"max":9}`, `{"not_in":[1]}`}},
		`{"max":5}`:        {[]string{`{"max":5}`, `{"max":4}`, `{"eq":5}`, `{"in":[5,-9]}`}, []string{`{"max":6}`, `{"eq":6}`, `{"in":[5,6]}`, `{"min":1}`, `{"in":[5,"x"]}`}},
		`{"not_in":[1]}`:   {[]string{`{"not_in":[1]}`, `{"not_in":[2,1]}`, `{"eq":2}`, `{"in":[2,3]}`}, []string{`{"not_in":[2]}`, `{"eq":1}`, `{"eq":"x"}`, `{"in":[2,1]}`, `{"min":2}`, `{"in":[2,"x"]}`}},
		`{"min":1,"eq":2}`: {[]string{`{"eq":2}`, `{"eq":2,"min":0}`}, []string{`{"eq":3}`, `{"min":2}`, `{"max":2,"min":2}`}},
	} {
		for _, x := range row.narrower {
			if err := details.Narrower(constrained(t, x), constrained(t, y)); err != nil {
				t.Errorf("%s against %s: %v", x, y, err)
			}
		}
		for _, x := range row.wider {
			if err := details.Narrower(constrained(t, x), constrained(t, y)); err == nil {
				t.Errorf("%s is narrower than %s", x, y)
			}
		}
	}
}
