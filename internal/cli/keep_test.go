//go:build unix

package cli

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	"github.com/zalando/go-keyring"
)

// atTerminal is a machine without a keyring, where nobody has said a password.
func atTerminal(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.env["COUNTERSIGN_PASSWORD"], m.terminal = "", true
	return m
}

// wantFiles fails unless these, and no other, files with tokens are there, for their owner only.
func (m *machine) wantFiles(names ...string) {
	m.t.Helper()
	var there []string
	for _, name := range []string{tokenFile, plainFile} {
		if info, err := os.Stat(filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], name)); err == nil {
			there = append(there, name)
			if info.Mode().Perm() != privateFile {
				m.t.Errorf("%s has the mode %o", name, info.Mode().Perm())
			}
		}
	}
	if strings.Join(there, " ") != strings.Join(names, " ") {
		m.t.Errorf("there are %v, and should be %v", there, names)
	}
}

// Without a keyring people are told what a password is for and which will do before they
// are asked, and may do without one; what they chose holds until they say otherwise.
func TestWithoutAKeyringHowTokensAreKeptIsChosenOnceAndRemembered(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m, p := atTerminal(t), newOwner(t, f.url)
	m.env["COUNTERSIGN_SERVER"] = f.url
	signIn := func(says string, types []string, args ...string) {
		t.Helper()
		m.types = types
		w := m.login(args...)
		p.approve(w.code, w.number)
		if code, last := w.end(); code != ExitDone || len(m.types) > 0 || !strings.Contains(w.said.String(), says) || (says == "") != (w.said.Len() == 0) {
			t.Fatalf("%v: exit code %d, %q is left to be typed: %v\n%s", args, code, m.types, last, w.said.String())
		}
		if n := p.alive(); n != 1 {
			t.Errorf("%v: %d are alive", args, n)
		}
	}
	works := func(types ...string) {
		t.Helper()
		m.types = types
		if code, token, said := m.run("token"); code != ExitDone || !strings.HasPrefix(token, "eyJ") || len(m.types) > 0 {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
	signIn("Press Enter alone to keep it unencrypted", []string{""})
	m.wantFiles(plainFile)
	works()
	signIn("", nil) // and nothing is asked again
	m.wantFiles(plainFile)

	signIn("at least 10 characters: \nThat has fewer than 10 characters. Four random words are good.\nNew password for your tokens", []string{"short", "long enough", "long enouhg", "long enough", "long enough"},
		"--token-store", "encrypted")
	m.wantFiles(tokenFile)
	works("long enouhg", "long enough")
	signIn("Wrong password, or a damaged file. Try again.", []string{"long enouhg", "long enough"})

	// Nobody is asked for the password of a sign-in that is over: the file goes with it.
	m.types = nil
	w := m.login("--token-store", "plain")
	p.approve(w.code, w.number)
	if code, last := w.end(); code != ExitDone || !strings.Contains(w.said.String(), "The earlier sign-in could not be ended: opening your tokens: its token lies under a password.") {
		t.Errorf("exit code %d: %v\n%s", code, last, w.said.String())
	}
	m.wantFiles(plainFile)
	if code, _, said := m.run("logout"); code != ExitDone || p.alive() != 1 {
		t.Errorf("exit code %d: %s", code, said)
	}
	m.wantFiles()
	m.types = []string{"a", "b", "c"}
	if code, _, said := m.run("login", "--json"); code != ExitUsage || len(m.types) > 0 || !strings.Contains(said, "No keyring can be reached here") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestTokensMoveIntoTheKeyringWhereOneCanBeReached(t *testing.T) {
	inFull(t)
	keyring.MockInit()
	t.Cleanup(keyring.MockInit)
	f := newFront(t)
	m, p := newMachine(t), newOwner(t, f.url)
	m.signIn(p, "--token-store", "plain")
	m.wantFiles(plainFile)
	if code, _, said := m.run("login", "--token-store", "keyring"); code != ExitUsage || !strings.Contains(said, "COUNTERSIGN_KEYRING is off") {
		t.Errorf("exit code %d: %s", code, said)
	}
	delete(m.env, "COUNTERSIGN_KEYRING")
	m.signIn(p)
	m.wantFiles()
	if n := p.alive(); n != 1 {
		t.Errorf("%d are alive", n)
	}
	h, err := openHome(&Env{Getenv: func(name string) string { return m.env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Get(keyringService, h.Current); err != nil {
		t.Error(err)
	}
	m.signIn(p, "--token-store", "plain") // and out of it
	if _, err := keyring.Get(keyringService, h.Current); err == nil {
		t.Error("the keyring has it still")
	}
	if code, token, said := m.run("token"); code != ExitDone || !strings.HasPrefix(token, "eyJ") || p.alive() != 1 {
		t.Errorf("exit code %d: %s", code, said)
	}
	path := filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], plainFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, said := m.run("token"); code != ExitFailed || out != "" || !strings.Contains(said, "chmod go= ") {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
}

func TestWithoutATerminalItIsSaidHowTokensCanBeKept(t *testing.T) {
	inFull(t)
	f := newFront(t)
	m := newMachine(t)
	m.env["COUNTERSIGN_PASSWORD"] = ""
	if code, _, said := m.run("login", "--server", f.url); code != ExitLocked || !strings.Contains(said, "--password-file FILE") || !strings.Contains(said, "--token-store plain") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if code, _, said := m.run("login", "--server", f.url, "--token-store", "plane"); code != ExitUsage || !strings.Contains(said, "keyring, encrypted or plain") {
		t.Errorf("exit code %d: %s", code, said)
	}
	path := filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], plainFile)
	if err := os.WriteFile(path, []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, said := m.run("login", "--server", f.url, "--token-store", "plain", "--timeout", "2s"); code != ExitFailed || !strings.Contains(said, "Move it away") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p := newOwner(t, f.url)
	m.signIn(p, "--token-store", "plain")
	m.wantFiles(plainFile)

	// Who takes the file away is signed out, and told that the token lives.
	if err := os.Remove(filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], plainFile)); err != nil {
		t.Fatal(err)
	}
	if code, _, said := m.run("logout"); code != ExitFailed || p.alive() != 1 || !strings.Contains(said, "it was not revoked") || !strings.Contains(said, f.url+"/account") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if _, list, _ := m.run("accounts", "list"); list != "" {
		t.Error(list)
	}
}

// Nobody is asked to allow what cannot be kept.
func TestADirectoryThatCannotBeWrittenIsFoundBeforeAnythingIsAsked(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	m := newMachine(t)
	if err := os.MkdirAll(filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], "tokens.lock"), 0o700); err != nil { // where a file should be
		t.Fatal(err)
	}
	if code, _, said := m.run("login", "--server", server.URL, "--token-store", "plain"); code != ExitFailed || asked || !strings.Contains(said, "Set COUNTERSIGN_CONFIG_DIR") {
		t.Errorf("exit code %d, the server was asked: %v: %s", code, asked, said)
	}
}

func TestAPasswordIsAskedForAgainInPlace(t *testing.T) {
	inFull(t)
	t.Parallel()
	m := atTerminal(t)
	do := func(code ExitCode, says string, types []string, args ...string) {
		t.Helper()
		m.types = types
		if got, _, said := m.run(args...); got != code || len(m.types) > 0 || !strings.Contains(said, says) {
			t.Errorf("%v: exit code %d, %q is left to be typed: %s", args, got, m.types, said)
		}
	}
	do(ExitUsage, "no new password was chosen", []string{"short", "long enough", "long enouhg", "short"}, "identity", "create", "ann")
	do(ExitDone, "That has fewer than 10 characters", []string{"short", "long enough", "long enouhg", "long enough", "long enough"}, "identity", "create", "ann")
	do(ExitLocked, "wrong password", []string{"a", "b", ""}, "identity", "show")
	do(ExitDone, "Try again.", []string{"a", "long enough"}, "identity", "show")
	out := filepath.Join(t.TempDir(), "ann.bep")
	do(ExitDone, "", []string{"long enough"}, "identity", "export", "--out", out)
	m.env["COUNTERSIGN_CONFIG_DIR"] = filepath.Join(t.TempDir(), "elsewhere")
	do(ExitDone, "Try again.", []string{"a", "long enough"}, "identity", "import", out)
	m.env["COUNTERSIGN_PASSWORD"] = "a"
	do(ExitLocked, "wrong password", nil, "identity", "show") // nobody typed it
}

// config changes what config.toml says.
func (m *machine) config(change func(text string) string) {
	m.t.Helper()
	path := filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], "config.toml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(change(string(text))), 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// An entry of older software does not say where its token lies: it may be where the next
// one is put, under the same name.
func TestSigningInAgainAfterOlderSoftwareKeepsTheToken(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m, p := newMachine(t), newOwner(t, f.url)
	m.signIn(p)
	m.config(func(text string) string { return strings.Replace(text, "tokens = 'file'\n", "", 1) })
	m.signIn(p)
	if code, token, said := m.run("token"); code != ExitDone || !strings.HasPrefix(token, "eyJ") || p.alive() != 1 {
		t.Errorf("exit code %d, %d are alive: %s", code, p.alive(), said)
	}
}

func TestAFileThatSomebodyNeedsMeanwhileStays(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m, first, second := newMachine(t), newOwner(t, f.url), newOwner(t, f.url)
	m.signIn(first)
	revoking, revoked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.does(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == revokePath {
			once.Do(func() {
				close(revoking)
				<-revoked
			})
		}
		return false
	})
	w := m.login("--server", f.url, "--token-store", "plain")
	first.approve(w.code, w.number)
	<-revoking
	m.signIn(second, "--token-store", "encrypted")
	close(revoked)
	if code, last := w.end(); code != ExitDone {
		t.Fatalf("exit code %d: %v", code, last)
	}
	m.wantFiles(tokenFile, plainFile)
	if code, _, said := m.run("token"); code != ExitDone {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// A signal does not lose what was allowed, however long keeping it takes; who insists is
// let go.
func TestASignalWaitsForATokenToBeKept(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	for name, times := range map[string]int{"a signal": 1, "two": 2} {
		m, p := newMachine(t), newOwner(t, f.url)
		signals, exited := make(chan os.Signal, 2), make(chan int, 1)
		out, in := io.Pipe()
		go Main([]string{"login", "--json", "--server", f.url}, &Env{
			Stdin: strings.NewReader(""), Stdout: in, Stderr: io.Discard, Now: time.Now, Rand: SystemEnv().Rand, Getenv: func(name string) string { return m.env[name] },
			Signals: signals, Exit: func(code int) { exited <- code },
		})
		w := &waiting{t: t, lines: bufio.NewReader(out)}
		event := w.next()
		go func() { _, _ = io.Copy(io.Discard, w.lines) }()
		unlock, err := lockedfile.MutexAt(filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], "tokens.lock")).Lock()
		if err != nil {
			t.Fatal(err)
		}
		p.approve(event["user_code"].(string), event["match_number"].(string))
		<-time.After(3 * time.Second) // nothing tells when it has the token, and waits for the lock
		for range times {
			signals <- os.Interrupt
		}
		select {
		case code := <-exited:
			exited <- code
			if times == 1 || code != int(ExitCancelled) {
				t.Errorf("%s: it ended with %d before the token was kept", name, code)
			}
		case <-time.After(4 * patience):
			if times > 1 {
				t.Errorf("%s: it did not end", name)
			}
		}
		unlock()
		<-exited
		code, said := ExitFailed, ""
		for deadline := time.Now().Add(10 * time.Second); code != ExitDone && time.Now().Before(deadline); {
			code, _, said = m.run("token")
		}
		if code != ExitDone {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
	}
}

// What lies in the file is of no use to who copies the tokens without the key; one from before
// there were keys works on.
func TestP13_K09_TheTokensOfALoginAreBoundToAKeyThatIsKeptBesideThem(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m, p := newMachine(t), newOwner(t, f.url)
	m.env["COUNTERSIGN_SERVER"] = f.url
	file := filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], plainFile)
	kept := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	m.signIn(p, "--token-store", "plain")
	with := kept()
	if !strings.Contains(with, `"key":"ES256:`) || !strings.Contains(with, `"token_type":"DPoP"`) {
		t.Fatal("no key is kept")
	}
	if len(with) > 2000 {
		t.Errorf("%d bytes are kept: a keyring may hold 2560", len(with))
	}
	ask := func(header string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+userInfoPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(header) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Set(name, value)
		}
		answer, err := httpClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	headers, _ := m.want(ExitDone, "Authorization: DPoP ", "", "token", "--proof", "GET", f.url+userInfoPath)
	token, _ := m.want(ExitDone, "", "", "token")
	for header, want := range map[string]int{headers: http.StatusOK, "Authorization: Bearer " + token: http.StatusUnauthorized} {
		if got := ask(header); got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
	}
	m.want(ExitDone, "", "", "whoami")

	key := regexp.MustCompile(`,"key":"[^"]*"`)
	if err := os.WriteFile(file, key.ReplaceAll([]byte(with), nil), privateFile); err != nil {
		t.Fatal(err)
	}
	m.want(ExitFailed, "", "reading the key of your sign-in", "whoami")
	if err := os.WriteFile(file, []byte(with), privateFile); err != nil {
		t.Fatal(err)
	}
	m.signIn(p, "--bearer")
	if before := kept(); strings.Contains(before, "key") || strings.Contains(before, "token_type") {
		t.Error("a key is kept that nobody wanted")
	}
	header, _ := m.want(ExitDone, "Authorization: Bearer ", "", "token", "--format", "header")
	if got := ask(header); got != http.StatusOK {
		t.Errorf("answered %d", got)
	}
	m.want(ExitDone, "", "", "logout")
}
