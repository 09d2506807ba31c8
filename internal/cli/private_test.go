//go:build unix

package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/config"
)

// commandLine runs countersign in this process with an environment.
func commandLine(t *testing.T, environ []string, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	getenv := func(name string) string {
		for _, v := range environ {
			if value, is := strings.CutPrefix(v, name+"="); is {
				return value
			}
		}
		return ""
	}
	env := &Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Now: time.Now, Rand: SystemEnv().Rand,
		Getenv: getenv, Environ: func() []string { return environ },
	}
	return Main(args, env), out.String()
}

func withMode(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestSecretsThatOthersCanReadAreRefusedWithTheCommandThatMendsIt(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	const secret = "thirty-two bytes that are no secret!"
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		name, path, text string
		mode             fs.FileMode
		args             []string
		env              []string
	}{
		{"secret-file", at("secret"), secret, 0o644, []string{"serve", "--data", data, "--secret-file", at("secret")}, nil},
		{"secret-file of the group", at("secret"), secret, 0o640, []string{"serve", "--data", data, "--secret-file", at("secret")}, nil},
		{"secret-file of all but the group", at("secret"), secret, 0o604, []string{"serve", "--data", data, "--secret-file", at("secret")}, nil},
		{"secret-file that others may write", at("secret"), secret, 0o602, []string{"serve", "--data", data, "--secret-file", at("secret")}, nil},
		{"drawn secret", filepath.Join(data, "secret"), secret, 0o644, []string{"serve", "--data", data}, nil},
		{"database", filepath.Join(data, "countersign.db"), "", 0o644, []string{"serve", "--data", data}, nil},
		{"database's log", filepath.Join(data, "countersign.db-wal"), "", 0o644, []string{"serve", "--data", data}, nil},
		{"database of clients", filepath.Join(data, "countersign.db"), "", 0o644, []string{"clients", "list", "--data", data}, nil},
		{"database of migrate", filepath.Join(data, "countersign.db"), "", 0o644, []string{"migrate", "--data", data, "--to", "postgres://db.invalid/x"}, nil},
		{"client's secret", at("a.toml"), "[[clients]]\nclient_id = \"a\"\nclient_secret = \"0123456789abcdef\"\n", 0o644, []string{"serve", "--data", data, "--config", at("a.toml")}, nil},
		{"database's password", at("b.toml"), `database = "postgres://ann:hunter2@db.invalid/x"`, 0o640, []string{"clients", "list", "--config", at("b.toml")}, nil},
		{"database's password in the query", at("b.toml"), `database = "postgres://db.invalid/x?password=hunter2"`, 0o644, []string{"clients", "list", "--config", at("b.toml")}, nil},
		{"PostgreSQL's passwords", at("pgpass"), "*:*:*:ann:hunter2", 0o644, []string{"clients", "list", "--database", "postgres://ann@db.invalid/x"}, []string{"PGPASSFILE=" + at("pgpass")}},
		{"PostgreSQL's passwords for a move", at("pgpass"), "*:*:*:ann:hunter2", 0o644, []string{"migrate", "--data", data, "--to", "postgres://ann@db.invalid/x"}, []string{"PGPASSFILE=" + at("pgpass")}},
		{"password-file", at("password"), "correct horse battery staple", 0o644, []string{"identity", "create", "x", "--password-file", at("password")}, nil},
		{"password-file of the environment", at("password"), "correct horse battery staple", 0o644, []string{"identity", "create", "x"}, []string{"COUNTERSIGN_PASSWORD_FILE=" + at("password")}},
	} {
		withMode(t, c.path, c.text, c.mode)
		env := append([]string{"COUNTERSIGN_CONFIG_DIR=" + at("home"), "XDG_DATA_HOME=" + dir}, c.env...)
		code, said := commandLine(t, env, c.args...)
		want := fmt.Sprintf("countersign: reading %s: others on this machine may read it (mode %o), and it holds secrets\nRun \"chmod go= %[1]s\".\n", c.path, c.mode)
		if code != int(ExitFailed) || said != want {
			t.Errorf("%s: exit code %d: %s", c.name, code, said)
		}
		if err := os.Remove(c.path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAConfigurationWithoutSecretsMayBeReadByAnybody(t *testing.T) {
	inFull(t)
	dir := t.TempDir()
	path := withMode(t, filepath.Join(dir, "c.toml"), "database = \"postgres://ann@db.invalid/x\"\nlog-level = \"warn\"\n[[clients]]\nclient_id = \"a\"\n", 0o644)
	if code, said := commandLine(t, []string{"PGPASSFILE=" + dir + "/none"}, "clients", "list", "--config", path); code != int(ExitFailed) || !strings.Contains(said, "opening the database") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestWhatAGroupMayReadIsSaid has the files of a data directory as Kubernetes leaves
// them for its fsGroup, and a secret that root has put where this user reads it.
func TestWhatAGroupMayReadIsSaid(t *testing.T) {
	dir := t.TempDir()
	var lines bytes.Buffer
	env := &Env{Stderr: &lines, Getenv: func(string) string { return "" }}
	s := &config.Settings{Data: dir, LogLevel: "info", LogFormat: "json"}
	secret := withMode(t, filepath.Join(dir, "secret"), "x", 0o660)
	if err := checkSecrets(env, s, newLogger(env, s)); err != nil || !strings.Contains(lines.String(), secret) {
		t.Errorf("%v, and it says %q", err, lines.String())
	}
	if os.Geteuid() != 0 {
		return
	}
	s.SecretFile = secret
	if err := os.Chown(secret, 12345, 0); err != nil { // not ours, so that we can only tell of it
		t.Fatal(err)
	}
	lines.Reset()
	if err := checkSecrets(env, s, newLogger(env, s)); err != nil || !strings.Contains(lines.String(), secret) {
		t.Errorf("%v, and it says %q", err, lines.String())
	}
	withMode(t, secret, "x", 0o664)
	if err := checkSecrets(env, s, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("and others may read it")
	}
}

func TestAPasswordMayComeThroughAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("correct horse battery staple\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	p := passwordSource{file: fmt.Sprintf("/dev/fd/%d", r.Fd())}
	if got, _, err := p.given(t.Context(), &Env{Getenv: func(string) string { return "" }}); err != nil || got != "correct horse battery staple" {
		t.Errorf("%q %v", got, err)
	}
}

func TestAVariableThatNothingReadsIsRefused(t *testing.T) {
	dir := t.TempDir()
	for variable, wants := range map[string]string{
		"COUNTERSIGN_LISTN=127.0.0.1:1": "COUNTERSIGN_LISTN (from the environment) is nothing that this program reads; did you mean COUNTERSIGN_LISTEN?",
		"COUNTERSIGN_SERVR=hunter2":     "COUNTERSIGN_SERVR (from the environment) is nothing that this program reads; did you mean COUNTERSIGN_SERVER?",
		"COUNTERSIGN_PORT=8628":         "COUNTERSIGN_PORT (from the environment) is nothing that this program reads",
	} {
		for _, args := range [][]string{{"serve", "--listen", "x"}, {"clients", "list", "--data", dir}, {"migrate"}, {"whoami"}, {"identity", "list"}, {"grants", "list"}} {
			code, said := commandLine(t, []string{"COUNTERSIGN_CONFIG_DIR=" + dir, "PATH=/bin", variable}, args...)
			if code != int(ExitUsage) || !strings.Contains(said, wants) || strings.Contains(said, "hunter2") {
				t.Errorf("%s %v: exit code %d: %s", variable, args, code, said)
			}
		}
	}
}

func TestVariablesThatAreKnownOrKubernetesOwnAreNotRefused(t *testing.T) {
	environ := []string{
		"COUNTERSIGN_SERVICE_HOST=10.0.0.1", "COUNTERSIGN_SERVICE_PORT=8628", "COUNTERSIGN_SERVICE_PORT_HTTP=8628", "COUNTERSIGN_PORT=tcp://10.0.0.1:8628",
		"COUNTERSIGN_PORT_8628_TCP=tcp://10.0.0.1:8628", "COUNTERSIGN_PORT_8628_TCP_PROTO=tcp", "COUNTERSIGN_PORT_8628_TCP_PORT=8628",
		"COUNTERSIGN_PORT_8628_TCP_ADDR=10.0.0.1", "COUNTERSIGN_DB_SERVICE_HOST=10.0.0.2", "COUNTERSIGN_DB_PORT=tcp://10.0.0.2:5432", "PATH=/bin",
	}
	for _, name := range variables {
		environ = append(environ, name+"=x")
	}
	if err := config.CheckEnvironment(environ, variables); err != nil {
		t.Error(err)
	}
	// And no other variable is read anywhere.
	read := regexp.MustCompile(`"(COUNTERSIGN_[A-Z_]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, found := range read.FindAllStringSubmatch(string(text), -1) {
			if err := config.CheckEnvironment([]string{found[1] + "=x"}, variables); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

func TestAServerThatListensBeyondLoopbackWithALoopbackIssuerWarns(t *testing.T) {
	const message = "whoever reaches this machine can use this server"
	for _, c := range []struct {
		listen, issuer, clients string
		warns                   bool
	}{
		{"0.0.0.0:0", "", "", true},
		{"0.0.0.0:0", "http://localhost:8628", "open", true},
		{"0.0.0.0:0", "", "refuse", false},
		{"0.0.0.0:0", "https://id.example.org", "open", false},
		{"localhost:0", "", "", false},
	} {
		var lines bytes.Buffer
		settings := demoSettings(t.TempDir())
		settings.Listen, settings.Issuer, settings.UnregisteredClients = []string{c.listen}, c.issuer, c.clients
		settings.LogLevel, settings.LogFormat = "warn", "json"
		run, err := startServer(t.Context(), &Env{Stderr: &lines, Now: time.Now, Rand: SystemEnv().Rand}, settings)
		if err != nil {
			t.Fatal(err)
		}
		run.warn()
		if err := run.stop(t.Context()); err != nil {
			t.Error(err)
		}
		if warned := strings.Contains(lines.String(), message); warned != c.warns {
			t.Errorf("%+v: it says %q", c, lines.String())
		}
	}
}
