package details_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"countersign.dev/details"
)

// step is a spend or a call that somebody tries.
type step struct {
	amount           int64
	currency, payee  string
	resource, action string
	arguments        string
	at               time.Time
}

func drawSteps(t *rapid.T) (steps []step) {
	at := time.Date(2026, 12, 30, 20, 0, 0, 0, time.UTC)
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		at = at.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "later")) * time.Hour)
		s := step{at: at}
		if maybe(t, "spend") {
			s.amount = rapid.Int64Range(0, 3).Draw(t, "amount")
			s.currency, s.payee = rapid.SampledFrom([]string{"USD", "JPY", "EUR"}).Draw(t, "currency"), rapid.SampledFrom(payees).Draw(t, "payee")
		} else {
			s.resource, s.action = rapid.SampledFrom(resources).Draw(t, "resource"), rapid.SampledFrom(actions).Draw(t, "action")
			literals := []string{`0`, `1`, `2.0`, `3`, `"x"`, `"1"`, `"y"`, `null`, `0.5`}
			s.arguments = `{"p":` + rapid.SampledFrom(literals).Draw(t, "p") + `,"q":{"r":` + rapid.SampledFrom(literals).Draw(t, "r") + `}}`
		}
		steps = append(steps, s)
	}
	return steps
}

// ledger counts what was taken under one list, as a server would.
type ledger struct {
	list details.List
	used map[[3]string]int64
}

func newLedger(list details.List) ledger { return ledger{list, map[[3]string]int64{}} }

// take reports whether a step is allowed after those before it, and counts it if so.
func (l ledger) take(s step) bool {
	d, err := l.list.ForSpend(s.currency, s.payee)
	about := s.currency
	if s.currency == "" {
		if l.list.Allows(details.Call{Resource: s.resource, Action: s.action, Arguments: []byte(s.arguments)}) != nil {
			return false
		}
		d, err = l.list.ForCall(s.resource, s.action)
		about = s.resource + " " + s.action
	}
	if err != nil {
		return false
	}
	found := d.LimitsAt(s.at)
	n := func(limit details.Limit) int64 {
		if limit.Money {
			return s.amount
		}
		return 1
	}
	for _, limit := range found {
		if l.used[[3]string{about, limit.Name, limit.Window}]+n(limit) > limit.Max {
			return false
		}
	}
	for _, limit := range found {
		if limit.Window != "" {
			l.used[[3]string{about, limit.Name, limit.Window}] += n(limit)
		}
	}
	return true
}

func TestNarrowerIsAPartialOrder(t *testing.T) {
	t.Parallel()
	related, equal, chained := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		z := draw(t)
		y := narrowed(t, z)
		x := narrowed(t, y)
		if maybe(t, "restated") {
			x = restated(t, y)
		}
		if err := details.Narrower(x, x); err != nil {
			t.Fatalf("%s is wider than itself: %v", x, err)
		}
		xy, yz := details.Narrower(x, y) == nil, details.Narrower(y, z) == nil
		if err := details.Narrower(x, z); xy && yz && err != nil {
			t.Fatalf("%s\n%s\n%s: %v", x, y, z, err)
		}
		same := xy && details.Narrower(y, x) == nil
		if same != x.Equal(y) {
			t.Fatalf("%s\n%s\neach narrower than the other: %v; canonical forms\n%s\n%s", x, y, same, x.Canonical(), y.Canonical())
		}
		if details.NarrowerForSubAgent(x, y) == nil && !xy {
			t.Fatalf("%s\n%s: a sub-agent gets more", x, y)
		}
		if xy {
			related++
		}
		if same && x.Encode() != y.Encode() {
			equal++
		}
		if xy && yz && !same {
			chained++
		}
	})
	if related == 0 || equal == 0 || chained == 0 {
		t.Errorf("of the lists %d were narrower, %d equal in other words, %d in a chain", related, equal, chained)
	}
}

func TestWhatANarrowerListAllowsTheWiderAllows(t *testing.T) {
	t.Parallel()
	allowed, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		y := draw(t)
		x := narrowed(t, y)
		if details.Narrower(x, y) != nil {
			return
		}
		narrow, wide := newLedger(x), newLedger(y)
		for _, s := range drawSteps(t) {
			if !narrow.take(s) {
				refused++
				continue
			}
			if allowed++; !wide.take(s) {
				t.Fatalf("%s allows what\n%s does not: %+v", x, y, s)
			}
		}
	})
	if allowed == 0 || refused == 0 {
		t.Errorf("%d steps were allowed, %d refused", allowed, refused)
	}
}

func TestTheCanonicalFormMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := draw(t)
		before := list.Encode()
		canonical := list.Canonical()
		if again := canonical.Canonical().Encode(); again != canonical.Encode() {
			t.Fatalf("%s\n%s", canonical, again)
		}
		if other := restated(t, list); !other.Equal(list) {
			t.Fatalf("%s\n%s", list, other)
		}
		one, other := newLedger(list), newLedger(canonical)
		for _, s := range drawSteps(t) {
			if is := one.take(s); is != other.take(s) {
				t.Fatalf("%s: %v\n%s: %v\n%+v", list, is, canonical, !is, s)
			}
		}
		if list.Encode() != before {
			t.Fatalf("%s became %s", before, list)
		}
	})
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := draw(t)
		read, err := details.Parse([]byte(list.Encode()))
		if err != nil || read.Encode() != list.Encode() || !read.Equal(list) {
			t.Fatalf("%s\n%s, %v", list, read, err)
		}
	})
}

// What is taken is read again once it was written, means the same, and is what RFC 8785 has
// it be.
func FuzzParse(f *testing.F) {
	f.Add([]byte(asked))
	f.Add([]byte("[" + dollars + "," + orders + "," + skills + "]"))
	f.Add([]byte(`[{"type":"call","resource":"urn:x:y","actions":["\u00e9"],"constraints":{"a~1":{"eq":-5,"in":["\u20ac",1],"not_in":[""],"min":0,"max":9007199254740991}},"once":true}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := details.Parse(text)
		if err != nil {
			if !descriptions.MatchString(err.Error()) {
				t.Fatalf("no error_description: %q", err)
			}
			return
		}
		written := list.Encode()
		again, err := details.Parse([]byte(written))
		if err != nil || again.Encode() != written || !again.Equal(list) {
			t.Fatalf("%s: %s, %v", text, written, err)
		}
		if err := details.Narrower(list, again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
