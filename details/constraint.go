package details

import (
	"cmp"
	"slices"
)

// Value is what an argument is compared with: a text or an integer. They compare with ==.
type Value struct {
	text    string
	number  int64
	integer bool
}

// Text is a text as a value.
func Text(text string) Value { return Value{text: text} }

// Integer is an integer as a value.
func Integer(n int64) Value { return Value{number: n, integer: true} }

// Integer is the integer, and whether it is one.
func (v Value) Integer() (int64, bool) { return v.number, v.integer }

// Text is the text, and whether it is one.
func (v Value) Text() (string, bool) { return v.text, !v.integer }

// compare orders values: integers, then texts.
func compare(a, b Value) int {
	if a.integer != b.integer {
		if a.integer {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.text, b.text))
}

// Constraint is what an argument must be. All that is set must hold.
type Constraint struct {
	Eq        *Value
	In, NotIn []Value
	Min, Max  *int64
}

func (c Constraint) clone() Constraint {
	c.In, c.NotIn = copied(c.In), copied(c.NotIn)
	return Constraint{Eq: same(c.Eq), In: c.In, NotIn: c.NotIn, Min: same(c.Min), Max: same(c.Max)}
}

func same[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// The operators of constraints, by their names on the wire.
const (
	opEq    = "eq"
	opIn    = "in"
	opNotIn = "not_in"
	opMin   = "min"
	opMax   = "max"
)

// operators of a constraint are those that are set, in one order.
func (c Constraint) operators() (ops []string) {
	for _, o := range []struct {
		name string
		set  bool
	}{{opEq, c.Eq != nil}, {opIn, c.In != nil}, {opMax, c.Max != nil}, {opMin, c.Min != nil}, {opNotIn, c.NotIn != nil}} {
		if o.set {
			ops = append(ops, o.name)
		}
	}
	return ops
}

// satisfied reports whether one operator lets a value pass. A value of another kind than
// the operator's passes none of them: what is not the number 1 may be the text 1, and an API
// that takes the one for the other would be called with what its owner excluded.
func (c Constraint) satisfied(op string, v Value) bool {
	switch op {
	case opEq:
		return *c.Eq == v
	case opIn:
		return slices.Contains(c.In, v)
	case opNotIn:
		return slices.ContainsFunc(c.NotIn, func(n Value) bool { return n.integer == v.integer }) && !slices.Contains(c.NotIn, v)
	case opMin:
		return v.integer && v.number >= *c.Min
	case opMax:
		return v.integer && v.number <= *c.Max
	default:
		return false
	}
}

// holds reports whether a value satisfies all of a constraint.
func (c Constraint) holds(v Value) bool {
	return !slices.ContainsFunc(c.operators(), func(op string) bool { return !c.satisfied(op, v) })
}

// implies reports whether what satisfies c satisfies an operator of d: because of an eq or in
// whose values all do, or of the same operator that is as strict. Nothing else counts, so
// that every implementation decides alike.
func (c Constraint) implies(op string, d Constraint) bool {
	if c.Eq != nil && d.satisfied(op, *c.Eq) {
		return true
	}
	if c.In != nil && !slices.ContainsFunc(c.In, func(v Value) bool { return !d.satisfied(op, v) }) {
		return true
	}
	switch op {
	case opMin:
		return c.Min != nil && *c.Min >= *d.Min
	case opMax:
		return c.Max != nil && *c.Max <= *d.Max
	case opNotIn:
		return excludes(c.NotIn, d.NotIn)
	default:
		return false
	}
}

// excludes reports whether a not_in lets pass only what another does: it has all its values,
// and no kind besides, whose values the other would not let pass.
func excludes(narrow, wide []Value) bool {
	for _, v := range wide {
		if !slices.Contains(narrow, v) {
			return false
		}
	}
	return !slices.ContainsFunc(narrow, func(n Value) bool {
		return !slices.ContainsFunc(wide, func(w Value) bool { return w.integer == n.integer })
	})
}

// canonical is the one form of a constraint among those that imply each other: its lists are
// sorted, an in of one value is an eq, and what the rest implies is left out.
func (c Constraint) canonical() Constraint {
	c = c.clone()
	for _, list := range []*[]Value{&c.In, &c.NotIn} {
		slices.SortFunc(*list, compare)
		*list = slices.Compact(*list)
	}
	switch {
	case len(c.In) == 1 && c.Eq == nil:
		c.Eq, c.In = &c.In[0], nil
	case len(c.In) == 1: // nothing satisfies both, if they are not the same: the smaller is the eq
		both := []Value{*c.Eq, c.In[0]}
		slices.SortFunc(both, compare)
		c.Eq, c.In = &both[0], both[1:]
	}
	for _, op := range []string{opIn, opMin, opMax, opNotIn} {
		if rest := c.without(op); slices.Contains(c.operators(), op) && rest.implies(op, c) {
			c = rest
		}
	}
	return c
}

// without is a constraint less one operator.
func (c Constraint) without(op string) Constraint {
	switch op {
	case opIn:
		c.In = nil
	case opNotIn:
		c.NotIn = nil
	case opMin:
		c.Min = nil
	case opMax:
		c.Max = nil
	}
	return c
}
