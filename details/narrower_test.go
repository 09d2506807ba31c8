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
