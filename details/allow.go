package details

import (
	"bytes"
	"errors"
	"io"
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
	if err != nil || len(d.Constraints) == 0 {
		return err
	}
	found, err := arguments(c.Arguments, d.Constraints)
	if err != nil {
		return err
	}
	for pointer, constraint := range d.Constraints {
		if v, ok := found[pointer]; !ok || !constraint.holds(v) {
			return ErrArguments
		}
	}
	return nil
}

// ForCall finds the element about one action of a resource, whatever its arguments; it comes
// with this action alone.
//
//	ErrNotCovered
func (l List) ForCall(resource, action string) (Detail, error) {
	for _, d := range l {
		if d.Type == TypeCall && normal(d.Resource) == normal(resource) && slices.Contains(d.Actions, action) {
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

// arguments finds the values that are constrained. What is neither a text nor an integer is
// not among them, so that it fails like what is missing; JSON with a name twice is none,
// because readers differ in which they believe.
//
//	ErrArguments
func arguments(text []byte, wanted map[string]Constraint) (map[string]Value, error) {
	found := map[string]Value{}
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for values := 0; ; {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if d.StackDepth() == 0 {
			values++
		}
		if err != nil || values > 1 {
			return nil, ErrArguments
		}
		if parent, n := d.StackIndex(d.StackDepth()); parent == '{' && n%2 == 1 {
			continue // the name of what comes
		}
		pointer := strings.TrimPrefix(string(d.StackPointer()), "/")
		if _, is := wanted[pointer]; !is || d.StackDepth() == 0 {
			continue
		}
		switch t.Kind() {
		case '"':
			found[pointer] = Text(t.String())
		case '0':
			if n, ok := whole(t.String()); ok {
				found[pointer] = Integer(n)
			}
		}
	}
}

// whole is a number of JSON as the integer that it is by value, exactly: 1000.0 and 1e3 are
// 1000, and what a float would round to it is not.
func whole(number string) (int64, bool) {
	digits, negative := strings.CutPrefix(number, "-")
	digits, exponent, _ := strings.Cut(strings.ToLower(digits), "e")
	digits, part, _ := strings.Cut(digits, ".")
	significant := strings.TrimRight(digits+part, "0")
	zeros := len(digits) - len(significant)
	if significant = strings.TrimLeft(significant, "0"); significant == "" {
		return 0, true
	}
	if exponent != "" {
		e, err := strconv.Atoi(exponent)
		if err != nil || e > maxExponent || e < -maxExponent {
			return 0, false
		}
		zeros += e
	}
	if zeros < 0 || zeros > maxDigits {
		return 0, false
	}
	n, err := strconv.ParseInt(significant+strings.Repeat("0", zeros), 10, 64)
	if err != nil || n > maxInteger {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

const (
	// maxDigits is how many digits the largest integer has; maxExponent is more than a number
	// of any length that is read here can need.
	maxDigits, maxExponent = 16, 1 << 30
)
