package details_test

import (
	"slices"

	"pgregory.net/rapid"

	"countersign.dev/details"
)

// Lists are drawn from few words, so that two of them have much in common.
var (
	payees    = []string{"https://a.example", "https://b.example"}
	resources = []string{"https://api.example", "https://API.example:443/v1/"}
	actions   = []string{"read", "write"}
	pointers  = []string{"p", "q/r"}
	values    = []details.Value{details.Integer(0), details.Integer(1), details.Integer(2), details.Text("x"), details.Text("1")}
	digests   = []string{"sha256:" + zeros(63) + "1", "sha256:" + zeros(63) + "2"}
	limits    = []string{details.PerTransaction, details.PerDay, details.PerWeek, details.PerMonth, details.Total, details.Payments}
)

// some draws a few of a list, in any order: none is a nil list.
func some[T any](t *rapid.T, from []T, least int, name string) []T {
	list := rapid.Permutation(from).Draw(t, name)
	list = list[:rapid.IntRange(least, len(from)).Draw(t, name+" n")]
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

func maybe(t *rapid.T, name string) bool { return rapid.Bool().Draw(t, name) }

func drawConstraint(t *rapid.T) (c details.Constraint) {
	for c.Eq == nil && c.In == nil && c.NotIn == nil && c.Min == nil && c.Max == nil {
		if maybe(t, "eq") {
			v := rapid.SampledFrom(values).Draw(t, "eq is")
			c.Eq = &v
		}
		c.In, c.NotIn = some(t, values, 0, "in"), some(t, values, 0, "not_in")
		for name, bound := range map[string]**int64{"min": &c.Min, "max": &c.Max} {
			if maybe(t, name) {
				n := rapid.Int64Range(-1, 3).Draw(t, name+" is")
				*bound = &n
			}
		}
	}
	return c
}

func drawConstraints(t *rapid.T) map[string]details.Constraint {
	constraints := map[string]details.Constraint{}
	for _, pointer := range some(t, pointers, 0, "constrained") {
		constraints[pointer] = drawConstraint(t)
	}
	if len(constraints) == 0 {
		return nil
	}
	return constraints
}

func drawLimits(t *rapid.T, from []string, least int) map[string]int64 {
	drawn := map[string]int64{}
	for _, name := range some(t, from, least, "limited") {
		drawn[name] = rapid.Int64Range(0, 4).Draw(t, name)
	}
	if len(drawn) == 0 {
		return nil
	}
	return drawn
}

// draw is a list that Check passes.
func draw(t *rapid.T) details.List {
	list := details.List{}
	for _, currency := range some(t, []string{"USD", "JPY"}, 0, "currencies") {
		list = append(list, details.Detail{
			Type: details.TypeSpend, Currency: currency, Payees: some(t, payees, 0, "payees"), Limits: drawLimits(t, limits, 1), Redelegate: maybe(t, "redelegate"), Once: maybe(t, "once"),
		})
	}
	for _, resource := range some(t, resources, 0, "resources") {
		for _, group := range [][]string{actions[:1], actions[1:]} {
			if maybe(t, "joined") {
				group = some(t, actions, 1, "actions")
			}
			d := details.Detail{Type: details.TypeCall, Resource: resource, Actions: group, Constraints: drawConstraints(t), Limits: drawLimits(t, []string{details.PerDay}, 0), Once: maybe(t, "once")}
			if append(list.Clone(), d).Check() == nil {
				list = append(list, d)
			}
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "skills") {
		d := details.Detail{Type: details.TypeSkill, Names: some(t, actions, 1, "names")}
		if maybe(t, "by digest") {
			d.Names, d.Digests = nil, some(t, digests, 1, "digests")
		}
		list = append(list, d)
	}
	list = rapid.Permutation(list).Draw(t, "order")
	if err := list.Check(); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return list
}

// restated says what a list says in other words.
func restated(t *rapid.T, list details.List) (other details.List) {
	for _, d := range list.Clone() {
		d.Payees = twice(t, d.Payees)
		for pointer, c := range d.Constraints {
			d.Constraints[pointer] = reworded(t, c)
		}
		if len(d.Actions) == 2 && maybe(t, "split") {
			single := details.List{d}.Clone()[0]
			single.Actions, d.Actions = d.Actions[:1], d.Actions[1:]
			other = append(other, single)
		}
		if len(d.Names) == 2 && maybe(t, "split") {
			other = append(other, details.Detail{Type: details.TypeSkill, Names: d.Names})
			d.Names = d.Names[:1]
		}
		other = append(other, d)
	}
	return rapid.Permutation(other).Draw(t, "order")
}

func twice[T any](t *rapid.T, list []T) []T {
	if len(list) > 0 && maybe(t, "twice") {
		return append(slices.Clone(list), list[0])
	}
	return list
}

// reworded adds to a constraint what it says already.
func reworded(t *rapid.T, c details.Constraint) details.Constraint {
	c.In, c.NotIn = twice(t, c.In), twice(t, c.NotIn)
	if c.Eq == nil && len(c.In) == 1 && maybe(t, "eq") {
		c.Eq = &c.In[0]
	}
	if c.Eq == nil {
		return c
	}
	v := *c.Eq
	if c.In == nil && maybe(t, "in") {
		c.In = []details.Value{v, v}
	}
	if n, ok := v.Integer(); ok && c.Max == nil && maybe(t, "max") {
		most := n + 5
		c.Max = &most
	}
	if n, ok := v.Integer(); ok && c.Min == nil && maybe(t, "min") {
		c.Min = &n
	}
	if n, ok := v.Integer(); ok && c.NotIn == nil && maybe(t, "not_in") {
		c.NotIn = []details.Value{details.Integer(n + 1), details.Text("z")}
	}
	return c
}

// narrowed draws a list that is often narrower than another, and often just not.
func narrowed(t *rapid.T, y details.List) details.List {
	if maybe(t, "unrelated") && maybe(t, "indeed") {
		return draw(t)
	}
	x := y.Clone()
	for range rapid.IntRange(0, 4).Draw(t, "edits") {
		if len(x) == 0 {
			break
		}
		i := rapid.IntRange(0, len(x)-1).Draw(t, "element")
		edit(t, &x[i])
		if maybe(t, "left out") && maybe(t, "indeed") {
			x = slices.Delete(x, i, i+1)
		}
	}
	if x.Check() != nil {
		return y.Clone()
	}
	return x
}

// edit changes one thing of an element.
func edit(t *rapid.T, d *details.Detail) {
	switch rapid.IntRange(0, 4).Draw(t, "edit") {
	case 0:
		if d.Limits == nil && d.Type != details.TypeSkill {
			d.Limits = map[string]int64{}
		}
		if d.Type != details.TypeSkill {
			d.Limits[rapid.SampledFrom(limits).Draw(t, "limit")] = rapid.Int64Range(0, 4).Draw(t, "to")
		}
		if d.Type == details.TypeCall {
			d.Limits = map[string]int64{details.PerDay: rapid.Int64Range(0, 4).Draw(t, "to")}
		}
	case 1:
		d.Once = d.Type != details.TypeSkill && maybe(t, "once")
	case 2:
		d.Redelegate = d.Type == details.TypeSpend && maybe(t, "redelegate")
	case 3:
		if d.Type == details.TypeSpend {
			d.Payees = some(t, payees, 0, "payees")
		}
	case 4:
		if d.Type == details.TypeCall {
			constraints := d.Constraints
			d.Constraints = drawConstraints(t)
			for pointer, c := range constraints {
				if _, ok := d.Constraints[pointer]; !ok {
					continue
				}
				if e := d.Constraints[pointer]; maybe(t, "added to") {
					d.Constraints[pointer] = joined(c, e)
				}
			}
		}
	}
}

// joined has the operators of one constraint, and those of another where it has none.
func joined(c, e details.Constraint) details.Constraint {
	if e.Eq == nil {
		e.Eq = c.Eq
	}
	if e.In == nil {
		e.In = c.In
	}
	if e.NotIn == nil {
		e.NotIn = c.NotIn
	}
	if e.Min == nil {
		e.Min = c.Min
	}
	if e.Max == nil {
		e.Max = c.Max
	}
	return e
}
