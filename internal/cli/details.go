package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"countersign.dev/details"
)

// detailInWords says in sentences what an authorization detail allows: first what, then each
// limit of it by itself.
func detailInWords(d details.Detail) (what string, limits []string) {
	switch d.Type {
	case details.TypeSpend:
		what = "Spend " + d.Currency + " at " + orAny(d.Payees, "anybody")
		if d.Redelegate {
			limits = append(limits, "it may pass a part of this on to its sub-agents")
		}
	case details.TypeCall:
		what = "Call " + listed(d.Actions) + " at " + d.Resource
		for _, pointer := range slices.Sorted(maps.Keys(d.Constraints)) {
			limits = append(limits, fmt.Sprintf("the argument %s must be %s", pointer, constraintInWords(d.Constraints[pointer])))
		}
	default:
		what = "Load the skills " + listed(slices.Concat(d.Names, d.Digests))
	}
	for _, name := range limitOrder {
		if most, ok := d.Limits[name]; ok {
			limits = append(limits, fmt.Sprintf(limitWords[name], amountInWords(d, name, most)))
		}
	}
	if d.Once {
		limits = append(limits, "once, and never again")
	}
	return what, limits
}

// limitOrder is the order in which limits are said, which is that in which they are tried.
var limitOrder = []string{details.PerTransaction, details.PerDay, details.PerWeek, details.PerMonth, details.Total, details.Payments}

var limitWords = map[string]string{
	details.PerTransaction: "at most %s at once (per_transaction)",
	details.PerDay:         "at most %s a day (per_day)",
	details.PerWeek:        "at most %s a week (per_week)",
	details.PerMonth:       "at most %s a month (per_month)",
	details.Total:          "at most %s in all (total)",
	details.Payments:       "at most %s payments in all (payments)",
}

// amountInWords is a limit's number: an amount with its currency, or a count.
func amountInWords(d details.Detail, name string, n int64) string {
	switch {
	case name == details.Payments:
		return fmt.Sprint(n)
	case d.Type == details.TypeSpend:
		return details.FormatAmount(n, d.Currency) + " " + d.Currency
	default:
		return fmt.Sprintf("%d calls of each", n)
	}
}

func constraintInWords(c details.Constraint) string {
	var parts []string
	if c.Eq != nil {
		parts = append(parts, valueInWords(*c.Eq))
	}
	if c.In != nil {
		parts = append(parts, "one of "+valuesInWords(c.In))
	}
	if c.NotIn != nil {
		parts = append(parts, "none of "+valuesInWords(c.NotIn))
	}
	if c.Min != nil {
		parts = append(parts, fmt.Sprintf("%d at least", *c.Min))
	}
	if c.Max != nil {
		parts = append(parts, fmt.Sprintf("%d at most", *c.Max))
	}
	return strings.Join(parts, " and ")
}

func valuesInWords(list []details.Value) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = valueInWords(v)
	}
	return listed(words)
}

func valueInWords(v details.Value) string {
	if n, ok := v.Integer(); ok {
		return fmt.Sprint(n)
	}
	text, _ := v.Text()
	return fmt.Sprintf("%q", text)
}

func orAny(list []string, anything string) string {
	if list == nil {
		return anything
	}
	return listed(list)
}

func listed(list []string) string { return strings.Join(list, ", ") }
