//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// marked is a block of a guide that is to be run, or is a file.
var marked = regexp.MustCompile("(?s)<!-- (run|file): (\\S+) -->\n```\\w+\n(.*?)```\n")

// guide is one of docs/guides, which a test follows word for word but for the addresses in
// it: a directory of its own, and a terminal.
type guide struct {
	*testing.T
	blocks map[string]string
	dir    string
	env    []string
}

// openGuide reads a guide; addresses are those in it, and each time the one instead.
func openGuide(t *testing.T, name string, addresses ...string) *guide {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs/guides", name))
	if err != nil {
		t.Fatal(err)
	}
	g := &guide{T: t, blocks: map[string]string{}, dir: t.TempDir()}
	for _, m := range marked.FindAllStringSubmatch(strings.NewReplacer(addresses...).Replace(string(text)), -1) {
		g.blocks[m[2]] = m[3]
	}
	g.env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	return g
}

// at says to the terminal which server it is about, and where that keeps its data.
func (g *guide) at(issuer, data string) {
	g.Helper()
	g.env = append(g.env, "COUNTERSIGN_DATA="+data, "COUNTERSIGN_SERVER="+issuer, "COUNTERSIGN_PASSWORD="+password)
	if onPostgres {
		g.env = append(g.env, "COUNTERSIGN_DATABASE="+databaseOf(g.T, data))
	}
}

// run runs a script; told hears each line that it prints. One that does not end is ended,
// with all that it started.
func (g *guide) run(script string, told ...func(line string)) string {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euc", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir, cmd.Env = g.dir, g.env
	var said bytes.Buffer
	out, err := cmd.StdoutPipe()
	cmd.Stderr = &said
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.Fatal(err)
	}
	var printed strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed.WriteString(lines.Text() + "\n")
		for _, tell := range told {
			tell(lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		g.Fatalf("%v: %s\n%s%s", err, script, printed.String(), said.Bytes())
	}
	return printed.String()
}

// write writes a file of the guide's, and returns its path.
func (g *guide) write(name string) string {
	g.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, []byte(g.blocks[name]), 0o600); err != nil {
		g.Fatal(err)
	}
	return path
}

// compile compiles main.go in a module, so that its imports are of the versions there.
func (g *guide) compile(module string) (program string) {
	g.Helper()
	program = filepath.Join(g.dir, "program")
	build := exec.CommandContext(g.Context(), "go", "build", "-ldflags=-s -w", "-o", program, g.write("main.go"))
	build.Dir, build.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		g.Fatalf("%v: %s", err, out)
	}
	return program
}

// serve starts a program of the guide's, and returns when somebody can reach it. It ends with
// the test, after browsers that are at it, or when it is told to.
func (g *guide) serve(address, program string, args ...string) (stop func()) {
	g.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = g.dir, g.env, os.Stderr
	if err := cmd.Start(); err != nil {
		g.Fatal(err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	g.Cleanup(stop)
	awaitListener(g.T, address)
	return stop
}

// TestAGoAPIIsProtectedByFollowingTheGuide does what docs/guides/go-api.md says, word for
// word but for the two addresses.
func TestAGoAPIIsProtectedByFollowingTheGuide(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	server := startProcess(t, data)
	issuer := issuerOf(t, server.url)
	address := "localhost:" + freePort(t)
	g := openGuide(t, "go-api.md", "http://localhost:8628", issuer, "localhost:9000", address)
	g.at(issuer, data)
	g.run(g.blocks["register"])
	g.serve(address, g.compile("."))

	said := g.run(g.blocks["challenge"])
	for _, part := range []string{"401 Unauthorized", `scope="notes:read"`, `resource_metadata="http://` + address + `/.well-known/oauth-protected-resource"`, `"resource": "http://` + address + `"`} {
		if !strings.Contains(said, part) {
			t.Errorf("without a token: no %s in\n%s", part, said)
		}
	}
	const approve = `countersign approve "$(echo "$code" | sed -nE 's/.*"user_code":"([^"]*)".*/\1/p')" --yes --expect-client notes-app --expect-scope "openid profile notes:read"` + "\n"
	said = g.run("countersign identity create satoshi\n" + g.blocks["ask"] + approve + g.blocks["use"])
	if !regexp.MustCompile(`(?m)^the notes of \w{20,}, for notes-app$`).MatchString(said) {
		t.Errorf("with one:\n%s", said)
	}
	said = g.run(g.blocks["register-digest"] + g.blocks["ask-for-both"] + approve + g.blocks["use"] + g.blocks["exchange"])
	if !regexp.MustCompile(`(?m)^the notes of (\w{20,}), for notes-app\nthe notes of \w{20,}, for digest-api$`).MatchString(said) {
		t.Errorf("called by another API:\n%s", said)
	}
}

// awaitListener waits until somebody listens.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
