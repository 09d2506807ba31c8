package transfer_test

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	lite "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/internal/storage/storagetest"
	"countersign.dev/internal/storage/transfer"
)

// house is a data directory, a server's store on it, and a PostgreSQL database.
type house struct {
	*testing.T
	path, url string
	store     *sqlite.Store
	life      *storagetest.Life
	lives     int
}

// newHouse makes one in which so many things have happened.
func newHouse(t *testing.T, steps int) *house {
	t.Helper()
	h := &house{T: t, path: filepath.Join(t.TempDir(), "countersign.db"), url: pgtest.Database(t)}
	h.start()
	h.life = storagetest.NewLife(t, h.store, 1)
	for range steps {
		if err := h.life.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// start opens the store, as a server does.
func (h *house) start() {
	h.Helper()
	var err error
	if h.store, err = sqlite.Open(h.Context(), h.path); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = h.store.Close() })
}

// life2 is a life that nobody led yet.
func (h *house) life2() *storagetest.Life {
	h.lives++
	return storagetest.NewLife(h.T, h.store, 100+h.lives)
}

func (h *house) options(report func(transfer.Progress)) transfer.Options {
	if report == nil {
		report = func(transfer.Progress) {}
	}
	return transfer.Options{
		Path: h.path, To: h.url, Place: "a place", Report: report, Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader,
	}
}

// move moves, and ends the test if that fails.
func (h *house) move(report func(transfer.Progress)) transfer.Outcome {
	h.Helper()
	out, err := transfer.Move(h.Context(), h.options(report))
	if err != nil {
		h.Fatal(err)
	}
	return out
}

// same ends the test unless both databases hold the same, as others read them.
func (h *house) same() {
	h.Helper()
	here, there := dumpFile(h.T, h.path), dumpDatabase(h.T, h.url)
	for table, rows := range here {
		if diff := cmp.Diff(rows, there[table]); diff != "" {
			h.Errorf("%s is not the same (-file +database):\n%.2000s", table, diff)
		}
	}
}

// sql runs a statement on the target.
func (h *house) sql(statement string) {
	h.Helper()
	if _, err := connect(h.T, h.url).Exec(h.Context(), statement); err != nil {
		h.Fatal(err)
	}
}

// prepare makes the target's tables.
func (h *house) prepare() {
	h.Helper()
	store, err := postgres.Open(h.Context(), h.url, slog.New(slog.DiscardHandler))
	if err != nil {
		h.Fatal(err)
	}
	if err := store.Close(); err != nil {
		h.Fatal(err)
	}
}

func TestEveryRowOfEveryTableArrivesUnchanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2000)
	out := h.move(nil)
	h.same()
	here := dumpFile(t, h.path)
	if len(out.Tables) != len(here) {
		t.Errorf("%d of %d tables were moved", len(out.Tables), len(here))
	}
	for _, c := range out.Tables {
		if c.Rows == 0 {
			t.Errorf("%s is empty: it shows nothing", c.Table)
		}
		if int(c.Rows) != len(here[c.Table]) {
			t.Errorf("%s has %d rows, and is said to have %d", c.Table, len(here[c.Table]), c.Rows)
		}
	}
}

func TestLifeGoesOnInTheNewDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1000)
	schema := schemaOf(t, h)
	h.move(nil)
	if diff := cmp.Diff(schema, schemaOf(t, h)); diff != "" {
		t.Errorf("the target's schema changed:\n%s", diff)
	}
	store, err := postgres.Open(t.Context(), h.url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	before := dumpDatabase(t, h.url)
	// Numbers go on after the highest one that was ever given.
	life := storagetest.NewLife(t, store, 2)
	for range 500 {
		if err := life.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := dumpDatabase(t, h.url); len(after["events"]) <= len(before["events"])/2 {
		t.Error("nothing happened")
	}
}

// schemaOf is what a new target's schema is.
func schemaOf(t *testing.T, h *house) (lines []string) {
	t.Helper()
	h.prepare()
	rows, err := connect(t, h.url).Query(t.Context(), `
		SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
		UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
		UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatal(err)
	}
	return lines
}

func firstColumn(t *testing.T, c *lite.Conn, table string) (name string) {
	t.Helper()
	err := sqlitex.ExecuteTransient(c, `SELECT name FROM pragma_table_info(?) WHERE cid = 0`, &sqlitex.ExecOptions{
		Args: []any{table}, ResultFunc: func(r *lite.Stmt) error { name = r.ColumnText(0); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAfterwardsTheFileIsReadAndNotWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2000)
	if err := h.store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.move(nil)
	before := dumpFile(t, h.path)
	if _, err := h.store.SigningKeys(t.Context(), time.Time{}); err != nil {
		t.Errorf("a server that runs cannot read any more: %v", err)
	}
	refused := 0
	for range 300 {
		if err := h.life.Step(t.Context()); err != nil {
			refused++
			if !errors.Is(err, contract.ErrUnreachable) {
				t.Fatalf("a write is refused with %v", err)
			}
		}
	}
	if refused < 50 {
		t.Errorf("%d writes were refused", refused)
	}
	if err := h.store.Ping(t.Context()); !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("the server is still ready: %v", err)
	}
	if diff := cmp.Diff(before, dumpFile(t, h.path)); diff != "" {
		t.Errorf("the file was written to:\n%.2000s", diff)
	}
	// Nor can anybody else write.
	c, err := lite.OpenConn(h.path, lite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, table := range append(tables(t, c), "pings", "moved") {
		first := firstColumn(t, c, table)
		for _, statement := range []string{`INSERT INTO ` + table + ` DEFAULT VALUES`, `DELETE FROM ` + table, `UPDATE ` + table + ` SET ` + first + ` = ` + first} {
			err := sqlitex.ExecuteTransient(c, statement, nil)
			if err == nil || !strings.Contains(err.Error(), "the data of this file was moved to another database") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	_, err = sqlite.Open(t.Context(), h.path)
	var moved *sqlite.MovedError
	if !errors.As(err, &moved) || moved.To != "a place" {
		t.Errorf("opening it again: %v", err)
	}
	if _, err := transfer.Move(t.Context(), h.options(nil)); !errors.As(err, &moved) {
		t.Errorf("moving it again: %v", err)
	}
}

func TestNumbersGoOnAfterTheHighestThatWasEverGiven(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 500)
	h.lite(`INSERT INTO sqlite_sequence (name, seq) SELECT 'nobody', 1`, // is no table's
		`UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'device_requests'`, `UPDATE events SET seq = 7000 WHERE seq = (SELECT max(seq) FROM events)`)
	h.move(nil)
	for statement, want := range map[string]int64{
		`SELECT nextval(pg_get_serial_sequence('device_requests', 'seq'))`: 5001,
		`SELECT nextval(pg_get_serial_sequence('events', 'seq'))`:          7001,
	} {
		var got int64
		if err := connect(t, h.url).QueryRow(t.Context(), statement).Scan(&got); err != nil || got != want {
			t.Errorf("%s gives %d (%v), want %d", statement, got, err, want)
		}
	}
}

func TestAnEmptyFileMovesAsWell(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	out := h.move(nil)
	h.same()
	for _, c := range out.Tables {
		if c.Rows != 0 {
			t.Errorf("%s has %d rows", c.Table, c.Rows)
		}
	}
	var first int64
	if err := connect(t, h.url).QueryRow(t.Context(), `SELECT nextval(pg_get_serial_sequence('events', 'seq'))`).Scan(&first); err != nil || first != 1 {
		t.Errorf("the first number is %d (%v)", first, err)
	}
}
