//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

// The server of a database may be older than the program whose completion a shell asks.
func TestCompletionLeavesADatabaseAsItIs(t *testing.T) {
	inFull(t)
	m := newMachine(t)
	complete := func(want string) {
		t.Helper()
		if code, out, said := m.run(cobra.ShellCompRequestCmd, "clients", "show", ""); code != ExitDone || !strings.HasSuffix(out, ":4\n") || strings.Contains(out, ownClient) != (want != "") {
			t.Errorf("exit code %d, completed with %q: %s", code, out, said)
		}
	}
	dir := t.TempDir()
	m.env["COUNTERSIGN_DATA"], m.env["COUNTERSIGN_CONFIG"] = dir, os.DevNull
	path := filepath.Join(dir, databaseFile)
	complete("")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // one at step 0
		t.Fatal(err)
	}
	complete("")
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("%v %v", info, err)
	}
	for range 2 {
		if code, _, said := m.run("clients", "list"); code != ExitDone {
			t.Fatalf("exit code %d: %s", code, said)
		}
		complete(ownClient)
		if m.env["COUNTERSIGN_DATABASE"] != "" {
			return
		}
		m.env["COUNTERSIGN_DATABASE"] = emptyDatabase(t)
		complete("")
		c, err := pgx.Connect(t.Context(), m.env["COUNTERSIGN_DATABASE"])
		if err != nil {
			t.Fatal(err)
		}
		tables := -1
		if err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`).Scan(&tables); err != nil || tables != 0 {
			t.Errorf("%d tables were made: %v", tables, err)
		}
		_ = c.Close(t.Context())
	}
}
