package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// differences are rows that were found not to be the same, by what identifies
// their keys.
type differences map[string]Difference

// compareAll compares all rows of all tables, while the file is written to.
func (m *move) compareAll(ctx context.Context) error {
	for _, t := range m.tables {
		found, err := m.compareTable(ctx, t)
		if err != nil {
			return err
		}
		if err := m.onlyChanged(t, found); err != nil {
			return err
		}
	}
	return nil
}

func (m *move) compareTable(ctx context.Context, t table) (found differences, err error) {
	total := m.counts[t.Name]
	m.report(Comparing, t.Name, 0, total)
	found = differences{}
	err = m.target.All(ctx, t.Table, func(nextThere func() ([]any, error)) error {
		nextHere := m.rows(t, func(done int64) { m.report(Comparing, t.Name, done, total) })
		here, err := nextHere()
		if err != nil {
			return err
		}
		there, err := nextThere()
		for err == nil && (here != nil || there != nil) {
			order := t.order(here, there)
			found.note(t, order, here, there)
			if order >= 0 {
				there, err = nextThere()
			}
			if order <= 0 && err == nil {
				here, err = nextHere()
			}
		}
		return err
	})
	return found, err
}

// order says which of two rows comes first; after the last row comes nothing.
func (t table) order(here, there []any) int {
	switch {
	case here == nil:
		return 1
	case there == nil:
		return -1
	default:
		return compareKeys(t.keyOf(here), t.keyOf(there))
	}
}

// note compares two rows, of which the later one does not count.
func (d differences) note(t table, order int, here, there []any) {
	switch {
	case order < 0:
		d.add(t, t.keyOf(here), "is missing")
	case order > 0:
		d.add(t, t.keyOf(there), "is one too many")
	default:
		fitted, wrong := t.fit(here)
		if wrong != nil {
			d.add(t, t.keyOf(here), wrong.Column+" "+wrong.Why)
		} else if i := differing(fitted, there); i >= 0 {
			d.add(t, t.keyOf(here), t.columns[i]+" differs")
		}
	}
}

func (d differences) add(t table, key []any, what string) {
	d[identify(key)] = Difference{Table: t.Name, Key: t.say(key), What: what}
}

// onlyChanged fails unless all rows that were found to differ were changed in
// the file since the target was brought to its state.
func (m *move) onlyChanged(t table, found differences) error {
	for after := m.reached; len(found) > 0; {
		changes, err := m.source.Changes(after, page)
		if err != nil {
			return fmt.Errorf("reading changes: %w", err)
		}
		if len(changes) == 0 {
			return found.err()
		}
		for _, c := range changes {
			if c.Table == t.Name {
				delete(found, identify(c.Key))
			}
		}
		after = changes[len(changes)-1].Number
	}
	return nil
}

func (d differences) err() error {
	if len(d) == 0 {
		return nil
	}
	e := &DifferError{}
	for _, difference := range d {
		if len(e.Rows) == said {
			e.More = true
			break
		}
		e.Rows = append(e.Rows, difference)
	}
	return e
}

// compareCounts compares how many rows the tables have, and keeps the numbers.
func (m *move) compareCounts(ctx context.Context) error {
	var there []int64
	var failed error
	var counting sync.WaitGroup
	counting.Go(func() { there, failed = m.target.Counts(ctx, described(m.tables)) }) // nobody can write meanwhile
	here := make([]int64, len(m.tables))
	var err error
	for i, t := range m.tables {
		if here[i], err = m.source.Count(t.Name); err != nil {
			err = fmt.Errorf("counting %s: %w", t.Name, err)
			break
		}
	}
	counting.Wait()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	differ := &DifferError{}
	for i, t := range m.tables {
		if here[i] != there[i] {
			differ.Rows = append(differ.Rows, Difference{Table: t.Name, What: fmt.Sprintf("%d rows became %d", here[i], there[i])})
		}
		m.counts[t.Name] = there[i]
	}
	if len(differ.Rows) > 0 {
		return differ
	}
	return nil
}

// compareSome compares the rows of the target that have these keys with those
// that it should have.
func (t table) compareSome(keys, want map[string][]any, have [][]any) error {
	found := differences{}
	seen := map[string]bool{}
	for _, there := range have {
		key := t.keyOf(there)
		id := identify(key)
		seen[id] = true
		if here, wanted := want[id]; !wanted {
			found.add(t, key, "is one too many")
		} else if i := differing(here, there); i >= 0 {
			found.add(t, key, t.columns[i]+" differs")
		}
	}
	for id := range want {
		if !seen[id] {
			found.add(t, keys[id], "is missing")
		}
	}
	return found.err()
}
