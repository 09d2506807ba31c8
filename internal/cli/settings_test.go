//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A supervisor starts a server again that failed, and not one whose settings are wrong.
func TestAWrongSettingIsWrongUsageAndWhatFailsIsNot(t *testing.T) {
	inFull(t)
	dir := t.TempDir()
	t.Chdir(dir)
	file := withMode(t, filepath.Join(dir, "file"), "x", 0o600)
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	taken := demoSettings(filepath.Join(dir, "taken"))
	run := startRunning(t, taken)
	serve := func(args ...string) []string {
		return append([]string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")}, args...)
	}
	const elsewhere = "postgres://127.0.0.1:1/x" // where nothing listens
	for _, c := range []struct {
		args []string
		code ExitCode
		says string
	}{
		{serve("--secret-file", "none"), ExitUsage, "reading the server's secret"},
		{serve("--secret-file", file), ExitUsage, "it needs at least 32"},
		{serve("--secret-file", empty), ExitUsage, "reading the server's secret"},
		{serve("--config", "none"), ExitUsage, "config (from none) cannot be read"},
		{serve("--config", empty), ExitUsage, "cannot be read"},
		{serve("--logo", "none"), ExitUsage, "logo: open none"},
		{serve("--logo", file), ExitUsage, "logo must be a PNG"},
		{serve("--accent-color", "#ffffff"), ExitUsage, "accent-color has a contrast"},
		{serve("--trusted-proxies", "everybody"), ExitUsage, "trusted-proxies (from --trusted-proxies)"},
		{serve("--issuer", "https://id.example.org:99999"), ExitUsage, "must have a port"},
		{serve("--data", file), ExitUsage, "making the data directory"},
		{serve("--data", filepath.Join(file, "x")), ExitUsage, "making the data directory"},
		{serve("--database", elsewhere+"?sslmode=bogus"), ExitUsage, "reading the database's URL"},
		{serve("--database", elsewhere+"?sslmode=verify-full&sslrootcert=none"), ExitUsage, "reading the database's URL"},
		{serve("--listen", addressesOf(run.listening)[0]), ExitFailed, "listening on"},
		{serve("--data", taken.Data), ExitFailed, "another server is running"},
		{[]string{"clients", "list", "--data", "none"}, ExitUsage, "there is no database in none"},
		{[]string{"clients", "list", "--data", empty}, ExitUsage, "there is no database in " + empty},
		{[]string{"clients", "list", "--data", file}, ExitUsage, "there is no database in " + file},
		{[]string{"clients", "list", "--database", "mysql://x"}, ExitUsage, "database (from --database) must be like postgres://"},
		{[]string{"migrate", "--data", empty, "--to", elsewhere}, ExitUsage, "there is no database in " + empty},
		{[]string{"migrate", "--data", taken.Data, "--to", elsewhere + "?sslmode=bogus"}, ExitUsage, "reading the database's URL"},
		{[]string{"migrate", "--data", taken.Data}, ExitUsage, "where to?"},
	} {
		code, said := commandLine(t, []string{"PGPASSFILE=" + filepath.Join(dir, "none"), "XDG_CONFIG_HOME=" + dir}, c.args...)
		if ExitCode(code) != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%v: exit code %d, want %d: %s", c.args, code, c.code, said)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("a directory that was none of a server has %v: %v", left, err)
	}
}
