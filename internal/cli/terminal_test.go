//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"countersign.dev/internal/config"
)

// terminal runs countersign with a terminal of its own.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	mu   sync.Mutex
	seen bytes.Buffer  // guarded by mu
	all  chan struct{} // closed when there is no more to see
}

func openTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	return openTerminalOf(t, 100, 40, env, append([]string{program(t)}, args...)...)
}

// program is a path to countersign: the test binary is that when it is called so
// (testscript.Main).
func program(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "countersign")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// openTerminalOf runs a command on a terminal of a size.
func openTerminalOf(t *testing.T, columns, rows uint16, env []string, command ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, all: make(chan struct{}), cmd: exec.CommandContext(t.Context(), command[0], command[1:]...)}
	term.cmd.Env = append(append(os.Environ(), "TERM=xterm"), env...)
	var err error
	if term.tty, err = pty.StartWithSize(term.cmd, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.tty.Close() })
	go func() {
		defer close(term.all)
		b := make([]byte, 4096)
		for {
			n, err := term.tty.Read(b)
			term.mu.Lock()
			term.seen.Write(b[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term
}

func (term *terminal) types(text string) {
	term.t.Helper()
	if _, err := term.tty.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// await waits until a pattern is on the screen.
func (term *terminal) await(pattern string) []string {
	term.t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if found := re.FindStringSubmatch(term.screen()); found != nil {
			return found
		}
		<-time.After(10 * time.Millisecond) // nothing tells when a screen changes
	}
	term.t.Fatalf("%q never came:\n%s", pattern, term.screen())
	return nil
}

func (term *terminal) end() int {
	term.t.Helper()
	err := term.cmd.Wait()
	<-term.all
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		term.t.Fatal(err)
	}
	return term.cmd.ProcessState.ExitCode()
}

// terminalServer runs a server in this process and returns the environment of
// somebody who uses it.
func terminalServer(t *testing.T) (issuer string, env []string) {
	t.Helper()
	issuer = runServer(t, demoSettings(t.TempDir()))
	return issuer, userOf(t, issuer)
}

func runServer(t *testing.T, settings *config.Settings) (issuer string) {
	t.Helper()
	return startRunning(t, settings).settings.Issuer
}

func startRunning(t *testing.T, settings *config.Settings) *running {
	t.Helper()
	run, err := startServer(t.Context(), &Env{Stderr: &bytes.Buffer{}, Now: time.Now, Rand: SystemEnv().Rand}, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return run
}

// userOf is the environment of somebody who uses a server.
func userOf(t *testing.T, issuer string) (env []string) {
	t.Helper()
	return []string{
		"COUNTERSIGN_CONFIG_DIR=" + filepath.Join(t.TempDir(), "countersign"), "COUNTERSIGN_KEYRING=off", "COUNTERSIGN_PASSWORD=correct horse battery staple",
		"COUNTERSIGN_SERVER=" + issuer, "CI=1",
	}
}

func TestAtATerminalTheCodeIsShownAndQCancels(t *testing.T) {
	_, env := terminalServer(t)
	term := openTerminal(t, env, "login")
	term.await(`First, compare this code:   \x1b\[1m[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}\x1b\[0m     number to match: \x1b\[1m\d\d`)
	term.await(`\d\d:\d\d left`)
	if _, err := term.tty.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if code := term.end(); code != int(ExitCancelled) {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}

func TestAtATerminalAnApprovalEndsTheWait(t *testing.T) {
	inFull(t)
	issuer, env := terminalServer(t)
	term := openTerminal(t, env, "login", "--scope", "openid profile")
	shown := term.await(`code:   \x1b\[1m(\S{9})\x1b\[0m     number to match: \x1b\[1m(\d\d)`)
	term.await(`left`)
	newOwner(t, issuer).approve(shown[1], shown[2])
	if code := term.end(); code != 0 || !strings.Contains(term.screen(), "Signed in as") {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}

func TestAtATerminalAServerThatIsAwayIsSaidToBe(t *testing.T) {
	inFull(t)
	f := newFront(t)
	f.does(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/token") {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	term := openTerminal(t, userOf(t, f.url), "login")
	term.await(`Waiting for your approval…`)
	term.await(`No answer; trying again… +\d\d:\d\d left`)
	if _, err := term.tty.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if code := term.end(); code != int(ExitCancelled) {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}
