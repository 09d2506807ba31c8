package details

import "maps"

// The types of authorization_details there are.
const (
	// TypeSpend is money: a currency, limits, and perhaps to whom.
	TypeSpend = "spend"
	// TypeCall is what may be called at a resource, with which arguments, how often.
	TypeCall = "call"
	// TypeSkill is what an agent may load, by name or by digest.
	TypeSkill = "skill"
)

// The limits there are, by their names on the wire, in the order in which they are tried.
const (
	PerTransaction = "per_transaction"
	PerDay         = "per_day"
	PerWeek        = "per_week"
	PerMonth       = "per_month"
	Total          = "total"
	Payments       = "payments"
	// Once is no member of Detail.Limits, but Detail.Once, and counted like one.
	Once = "once"
)

// limitNames are those that may be in Detail.Limits, in their order, and money those that
// are amounts.
var (
	limitNames = []string{PerTransaction, PerDay, PerWeek, PerMonth, Total, Payments}
	money      = map[string]bool{PerTransaction: true, PerDay: true, PerWeek: true, PerMonth: true, Total: true}
)

// What bounds a list: its elements, the entries of each list in it, and its text in bytes.
const (
	MaxElements = 16
	MaxEntries  = 64
	MaxBytes    = 4 << 10
)

// Types are all types, for authorization_details_types_supported (RFC 9396 §10).
func Types() []string { return []string{TypeCall, TypeSkill, TypeSpend} }

// List is a list of details, in the order in which they were asked for. None allows nothing.
type List []Detail

// Detail is one element of a list. Which members it may have is its type's; what is not set
// is not there: a nil list is everything, and a limit that is not in Limits is none.
type Detail struct {
	Type string

	// Currency of a spend is a code of ISO 4217, or BSV.
	Currency string
	// Payees of a spend are absolute URIs, compared as text.
	Payees []string
	// Redelegate lets sub-agents have some of a spend.
	Redelegate bool

	// Resource of a call is an absolute URI, and Actions are the names it has for what it does.
	Resource string
	Actions  []string
	// Constraints are by the JSON Pointer (RFC 6901) of an argument, without its first slash.
	Constraints map[string]Constraint

	// Limits are by their names: of a spend all of them, amounts in minor units of the
	// currency and Payments a count; of a call PerDay, a count of each action by itself.
	Limits map[string]int64
	// Once is one spend, or one call of each action, in all.
	Once bool

	// Names or Digests ("sha256:" and 64 digits of hex) of a skill: one of the two.
	Names, Digests []string
}

// Clone copies a list, so that the copy can be narrowed.
func (l List) Clone() List {
	c := make(List, len(l))
	for i, d := range l {
		c[i] = d.clone()
	}
	return c
}

func (d Detail) clone() Detail {
	d.Payees, d.Actions, d.Names, d.Digests = copied(d.Payees), copied(d.Actions), copied(d.Names), copied(d.Digests)
	d.Limits, d.Constraints = maps.Clone(d.Limits), maps.Clone(d.Constraints)
	for pointer, c := range d.Constraints {
		d.Constraints[pointer] = c.clone()
	}
	return d
}

// copied is a copy of a list: none of none, which is everything.
func copied[T any](list []T) []T {
	if list == nil {
		return nil
	}
	return append([]T{}, list...)
}
