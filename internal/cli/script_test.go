package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/internal/storage/postgres/pgtest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	workFactor = 10
	// The programs that tests start know nothing of it, and would say so.
	if err := os.Unsetenv("COUNTERSIGN_TEST_STORE"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"countersign": func() { os.Exit(Main(os.Args[1:], SystemEnv())) },
	})
}

// TestScripts runs the sessions of testdata/script, each against a server of its
// own where it starts one.
func TestScripts(t *testing.T) {
	backups, err := filepath.Abs("testdata/backups")
	if err != nil {
		t.Fatal(err)
	}
	databases := t // lent until all scripts are done, for they run beside each other
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("COUNTERSIGN_CONFIG_DIR", env.WorkDir+"/conf")
			env.Setenv("XDG_DATA_HOME", env.WorkDir+"/data")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/xdg")
			env.Setenv("COUNTERSIGN_KEYRING", "off")
			env.Setenv("COUNTERSIGN_PASSWORD", "correct horse battery staple")
			env.Setenv("BACKUPS", backups)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":      serveScript,
			"login":      loginScript,
			"status":     statusScript,
			"field":      fieldScript,
			"mustend":    mustEndScript,
			"iterations": iterationsScript,
			"database": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Setenv("COUNTERSIGN_DATABASE", pgtest.Database(databases))
			},
		},
	})
}

// background is a command that a script started and has not ended.
type background struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	mu     sync.Mutex // guards stdout
	ended  chan error
}

func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stdout.Write(p)
}

func (b *background) output() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stdout.String()
}

// start runs countersign in the background with the script's environment.
func start(ts *testscript.TestScript, args ...string) *background {
	exe, err := exec.LookPath("countersign")
	ts.Check(err)
	b := &background{cmd: exec.Command(exe, args...), ended: make(chan error, 1)}
	b.cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"COUNTERSIGN_CONFIG_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "COUNTERSIGN_KEYRING", "COUNTERSIGN_PASSWORD", "COUNTERSIGN_SERVER", "COUNTERSIGN_DATABASE", "HOME", "PATH"} {
		b.cmd.Env = append(b.cmd.Env, name+"="+ts.Getenv(name))
	}
	b.cmd.Stdout = b
	stderr, err := b.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	issuer := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			var line struct{ Msg, Issuer string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				issuer <- line.Issuer
			}
		}
		close(issuer)
		b.ended <- b.cmd.Wait()
	}()
	if len(args) > 0 && args[0] == "serve" {
		at := <-issuer
		if at == "" {
			ts.Fatalf("the server did not start")
		}
		ts.Setenv("COUNTERSIGN_SERVER", at)
	}
	ts.Defer(func() { _ = b.cmd.Process.Kill() })
	return b
}

// backgrounds are the servers and logins that scripts have running, by their work directory.
var backgrounds sync.Map

// serveScript: `serve [flags]` starts a server on a free port and makes it the
// default; `serve stop` ends it with SIGINT and wants exit code 0. `serve at PATH` starts
// one whose issuer has that path, and whose origin is $ORIGIN.
func serveScript(ts *testscript.TestScript, _ bool, args []string) {
	key := "serve " + ts.Getenv("WORK")
	if len(args) == 1 && args[0] == "stop" {
		b, _ := backgrounds.LoadAndDelete(key)
		server, ok := b.(*background)
		if !ok {
			ts.Fatalf("no server runs")
		}
		ts.Check(server.cmd.Process.Signal(os.Interrupt))
		ts.Check(<-server.ended)
		return
	}
	listen := "127.0.0.1:0"
	if len(args) == 2 && args[0] == "at" {
		l, err := net.Listen("tcp", listen)
		ts.Check(err)
		listen = l.Addr().String() // which nobody else is given for a while
		ts.Check(l.Close())
		ts.Setenv("ORIGIN", "http://"+listen)
		args = []string{"--issuer", "http://" + listen + args[1]}
	}
	backgrounds.Store(key, start(ts, append([]string{"serve", "--listen", listen, "--device-poll-interval", "1s"}, args...)...))
}

// loginScript: `login [flags]` starts `countersign login --json` in the
// background and waits until its code is there: $CODE, $LETTERS and $NUMBER.
func loginScript(ts *testscript.TestScript, _ bool, args []string) {
	b := start(ts, append([]string{"login", "--json"}, args...)...)
	backgrounds.Store("login "+ts.Getenv("WORK"), b)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var event struct {
			Event       string
			UserCode    string `json:"user_code"`
			MatchNumber string `json:"match_number"`
		}
		line, _, found := strings.Cut(b.output(), "\n")
		if found && json.Unmarshal([]byte(line), &event) == nil && event.Event == "code" {
			ts.Setenv("CODE", event.UserCode)
			ts.Setenv("LETTERS", event.UserCode[5:])
			ts.Setenv("NUMBER", event.MatchNumber)
			return
		}
		select {
		case err := <-b.ended:
			ts.Fatalf("login ended: %v %s", err, b.output())
		case <-time.After(10 * time.Millisecond): // it has not printed yet
		}
	}
	ts.Fatalf("login showed no code")
}

// mustEndScript: `mustend CODE [TEXT]` waits for the login to end with an exit
// code, and wants a text in its output.
func mustEndScript(ts *testscript.TestScript, _ bool, args []string) {
	v, _ := backgrounds.LoadAndDelete("login " + ts.Getenv("WORK"))
	b, ok := v.(*background)
	if !ok {
		ts.Fatalf("no login runs")
	}
	err := <-b.ended
	if got := fmt.Sprint(b.cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("login ended with %s (%v), want %s: %s", got, err, args[0], b.output())
	}
	if len(args) > 1 && !strings.Contains(b.output(), args[1]) {
		ts.Fatalf("login printed %s", b.output())
	}
}

// statusScript: `status CODE args…` runs countersign and wants an exit code.
func statusScript(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("countersign", args[1:]...)
	got := "0"
	if err != nil {
		var exit *exec.ExitError
		if !asExit(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = fmt.Sprint(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

func asExit(err error, into **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError) //nolint:errorlint // testscript returns it as it is
	*into = e
	return ok
}

// fieldScript: `field NAME VAR` puts the first "NAME":"…" of stdout into $VAR.
func fieldScript(ts *testscript.TestScript, _ bool, args []string) {
	_, rest, found := strings.Cut(ts.ReadFile("stdout"), `"`+args[0]+`":"`)
	value, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		ts.Fatalf("no %s in the output", args[0])
	}
	ts.Setenv(args[1], value)
}

// iterationsScript: `iterations N FILE` wants a backup under the scripts' password
// to have been encrypted with so many.
func iterationsScript(ts *testscript.TestScript, _ bool, args []string) {
	b, err := bap.DecryptBackup(ts.ReadFile(args[1]), "correct horse battery staple")
	ts.Check(err)
	if got := fmt.Sprint(b.Iterations); got != args[0] {
		ts.Fatalf("%s has %s iterations, want %s", args[1], got, args[0])
	}
}

// TestHelpIsWhatPeopleRead holds the help of every command to its golden file.
func TestHelpIsWhatPeopleRead(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%s: a line of %d columns: %s", c.CommandPath(), n, line)
			}
		}
		path := filepath.Join("testdata", "help", strings.ReplaceAll(c.CommandPath(), " ", "-")+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || string(want) != out.String() {
			t.Errorf("%s is out of date: run go test ./internal/cli -update (%v)", path, err)
		}
		if c.Runnable() && c.HasParent() && strings.Count(c.Example, "\n  countersign")+strings.Count(c.Example, "\n  curl") < 1 {
			t.Errorf("%s has no two examples", c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	root := newRoot(&Env{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }})
	addCobras(root, nil)
	walk(root)
}
