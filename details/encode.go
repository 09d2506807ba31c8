package details

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Encode writes a list in the order in which it is, as JSON in the one form of RFC 8785:
// amounts have all their digits, and what is false or not set is not there. No list is an
// empty one. Parse reads it back. Of a list with a text that is not UTF-8, which Check
// refuses, nothing is written.
func (l List) Encode() string {
	v, ok := l.write()
	if !ok {
		return ""
	}
	_ = v.Canonicalize() // of what is JSON it does not fail
	return string(v)
}

// write writes what Encode returns, with the members of objects in any order, and says
// whether all could be written.
func (l List) write() (jsontext.Value, bool) {
	var text bytes.Buffer
	w := &writer{to: jsontext.NewEncoder(&text)}
	w.token(jsontext.BeginArray)
	for _, d := range l {
		w.detail(d)
	}
	w.token(jsontext.EndArray)
	return bytes.TrimSpace(text.Bytes()), !w.failed
}

// String is what Encode writes.
func (l List) String() string { return l.Encode() }

// MarshalJSON writes what Encode writes, so that a list can be a member of anything.
func (l List) MarshalJSON() ([]byte, error) { return []byte(l.Encode()), nil }

// Canonical is a list in its canonical form: each call of a single action, skills merged,
// constraints and lists sorted, without what says the same thing twice, resources in the form
// of aud. Two lists mean the same when their canonical forms are the same. It may be longer
// than a list may be, and is for comparing, not for showing.
func (l List) Canonical() List {
	canonical := List{}
	names, digests := Detail{Type: TypeSkill}, Detail{Type: TypeSkill}
	for _, d := range l.Clone() {
		switch d.Type {
		case TypeCall:
			d.Resource = normal(d.Resource)
			for pointer, c := range d.Constraints {
				d.Constraints[pointer] = c.canonical()
			}
			for _, action := range d.Actions {
				single := d.clone()
				single.Actions = []string{action}
				canonical = append(canonical, single)
			}
		case TypeSkill:
			names.Names = append(names.Names, d.Names...)
			digests.Digests = append(digests.Digests, d.Digests...)
		default:
			d.Payees = sorted(d.Payees)
			canonical = append(canonical, d)
		}
	}
	if names.Names = sorted(names.Names); names.Names != nil {
		canonical = append(canonical, names)
	}
	if digests.Digests = sorted(digests.Digests); digests.Digests != nil {
		canonical = append(canonical, digests)
	}
	slices.SortFunc(canonical, func(a, b Detail) int { return strings.Compare(List{a}.Encode(), List{b}.Encode()) })
	return canonical
}

// Equal reports whether two lists mean the same: each is narrower than the other.
func (l List) Equal(other List) bool { return l.Canonical().Encode() == other.Canonical().Encode() }

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// writer writes tokens, and notes whether one was refused.
type writer struct {
	to     *jsontext.Encoder
	failed bool
}

func (w *writer) token(t jsontext.Token) {
	if w.to.WriteToken(t) != nil {
		w.failed = true
	}
}

func (w *writer) text(name, text string) {
	if text != "" {
		w.token(jsontext.String(name))
		w.token(jsontext.String(text))
	}
}

func (w *writer) texts(name string, list []string) {
	if list == nil {
		return
	}
	w.token(jsontext.String(name))
	w.token(jsontext.BeginArray)
	for _, text := range list {
		w.token(jsontext.String(text))
	}
	w.token(jsontext.EndArray)
}

func (w *writer) truth(name string, is bool) {
	if is {
		w.token(jsontext.String(name))
		w.token(jsontext.True)
	}
}

func (w *writer) detail(d Detail) {
	w.token(jsontext.BeginObject)
	w.text("type", d.Type)
	w.text("currency", d.Currency)
	w.texts("payees", d.Payees)
	w.truth("redelegate", d.Redelegate)
	w.text("resource", d.Resource)
	w.texts("actions", d.Actions)
	for name, n := range d.Limits {
		w.token(jsontext.String(name))
		if d.Type == TypeSpend && money[name] {
			w.token(jsontext.String(FormatAmount(n, d.Currency)))
		} else {
			w.token(jsontext.Int(n))
		}
	}
	if d.Constraints != nil {
		w.token(jsontext.String("constraints"))
		w.token(jsontext.BeginObject)
		for pointer, c := range d.Constraints {
			w.token(jsontext.String(pointer))
			w.constraint(c)
		}
		w.token(jsontext.EndObject)
	}
	w.truth(Once, d.Once)
	w.texts("names", d.Names)
	w.texts("digests", d.Digests)
	w.token(jsontext.EndObject)
}

func (w *writer) constraint(c Constraint) {
	w.token(jsontext.BeginObject)
	if c.Eq != nil {
		w.token(jsontext.String(opEq))
		w.value(*c.Eq)
	}
	w.values(opIn, c.In)
	w.values(opNotIn, c.NotIn)
	for _, o := range []struct {
		op string
		n  *int64
	}{{opMin, c.Min}, {opMax, c.Max}} {
		if o.n != nil {
			w.token(jsontext.String(o.op))
			w.token(jsontext.Int(*o.n))
		}
	}
	w.token(jsontext.EndObject)
}

func (w *writer) values(op string, list []Value) {
	if list == nil {
		return
	}
	w.token(jsontext.String(op))
	w.token(jsontext.BeginArray)
	for _, v := range list {
		w.value(v)
	}
	w.token(jsontext.EndArray)
}

func (w *writer) value(v Value) {
	if n, ok := v.Integer(); ok {
		w.token(jsontext.Int(n))
		return
	}
	w.token(jsontext.String(v.text))
}
