package details_test

import (
	"fmt"
	"time"

	"countersign.dev/details"
)

// An owner narrows what an agent asks for, and its program says whether that is narrower.
func ExampleNarrower() {
	asked, err := details.Parse([]byte(`[{"type":"spend","currency":"USD","per_day":"20","payees":["https://shop.example"]}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	signed := asked.Clone()
	signed[0].Limits[details.PerDay] = 500 // cents
	fmt.Println(signed, details.Narrower(signed, asked))

	signed[0].Payees = nil
	fmt.Println(details.Narrower(signed, asked))
	// Output:
	// [{"currency":"USD","payees":["https://shop.example"],"per_day":"5.00","type":"spend"}] <nil>
	// payees of element 1 of authorization_details has one that may not be paid, or is left out
}

// An API asks whether a call is allowed with its arguments.
func ExampleList_Allows() {
	list := details.List{{
		Type: details.TypeCall, Resource: "https://api.example", Actions: []string{"orders.create"},
		Constraints: map[string]details.Constraint{"currency": {In: []details.Value{details.Text("EUR"), details.Text("USD")}}},
	}}
	for _, arguments := range []string{`{"currency":"EUR"}`, `{"currency":"BTC"}`} {
		fmt.Println(list.Allows(details.Call{Resource: "https://api.example", Action: "orders.create", Arguments: []byte(arguments)}))
	}
	// Output:
	// <nil>
	// authorization_details do not allow these arguments
}

// A server counts what is spent against each limit, in its window.
func ExampleDetail_LimitsAt() {
	d := details.Detail{Type: details.TypeSpend, Currency: "USD", Limits: map[string]int64{details.PerDay: 2000, details.Payments: 10}}
	for _, limit := range d.LimitsAt(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)) {
		fmt.Println(limit.Name, limit.Window, limit.Max, limit.Money)
	}
	// Output:
	// per_day 2026-12-01 2000 true
	// payments life 10 false
}
