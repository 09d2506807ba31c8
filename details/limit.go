package details

import (
	"fmt"
	"time"
)

// Life is the window of what is counted over the life of a grant.
const Life = "life"

// Limit is one limit of a detail, and the window in which it is counted at some time.
type Limit struct {
	// Name is its name on the wire, like per_day.
	Name string
	// Window names the day, week or month in UTC, or Life: 2026-12-01, 2026-W49, 2026-12.
	// It is empty for PerTransaction, which bounds each spend by itself and counts nothing.
	Window string
	// Max is the most there may be in the window: minor units where Money is set, else a
	// count of spends or calls.
	Max   int64
	Money bool
}

// LimitsAt are the limits of a spend or call that hold at a time, in the order in which they
// are tried (agents.md, section 5). Those of a call are of each of its actions by itself.
// What has the same name and window later on is the same counter.
func (d Detail) LimitsAt(t time.Time) (limits []Limit) {
	for _, name := range limitNames {
		if most, ok := d.Limits[name]; ok {
			limits = append(limits, Limit{Name: name, Window: window(name, t), Max: most, Money: d.Type == TypeSpend && money[name]})
		}
	}
	if d.Once {
		limits = append(limits, Limit{Name: Once, Window: Life, Max: 1})
	}
	return limits
}

// window is the one in which a limit is counted at a time.
func window(name string, t time.Time) string {
	t = t.UTC()
	switch name {
	case PerTransaction:
		return ""
	case PerDay:
		return t.Format(time.DateOnly)
	case PerWeek:
		year, week := t.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	case PerMonth:
		return t.Format("2006-01")
	default:
		return Life
	}
}

// Windows are those of a time in which something taken then is counted, whatever the limits
// are: of the day, the week, the month, and Life.
func Windows(t time.Time) []string {
	return []string{window(PerDay, t), window(PerWeek, t), window(PerMonth, t), Life}
}
