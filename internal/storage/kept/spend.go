package kept

import (
	"encoding/json"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Counted is what a spend added to one counter.
type Counted struct {
	GrantID string `json:"grant"`
	Name    string `json:"name"`
	Add     int64  `json:"add"`
}

// Counters is how it is kept with a spend what it added to its counters.
func Counters(all []contract.Counter) string {
	kept := make([]Counted, len(all))
	for i, c := range all {
		kept[i] = Counted{c.GrantID, c.Name, c.Add}
	}
	return document(kept)
}

// GivenBack is what the counters of which this is kept get back when of an amount no more than
// settled was spent, or nothing: the spend is then not counted at all. Those of the amount added
// as much as it is, and the others count.
func GivenBack(kept string, amount, settled int64, released bool) (back []Counted, err error) {
	var all []Counted
	if err := json.Unmarshal([]byte(kept), &all); err != nil {
		return nil, err
	}
	for _, c := range all {
		switch {
		case released:
		case c.Add == amount:
			c.Add = amount - settled
		default:
			continue
		}
		if c.Add > 0 {
			back = append(back, c)
		}
	}
	return back, nil
}

// Close settles or releases a held spend, of whose counters this is kept, and says what they get
// back.
//
//	*contract.SpendError: it is held no longer
func Close(spend *authz.Spend, counters string, c contract.Closing) ([]Counted, error) {
	if spend.StateAt(c.At) != authz.SpendHeld {
		return nil, &contract.SpendError{Spend: *spend}
	}
	released := c.State == authz.SpendReleased
	if spend.State = c.State; !released {
		spend.Settled = c.Amount
	}
	return GivenBack(counters, spend.Amount, spend.Settled, released)
}
