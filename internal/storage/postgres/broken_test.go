package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/storagetest"
)

// messages is the way of one connection to a database, message by message (chapter
// 55.7 of PostgreSQL's manual).
type messages struct {
	to       io.Writer
	fails    func(statement string) bool // asked whenever one is run: whether it arrives misspelt
	begun    bool                        // the first message has no kind
	rest     []byte
	prepared map[string]string // by name
}

func newMessages(to io.Writer, fails func(statement string) bool) *messages {
	return &messages{to: to, fails: fails, prepared: map[string]string{}}
}

// Write implements io.Writer.
func (m *messages) Write(p []byte) (int, error) {
	m.rest = append(m.rest, p...)
	for {
		kind := 0
		if m.begun {
			kind = 1
		}
		if len(m.rest) < kind+4 {
			return len(p), nil
		}
		length := kind + int(binary.BigEndian.Uint32(m.rest[kind:]))
		if len(m.rest) < length {
			return len(p), nil
		}
		if m.begun {
			m.look(m.rest[0], m.rest[5:length])
		}
		m.begun = true
		if _, err := m.to.Write(m.rest[:length]); err != nil {
			return 0, err
		}
		m.rest = m.rest[length:]
	}
}

func (m *messages) look(kind byte, body []byte) {
	first, after, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(after, []byte{0})
	switch {
	case kind == 'P': // parse: its name, the statement
		m.prepared[string(first)] = string(second)
	case kind == 'B' && m.fails(m.prepared[string(second)]): // bind: the portal's name, the statement's
		copy(second, bytes.Repeat([]byte("x"), len(second)))
	case kind == 'Q' && m.fails(string(first)):
		copy(first, bytes.Repeat([]byte("x"), len(first)))
	}
}

// breaking has one statement fail, each time it comes: a group that was refused is
// sent again.
type breaking struct {
	mu     sync.Mutex
	number int      // of the statement; below 0: none
	seen   []string // the statements that came, each once
}

// aside is what no operation says: the pool, which may make a connection at any time,
// the end of a transaction that failed, and who tells the others of what was decided.
var aside = regexp.MustCompile(`^(-- ping|SET [a-z_]+ TO |show |rollback|deallocate |SELECT set_config\(.*pg_notify)`)

func (b *breaking) breaks(statement string) bool {
	if aside.MatchString(statement) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.seen, statement) {
		b.seen = append(b.seen, statement)
	}
	return b.number >= 0 && slices.Index(b.seen, statement) == b.number
}

// begin counts anew, and returns how many statements came before.
func (b *breaking) begin(number int) (before int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, b.number, b.seen = len(b.seen), number, nil
	return before
}

// brittle is a store for storagetest.RunBroken.
type brittle struct {
	*postgres.Store
	breaking *breaking
	t        testing.TB
	url      string // over the network on which statements fail
	direct   *pgx.Conn
	// everything is the statement that finds it.
	everything string
}

func openBrittle(t testing.TB, database string) *brittle {
	t.Helper()
	way, url := newNetwork(t, database)
	b := &brittle{breaking: &breaking{number: -1}, t: t, url: url}
	way.change(func(to io.Writer) io.Writer { return newMessages(to, b.breaking.breaks) })
	b.Store = open(t, url)
	var err error
	if b.direct, err = pgx.Connect(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	if err = b.direct.QueryRow(t.Context(), `SELECT string_agg(format('SELECT %L || t::text AS line FROM %I t', relname, relname), ' UNION ALL ') || ' ORDER BY line'
		FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`).Scan(&b.everything); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.direct.Close(context.Background()) })
	return b
}

// Break is that of storagetest.Broken.
func (b *brittle) Break(n int) func() bool {
	b.breaking.begin(n)
	return func() bool { return b.breaking.begin(-1) > n }
}

// Failed is that of storagetest.Broken. What follows in a transaction fails as well,
// with a code that says nothing of why.
func (b *brittle) Failed(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "26000" || e.Code == "42601")
}

// Rows is that of storagetest.Broken.
func (b *brittle) Rows() []string {
	b.t.Helper()
	rows, err := b.direct.Query(b.t.Context(), b.everything)
	if err != nil {
		b.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestAnOperationOfWhichAStatementFailsHasNotHappened(t *testing.T) {
	t.Parallel()
	var databases sync.Map // the name of a test → the URL of its database
	storagetest.RunBroken(t, func(t testing.TB) storagetest.Broken {
		url, there := databases.Load(t.Name())
		if !there {
			url = pgtest.Database(t)
			databases.Store(t.Name(), url)
		}
		b := openBrittle(t, url.(string))
		return storagetest.Broken{Store: b.Store, Break: b.Break, Failed: b.Failed, Rows: b.Rows}
	})
}

// A step is done as a whole or not at all, so that the next start finds its way.
func TestAStartOfWhichAStatementFailsIsGoneOnWith(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes long")
	}
	t.Parallel()
	for n, reached := 0, true; reached; n++ {
		t.Run(fmt.Sprint("statement ", n), func(t *testing.T) {
			way, url := newNetwork(t, pgtest.Database(t))
			b := &breaking{number: n}
			way.change(func(to io.Writer) io.Writer { return newMessages(to, b.breaks) })
			s, err := postgres.Open(t.Context(), url, slog.New(slog.DiscardHandler))
			if reached = b.begin(-1) > n; reached == (err == nil) {
				t.Errorf("failed %v: %v", reached, err)
			}
			if err != nil {
				s = open(t, url)
			}
			if err := errors.Join(s.Ping(t.Context()), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A database that cannot be read is not taken for one that a move did not finish.
func TestWhetherAMoveCameToItsEndIsNotGuessed(t *testing.T) {
	t.Parallel()
	b := openBrittle(t, pgtest.Database(t))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.direct.Exec(t.Context(), `CREATE TABLE moving_in (source TEXT, token TEXT); INSERT INTO moving_in VALUES ('here', 'token')`); err != nil {
		t.Fatal(err)
	}
	for n, reached := 0, true; reached; n++ {
		heal := b.Break(n)
		_, err := postgres.Open(t.Context(), b.url, slog.New(slog.DiscardHandler))
		reached = heal()
		if err == nil || b.Failed(err) != reached {
			t.Errorf("statement %d failed %v: %v", n, reached, err)
		}
	}
}

// move moves a row into each of some tables, and does to the first all that can be done.
func move(ctx context.Context, url string) error {
	target, err := postgres.OpenTarget(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = target.Close(context.Background()) }() // it may have failed before
	if _, err := target.Arrival(ctx); err != nil {
		return err
	}
	var tables []postgres.Table
	var rows, keys [][]any
	for _, name := range []string{"accounts", "identities", "sessions", "passkeys", "backups", "departures", "device_requests"} {
		table, err := target.Table(ctx, name)
		if err != nil {
			return err
		}
		row, key := []any{}, []any{}
		for _, column := range table.Columns {
			value := map[string]any{"text": "x", "bytea": []byte("x"), "bigint": int64(1), "integer": int64(1), "boolean": false}[column.Type]
			if row = append(row, value); slices.Contains(table.Key, column.Name) {
				key = append(key, value)
			}
		}
		tables, rows, keys = append(tables, table), append(rows, row), append(keys, key)
	}
	if err := target.Begin(ctx, postgres.Arrival{Source: "here", Token: "token"}, tables); err != nil {
		return err
	}
	for i, table := range tables {
		next := [][]any{rows[i], nil}
		if _, err := target.Copy(ctx, table, func() (row []any, err error) {
			row, next = next[0], next[1:]
			return row, nil
		}); err != nil {
			return err
		}
	}
	if err := target.Index(ctx, tables); err != nil {
		return err
	}
	if err := target.Relate(ctx); err != nil {
		return err
	}
	first := tables[0]
	if err := target.Apply(ctx, first, keys[:1], rows[:1]); err != nil {
		return err
	}
	if there, err := target.Read(ctx, first, keys[:1]); err != nil || len(there) != 1 {
		return fmt.Errorf("%d rows: %w", len(there), err)
	}
	if err := target.All(ctx, first, func(next func() ([]any, error)) error {
		_, err := next()
		return err
	}); err != nil {
		return err
	}
	if _, err := target.Counts(ctx, tables[:1]); err != nil {
		return err
	}
	if err := target.Finalize(ctx, map[[2]string]int64{{"device_requests", "seq"}: 1}); err != nil {
		return err
	}
	if err := target.Commit(ctx); err != nil {
		return err
	}
	return target.Open(ctx)
}

// Whoever moves data in finds out what failed, and until the end nothing is there.
func TestWhoMovesDataInIsToldOfAStatementThatFails(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes long")
	}
	t.Parallel()
	b := openBrittle(t, pgtest.Database(t))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	url := b.url
	before := b.Rows()
	for n := 0; ; n++ {
		heal := b.Break(n)
		err := move(t.Context(), url)
		if reached := heal(); !reached {
			if err != nil || n == 0 {
				t.Fatal(err)
			}
			return
		}
		if !b.Failed(err) {
			t.Errorf("statement %d failed, and the answer is %v", n, err)
		}
		var committed bool
		if err := b.direct.QueryRow(t.Context(), `SELECT to_regclass('moving_in') IS NOT NULL`).Scan(&committed); err != nil {
			t.Fatal(err)
		}
		if !committed && !slices.Equal(before, b.Rows()) {
			t.Errorf("statement %d failed, and something is there", n)
		}
	}
}

// openTarget opens an empty database to move one table into.
func openTarget(t *testing.T, url string) (*postgres.Target, []postgres.Table) {
	t.Helper()
	target, err := postgres.OpenTarget(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close(context.Background()) })
	table, err := target.Table(t.Context(), "clients")
	if err != nil {
		t.Fatal(err)
	}
	return target, []postgres.Table{table}
}

func TestWhatIsCopiedFromFailsWithItsOwnError(t *testing.T) {
	target, tables := openTarget(t, pgtest.Database(t))
	if err := target.Begin(t.Context(), postgres.Arrival{Source: "here", Token: "token"}, tables); err != nil {
		t.Fatal(err)
	}
	torn := errors.New("the file is torn")
	if _, err := target.Copy(t.Context(), tables[0], func() ([]any, error) { return nil, torn }); !errors.Is(err, torn) {
		t.Errorf("got %v", err)
	}
}

func TestADatabaseThatIsGoneIsNotMovedInto(t *testing.T) {
	target, tables := openTarget(t, pgtest.Database(t))
	if err := target.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := target.Begin(t.Context(), postgres.Arrival{Source: "here", Token: "token"}, tables); err == nil {
		t.Error("it began")
	}
	if _, err := target.Table(t.Context(), "clients"); err == nil {
		t.Error("it was described")
	}
}

// What a move left that did not come to its end is removed by the next one from the
// same place: of another's it is not known what became of it.
func TestWhatAnotherMoveLeftIsNotRemoved(t *testing.T) {
	url := pgtest.Database(t)
	first, tables := openTarget(t, url)
	row := make([]any, len(tables[0].Columns))
	for i, column := range tables[0].Columns {
		row[i] = map[string]any{"text": "x", "bytea": []byte("x"), "bigint": int64(1), "integer": int64(1), "boolean": false}[column.Type]
	}
	rows := [][]any{row, nil}
	next := func() (one []any, err error) {
		one, rows = rows[0], rows[1:]
		return one, nil
	}
	here, elsewhere := postgres.Arrival{Source: "here", Token: "one"}, postgres.Arrival{Source: "elsewhere", Token: "two"}
	if err := first.Begin(t.Context(), here, tables); err != nil {
		t.Fatal(err)
	}
	_, err := first.Copy(t.Context(), tables[0], next)
	if err := errors.Join(err, first.Commit(t.Context())); err != nil { // and not opened
		t.Fatal(err)
	}
	second, _ := openTarget(t, url)
	var full *postgres.NotEmptyError
	if err := second.Begin(t.Context(), elsewhere, tables); !errors.As(err, &full) {
		t.Errorf("another move began: %v", err)
	}
	_ = second.Close(t.Context())
	for deadline := time.Now().Add(soon); ; {
		third, _ := openTarget(t, url)
		err := third.Begin(t.Context(), here, tables)
		if err == nil {
			return
		}
		if !errors.Is(err, postgres.ErrInUse) || time.Now().After(deadline) { // the database may not have noticed yet that the second has gone
			t.Fatal(err)
		}
		_ = third.Close(t.Context())
	}
}
