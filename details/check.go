package details

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxURI and maxName bound what is in access tokens, in bytes.
	maxURI, maxName = 255, 128
	// digestPrefix and digestDigits are the one form of a digest.
	digestPrefix, digestDigits = "sha256:", 64
)

// What is wrong with a list as such.
var (
	errTooMany = &Error{Problem: fmt.Sprintf("must have %d elements at most", MaxElements)}
	errTooLong = &Error{Problem: fmt.Sprintf("must be %d bytes at most", MaxBytes)}
)

// What is wrong with an element, whatever its type.
var (
	badType       = wrong("type", "is none that is known here: spend, call or skill")
	foreignMember = wrong("", "has a member that its type does not have")
)

const (
	badCount = "must be an integer from 0 on, less than 2^53"
	badURI   = "must be absolute URIs without fragment and user, of 255 bytes at most"
	badName  = "must be names of 1 to 128 bytes that can be seen: nothing invisible, no space at an end"
	badText  = "must be texts that can be seen, without anything invisible"
)

// Check says whether a list is one that a server would take. What Parse returns is; of one
// that was put together or narrowed by a program it has to be asked.
//
//	*Error
func (l List) Check() error {
	if len(l) > MaxElements {
		return errTooMany
	}
	taken := map[[2]string]bool{}
	for i, d := range l {
		if err := d.check(); err != nil {
			return at(i+1, err)
		}
		for _, key := range d.keys() {
			if taken[key] {
				return at(i+1, twice[d.Type])
			}
			taken[key] = true
		}
	}
	if text, _ := l.write(); len(text) > MaxBytes {
		return errTooLong
	}
	return nil
}

// twice is said of what is named twice: two elements that each fit under one limit would
// double it.
var twice = map[string]*Error{
	TypeSpend: wrong("currency", "is that of an element before it: name each currency once"),
	TypeCall:  wrong("actions", "has one that was named before: name each action of a resource once"),
}

// keys are what no other element of a list may be about: a currency, actions of a resource.
func (d Detail) keys() (keys [][2]string) {
	switch d.Type {
	case TypeSpend:
		keys = append(keys, [2]string{d.Currency})
	case TypeCall:
		for _, action := range d.Actions {
			keys = append(keys, [2]string{normal(d.Resource), action})
		}
	}
	return keys
}

func (d Detail) check() *Error {
	if d.foreign() {
		return foreignMember
	}
	switch d.Type {
	case TypeSpend:
		return d.checkSpend()
	case TypeCall:
		return d.checkCall()
	case TypeSkill:
		return d.checkSkill()
	default:
		return badType
	}
}

// foreign reports whether something is set that is another type's.
func (d Detail) foreign() bool {
	spend := d.Currency != "" || d.Payees != nil || d.Redelegate
	call := d.Resource != "" || d.Actions != nil || d.Constraints != nil
	counted := d.Limits != nil || d.Once
	skill := d.Names != nil || d.Digests != nil
	switch d.Type {
	case TypeSpend:
		return call || skill
	case TypeCall:
		return spend || skill
	case TypeSkill:
		return spend || call || counted
	default:
		return false
	}
}

func (d Detail) checkSpend() *Error {
	if _, ok := MinorUnits(d.Currency); !ok {
		return wrong("currency", errCurrency.Error())
	}
	if len(d.Limits) == 0 {
		return wrong("", "has no limit: set one of "+strings.Join(limitNames, ", "))
	}
	if err := d.checkLimits(limitNames); err != nil {
		return err
	}
	return checkList("payees", d.Payees, isURI, badURI)
}

func (d Detail) checkCall() *Error {
	if !isURI(d.Resource) {
		return wrong("resource", "must be an absolute URI without fragment and user, of 255 bytes at most")
	}
	if d.Actions == nil {
		return wrong("actions", "must be there")
	}
	if err := checkList("actions", d.Actions, isName, badName); err != nil {
		return err
	}
	if err := d.checkLimits([]string{PerDay}); err != nil {
		return err
	}
	if d.Constraints != nil && len(d.Constraints) == 0 {
		return wrong("constraints", "has nothing in it: leave it out")
	}
	for _, pointer := range slices.Sorted(maps.Keys(d.Constraints)) {
		if !isPointer(pointer) {
			return wrong("constraints", "must name arguments by JSON Pointers of 128 bytes at most, without the first slash (RFC 6901)")
		}
		if err := d.Constraints[pointer].check(); err != nil {
			return err
		}
	}
	return nil
}

func (d Detail) checkSkill() *Error {
	if (d.Names == nil) == (d.Digests == nil) {
		return wrong("", "must have either names or digests")
	}
	if err := checkList("names", d.Names, isName, badName); err != nil {
		return err
	}
	return checkList("digests", d.Digests, isDigest, "must be sha256: and 64 digits of hex in lower case")
}

func (d Detail) checkLimits(known []string) *Error {
	for _, name := range slices.Sorted(maps.Keys(d.Limits)) {
		switch n := d.Limits[name]; {
		case !slices.Contains(known, name):
			return wrong("", "has a limit that its type does not have")
		case n < 0 || n > maxInteger:
			return wrong(name, badCount)
		}
	}
	return nil
}

// checkList says whether a list that is there has something in it, not too much, and nothing
// but what it may have.
func checkList(member string, list []string, good func(string) bool, problem string) *Error {
	if err := checkLength(member, list); err != nil {
		return err
	}
	for _, text := range list {
		if !good(text) {
			return wrong(member, problem)
		}
	}
	return nil
}

func checkLength[T any](member string, list []T) *Error {
	switch {
	case list != nil && len(list) == 0:
		return wrong(member, "is an empty list: leave it out, or name something")
	case len(list) > MaxEntries:
		return wrong(member, fmt.Sprintf("must have %d entries at most", MaxEntries))
	default:
		return nil
	}
}

func (c Constraint) check() *Error {
	if len(c.operators()) == 0 {
		return wrong("constraints", "has an argument without an operator: leave it out")
	}
	var eq []Value
	if c.Eq != nil {
		eq = []Value{*c.Eq}
	}
	for _, o := range []struct {
		op     string
		values []Value
	}{{opEq, eq}, {opIn, c.In}, {opNotIn, c.NotIn}} {
		if err := checkLength("constraints."+o.op, o.values); err != nil {
			return err
		}
		for _, v := range o.values {
			if !isVisible(v.text) {
				return wrong("constraints."+o.op, badText)
			}
			if !isExact(v.number) {
				return wrong("constraints."+o.op, badInteger)
			}
		}
	}
	for op, bound := range map[string]*int64{opMin: c.Min, opMax: c.Max} {
		if bound != nil && !isExact(*bound) {
			return wrong("constraints."+op, badInteger)
		}
	}
	return nil
}

const badInteger = "must have integers between -2^53 and 2^53"

func isExact(n int64) bool { return -maxInteger <= n && n <= maxInteger }

// isVisible reports whether a reader sees all of a text: what is signed holds nothing that
// turns the line around or takes no room in it.
func isVisible(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func isName(text string) bool {
	return text != "" && len(text) <= maxName && isVisible(text) && strings.TrimSpace(text) == text
}

// isPointer reports whether a text is a JSON Pointer without its first slash, in whose
// tokens ~ is followed by 0 or 1 (RFC 6901 §3).
func isPointer(text string) bool {
	rest := strings.NewReplacer("~0", "", "~1", "").Replace(text)
	return len(text) <= maxName && isVisible(text) && !strings.Contains(rest, "~")
}

func isDigest(text string) bool {
	digits, ok := strings.CutPrefix(text, digestPrefix)
	return ok && len(digits) == digestDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// isURI reports whether a text is an absolute URI of the characters of RFC 3986 §2, without
// fragment and user: no others that browsers take for a slash, or that end a line.
func isURI(text string) bool {
	const extra = "-._~:/?[]@!$&'()*+,;=%"
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(extra, r)
	}
	if len(text) > maxURI || strings.ContainsFunc(text, strange) {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || u.User != nil {
		return false
	}
	return u.Hostname() != "" || (!isWeb(u) && u.Opaque+u.Path != "")
}

func isWeb(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" }

// normal is a resource's URI in the form in which this server has it in aud: scheme and host
// in lower case, no port that the scheme has anyway, no slash at the end. What is no http or
// https URI stays as it is.
func normal(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || !isWeb(u) {
		return resource
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	text := u.Scheme + "://" + strings.TrimSuffix(host, ":") + strings.TrimRight(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		text += "?" + u.RawQuery
	}
	return text
}
