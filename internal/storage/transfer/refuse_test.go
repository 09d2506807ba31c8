package transfer_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lite "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/internal/storage/storagetest"
	"countersign.dev/internal/storage/transfer"
)

// untouched ends the test unless the file can be written to without anything
// noting it, and the target holds what it did.
func (h *house) untouched(there map[string][]string) {
	h.Helper()
	c, err := lite.OpenConn(h.path, lite.OpenReadOnly)
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	left := 0
	err = sqlitex.ExecuteTransient(c, `SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' OR name LIKE 'mov%'`, &sqlitex.ExecOptions{
		ResultFunc: func(r *lite.Stmt) error { left = r.ColumnInt(0); return nil },
	})
	if err != nil || left != 0 {
		h.Errorf("the file has %d remains (%v)", left, err)
	}
	if err := h.store.Ping(h.Context()); err != nil {
		h.Errorf("the file cannot be written to: %v", err)
	}
	if diff := cmp.Diff(there, dumpDatabase(h.T, h.url)); diff != "" {
		h.Errorf("the target changed:\n%.2000s", diff)
	}
}

func TestARowThatArrivesChangedIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	body := func(do string) string {
		return `CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + do + ` END $$;`
	}
	for name, c := range map[string]struct{ function, trigger, table, key, what string }{
		"one too many at the very end": {
			body(`IF NEW.id = 'late' THEN INSERT INTO clients VALUES ('stranger', '{}'); END IF; RETURN NEW;`),
			`AFTER INSERT ON clients`, "clients", "", "3 rows became 4",
		},
		"changed": {
			body(`IF NEW.id = 'victim' THEN NEW.metadata := '{}'; END IF; RETURN NEW;`),
			`BEFORE INSERT ON clients`, "clients", `"victim"`, "metadata differs",
		},
		"missing": {
			body(`IF NEW.id = 'victim' THEN RETURN NULL; END IF; RETURN NEW;`),
			`BEFORE INSERT ON clients`, "clients", `"victim"`, "is missing",
		},
		"one too many": {
			body(`IF NEW.id = 'victim' THEN INSERT INTO clients VALUES ('stranger', '{}'); END IF; RETURN NEW;`),
			`AFTER INSERT ON clients`, "clients", `"stranger"`, "is one too many",
		},
		"changed when it is copied again": {
			body(`NEW.failures := NEW.failures + 1; RETURN NEW;`),
			`BEFORE UPDATE ON guesses`, "guesses", `"again", 0`, "failures differs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 0)
			h.prepare()
			h.sql(c.function)
			h.sql(`CREATE TRIGGER tampers ` + c.trigger + ` FOR EACH ROW EXECUTE FUNCTION tamper()`)
			add := func(client string) {
				if err := h.store.AddClient(t.Context(), authz.Client{ID: client}); err != nil {
					t.Error(err)
				}
			}
			add("victim")
			add("bystander")
			again := func() {
				if err := h.store.CountGuesses(t.Context(), []string{"again"}, epoch()); err != nil {
					t.Error(err)
				}
			}
			again()
			late := false
			there := dumpDatabase(t, h.url)
			_, err := transfer.Move(t.Context(), h.options(func(p transfer.Progress) {
				if p.Stage == transfer.Comparing && p.Table == "reports" && !late { // the others have been compared
					late = true
					add("late")
					again()
				}
			}))
			var differ *transfer.DifferError
			if !errors.As(err, &differ) {
				t.Fatalf("got %v, want a *DifferError", err)
			}
			want := transfer.Difference{Table: c.table, Key: c.key, What: c.what}
			if diff := cmp.Diff([]transfer.Difference{want}, differ.Rows); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			h.untouched(there)
		})
	}
}

func TestAValueThatPostgreSQLCannotKeepIsNamedAndNothingIsMoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	h.prepare()
	there := dumpDatabase(t, h.url)
	for _, id := range []string{"nul\x00", "not UTF-8 \xff"} {
		if err := h.store.AddClient(t.Context(), authz.Client{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	h.lite(`INSERT INTO used_once (key, expires_at) VALUES (x'0a0b', 'soon')`,
		`INSERT INTO guesses (subject, opens_at, failures) VALUES ('many', 0, 3000000000)`,
		`INSERT INTO accounts (id, created_at, disabled) VALUES ('half', 0, 2)`)
	_, err := transfer.Move(t.Context(), h.options(nil))
	var unfit *transfer.UnfitError
	if !errors.As(err, &unfit) {
		t.Fatalf("got %v, want an *UnfitError", err)
	}
	want := []transfer.Unfit{
		{"clients", `"not UTF-8 \xff"`, "id", "is not UTF-8"},
		{"clients", `"nul\x00"`, "id", "has a NUL character"},
		{"accounts", `"half"`, "disabled", "is not of the type boolean"},
		{"used_once", `x'0a0b'`, "expires_at", "is not of the type bigint"},
		{"guesses", `"many", 0`, "failures", "is a number too large"},
	}
	if diff := cmp.Diff(want, unfit.Rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h.untouched(there)

	h.lite(`DELETE FROM clients WHERE id = 'not UTF-8 ' || x'ff' OR id = 'nul' || char(0)`, `DELETE FROM used_once WHERE key = x'0a0b'`,
		`DELETE FROM guesses WHERE subject = 'many'`, `DELETE FROM accounts WHERE id = 'half'`)
	// One that comes while the others are copied.
	_, err = transfer.Move(t.Context(), h.options(func(p transfer.Progress) {
		if p.Stage == transfer.Indexing {
			if err := h.store.AddClient(t.Context(), authz.Client{ID: "late\x00"}); err != nil {
				t.Error(err)
			}
		}
	}))
	if !errors.As(err, &unfit) || len(unfit.Rows) != 1 || unfit.Rows[0].Key != `"late\x00"` {
		t.Errorf("got %v, want an *UnfitError", err)
	}
	h.untouched(there)
}

// lite runs statements on the file, as somebody with an SQLite tool would.
func (h *house) lite(statements ...string) {
	h.Helper()
	c, err := lite.OpenConn(h.path, lite.OpenReadWrite)
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	for _, statement := range statements {
		if err := sqlitex.ExecuteTransient(c, statement, nil); err != nil {
			h.Fatal(err)
		}
	}
}

func TestATargetWithRowsIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	h.prepare()
	h.sql(`INSERT INTO clients VALUES ('somebody', '{}')`)
	there := dumpDatabase(t, h.url)
	_, err := transfer.Move(t.Context(), h.options(nil))
	var full *postgres.NotEmptyError
	if !errors.As(err, &full) || full.Table != "clients" {
		t.Errorf("got %v, want a *NotEmptyError of clients", err)
	}
	h.untouched(there)
}

func TestATargetThatIsUsedIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	h.prepare()
	there := dumpDatabase(t, h.url)
	c := connect(t, h.url)
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE grants IN ROW EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.Move(t.Context(), h.options(nil)); !errors.Is(err, postgres.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.untouched(there)
}

func TestAFileOfAnOlderVersionIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	h.lite(`PRAGMA user_version = 2`)
	if _, err := transfer.Move(t.Context(), h.options(nil)); !errors.Is(err, sqlite.ErrOlder) {
		t.Errorf("got %v, want ErrOlder", err)
	}
	h.lite(`PRAGMA user_version = 1000`)
	if _, err := transfer.Move(t.Context(), h.options(nil)); err == nil || !strings.Contains(err.Error(), "newer than this program") {
		t.Errorf("got %v", err)
	}
}

func TestATargetOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	h.prepare()
	h.sql(`INSERT INTO schema_steps (step) VALUES (99)`)
	if _, err := transfer.Move(t.Context(), h.options(nil)); err == nil || !strings.Contains(err.Error(), "newer than this program") {
		t.Errorf("got %v", err)
	}
	if err := storagetest.NewLife(t, h.store, 2).Step(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWithoutAFileThereIsNothingToMove(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	o := h.options(nil)
	o.Path = filepath.Join(t.TempDir(), "countersign.db")
	if _, err := transfer.Move(t.Context(), o); err == nil {
		t.Error("it moved nothing")
	}
}
