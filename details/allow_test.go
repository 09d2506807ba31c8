package details_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"countersign.dev/details"
)

func TestConstraintsAreDecidedByValue(t *testing.T) {
	allows := func(pointer, constraint, arguments string) bool {
		list := parse(t, `[{"type":"call","resource":"https://api.example","actions":["x"],"constraints":{"`+pointer+`":`+constraint+`}}]`)
		err := list.Allows(details.Call{Resource: "https://api.example", Action: "x", Arguments: []byte(arguments)})
		if err != nil && !errors.Is(err, details.ErrArguments) {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, row := range []struct {
		pointer, constraint string
		yes, no             []string
	}{
		{"a", `{"eq":1}`, []string{`{"a":1}`, `{"b":{"a":2},"a":1}`, `{"a":1.0}`, `{"a":10e-1}`, `{"a":0.1e1}`, ` {"a":1} `}, []string{
			`{"a":2}`, `{"a":-1}`, `{"a":"1"}`, `{"a":true}`, `{"a":null}`, `{"a":[1]}`, `{"a":{"a":1}}`, `{}`, ``, `1`, `"a"`, `null`, `[1]`, `{"A":1}`, `{"b":{"a":1}}`, `{"b":"a"}`,
			`{"a":1`, `{"a":1} {}`, `{"a":1}1`, `{"a":1,"a":1}`, `{"a":1,"b":{"c":1,"c":1}}`, "{\"a\":1,\"b\":\"\xff\"}", `{"a":1.00000000000000000001}`, `{"a":1e}`, `{"b":1}{"a":1}`, `1 {"a":1}`,
		}},
		{"a", `{"eq":"x"}`, []string{`{"a":"x"}`, `{"a":"\u0078"}`}, []string{`{"a":"X"}`, `{"a":"x "}`, `{"a":["x"]}`, `{"a":{"x":"x"}}`, `{"x":1}`}},
		{"a", `{"eq":"a"}`, []string{`{"a":"a"}`}, []string{`{"a":1}`, `{"a":{"a":1}}`, `{"b":"a"}`}},
		{"a", `{"in":[1,"x"]}`, []string{`{"a":1}`, `{"a":"x"}`}, []string{`{"a":"1"}`, `{"a":2}`, `{"a":"y"}`, `{}`, `{"a":false}`}},
		{"a", `{"not_in":[1]}`, []string{`{"a":2}`, `{"a":0}`}, []string{`{"a":1}`, `{"a":1.0}`, `{"a":"1"}`, `{"a":"x"}`, `{"a":1.5}`, `{"a":9007199254740992}`, `{}`, `{"a":null}`}},
		{"a", `{"not_in":["x",1]}`, []string{`{"a":"1"}`, `{"a":2}`}, []string{`{"a":"x"}`, `{"a":1}`, `{"a":true}`}},
		{"a", `{"min":-2}`, []string{`{"a":-2}`, `{"a":0}`, `{"a":-0}`, `{"a":0e999999999999}`, `{"a":9007199254740991}`, `{"a":-20e-1}`}, []string{
			`{"a":-3}`, `{"a":"5"}`, `{"a":9007199254740992}`, `{"a":90071992547409910}`, `{"a":1e16}`, `{"a":1e400}`, `{"a":1e99999999999999999999}`, `{"a":0.5}`, `{"a":5e-1}`, `{"a":1e2000000000}`,
		}},
		{"a", `{"max":1000}`, []string{`{"a":1000}`, `{"a":1e3}`, `{"a":1E+3}`, `{"a":1000.000}`, `{"a":-9007199254740991}`, `{"a":0}`, `{"a":0.0}`}, []string{
			`{"a":1001}`, `{"a":1000.5}`, `{"a":"1"}`, `{"a":-9007199254740992}`, `{"a":-1e16}`, `{"a":1e-2000000000}`, `{"a":-1e-9999999999999999999}`, `{"a":100000000000000000000000000}`,
		}},
		{"a", `{"min":1,"max":3,"not_in":[2]}`, []string{`{"a":1}`, `{"a":3}`}, []string{`{"a":0}`, `{"a":2}`, `{"a":4}`}},
		{"a/b", `{"eq":1}`, []string{`{"a":{"b":1}}`}, []string{`{"a":{"b":2}}`, `{"a/b":1}`, `{"a":1,"b":1}`, `{"a":[{"b":1}]}`}},
		{"a~1b~0c", `{"eq":1}`, []string{`{"a/b~c":1}`}, []string{`{"a~1b~0c":1}`, `{"a":{"b~c":1}}`}},
		{"a/1", `{"eq":1}`, []string{`{"a":[0,1]}`, `{"a":{"1":1}}`, `{"a":[[],1,2]}`}, []string{`{"a":[1]}`, `{"a":[0,2]}`, `{"a":[0,[1]]}`}},
		{"a/0", `{"eq":1}`, []string{`{"a":[1]}`, `{"a":[1,2]}`}, []string{`{"a":[2,1]}`, `{"a":1}`}},
		{"1", `{"eq":"x"}`, []string{`["y","x"]`}, []string{`["x","y"]`}},
		{"", `{"eq":1}`, []string{`{"":1}`}, []string{`1`, `{"a":1}`, `[1]`}},
		{"é", `{"eq":"ü"}`, []string{`{"\u00e9":"\u00fc"}`}, []string{`{"e\u0301":"\u00fc"}`, `{"é":"u\u0308"}`}},
	} {
		for _, arguments := range row.yes {
			if !allows(row.pointer, row.constraint, arguments) {
				t.Errorf("%s %s does not allow %s", row.pointer, row.constraint, arguments)
			}
		}
		for _, arguments := range row.no {
			if allows(row.pointer, row.constraint, arguments) {
				t.Errorf("%s %s allows %s", row.pointer, row.constraint, arguments)
			}
		}
	}
}

func TestACallIsAllowedWhereAnElementIsAboutIt(t *testing.T) {
	list := parse(t, `[{"type":"skill","names":["x"]},{"type":"call","resource":"https://API.example:443/v1/","actions":["read","write"],"constraints":{"a":{"eq":1}},"per_day":5},`+
		`{"type":"call","resource":"https://api.example/v1","actions":["list"]}]`)
	for call, want := range map[*details.Call]error{
		{Resource: "https://api.example/v1", Action: "list"}:                                        nil,
		{Resource: "HTTPS://api.EXAMPLE/v1/", Action: "list", Arguments: []byte("what is no JSON")}: nil,
		{Resource: "https://api.example/v1", Action: "read", Arguments: []byte(`{"a":1}`)}:          nil,
		{Resource: "https://api.example/v1", Action: "write", Arguments: []byte(`{"a":1}`)}:         nil,
		{Resource: "https://api.example/v1", Action: "write", Arguments: []byte(`{"a":2}`)}:         details.ErrArguments,
		{Resource: "https://api.example/v1", Action: "write"}:                                       details.ErrArguments,
		{Resource: "https://api.example/v1", Action: "x"}:                                           details.ErrNotCovered,
		{Resource: "https://api.example", Action: "list"}:                                           details.ErrNotCovered,
		{Resource: "http://api.example/v1", Action: "list"}:                                         details.ErrNotCovered,
		{Resource: "https://api.example:444/v1", Action: "list"}:                                    details.ErrNotCovered,
		{Resource: "https://api.example/v1?x=1", Action: "list"}:                                    details.ErrNotCovered,
		{Resource: "https://api.example/V1", Action: "list"}:                                        details.ErrNotCovered,
		{Resource: "https://api.example/v1", Action: "List"}:                                        details.ErrNotCovered,
		{Resource: "", Action: "list"}:                                                              details.ErrNotCovered,
		{Resource: "https://api.example/v1", Action: ""}:                                            details.ErrNotCovered,
	} {
		if err := list.Allows(*call); !errors.Is(err, want) {
			t.Errorf("%s %s %s: %v, want %v", call.Resource, call.Action, call.Arguments, err, want)
		}
	}
	if _, err := list.ForCall("https://[::1", "write"); !errors.Is(err, details.ErrNotCovered) {
		t.Error(err)
	}
	d, err := list.ForCall("https://api.example/v1", "write")
	if err != nil || len(d.Actions) != 1 || d.Actions[0] != "write" || d.Limits[details.PerDay] != 5 {
		t.Errorf("%+v, %v", d, err)
	}
	if d.Limits[details.PerDay] = 6; list[1].Limits[details.PerDay] != 5 {
		t.Error("what was found is the list's own")
	}
}

// FuzzArguments decides once more what an argument is, by another reader of JSON and with
// numbers of any size.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1e3,"b":[]}`, `{"a":-0.10e1}`, `{"a":"x"}`, `{"a":{"a":1}}`, `{"a":9007199254740992}`, `{"a":1,"a":2}`, `[{"a":1}]`, `{"a":10.0E-1} `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, arguments []byte) {
		var members map[string]any
		d := json.NewDecoder(bytes.NewReader(arguments))
		d.UseNumber()
		valid := jsontext.Value(arguments).IsValid() && d.Decode(&members) == nil
		n, _ := members["a"].(json.Number)
		if len(n) > 50 {
			return // big.Rat writes out what an exponent says
		}
		if _, exponent, _ := strings.Cut(strings.ToLower(n.String()), "e"); len(exponent) > 3 {
			return
		}
		number, is := new(big.Rat).SetString(n.String())
		want := valid && is && number.IsInt() && number.Cmp(big.NewRat(-1, 1)) >= 0 && number.Cmp(big.NewRat(1<<53-1, 1)) <= 0
		list := details.List{{Type: details.TypeCall, Resource: "urn:x:y", Actions: []string{"x"}, Constraints: map[string]details.Constraint{"a": {Min: new(int64(-1))}}}}
		if err := list.Allows(details.Call{Resource: "urn:x:y", Action: "x", Arguments: arguments}); (err == nil) != want {
			t.Errorf("%s: %v, want %v", arguments, err, want)
		}
	})
}

func TestASpendIsOfOneCurrencyAndPayee(t *testing.T) {
	list := parse(t, `[{"type":"call","resource":"https://api.example","actions":["USD"]},{"type":"spend","currency":"USD","total":"1","payees":["https://shop.example","urn:x:y"]},{"type":"spend","currency":"BSV","total":"1"}]`)
	for spend, allowed := range map[[2]string]bool{
		{"USD", "https://shop.example"}: true, {"USD", "urn:x:y"}: true, {"BSV", "https://anybody.example"}: true, {"BSV", ""}: true,
		{"USD", "https://shop.example/"}: false, {"USD", "https://SHOP.example"}: false, {"USD", ""}: false, {"EUR", "https://shop.example"}: false, {"usd", "urn:x:y"}: false, {"", "urn:x:y"}: false,
	} {
		d, err := list.ForSpend(spend[0], spend[1])
		if (err == nil) != allowed || (!allowed && !errors.Is(err, details.ErrNotCovered)) || (allowed && d.Currency != spend[0]) {
			t.Errorf("%v: %+v, %v", spend, d, err)
		}
	}
}

func TestAResourceHasOneForm(t *testing.T) {
	of := func(resource string) details.List {
		return details.List{{Type: details.TypeCall, Resource: resource, Actions: []string{"x"}}}
	}
	for resource, want := range map[string]string{
		"https://api.example": "https://api.example", "HTTPS://API.Example": "https://api.example", "https://api.example:443": "https://api.example", "https://api.example:": "https://api.example",
		"http://api.example:80/a//": "http://api.example/a", "https://api.example:80/": "https://api.example:80", "https://[::1]:443/x": "https://[::1]/x", "https://api.example/?a=B": "https://api.example?a=B",
		"https://api.example/a%2Fb": "https://api.example/a%2Fb", "urn:Example:API/": "urn:Example:API/", "ftp://API.example/": "ftp://API.example/", "https://zZaA09.example/~": "https://zzaa09.example/~", "file:/x": "file:/x",
	} {
		if err := of(resource).Check(); err != nil {
			t.Errorf("%s: %v", resource, err)
		}
		if got := of(resource).Canonical()[0].Resource; got != want {
			t.Errorf("%s is %s, want %s", resource, got, want)
		}
	}
	for _, resource := range []string{
		"", "api.example", "/a", "//api.example", "https://api.example/#", "https://api.example/#a", "https://me@api.example", "https://api.example/a b", `https://api.example\a`, "https://api.exämple",
		"https://api.example/\n", "https:", "https:x", "urn:", "https://:443", "https://" + strings.Repeat("a", 248), "https://api.example/%zz", "https://[::1", "https://", "https:///a",
	} {
		if err := of(resource).Check(); err == nil {
			t.Errorf("%q is a resource", resource)
		}
	}
	if err := of("https://" + strings.Repeat("a", 247)).Check(); err != nil {
		t.Error(err)
	}
}
