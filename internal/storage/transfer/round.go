package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/sqlite"
)

const (
	// page is how many rows are read from the file at a time: few enough that
	// nothing in the file waits for the reading.
	page = 2000
	// small is how many changes are left for the moment in which nobody can write.
	// A busy server makes some hundreds while the round before is copied.
	small = 500
	// tooMuch is how many may have been made until that moment begins.
	tooMuch = 10 * small
	// rounds and momentTries bound how often it is tried to catch up.
	rounds      = 60
	momentTries = 5
	// commitTime is how long the two databases have for their commits.
	commitTime = 30 * time.Second
)

// copyAll copies all tables, each page of rows as it is when it is read.
func (m *move) copyAll(ctx context.Context) error {
	unfit := &UnfitError{}
	for _, t := range m.tables {
		total, err := m.source.Count(t.Name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", t.Name, err)
		}
		m.report(Copying, t.Name, 0, total)
		rows := m.rows(t, func(done int64) { m.report(Copying, t.Name, done, total) })
		m.counts[t.Name], err = m.target.Copy(ctx, t.Table, func() ([]any, error) {
			for {
				row, err := rows()
				if row == nil || err != nil {
					return nil, err
				}
				fitted, wrong := t.fit(row)
				if wrong == nil {
					return fitted, nil
				}
				if len(unfit.Rows) == said {
					unfit.More = true
					return nil, unfit
				}
				unfit.Rows = append(unfit.Rows, *wrong)
			}
		})
		if err != nil {
			return err
		}
	}
	if len(unfit.Rows) > 0 {
		return unfit
	}
	return nil
}

// rows returns a function that returns a table's next row, and nil after the
// last.
func (m *move) rows(t table, done func(int64)) func() ([]any, error) {
	var some [][]any
	var after []any
	var read int64
	return func() ([]any, error) {
		if len(some) == 0 {
			var err error
			if some, err = m.source.Page(t.Name, t.columns, t.Key, after, page); err != nil {
				return nil, fmt.Errorf("reading %s: %w", t.Name, err)
			}
			read += int64(len(some))
			done(read)
			if len(some) == 0 {
				return nil, nil
			}
			after = t.keyOf(some[len(some)-1])
		}
		row := some[0]
		some = some[1:]
		return row, nil
	}
}

// round brings the target to the state of the file at one instant.
func (m *move) round(ctx context.Context) error {
	_, err := m.roundOf(ctx)
	return err
}

// roundOf is round, and returns how many changes there were.
func (m *move) roundOf(ctx context.Context) (n int64, err error) {
	m.report(CatchUp, "", 0, 0)
	err = m.source.Snapshot(func() error {
		n, err = m.apply(ctx)
		return err
	})
	return n, err
}

// apply copies what changed in the file, as it is seen in the transaction that
// is open there, and compares it.
func (m *move) apply(ctx context.Context) (n int64, err error) {
	last, err := m.source.LastChange()
	if err != nil {
		return 0, fmt.Errorf("reading changes: %w", err)
	}
	for m.reached < last {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		changes, err := m.source.Changes(m.reached, page)
		if err != nil {
			return n, fmt.Errorf("reading changes: %w", err)
		}
		if len(changes) == 0 {
			return n, errors.New("reading changes: some are missing")
		}
		if err := m.applySome(ctx, changes); err != nil {
			return n, err
		}
		m.reached = changes[len(changes)-1].Number
		n += int64(len(changes))
	}
	return n, nil
}

func (m *move) applySome(ctx context.Context, changes []sqlite.Change) error {
	keys := map[string]map[string][]any{}
	for _, c := range changes {
		if keys[c.Table] == nil {
			keys[c.Table] = map[string][]any{}
		}
		keys[c.Table][identify(c.Key)] = c.Key
	}
	for _, t := range m.tables {
		if len(keys[t.Name]) == 0 {
			continue
		}
		if err := m.applyTo(ctx, t, keys[t.Name]); err != nil {
			return err
		}
	}
	return nil
}

// applyTo copies the rows of a table with these keys, or removes them, and
// compares what is in the target then.
func (m *move) applyTo(ctx context.Context, t table, keys map[string][]any) error {
	var all, gone, rows [][]any
	want := map[string][]any{}
	for id, key := range keys {
		row, err := m.source.Row(t.Name, t.columns, t.Key, key)
		if err != nil {
			return fmt.Errorf("reading %s: %w", t.Name, err)
		}
		all = append(all, key)
		if row == nil {
			gone = append(gone, key)
			continue
		}
		fitted, wrong := t.fit(row)
		if wrong != nil {
			return &UnfitError{Rows: []Unfit{*wrong}}
		}
		rows = append(rows, fitted)
		want[id] = fitted
	}
	if err := m.target.Apply(ctx, t.Table, gone, rows); err != nil {
		return err
	}
	have, err := m.target.Read(ctx, t.Table, all)
	if err != nil {
		return err
	}
	return t.compareSome(keys, want, have)
}

// catchUp copies what changed, until little is left.
func (m *move) catchUp(ctx context.Context) error {
	for range rounds {
		n, err := m.roundOf(ctx)
		if err != nil || n <= small {
			return err
		}
	}
	return ErrTooFast
}

// errTooMuch says that more had changed than fits into the moment.
var errTooMuch = fmt.Errorf("%w: too much was left for the moment of read-only", ErrTooFast)

// moment is the end: from its beginning nobody can write to the file, and when it
// returns nil, nobody ever will. It returns how long it took.
//
//	errTooMuch: it was given up before it began
func (m *move) moment(ctx context.Context) (took time.Duration, err error) {
	if err := m.source.Lock(ctx); err != nil {
		return 0, fmt.Errorf("waiting to be the only one who writes: %w", err)
	}
	began := m.Now()
	marked := false
	defer func() {
		if !marked {
			m.source.IgnoreCancel()
			err = errors.Join(err, m.source.Unlock())
			m.report(Writable, "", 0, 0)
		}
	}()
	m.report(ReadOnly, "", 0, 0)
	last, err := m.source.LastChange()
	if err != nil {
		return 0, err
	}
	if last-m.reached > tooMuch {
		return 0, errTooMuch
	}
	if _, err := m.apply(ctx); err != nil {
		return 0, err
	}
	if err := m.compareCounts(ctx); err != nil {
		return 0, err
	}
	if err := m.finalize(ctx); err != nil || m.DryRun {
		return m.Now().Sub(began), err
	}
	return m.decide(ctx, began, &marked)
}

// finalize numbers the target's next rows, and makes it what it was.
func (m *move) finalize(ctx context.Context) error {
	last := map[[2]string]int64{}
	for _, t := range m.tables {
		for _, column := range t.Columns {
			if !column.Numbered {
				continue
			}
			n, err := m.source.LastNumber(t.Name, column.Name)
			if err != nil {
				return fmt.Errorf("reading %s: %w", t.Name, err)
			}
			last[[2]string{t.Name, column.Name}] = n
		}
	}
	return m.target.Finalize(ctx, last)
}

// decide commits at both ends. Only the commit of the file decides which of the
// two is used; the target's is before it, so that nothing can be lost.
func (m *move) decide(ctx context.Context, began time.Time, marked *bool) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.report(Deciding, "", 0, 0)
	m.source.IgnoreCancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	commit, err := m.source.Mark(sqlite.MovedError{To: m.Place, At: m.Now(), Token: m.token})
	if err != nil {
		return 0, fmt.Errorf("marking the file as moved: %w", err)
	}
	if err := m.target.Commit(ctx); errors.Is(err, contract.ErrUnreachable) {
		return 0, &UnfinishedError{Err: err}
	} else if err != nil {
		return 0, err
	}
	m.report(Copied, "", 0, 0)
	if err := commit(); err != nil {
		return 0, &UnfinishedError{Err: err}
	}
	*marked = true
	took := m.Now().Sub(began)
	m.report(Moved, "", 0, 0)
	if err := m.target.Open(ctx); err != nil {
		return took, &UnfinishedError{Moved: true, Err: err}
	}
	return took, nil
}
