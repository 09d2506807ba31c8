package details

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// members are what each type may have beside its type, and what reads them.
var members = map[string]map[string]func(*Detail, string, jsontext.Value) error{
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
	list := List{}
	element := 0
	err := each(jsontext.Value(text), '[', func(_ string, v jsontext.Value) error {
		if element++; element > MaxElements {
			return errTooMany
		}
		d, err := parseDetail(v)
		if err != nil {
			return at(element, err)
		}
		list = append(list, d)
		return nil
	})
	switch {
	case errors.Is(err, errShape):
		return nil, &Error{Problem: "must be a JSON array of objects, in UTF-8, without a name twice in an object"}
	case err != nil:
		return nil, err
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

func parseDetail(text jsontext.Value) (d Detail, err error) {
	read := map[string]jsontext.Value{}
	if err := each(text, '{', func(name string, v jsontext.Value) error {
		read[name] = v
		return nil
	}); err != nil {
		return d, wrong("", "is not an object")
	}
	if d.Type, err = unquote(read["type"]); err != nil || members[d.Type] == nil {
		return d, wrong("type", "is none that is known here: spend, call or skill")
	}
	delete(read, "type")
	names := slices.Sorted(maps.Keys(read))
	for _, name := range names {
		if members[d.Type][name] == nil {
			return d, wrong("", "has a member that its type does not have")
		}
	}
	// Amounts are read by the currency, whatever stands first.
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(late(a), late(b)) })
	for _, name := range names {
		if err := members[d.Type][name](&d, name, read[name]); err != nil {
			return d, err
		}
	}
	return d, nil
}

func late(name string) int {
	if name == "currency" {
		return 0
	}
	return 1
}

// errShape is JSON that is none, or of another kind than it must be.
var errShape = errors.New("not of this kind")

// each walks through a whole array or object, and hands out what is in it. Members have
// names. What the walk gives is good until it goes on.
func each(text jsontext.Value, kind jsontext.Kind, hand func(name string, v jsontext.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if d.PeekKind() != kind {
		return errShape
	}
	if _, err := d.ReadToken(); err != nil {
		return errShape
	}
	for d.PeekKind() != ']' && d.PeekKind() != '}' {
		var name string
		if kind == '{' {
			n, err := d.ReadToken()
			if err != nil {
				return errShape
			}
			name = n.String()
		}
		v, err := d.ReadValue()
		if err != nil {
			return errShape
		}
		if err := hand(name, v.Clone()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errShape
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errShape
	}
	return nil
}

func unquote(v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", errShape
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err
}

// integer reads an integer in the one form that RFC 8785 gives it.
func integer(v jsontext.Value) (int64, error) {
	text := strings.TrimSpace(string(v))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, errShape
	}
	return n, nil
}

func readText(of func(*Detail) *string) func(*Detail, string, jsontext.Value) error {
	return func(d *Detail, member string, v jsontext.Value) (err error) {
		if *of(d), err = unquote(v); err != nil {
			return wrong(member, "must be a text")
		}
		return nil
	}
}

func readTexts(of func(*Detail) *[]string) func(*Detail, string, jsontext.Value) error {
	return func(d *Detail, member string, v jsontext.Value) error {
		list := []string{}
		if err := each(v, '[', func(_ string, v jsontext.Value) error {
			text, err := unquote(v)
			list = append(list, text)
			return err
		}); err != nil {
			return wrong(member, "must be a list of texts")
		}
		*of(d) = list
		return nil
	}
}

func readTruth(of func(*Detail) *bool) func(*Detail, string, jsontext.Value) error {
	return func(d *Detail, member string, v jsontext.Value) error {
		if v.Kind() != 't' && v.Kind() != 'f' {
			return wrong(member, "must be true or false")
		}
		*of(d) = v.Kind() == 't'
		return nil
	}
}

func (d *Detail) limit(name string, n int64) {
	if d.Limits == nil {
		d.Limits = map[string]int64{}
	}
	d.Limits[name] = n
}

func readAmount(d *Detail, member string, v jsontext.Value) error {
	text, err := unquote(v)
	if err != nil {
		return wrong(member, errAmount.Error())
	}
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

func readCount(d *Detail, member string, v jsontext.Value) error {
	n, err := integer(v)
	if err != nil {
		return wrong(member, badCount)
	}
	d.limit(member, n)
	return nil
}

func readConstraints(d *Detail, member string, v jsontext.Value) error {
	d.Constraints = map[string]Constraint{}
	var problem *Error
	err := each(v, '{', func(pointer string, v jsontext.Value) error {
		c, err := parseConstraint(v)
		if errors.As(err, &problem) {
			return err
		}
		d.Constraints[pointer] = c
		return err
	})
	if problem != nil {
		return problem
	}
	if err != nil {
		return wrong(member, "must be an object of objects: an argument's pointer, its operators, their values")
	}
	return nil
}

// badOperand is what to write behind each operator.
var badOperand = map[string]string{
	opEq: "must be a text or an integer", opIn: "must be a list of texts and integers", opNotIn: "must be a list of texts and integers",
	opMin: "must be an integer", opMax: "must be an integer",
}

func parseConstraint(v jsontext.Value) (c Constraint, err error) {
	err = each(v, '{', func(op string, v jsontext.Value) error {
		var err error
		switch op {
		case opEq:
			var eq Value
			eq, err = parseValue(v)
			c.Eq = &eq
		case opIn:
			c.In, err = parseValues(v)
		case opNotIn:
			c.NotIn, err = parseValues(v)
		case opMin:
			c.Min, err = parseInteger(v)
		case opMax:
			c.Max, err = parseInteger(v)
		default:
			return wrong("constraints", "has an operator that is none of eq, in, not_in, min and max")
		}
		if err != nil {
			return wrong("constraints."+op, badOperand[op])
		}
		return nil
	})
	return c, err
}

func parseValue(v jsontext.Value) (Value, error) {
	if text, err := unquote(v); err == nil {
		return Text(text), nil
	}
	n, err := integer(v)
	return Integer(n), err
}

func parseInteger(v jsontext.Value) (*int64, error) {
	n, err := integer(v)
	return &n, err
}

func parseValues(v jsontext.Value) ([]Value, error) {
	list := []Value{}
	err := each(v, '[', func(_ string, v jsontext.Value) error {
		value, err := parseValue(v)
		list = append(list, value)
		return err
	})
	return list, err
}
