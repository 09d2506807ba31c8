//go:build unix

package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
)

func TestTheTimeLeftFitsOnALineOfATerminalOfAnyWidth(t *testing.T) {
	inFull(t)
	t.Parallel()
	_, env := terminalServer(t)
	fits := func(columns int, drawn string) {
		if help := strings.Contains(drawn, "q"); atMost(drawn) >= columns || strings.Contains(drawn, "\n") || help != (columns >= 50) {
			t.Errorf("of %d columns: %q", columns, drawn)
		}
	}
	for _, env := range [][]string{env, graphical(env)} {
		for _, columns := range []int{79, 60, 50, 40} {
			term := openTerminalOf(t, uint16(columns), 24, env, program(t), "login")
			fits(columns, term.await(`\r\x1b\[K([^\r]*\d\d:\d\d[^\r]*)`)[1])
			if columns == 40 {
				if err := pty.Setsize(term.tty, &pty.Winsize{Rows: 24, Cols: 20}); err != nil {
					t.Fatal(err)
				}
				fits(20, term.await(`\r\x1b\[K(\d\d:\d\d left)`)[1])
			}
			term.types("q")
			if code := term.end(); code != int(ExitCancelled) {
				t.Errorf("exit code %d:\n%s", code, term.screen())
			}
		}
	}
}

// A public issuer's code and number stay on the screen, with a QR code or without one.
func TestAQRCodeIsShownWhereAllFitsOnTheScreen(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	f.does(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/device/code") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]any{
			"device_code": "d", "user_code": "BCDF-GHJK", "match_number": "47", "expires_in": 900, "interval": 60,
			"verification_uri": "https://id.example.org/device", "verification_uri_complete": "https://id.example.org/device?code=BCDF-GHJK",
		}); err != nil {
			t.Error(err)
		}
		return true
	})
	for _, c := range []struct {
		columns, rows int
		code          bool
	}{{100, 40, true}, {80, 24, true}, {80, 20, false}, {60, 24, false}, {60, 26, false}, {60, 27, true}, {50, 40, true}, {40, 24, false}, {30, 40, false}} {
		term := openTerminalOf(t, uint16(c.columns), uint16(c.rows), userOf(t, f.url), program(t), "login")
		term.await(`\r\x1b\[K[^\r]*\d\d:\d\d`)
		shown := strings.Split(strings.ReplaceAll(plain.Replace(term.screen()), "\r", ""), "\n")
		needed := 0
		for _, line := range shown {
			needed += max(0, len([]rune(strings.ReplaceAll(line, "\x1b[K", "")))-1)/c.columns + 1
		}
		if code := strings.Contains(term.screen(), "▄"); code != c.code || needed > c.rows || !strings.Contains(term.screen(), "47") {
			t.Errorf("of %d by %d, a code %v, %d rows:\n%s", c.columns, c.rows, code, needed, term.screen())
		}
		term.types("q")
		term.end()
	}
}

func TestATerminalThatMovesNoCursorGetsLinesAndQuestions(t *testing.T) {
	inFull(t)
	t.Parallel()
	issuer, env := terminalServer(t)
	for _, name := range []string{"TERM=dumb", "TERM="} {
		term := openTerminal(t, append(env, name), "login")
		shown := term.await(`code:   (\S{9})     number to match: (\d\d)`)
		term.await(`Waiting for your approval until`)
		newOwner(t, issuer).approve(shown[1], shown[2])
		if code := term.end(); code != 0 || strings.Contains(term.screen(), "\x1b") {
			t.Errorf("exit code %d: %q", code, term.screen())
		}
		term = openTerminal(t, append(env, name), "identity", "create")
		term.await(`called\? `)
		term.types("\x03")
		term.end()
	}
}

func TestNoColorIsAFlagAndAVariable(t *testing.T) {
	_, env := terminalServer(t)
	for _, c := range []struct{ env, flag string }{{"NO_COLOR=1", "--device"}, {"NO_COLOR=", "--no-color"}} {
		term := openTerminal(t, append(env, c.env), "login", c.flag)
		term.await(`left`)
		if strings.Contains(term.screen(), boldOn) {
			t.Errorf("%q", term.screen())
		}
		term.types("q")
		term.end()
	}
}

// shell is a shell with jobs, on a terminal.
func shell(t *testing.T, env []string) *terminal {
	t.Helper()
	path := filepath.Dir(program(t)) + ":" + os.Getenv("PATH")
	term := openTerminalOf(t, 100, 40, append(env, "PATH="+path, "PS1=ready> ", "HISTFILE=", "INPUTRC=/dev/null"), "bash", "--norc", "--noprofile", "--noediting", "-i")
	term.await(`ready> `)
	return term
}

func TestALoginInTheBackgroundWaitsWithoutKeys(t *testing.T) {
	inFull(t)
	t.Parallel()
	issuer, env := terminalServer(t)
	term := shell(t, env)
	term.types("countersign login &\n")
	shown := term.await(`code:   \S*?(\w{4}-\w{4})\S*     number to match: \S*?(\d\d)\x1b`)
	term.await(`Waiting for your approval until`)
	newOwner(t, issuer).approve(shown[1], shown[2])
	term.await(`Signed in as`)
	term.types("wait; exit\n")
	if code := term.end(); code != 0 || strings.Contains(term.screen(), "Stopped") {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}
