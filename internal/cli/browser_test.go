//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stays is an opener that talks, reads the terminal if it can, says how it was started
// and stays.
func stays(t *testing.T, name string) (path string, started func() (words []string)) {
	t.Helper()
	dir := t.TempDir()
	said, path := filepath.Join(dir, "said"), filepath.Join(dir, name)
	for _, pipe := range []string{said, filepath.Join(dir, "for-ever")} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\ncd " + dir + "\necho NOISE; echo NOISE >&2\n(echo NOISE; read x) <>/dev/tty >&0 2>&0\necho $$ \"$@\" >said\nread x <for-ever\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	words := make(chan []string, 1)
	go func() {
		text, _ := os.ReadFile(said)
		words <- strings.Fields(string(text))
	}()
	return path, func() []string {
		t.Helper()
		select {
		case w := <-words:
			pid, err := strconv.Atoi(w[0])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Errorf("the browser did not stay: %v", err)
				}
			})
			return w[1:]
		case <-time.After(20 * time.Second):
			t.Fatal("no browser was started")
			return nil
		}
	}
}

// graphical is the environment of somebody who sits before a display.
func graphical(env []string, more ...string) []string {
	return append(append(slices.Clone(env), "CI=", "SSH_CONNECTION=", "SSH_TTY=", "DISPLAY=:0", "BROWSER="), more...)
}

func TestABrowserThatStaysLeavesTheTerminalAndTheKeysAlone(t *testing.T) {
	inFull(t)
	t.Parallel()
	issuer, env := terminalServer(t)
	path, started := stays(t, "browser")
	term := openTerminal(t, graphical(env, "BROWSER=/nowhere/browser:"+path+" --new %s --last"), "login")
	term.await(`Enter opens the browser, q cancels`)
	code := term.await(`code:   \x1b\[1m(\S{9})`)[1]
	term.types("\r")
	if words := started(); !slices.Equal(words, []string{"--new", issuer + "/device?code=" + code, "--last"}) {
		t.Errorf("the browser was started with %q", words)
	}
	term.types("q")
	if code := term.end(); code != int(ExitCancelled) || strings.Contains(term.screen(), "NOISE") {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
}

func TestAnOpenerPrintsNothingBetweenTheEventsAndHoldsUpNoPoll(t *testing.T) {
	inFull(t)
	t.Parallel()
	settings := demoSettings(t.TempDir())
	issuer := runServer(t, settings)
	path, started := stays(t, "xdg-open")
	cmd := exec.CommandContext(t.Context(), program(t), "login", "--json", "--browser")
	cmd.Env = append(os.Environ(), graphical(userOf(t, issuer), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var event struct {
			Event    string `json:"event"`
			UserCode string `json:"user_code"`
			Number   string `json:"match_number"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Errorf("%v: %s", err, lines.Text())
		}
		if event.Event == "code" {
			newOwner(t, issuer).approve(event.UserCode, event.Number)
		}
	}
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, &stderr)
	}
}

func TestABrowserThatCannotBeOpenedIsSaidInALineAndTheLoginGoesOn(t *testing.T) {
	inFull(t)
	t.Parallel()
	_, env := terminalServer(t)
	none := graphical(env, "PATH="+t.TempDir(), "BROWSER=nothing-like-it")
	term := openTerminal(t, none, "login")
	term.await(`\d\d:\d\d left`)
	term.types("\r")
	term.await(`No browser could be opened: open the address yourself\.\r+\n\r\x1b\[K  \S Waiting`)
	term.types("q")
	if code := term.end(); code != int(ExitCancelled) {
		t.Errorf("exit code %d:\n%s", code, term.screen())
	}
	for why, env := range map[string][]string{
		"No browser could be opened: open the address yourself.":                    none,
		"No browser is opened: it would be on the machine that you came to by SSH.": append(slices.Clone(none), "SSH_TTY=/dev/pts/0"),
	} {
		for _, flags := range [][]string{{}, {"--json"}} {
			cmd := exec.CommandContext(t.Context(), program(t), append([]string{"login", "--browser", "--timeout", "1s"}, flags...)...)
			cmd.Env = append(os.Environ(), env...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run()
			if said := strings.Contains(stderr.String(), why+"\n"); cmd.ProcessState.ExitCode() != int(ExitExpired) || said != (len(flags) == 0) {
				t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), &stderr)
			}
		}
	}
}

func TestBROWSERIsReadAsEverywhere(t *testing.T) {
	const address = "http://localhost:8628/device?code=BCDF-GHJK"
	for wanted, want := range map[string][][]string{
		"":                              nil,
		"firefox":                       {{"firefox", address}},
		"a --new-tab:b '%s' -x::%s":     {{"a", "--new-tab", address}, {"b", "'" + address + "'", "-x"}},
		"open --url=%s;rm":              {{"open", "--url=" + address + ";rm"}},
		"a 100%% $HOME `id` $(id) | sh": {{"a", "100%", "$HOME", "`id`", "$(id)", "|", "sh", address}},
	} {
		all := openers(wanted, address)
		if system := openers("", address); !slices.EqualFunc(all, append(want, system...), slices.Equal) {
			t.Errorf("%q: %q", wanted, all)
		}
	}
}

// Who closes a browser, or ends it, does not want another one.
func TestABrowserThatEndsLateIsFollowedByNoOther(t *testing.T) {
	inFull(t)
	t.Parallel()
	_, env := terminalServer(t)
	dir := t.TempDir()
	for name, script := range map[string]string{"closed": "sleep 6\ntouch " + filepath.Join(dir, "closed-late") + "\nexit 1", "next": "touch " + filepath.Join(dir, "opened")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program(t), "login", "--json", "--browser", "--timeout", "8s")
	cmd.Env = append(os.Environ(), graphical(env, "BROWSER="+filepath.Join(dir, "closed")+":"+filepath.Join(dir, "next"))...)
	_ = cmd.Run()
	if _, err := os.Stat(filepath.Join(dir, "closed-late")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "opened")); err == nil {
		t.Error("another one was opened")
	}
}
