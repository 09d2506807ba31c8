package cli

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev/details"
	"countersign.dev/receipt"
)

// offer is a statement about an agent as it may be signed at most, and what its owner left of
// it.
type offer struct {
	widest, left receipt.Delegation
	// details are those of the widest, in their order, as the owner left them. Those in out
	// were taken out.
	details details.List
	out     map[int]bool
}

// newOffer reads the statement of a server.
func newOffer(statement string) (*offer, error) {
	widest, err := receipt.ParseDelegation(statement)
	if err != nil {
		return nil, err
	}
	list, err := details.Parse(widest.Details)
	return &offer{widest: widest, left: widest, details: list, out: map[int]bool{}}, err
}

// narrowings are what an owner may say to narrow an offer, for a person.
const narrowings = `without 2, limit USD:per_day=5.00, scope "openid profile", resource https://api.example, until 2h, no-subagents`

// narrow changes what is left by one thing that the owner said: a word and what belongs to it.
// Nothing can be widened.
func (o *offer) narrow(said string, now time.Time) error {
	word, value, _ := strings.Cut(strings.TrimSpace(said), " ")
	value = strings.Trim(strings.TrimSpace(value), `"`)
	var err error
	before := *o
	before.details, before.out = o.details.Clone(), maps.Clone(o.out)
	switch word {
	case "scope":
		o.left.Scope = value
	case "resource":
		o.left.Resource = strings.Fields(value)
	case "without":
		err = o.takeOut(value)
	case "limit":
		err = o.limit(value)
	case "until":
		o.left.NotAfter, err = until(value, now)
	case "no-subagents":
		o.left.Depth = 0
	default:
		err = usage("it is narrowed by words such as: %s", narrowings)
	}
	if err == nil {
		if err = o.settle(now); err != nil {
			err = usage("that is not narrower: %s", err)
		}
	}
	if err != nil {
		*o = before
	}
	return err
}

// settle writes what is left into the statement, and makes sure that it is no wider.
func (o *offer) settle(now time.Time) error {
	list := details.List{}
	for i, d := range o.details {
		if !o.out[i] {
			list = append(list, d)
		}
	}
	o.left.Details = json.RawMessage(list.Encode())
	switch {
	case o.left.NotAfter <= now.Unix():
		return errors.New("that time is over")
	case o.left.Scope == "" && o.widest.Scope != "":
		return errors.New("no scope is left")
	}
	return o.left.NarrowerThan(o.widest)
}

func (o *offer) takeOut(number string) error {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(o.details) {
		return usage("without says the number of what is to be left out, 1 to %d", len(o.details))
	}
	o.out[n-1] = true
	return nil
}

// limit sets a limit: CURRENCY:NAME=AMOUNT, RESOURCE:per_day=COUNT, or without the currency or
// resource where there is only one detail that has limits.
func (o *offer) limit(said string) error {
	left, amount, ok := cutLast(said, "=")
	of, name, named := cutLast(left, ":")
	if !named {
		of, name = "", left
	}
	if !ok || !slices.Contains(limitOrder, name) {
		return usage("a limit is said like USD:per_day=5.00, and is one of %s", listed(limitOrder))
	}
	var found []int
	for i, d := range o.details {
		about := d.Currency + d.Resource // one of them
		if !o.out[i] && d.Type != details.TypeSkill && (of == "" || of == about) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		return usage("say of what the limit is, like USD:%s=%s or https://api.example:per_day=10", name, amount)
	}
	d := &o.details[found[0]]
	var n int64
	var err error
	if d.Type == details.TypeSpend && name != details.Payments {
		n, err = details.ParseAmount(amount, d.Currency)
	} else {
		n, err = strconv.ParseInt(amount, 10, 64)
	}
	if err != nil || n < 1 {
		return usage("%s is no such limit", strconv.Quote(amount))
	}
	if d.Limits == nil {
		d.Limits = map[string]int64{}
	}
	d.Limits[name] = n
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// until is when something ends that lasts so long, or until a time.
func until(said string, now time.Time) (int64, error) {
	if lasts, err := time.ParseDuration(said); err == nil {
		return now.Add(lasts).Unix(), nil
	}
	if days, ok := strings.CutSuffix(said, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil {
			return now.AddDate(0, 0, n).Unix(), nil
		}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, said, time.Local); err == nil {
			return at.Unix(), nil
		}
	}
	return 0, usage("a time is said like 2h, 7d, 2026-12-24 or 2026-12-24T18:00:00Z")
}
