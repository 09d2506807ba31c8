package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/storage/sqlite"
)

// moving is a data directory whose database has one client, and a new database.
type moving struct {
	*testing.T
	data, to string
	store    *sqlite.Store
	terminal bool
	signals  chan os.Signal
}

func newMoving(t *testing.T, client string) *moving {
	t.Helper()
	m := &moving{T: t, data: t.TempDir(), to: emptyDatabase(t), signals: make(chan os.Signal, 1)}
	var err error
	if m.store, err = sqlite.Open(t.Context(), filepath.Join(m.data, databaseFile)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.store.Close() })
	if err := m.store.AddClient(t.Context(), authz.Client{ID: client}); err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs `countersign migrate`.
func (m *moving) run(flags ...string) (code ExitCode, stdout, stderr string) {
	m.Helper()
	var out, said bytes.Buffer
	env := map[string]string{"COUNTERSIGN_DATABASE": m.to, "COUNTERSIGN_DATA": m.data, "COUNTERSIGN_CONFIG": os.DevNull, "TERM": "xterm"}
	code = ExitCode(Main(append([]string{"migrate"}, flags...), &Env{
		Stdout: &out, Stderr: &said, Now: time.Now, Rand: SystemEnv().Rand, StderrTerminal: m.terminal, Signals: m.signals,
		Getenv: func(name string) string { return env[name] },
	}))
	return code, out.String(), said.String()
}

func TestMigrateDrawsOneLineOnATerminalAndTakesItAway(t *testing.T) {
	m := newMoving(t, "my-tv")
	m.terminal = true
	code, stdout, stderr := m.run()
	if code != ExitDone || !strings.HasPrefix(stdout, "Moved 1 row of 23 tables to ") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if strings.Contains(stderr, "\n") || !strings.Contains(stderr, "\r\x1b[K  Copying clients, 1 row\r\x1b[K") || !strings.HasSuffix(stderr, "\r\x1b[K") {
		t.Errorf("the terminal shows %q", stderr)
	}
}

func TestMigrateIsGivenUpWithCtrlC(t *testing.T) {
	m := newMoving(t, "my-tv")
	m.signals <- os.Interrupt
	code, stdout, stderr := m.run()
	if code != ExitCancelled || stdout != "" || !strings.HasSuffix(stderr, "countersign: moving the data: cancelled\nThe old database is as it was, the new one empty.\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if err := m.store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if code, _, stderr := m.run(); code != ExitDone {
		t.Errorf("again: exit code %d: %s", code, stderr)
	}
}

func TestMigrateNamesWhatPostgreSQLCannotKeep(t *testing.T) {
	m := newMoving(t, "odd\x00\x1b[2J")
	code, _, stderr := m.run()
	want := `countersign: moving the data: PostgreSQL cannot keep clients ("odd\x00\x1b[2J"): id has a NUL character` + "\n" +
		"Nothing was moved. Remove or mend these rows in " + filepath.Join(m.data, databaseFile) + " (with sqlite3), and migrate again.\n"
	if code != ExitFailed || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestMigrateFindsARowThatArrivedChanged(t *testing.T) {
	m := newMoving(t, "my-tv")
	if code, _, stderr := m.run("--dry-run"); code != ExitDone { // makes the tables
		t.Fatal(stderr)
	}
	c, err := pgx.Connect(t.Context(), m.to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, statement := range []string{
		`CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.metadata := '{}'; RETURN NEW; END $$`,
		`CREATE TRIGGER tampers BEFORE INSERT ON clients FOR EACH ROW EXECUTE FUNCTION tamper()`,
	} {
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, _ := m.run("--json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := lines[len(lines)-1]
	if code != ExitVerification || !strings.Contains(last, `"event":"error"`) || !strings.Contains(last, `the copy is not the same: clients (\"my-tv\"): metadata differs`) {
		t.Errorf("exit code %d: %s", code, last)
	}
	if err := m.store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
