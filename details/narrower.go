package details

import "slices"

// Narrower says whether x is narrower than y, or means the same (agents.md, section 5): nil
// when all that x allows, alone or in sequence, y allows. It is decided by its form alone:
// each element of x has its counterpart in y, no limit is larger or left out, no list has
// more in it or is left out, redelegate is not added and once not dropped, and each
// constraint of y is implied at the same pointer. Both are lists that Check passes.
//
//	*Error: which element of x, and what of it, is wider
func Narrower(x, y List) error { return narrower(x, y, false) }

// NarrowerForSubAgent is Narrower for a list that is passed on to a sub-agent: it has of a
// spend only where y lets it redelegate.
//
//	*Error
func NarrowerForSubAgent(x, y List) error { return narrower(x, y, true) }

func narrower(x, y List, passedOn bool) error {
	wide := y.index()
	for i, d := range x {
		if err := wide.covers(d, passedOn); err != nil {
			return at(i+1, err)
		}
	}
	return nil
}

// index is a list by what its elements are about.
type index struct {
	spends, calls  map[[2]string]Detail
	names, digests []string
}

func (l List) index() index {
	x := index{spends: map[[2]string]Detail{}, calls: map[[2]string]Detail{}}
	for _, d := range l {
		for _, key := range d.keys() {
			if d.Type == TypeSpend {
				x.spends[key] = d
			} else {
				x.calls[key] = d
			}
		}
		x.names, x.digests = append(x.names, d.Names...), append(x.digests, d.Digests...)
	}
	return x
}

func (x index) covers(d Detail, passedOn bool) *Error {
	switch d.Type {
	case TypeSpend:
		y, ok := x.spends[[2]string{d.Currency}]
		switch {
		case !ok:
			return wrong("currency", "is none that may be spent")
		case passedOn && !y.Redelegate:
			return wrong("", "may not be passed on to a sub-agent: its owner did not set redelegate")
		}
		return d.spendsWithin(y)
	case TypeCall:
		for _, key := range d.keys() {
			y, ok := x.calls[key]
			if !ok {
				return wrong("actions", "has one that may not be called at this resource")
			}
			if err := d.callsWithin(y); err != nil {
				return err
			}
		}
		return nil
	case TypeSkill:
		if !subset(d.Names, x.names) {
			return wrong("names", "has one that may not be loaded")
		}
		if !subset(d.Digests, x.digests) {
			return wrong("digests", "has one that may not be loaded")
		}
		return nil
	default:
		return badType
	}
}

func (d Detail) spendsWithin(y Detail) *Error {
	if y.Payees != nil && (d.Payees == nil || !subset(d.Payees, y.Payees)) {
		return wrong("payees", "has one that may not be paid, or is left out")
	}
	if d.Redelegate && !y.Redelegate {
		return wrong("redelegate", "was not set, and cannot be added")
	}
	return d.limitedWithin(y)
}

func (d Detail) callsWithin(y Detail) *Error {
	for pointer, wide := range y.Constraints {
		for _, op := range wide.operators() {
			if !d.Constraints[pointer].implies(op, wide) {
				return wrong("constraints."+op, "is wider than it was, or is left out")
			}
		}
	}
	return d.limitedWithin(y)
}

func (d Detail) limitedWithin(y Detail) *Error {
	for _, name := range limitNames {
		most, limited := y.Limits[name]
		if n, ok := d.Limits[name]; limited && (!ok || n > most) {
			return wrong(name, "is more than it was, or is left out")
		}
	}
	if y.Once && !d.Once {
		return wrong(Once, "was set, and cannot be dropped")
	}
	return nil
}

func subset(narrow, wide []string) bool {
	return !slices.ContainsFunc(narrow, func(text string) bool { return !slices.Contains(wide, text) })
}
