//go:build linux

package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wantTerminalBack fails unless the terminal echoes what is typed, line by line.
func (term *terminal) wantTerminalBack() {
	term.t.Helper()
	state, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	if usual := uint32(unix.ECHO | unix.ICANON | unix.ISIG); state.Lflag&usual != usual {
		term.t.Errorf("the terminal is left at %b", state.Lflag)
	}
}

// echoes reports whether the terminal shows what is typed.
func (term *terminal) echoes() bool {
	term.t.Helper()
	state, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// awaitIdle waits until each thread of the command sleeps, and goes on to.
func (term *terminal) awaitIdle() {
	term.t.Helper()
	for idle, deadline := 0, time.Now().Add(20*time.Second); idle < 4; {
		if time.Now().After(deadline) {
			term.t.Fatalf("it is never idle:\n%s", term.screen())
		}
		time.Sleep(50 * time.Millisecond)
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", term.cmd.Process.Pid))
		if err != nil {
			term.t.Fatal(err)
		}
		idle++
		for _, stat := range stats {
			text, err := os.ReadFile(stat)
			if _, state, _ := strings.Cut(string(text), ") "); err == nil && !strings.HasPrefix(state, "S") {
				idle = 0
			}
		}
	}
}

// Whatever a command waits for, who presses Ctrl-C has their terminal back.
func TestEveryPromptCanBeInterrupted(t *testing.T) {
	inFull(t)
	issuer, env := terminalServer(t)
	noPassword := append(env[:len(env):len(env)], "COUNTERSIGN_PASSWORD=", "COUNTERSIGN_CONFIG_DIR="+filepath.Join(t.TempDir(), "new"))
	if code := openTerminal(t, env, "identity", "create", "alice").end(); code != 0 {
		t.Fatal("an identity could not be made")
	}
	hangs := "http://" + silent(t, "tcp", "127.0.0.1:0").Addr().String()
	bus := filepath.Join(t.TempDir(), "bus")
	silent(t, "unix", bus)
	for name, c := range map[string]struct {
		env   []string
		args  string
		types []string // each after what is awaited before it
		await string
	}{
		"a name":                    {env, "identity create", nil, `called\? `},
		"a new password":            {noPassword, "identity create bob", nil, `New password`},
		"the same again":            {noPassword, "identity create bob", []string{"New password", "correct horse battery\n"}, `again: `},
		"a password":                {append(env[:len(env):len(env)], "COUNTERSIGN_PASSWORD="), "identity show", nil, `Password for`},
		"the tokens' password":      {noPassword, "login", nil, `New password`},
		"a code that is waited for": {env, "login", nil, `\d\d:\d\d left`},
		"a number":                  {env, "approve " + asked(t, issuer, url.Values{"number_match": {"true"}}), nil, `does your device show`},
		"the last letters":          {env, "approve " + asked(t, issuer, nil), nil, `last four letters`},
		"a yes": {
			env, "approve " + asked(t, issuer, nil) + " --match XXXX", nil, `\[y/N\] `,
		},
		"standard input":         {env, "identity import -", nil, ``},
		"a receipt":              {env, "receipt verify -", nil, ``},
		"a password on its way":  {env, "identity show --password-file -", nil, ``},
		"a server":               {env, "login --server " + hangs, nil, ``},
		"a server, as its owner": {env, "grants list --server " + hangs, nil, ``},
		"a keyring":              {append(env[:len(env):len(env)], "COUNTERSIGN_KEYRING=", "DBUS_SESSION_BUS_ADDRESS=unix:path="+bus), "login", nil, ``},
		"a file that is a pipe":  {env, "identity import " + pipe(t), nil, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, end := range []struct {
				how  func(*terminal) error
				code int
			}{
				{func(term *terminal) error { _, err := term.tty.WriteString("\x03"); return err }, 130},
				{func(term *terminal) error { return term.cmd.Process.Signal(syscall.SIGTERM) }, 143},
			} {
				term := openTerminal(t, c.env, strings.Fields(c.args)...)
				for i := 0; i < len(c.types); i += 2 {
					term.await(c.types[i])
					if _, err := term.tty.WriteString(c.types[i+1]); err != nil {
						t.Fatal(err)
					}
				}
				if c.await != "" {
					term.await(c.await)
				} else {
					term.awaitIdle() // nothing is to be seen of what it waits for
				}
				began := time.Now()
				if err := end.how(term); err != nil {
					t.Fatal(err)
				}
				if code := term.end(); code != end.code || !strings.Contains(term.screen(), "cancelled") {
					t.Errorf("exit code %d, want %d:\n%s", code, end.code, term.screen())
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				term.wantTerminalBack()
			}
		})
	}
}

// asked is the code of a device that asks.
func asked(t *testing.T, issuer string, more url.Values) string {
	t.Helper()
	code, _ := askedWithNumber(t, issuer, more)
	return code
}

func askedWithNumber(t *testing.T, issuer string, more url.Values) (code, number string) {
	t.Helper()
	form := url.Values{"client_id": {"my-app"}, "scope": {"openid"}}
	maps.Copy(form, more)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/api/auth/device/code", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "countersign/test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		UserCode    string `json:"user_code"`
		MatchNumber string `json:"match_number"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.UserCode, answer.MatchNumber
}

// pipe is a file that nobody writes to.
func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPasswordPromptThatIsQuitLeavesTheTerminalAsItWas(t *testing.T) {
	_, env := terminalServer(t)
	term := openTerminal(t, append(env, "COUNTERSIGN_PASSWORD="), "identity", "create", "bob")
	term.await("New password")
	if _, err := term.tty.WriteString("\x1c"); err != nil { // Ctrl-\
		t.Fatal(err)
	}
	if code := term.end(); code != 131 {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
	term.wantTerminalBack()
}

// What is typed after a key was waited for in vain is the answer to what is asked then.
func TestAnExpiredCodesQuestionCanBeAnswered(t *testing.T) {
	inFull(t)
	t.Parallel()
	settings := demoSettings(t.TempDir())
	settings.DeviceCodeLifetime = 3 * time.Second
	issuer := runServer(t, settings)
	env := userOf(t, issuer)
	term := openTerminal(t, env, "login")
	term.await(`Get a new one\? \[y/N\] `)
	first := term.await(`code:   \x1b\[1m(\S{9})`)[1]
	if _, err := term.tty.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); strings.Count(term.screen(), "First, compare") < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("no second code came after %s:\n%s", first, term.screen())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := term.tty.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if code := term.end(); code != int(ExitCancelled) {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}

// Without a terminal, too: a program that was asked to end by a supervisor does.
func TestACommandWithoutATerminalIsInterrupted(t *testing.T) {
	began := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "countersign")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), link, "login", "--json", "--server", server.URL)
	cmd.Env = append(os.Environ(), userOf(t, server.URL)...)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-began
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 || !strings.Contains(out.String(), `"event":"error"`) {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// What is typed at a password prompt is not shown, after a stop either.
func TestAPasswordPromptCanBeStoppedAndBroughtBack(t *testing.T) {
	inFull(t)
	t.Parallel()
	_, env := terminalServer(t)
	term := shell(t, append(env, "COUNTERSIGN_PASSWORD="))
	term.types("countersign identity create alice\n")
	term.await(`New password`)
	term.types("\x1a")
	term.await(`Stopped`)
	term.types("stty -a\n")
	term.await(`isig icanon[^;]* echo `)
	term.types("fg\n")
	term.await(`(?s)Stopped.*fg\r\n.*countersign identity create alice`)
	for deadline := time.Now().Add(20 * time.Second); term.echoes(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it would show what is typed")
		}
	}
	term.await(`(?s)fg\r\n.*New password`) // what is waited for is said again
	term.types("correct horse\n")
	term.await(`again: `)
	term.types("correct horse\n")
	term.await(`Made`)
	if strings.Contains(term.screen(), "horse") {
		t.Errorf("the password is on the screen:\n%s", term.screen())
	}
	term.types("exit\n")
	term.end()
}

func TestALoginCanBeStoppedSentToTheBackgroundAndBroughtBack(t *testing.T) {
	inFull(t)
	t.Parallel()
	_, env := terminalServer(t)
	term := shell(t, env)
	lastLine := func() int { return strings.Count(term.screen(), " left") }
	term.types("countersign login\n")
	term.await(` left`)
	term.types("\x1a")
	term.await(`Stopped.*login`)
	term.types("stty -a\n")
	term.await(`isig icanon[^;]* echo `)
	term.types("bg; echo in the $((1+1))nd place\n")
	term.await(`in the 2nd place`)
	before := lastLine()
	term.types("fg\n")
	term.await(fmt.Sprintf(`(?s)( left.*){%d}`, before+1))
	term.types("\x1a")
	term.await(`(?s)Stopped.*login.*Stopped.*login`)
	before = lastLine()
	term.types("fg\n")
	term.await(fmt.Sprintf(`(?s)( left.*){%d}`, before+1))
	term.types("q")
	term.await(`cancelled`)
	term.types("echo ended with $?; stty -a\n")
	term.await(`(?s)ended with 130.*isig icanon[^;]* echo `)
	term.types("exit\n")
	term.end()
}
