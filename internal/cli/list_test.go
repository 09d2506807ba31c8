//go:build unix

package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"
)

// on runs a command whose standard output is a terminal so many columns wide, and returns
// the lines of it.
func (m *machine) on(want ExitCode, columns uint16, args ...string) []string {
	m.t.Helper()
	screen, tty, err := pty.Open()
	if err != nil {
		m.t.Fatal(err)
	}
	defer screen.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		m.t.Fatal(err)
	}
	var said bytes.Buffer
	if code := ExitCode(Main(args, &Env{
		Stdout: tty, StdoutTerminal: true, Stderr: &said, Now: time.Now, Rand: SystemEnv().Rand, Getenv: func(name string) string { return m.env[name] },
	})); code != want {
		m.t.Fatalf("exit code %d: %s", code, &said)
	}
	tty.Close()
	shown, _ := io.ReadAll(screen) // ends with an error, for nobody has the terminal any longer
	return strings.Split(strings.TrimSuffix(string(shown), "\r\n"), "\r\n")
}

func TestListsAreReadOnATerminalOfAnyWidth(t *testing.T) {
	inFull(t)
	t.Parallel()
	m := newMachine(t)
	m.env["COUNTERSIGN_DATA"] = t.TempDir()
	m.signIn(newOwner(t, runServer(t, demoSettings(m.env["COUNTERSIGN_DATA"]))))
	m.want(ExitDone, "", "Registered", "clients", "add", "my-tv", "--name", "私のテレビ", "--scope", "openid profile offline_access")
	m.want(ExitDone, "", "Made", "identity", "create", "a name of some length")
	if shown := m.on(ExitDone, 40, "identity", "show", "--qr"); !strings.Contains(shown[len(shown)-1], "▀") {
		t.Errorf("no QR code:\n%s", strings.Join(shown, "\n"))
	}
	if shown := m.on(ExitFailed, 25, "identity", "show", "--qr"); strings.Contains(strings.Join(shown, "\n"), "▀") {
		t.Errorf("a QR code that wraps:\n%s", strings.Join(shown, "\n"))
	}
	if code, _, said := m.run("identity", "show", "--qr"); code != ExitDone {
		t.Errorf("exit code %d: %s", code, said)
	}
	for _, list := range []string{"grants", "accounts", "clients", "identity"} {
		stdout, _ := m.want(ExitDone, "", "", list, "list")
		columns := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		cells := strings.FieldsFunc(strings.ReplaceAll(columns[len(columns)-1], "  ", "\n"), func(r rune) bool { return r == '\n' })
		for _, width := range []uint16{200, 80, 60, 50, 40} {
			shown := m.on(ExitDone, width, list, "list")
			for _, line := range shown {
				if uniseg.StringWidth(line) > int(width) {
					t.Errorf("%s list, of %d columns: %q", list, width, line)
				}
			}
			for _, cell := range cells {
				if !strings.Contains(strings.Join(strings.Fields(strings.Join(shown, " ")), " "), strings.TrimSpace(cell)) {
					t.Errorf("%s list, of %d columns, lacks %q:\n%s", list, width, cell, strings.Join(shown, "\n"))
				}
			}
			if width == 200 && strings.Join(shown, "\n") != strings.Join(columns, "\n") {
				t.Errorf("%s list:\n%s", list, strings.Join(shown, "\n"))
			}
		}
	}
}
