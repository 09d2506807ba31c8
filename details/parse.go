package details

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// reader reads a member of an element into it.
type reader func(d *Detail, member string, v jsontext.Value) *Error

// members are what each type may have beside its type, and what reads them.
var members = map[string]map[string]reader{
	TypeSpend: {
		"currency": readText(func(d *Detail) *string { return &d.Currency }), "payees": readTexts(func(d *Detail) *[]string { return &d.Payees }),
		"redelegate": readTruth(func(d *Detail) *bool { return &d.Redelegate }), Once: readTruth(func(d *Detail) *bool { return &d.Once }),
		PerTransaction: readAmount, PerDay: readAmount, PerWeek: readAmount, PerMonth: readAmount, Total: readAmount, Payments: readCount,
	},
	TypeCall: {
		"resource": readText(func(d *Detail) *string { return &d.Resource }), "actions": readTexts(func(d *Detail) *[]string { return &d.Actions }),
		"constraints": readConstraints, PerDay: readCount, Once: readTruth(func(d *Detail) *bool { return &d.Once }),
	},
	TypeSkill: {
		"names": readTexts(func(d *Detail) *[]string { return &d.Names }), "digests": readTexts(func(d *Detail) *[]string { return &d.Digests }),
	},
}

// Parse reads a list from JSON, strictly: unknown types, members and operators refuse, as do
// names that are there twice and whatever List.Check refuses. An empty list is one.
//
//	*Error
func Parse(text []byte) (List, error) {
	if len(text) > MaxBytes {
		return nil, errTooLong
	}
	elements, ok := entries(text)
	if !ok {
		return nil, &Error{Problem: "must be a JSON array of objects, in UTF-8, without a name twice in an object"}
	}
	list := List{}
	for i, v := range elements {
		d, e := parseDetail(v)
		if e != nil {
			return nil, at(i+1, e)
		}
		list = append(list, d)
	}
	if err := list.Check(); err != nil {
		return nil, err
	}
	return list, nil
}

// UnmarshalJSON reads what Parse reads.
func (l *List) UnmarshalJSON(text []byte) error {
	list, err := Parse(text)
	if err == nil {
		*l = list
	}
	return err
}

func parseDetail(text jsontext.Value) (d Detail, e *Error) {
	read, ok := object(text)
	if !ok {
		return d, wrong("", "is not an object")
	}
	d.Type, _ = unquote(read["type"])
	if members[d.Type] == nil {
		return d, badType
	}
	delete(read, "type")
	names := slices.Sorted(maps.Keys(read)) // the currency stands before the amounts, which are read by it
	for _, name := range names {
		if members[d.Type][name] == nil {
			return d, foreignMember
		}
	}
	for _, name := range names {
		if e := members[d.Type][name](&d, name, read[name]); e != nil {
			return d, e
		}
	}
	return d, nil
}

// entries are those of an array, and whether it is one: null is none, and neither is JSON
// with a name twice in an object or a text that is not UTF-8, at any depth.
func entries(v jsontext.Value) (list []jsontext.Value, ok bool) {
	err := json.Unmarshal(v, &list)
	return list, err == nil && list != nil
}

// object is the members of an object in what entries has read: of another kind there are none.
func object(v jsontext.Value) (members map[string]jsontext.Value, ok bool) {
	_ = json.Unmarshal(v, &members)
	return members, members != nil
}

func unquote(v jsontext.Value) (text string, ok bool) {
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err == nil
}

// integer reads an integer in the one form that RFC 8785 gives it.
func integer(v jsontext.Value) (int64, bool) {
	n, _ := strconv.ParseInt(string(v), 10, 64)
	return n, strconv.FormatInt(n, 10) == string(v)
}

func readText(of func(*Detail) *string) reader {
	return func(d *Detail, member string, v jsontext.Value) *Error {
		text, ok := unquote(v)
		if !ok {
			return wrong(member, "must be a text")
		}
		*of(d) = text
		return nil
	}
}

func readTexts(of func(*Detail) *[]string) reader {
	return func(d *Detail, member string, v jsontext.Value) *Error {
		list, all := entries(v)
		texts := make([]string, len(list))
		for i, v := range list {
			text, ok := unquote(v)
			texts[i], all = text, all && ok
		}
		if !all {
			return wrong(member, "must be a list of texts")
		}
		*of(d) = texts
		return nil
	}
}

func readTruth(of func(*Detail) *bool) reader {
	return func(d *Detail, member string, v jsontext.Value) *Error {
		if string(v) != "true" && string(v) != "false" {
			return wrong(member, "must be true or false")
		}
		*of(d) = string(v) == "true"
		return nil
	}
}

func (d *Detail) limit(name string, n int64) {
	if d.Limits == nil {
		d.Limits = map[string]int64{}
	}
	d.Limits[name] = n
}

func readAmount(d *Detail, member string, v jsontext.Value) *Error {
	text, _ := unquote(v) // what is no text is no amount either
	minor, err := ParseAmount(text, d.Currency)
	if errors.Is(err, errCurrency) {
		member = "currency"
	}
	if err != nil {
		return wrong(member, err.Error())
	}
	d.limit(member, minor)
	return nil
}

func readCount(d *Detail, member string, v jsontext.Value) *Error {
	n, ok := integer(v)
	if !ok {
		return wrong(member, badCount)
	}
	d.limit(member, n)
	return nil
}

func readConstraints(d *Detail, member string, v jsontext.Value) *Error {
	read, ok := object(v)
	if !ok {
		return wrong(member, badConstraints)
	}
	d.Constraints = map[string]Constraint{}
	for _, pointer := range slices.Sorted(maps.Keys(read)) {
		c, e := parseConstraint(read[pointer])
		if e != nil {
			return e
		}
		d.Constraints[pointer] = c
	}
	return nil
}

const badConstraints = "must be an object of objects: an argument's pointer, its operators, their values"

func parseConstraint(v jsontext.Value) (c Constraint, e *Error) {
	read, ok := object(v)
	if !ok {
		return c, wrong("constraints", badConstraints)
	}
	for _, op := range slices.Sorted(maps.Keys(read)) {
		var ok bool
		problem := "must be an integer"
		switch op {
		case opEq:
			var eq Value
			eq, ok = parseValue(read[op])
			c.Eq, problem = &eq, "must be a text or an integer"
		case opIn:
			c.In, ok = parseValues(read[op])
			problem = "must be a list of texts and integers"
		case opNotIn:
			c.NotIn, ok = parseValues(read[op])
			problem = "must be a list of texts and integers"
		case opMin:
			c.Min, ok = parseBound(read[op])
		case opMax:
			c.Max, ok = parseBound(read[op])
		default:
			return c, wrong("constraints", "has an operator that is none of eq, in, not_in, min and max")
		}
		if !ok {
			return c, wrong("constraints."+op, problem)
		}
	}
	return c, nil
}

func parseValue(v jsontext.Value) (Value, bool) {
	if text, ok := unquote(v); ok {
		return Text(text), true
	}
	n, ok := integer(v)
	return Integer(n), ok
}

func parseBound(v jsontext.Value) (*int64, bool) {
	n, ok := integer(v)
	return &n, ok
}

func parseValues(v jsontext.Value) ([]Value, bool) {
	list, all := entries(v)
	values := make([]Value, len(list))
	for i, v := range list {
		value, ok := parseValue(v)
		values[i], all = value, all && ok
	}
	return values, all
}
