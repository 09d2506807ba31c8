package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/sqlite"
)

// Options say what is moved and where.
type Options struct {
	// Path is the SQLite file, in the data directory.
	Path string
	// To is the URL of the PostgreSQL database, and Place what people are told of
	// it.
	To, Place string
	// DryRun does everything, but leaves both databases as they were.
	DryRun bool
	// Report hears of each step; it must return soon.
	Report func(Progress)
	Log    *slog.Logger
	Now    func() time.Time
	// Rand is what the move gets its name from.
	Rand io.Reader
}

// Stage is what Move is at.
type Stage string

// The stages, in their order.
const (
	Copying   Stage = "copying"   // a table's rows
	Indexing  Stage = "indexing"  // all tables
	Comparing Stage = "comparing" // a table's rows
	CatchUp   Stage = "catching_up"
	ReadOnly  Stage = "read_only" // from here on nobody can write to the file
	Deciding  Stage = "deciding"  // from here on it is not given up any more
	Copied    Stage = "copied"    // the target is complete, and not open
	Moved     Stage = "moved"     // nobody will write to the file
	Writable  Stage = "writable"  // the file is written to again
	Finishing Stage = "finishing" // an earlier move that did not come to its end
)

// Progress is how far Move is.
type Progress struct {
	Stage Stage
	// Table is the table that is copied or compared, empty for all.
	Table string
	// Done of Total rows or changes.
	Done, Total int64
}

// Outcome is what Move did.
type Outcome struct {
	// Tables are the rows that were moved, each found equal on both sides.
	Tables []Count
	// ReadOnly is how long nobody could write, until writing was refused.
	ReadOnly time.Duration
	// Finished: the rows were moved before, only the end was missing.
	Finished bool
}

// Count is how many rows a table has.
type Count struct {
	Table string
	Rows  int64
}

// move is one run.
type move struct {
	Options
	source  *sqlite.Source
	target  *postgres.Target
	token   string
	tables  []table
	reached int64            // the number of the last change that the target has
	counts  map[string]int64 // of rows, as they were last found
}

// Move moves everything. When it fails the file is as it was and can be written
// to, and the target is empty, unless the error is an *UnfinishedError.
//
//	*sqlite.MovedError: it was moved before
//	sqlite.ErrMoving, sqlite.ErrOlder
//	*postgres.NotEmptyError, postgres.ErrInUse
//	*UnfitError: values that the target cannot keep
//	*DifferError: rows are not equal
//	ErrTooFast: writes came faster than they could be copied
//	*UnfinishedError: it must be run once more
//	contract.ErrUnreachable
func Move(ctx context.Context, o Options) (out Outcome, err error) {
	token := make([]byte, 16)
	if _, err := io.ReadFull(o.Rand, token); err != nil {
		return out, err
	}
	m := &move{Options: o, counts: map[string]int64{}, token: hex.EncodeToString(token)}
	release, err := sqlite.LockMove(filepath.Dir(o.Path))
	if err != nil {
		return out, err
	}
	defer func() { _ = release() }() // the end of the process does it, too
	m.source, err = sqlite.OpenSource(ctx, o.Path)
	var before *sqlite.MovedError
	if errors.As(err, &before) {
		return m.finish(ctx, before)
	}
	if err != nil {
		return out, err
	}
	defer func() { _ = m.source.Close() }() // nothing is open in it
	if m.target, err = postgres.OpenTarget(ctx, o.To, o.Log); err != nil {
		return out, err
	}
	defer func() { _ = m.target.Close(context.WithoutCancel(ctx)) }() // what is not committed is given up
	return m.run(ctx)
}

// run is Move with both databases open.
func (m *move) run(ctx context.Context) (out Outcome, err error) {
	if err := m.describe(ctx); err != nil {
		return out, err
	}
	if err := m.target.Begin(ctx, postgres.Arrival{Source: m.name(), Token: m.token}, described(m.tables)); err != nil {
		return out, err
	}
	if err := m.source.NoteChanges(ctx, keysOf(m.tables)); err != nil {
		return out, fmt.Errorf("watching the file: %w", err)
	}
	defer func() {
		m.source.IgnoreCancel()
		err = errors.Join(err, m.forget(context.WithoutCancel(ctx)))
	}()
	for _, step := range []func(context.Context) error{m.copyAll, m.index, m.round, m.target.Relate, m.round, m.compareAll, m.catchUp} {
		if err := step(ctx); err != nil {
			return out, err
		}
	}
	for range momentTries {
		if out.ReadOnly, err = m.moment(ctx); !errors.Is(err, errTooMuch) {
			break
		}
		if err := m.catchUp(ctx); err != nil {
			return out, err
		}
	}
	for _, t := range m.tables {
		out.Tables = append(out.Tables, Count{t.Name, m.counts[t.Name]})
	}
	return out, err
}

// forget ends what NoteChanges began. In a file that was moved it is nothing but
// clearing up, so that it may fail.
func (m *move) forget(ctx context.Context) error {
	err := m.source.ForgetChanges(ctx)
	var moved *sqlite.MovedError
	if err != nil && errors.As(m.source.Moved(), &moved) {
		return nil
	}
	return err
}

// name is what the target calls the source while the move has not ended.
func (m *move) name() string {
	path, err := filepath.Abs(m.Path)
	if err != nil {
		return m.Path
	}
	host, err := os.Hostname()
	if err != nil {
		return path
	}
	return host + ":" + path
}

// finish lets servers into a target that only lacks that.
func (m *move) finish(ctx context.Context, before *sqlite.MovedError) (out Outcome, err error) {
	if m.target, err = postgres.OpenTarget(ctx, m.To, m.Log); err != nil {
		return out, errors.Join(before, err)
	}
	defer func() { _ = m.target.Close(context.WithoutCancel(ctx)) }()
	left, err := m.target.Arrival(ctx)
	if err != nil {
		return out, err
	}
	if left == nil || left.Token != before.Token {
		return out, before
	}
	m.report(Finishing, "", 0, 0)
	return Outcome{Finished: true}, m.target.Open(ctx)
}

// describe looks at both databases. Every column must be at both.
func (m *move) describe(ctx context.Context) error {
	names, err := m.source.Tables()
	if err != nil {
		return fmt.Errorf("reading the file: %w", err)
	}
	for _, name := range names {
		if name == "pings" { // what health checks write; each database has its own
			continue
		}
		columns, err := m.source.Columns(name)
		if err != nil {
			return fmt.Errorf("reading the file: %w", err)
		}
		there, err := m.target.Table(ctx, name)
		if err != nil {
			return err
		}
		t := newTable(there)
		if len(t.key) == 0 || !sameNames(columns, t.columns) {
			return fmt.Errorf("the table %s is not the same in both databases: use the newest version of this program for both", name)
		}
		m.tables = append(m.tables, t)
	}
	return nil
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (m *move) report(stage Stage, table string, done, total int64) {
	m.Report(Progress{Stage: stage, Table: table, Done: done, Total: total})
}

// index makes the target's indexes again.
func (m *move) index(ctx context.Context) error {
	m.report(Indexing, "", 0, 0)
	return m.target.Index(ctx, described(m.tables))
}
