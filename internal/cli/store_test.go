package cli

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/config"
	"countersign.dev/internal/storage/postgres/pgtest"
)

// emptyDatabase lends one on PostgreSQL, which the fast tests do without.
func emptyDatabase(t testing.TB) string {
	t.Helper()
	inFull(t)
	return pgtest.Database(t)
}

// inFull skips a test that takes long, where only the fast ones are asked for.
func inFull(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("this takes long")
	}
}

// TestServersOfOneDatabaseHaveOneSecret starts two servers at once on an empty
// database, each of which would draw a secret of its own.
func TestServersOfOneDatabaseHaveOneSecret(t *testing.T) {
	for round := range 5 {
		database := emptyDatabase(t)
		var dirs [2]string
		var runs [2]*running
		var errs [2]error
		var wg sync.WaitGroup
		for i := range dirs {
			dirs[i] = filepath.Join(t.TempDir(), "data")
			settings := demoSettings(dirs[i])
			settings.Database = config.DatabaseURL(database)
			wg.Go(func() {
				runs[i], errs[i] = startServer(t.Context(), &Env{Stderr: &bytes.Buffer{}, Now: time.Now, Rand: SystemEnv().Rand}, settings)
			})
		}
		wg.Wait()
		loser := 0
		if errs[0] == nil {
			loser = 1
		}
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: the servers ended their start with %v and %v", round, errs[0], errs[1])
		}
		var said bytes.Buffer
		if code := report(&Env{Stderr: &said}, errs[loser], false); code != ExitFailed ||
			!strings.Contains(said.String(), "this server has not the secret that the database's signing keys were made with\nGive every server the same --secret-file;") {
			t.Errorf("round %d: exit code %d: %s", round, code, said.String())
		}
		if left, _ := filepath.Glob(dirs[loser] + "/*"); len(left) > 0 {
			t.Errorf("round %d: the loser left %v", round, left)
		}
		if err := runs[1-loser].stop(t.Context()); err != nil {
			t.Error(err)
		}
		secret, err := os.Stat(filepath.Join(dirs[1-loser], secretFile))
		if err != nil || secret.Mode().Perm() != 0o600 {
			t.Errorf("round %d: the winner's secret: %v %v", round, secret, err)
		}
	}
}

// TestServersOfOneDirectoryDrawOneSecret starts several at once that share their
// data directory, too: they all go on.
func TestServersOfOneDirectoryDrawOneSecret(t *testing.T) {
	settings := func() *config.Settings {
		s := demoSettings(filepath.Join(t.TempDir(), "data"))
		s.Database = config.DatabaseURL(emptyDatabase(t))
		return s
	}()
	var wg sync.WaitGroup
	for range 3 {
		own := *settings
		wg.Go(func() {
			run, err := startServer(t.Context(), &Env{Stderr: &bytes.Buffer{}, Now: time.Now, Rand: SystemEnv().Rand}, &own)
			if err != nil {
				t.Error(err)
				return
			}
			if err := run.stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left, _ := filepath.Glob(settings.Data + "/*"); len(left) != 1 {
		t.Errorf("the directory has %v", left)
	}
}

func TestAFailingDatabaseIsNamedWithoutItsPassword(t *testing.T) {
	good, err := url.Parse(emptyDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	const password = "hunter2"
	wrong := []string{"unknown mode", "bad number", "bad timeout"} // whatever runs there
	for name, change := range map[string]func(u *url.URL){
		"wrong password":    func(*url.URL) {},
		"nobody listens":    func(u *url.URL) { u.Host = "127.0.0.1:1" },
		"password in query": func(u *url.URL) { u.User, u.RawQuery = url.User(pgtest.Role), u.RawQuery+"&password="+password },
		"no such database":  func(u *url.URL) { u.Path = "/nowhere" },
		"unknown mode":      func(u *url.URL) { u.RawQuery = "sslmode=bogus" },
		"unknown setting":   func(u *url.URL) { u.RawQuery += "&bogus=1" },
		"bad number":        func(u *url.URL) { u.RawQuery += "&pool_max_conns=many" },
		"bad timeout":       func(u *url.URL) { u.RawQuery += "&connect_timeout=soon&password=" + password },
	} {
		u := *good
		u.User = url.UserPassword(pgtest.Role, password)
		change(&u)
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"clients", "list"}} {
			var stdout, stderr bytes.Buffer
			env := map[string]string{"COUNTERSIGN_DATABASE": u.String(), "COUNTERSIGN_DATA": t.TempDir(), "COUNTERSIGN_CONFIG": os.DevNull}
			code := Main(args, &Env{Stdout: &stdout, Stderr: &stderr, Now: time.Now, Rand: SystemEnv().Rand, Getenv: func(name string) string { return env[name] }})
			said := stdout.String() + stderr.String()
			want := ExitFailed
			if slices.Contains(wrong, name) {
				want = ExitUsage
			}
			if code != int(want) || !strings.Contains(said, "opening the database "+u.Host+u.Path) || strings.Contains(said, password) {
				t.Errorf("%s: %v: exit code %d: %s", name, args, code, said)
			}
		}
	}
}
