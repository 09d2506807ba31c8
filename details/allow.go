package details

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Call is a call that somebody wants to make at a resource.
type Call struct {
	Resource, Action string
	// Arguments are JSON; none is needed where nothing is constrained.
	Arguments []byte
}

// Why something is not allowed (insufficient_authorization_details).
var (
	// ErrNotCovered: no element of the list is about it.
	ErrNotCovered = errors.New("no element of authorization_details allows this")
	// ErrArguments: an argument is missing, of another kind, or not among what is allowed.
	ErrArguments = errors.New("authorization_details do not allow these arguments")
)

// Allows says whether a list allows a call with its arguments. How often, Detail.LimitsAt says.
//
//	ErrNotCovered, ErrArguments
func (l List) Allows(c Call) error {
	d, err := l.ForCall(c.Resource, c.Action)
	if err != nil {
		return err
	}
	if len(d.Constraints) > 0 && !hold(d.Constraints, c.Arguments) {
		return ErrArguments
	}
	return nil
}

// ForCall finds the element about one action of a resource, whatever its arguments; it comes
// with this action alone.
//
//	ErrNotCovered
func (l List) ForCall(resource, action string) (Detail, error) {
	for _, d := range l {
		if normal(d.Resource) == normal(resource) && slices.Contains(d.Actions, action) {
			d = d.clone()
			d.Actions = []string{action}
			return d, nil
		}
	}
	return Detail{}, ErrNotCovered
}

// ForSpend finds the element about spending a currency at a payee.
//
//	ErrNotCovered
func (l List) ForSpend(currency, payee string) (Detail, error) {
	for _, d := range l {
		if d.Type == TypeSpend && d.Currency == currency && (d.Payees == nil || slices.Contains(d.Payees, payee)) {
			return d.clone(), nil
		}
	}
	return Detail{}, ErrNotCovered
}

// hold reports whether all constraints hold of arguments. What is neither a text nor an
// integer fails like what is missing; so does JSON with a name twice, because readers differ
// in which they believe.
func hold(constraints map[string]Constraint, arguments []byte) bool {
	if !jsontext.Value(arguments).IsValid() {
		return false
	}
	held := 0
	d := jsontext.NewDecoder(bytes.NewReader(arguments))
	for {
		t, err := d.ReadToken()
		if err != nil {
			return held == len(constraints)
		}
		if parent, n := d.StackIndex(d.StackDepth()); parent == '{' && n%2 == 1 {
			continue // the name of what comes
		}
		c, is := constraints[strings.TrimPrefix(string(d.StackPointer()), "/")]
		if v, ok := valueOf(t); ok && is && d.StackDepth() > 0 && c.holds(v) {
			held++
		}
	}
}

func valueOf(t jsontext.Token) (Value, bool) {
	switch t.Kind() {
	case '"':
		return Text(t.String()), true
	case '0':
		n, ok := whole(t.String())
		return Integer(n), ok
	default:
		return Value{}, false
	}
}

// whole is a number of JSON as the integer that it is by value, exactly: 1000.0 and 1e3 are
// 1000, and what a float would round to it is not.
func whole(number string) (int64, bool) {
	digits, negative := strings.CutPrefix(number, "-")
	digits, exponent, _ := strings.Cut(strings.ToLower(digits), "e")
	digits, part, _ := strings.Cut(digits, ".")
	significant := strings.TrimRight(digits+part, "0")
	if significant == "" {
		return 0, true
	}
	// What does not fit is returned as the largest or smallest number, beside the error: as an
	// exponent and as an integer it is beyond all that count.
	e, _ := strconv.ParseInt(exponent, 10, 32)
	n, _ := strconv.ParseInt(significant, 10, 64)
	zeros := e + int64(len(digits)-len(significant))
	for ; zeros > 0 && n <= maxInteger; zeros-- {
		n *= 10
	}
	if zeros < 0 || n > maxInteger {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}
