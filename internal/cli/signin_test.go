//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"

	"countersign.dev/bap"
)

// person is an owner with a key of their own.
type person struct {
	*owner
	t *testing.T
}

func newOwner(t *testing.T, issuer string) person {
	t.Helper()
	key, err := bap.NewKey(SystemEnv().Rand)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := bap.NewIdentity("owner", key)
	if err != nil {
		t.Fatal(err)
	}
	return person{&owner{env: SystemEnv(), server: issuer, identity: identity}, t}
}

// approve approves a code with all that it asks for.
func (p person) approve(code, number string) {
	p.t.Helper()
	raw, err := p.send(p.t.Context(), "GET", "/api/auth/device/approval?user_code="+code, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	var f facts
	if err := json.Unmarshal(raw, &f); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.send(p.t.Context(), "POST", "/api/auth/device/approve", map[string]string{"userCode": code, "statement": f.Statement, "match": number}); err != nil {
		p.t.Fatal(err)
	}
}

// alive is how many of what they allowed is.
func (p person) alive() (n int) {
	p.t.Helper()
	raw, err := p.send(p.t.Context(), "GET", "/api/grants", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	var answer struct {
		Grants []struct {
			RevokedAt int64 `json:"revoked_at"`
		} `json:"grants"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		p.t.Fatal(err)
	}
	for _, g := range answer.Grants {
		if g.RevokedAt == 0 {
			n++
		}
	}
	return n
}

// front stands before a real server and does to requests what a test wants.
type front struct {
	url string
	do  atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (answered bool)]
}

func (f *front) does(do func(w http.ResponseWriter, r *http.Request) bool) { f.do.Store(&do) }

func newFront(t *testing.T) *front {
	t.Helper()
	var f front
	var to http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.UserAgent(), "countersign/") {
			t.Errorf("%s %s was sent by %q", r.Method, r.URL.Path, r.UserAgent())
		}
		if do := f.do.Load(); do == nil || !(*do)(w, r) {
			to.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	f.url = server.URL
	settings := demoSettings(t.TempDir())
	settings.Issuer = server.URL
	run := startRunning(t, settings)
	behind, err := url.Parse("http://" + addressesOf(run.listening)[0])
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	proxy.FlushInterval = -1
	to = proxy
	return &f
}

// silent is a server that takes connections and never says anything.
func silent(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// machine is where somebody runs countersign, without a terminal, or at one whose
// passwords they type.
type machine struct {
	t        *testing.T
	env      map[string]string
	terminal bool
	types    []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{t: t, env: map[string]string{
		"COUNTERSIGN_CONFIG_DIR": filepath.Join(t.TempDir(), "countersign"), "COUNTERSIGN_KEYRING": "off", "COUNTERSIGN_PASSWORD": "correct horse battery staple",
	}}
}

func (m *machine) run(args ...string) (code ExitCode, stdout, stderr string) {
	var out, said bytes.Buffer
	code = m.runTo(&out, &said, args...)
	return code, out.String(), said.String()
}

func (m *machine) runTo(stdout, stderr io.Writer, args ...string) ExitCode {
	return ExitCode(Main(args, &Env{
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Now: time.Now, Rand: SystemEnv().Rand, Getenv: func(name string) string { return m.env[name] },
		StdinTerminal: m.terminal,
		ReadPassword: func(context.Context) (string, error) {
			if len(m.types) == 0 {
				return "", io.EOF
			}
			typed := m.types[0]
			m.types = m.types[1:]
			return typed, nil
		},
	}))
}

// waiting is a login that has shown its code.
type waiting struct {
	t            *testing.T
	code, number string
	ended        chan ExitCode
	lines        *bufio.Reader
	said         bytes.Buffer // once it has ended
}

func (m *machine) login(args ...string) *waiting {
	m.t.Helper()
	read, write := io.Pipe()
	w := &waiting{t: m.t, ended: make(chan ExitCode, 1), lines: bufio.NewReader(read)}
	go func() {
		code := m.runTo(write, &w.said, append([]string{"login", "--json"}, args...)...)
		_ = write.Close()
		w.ended <- code
	}()
	event := w.next()
	w.code, _ = event["user_code"].(string)
	w.number, _ = event["match_number"].(string)
	return w
}

// next is the next event that is no wait, or nil at the end.
func (w *waiting) next() (event map[string]any) {
	w.t.Helper()
	for {
		line, err := w.lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		event = nil
		if err := json.Unmarshal(line, &event); err != nil {
			w.t.Fatal(err)
		}
		if event["event"] != "pending" && event["event"] != "retry" {
			return event
		}
	}
}

// end waits for the end, and returns the last event.
func (w *waiting) end() (code ExitCode, last map[string]any) {
	w.t.Helper()
	for event := w.next(); event != nil; event = w.next() {
		last = event
	}
	return <-w.ended, last
}

func (m *machine) signIn(p person, args ...string) {
	m.t.Helper()
	w := m.login(append(args, "--server", p.server)...)
	p.approve(w.code, w.number)
	if code, last := w.end(); code != ExitDone {
		m.t.Fatalf("exit code %d: %v", code, last)
	}
}

const userInfoPath, revokePath = "/api/auth/oauth2/userinfo", "/api/auth/oauth2/revoke"

func TestWhatWasAllowedIsKeptWhateverFailsThen(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	for name, c := range map[string]struct {
		args []string
		do   func(w http.ResponseWriter, r *http.Request) bool
	}{
		"no openid scope": {args: []string{"--scope", "profile offline_access"}},
		"a gateway that fails": {do: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == userInfoPath {
				w.WriteHeader(http.StatusBadGateway)
			}
			return r.URL.Path == userInfoPath
		}},
		"a server that is cut off": {do: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == userInfoPath {
				panic(http.ErrAbortHandler)
			}
			return false
		}},
		"a server that says that the token is none": {do: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == userInfoPath {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return r.URL.Path == userInfoPath
		}},
	} {
		m, p := newMachine(t), newOwner(t, f.url)
		if c.do != nil {
			f.does(c.do)
		}
		m.signIn(p, c.args...)
		f.does(func(http.ResponseWriter, *http.Request) bool { return false })
		if code, token, said := m.run("token"); code != ExitDone || !strings.HasPrefix(token, "eyJ") {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
		if code, _, said := m.run("logout"); code != ExitDone || p.alive() != 0 {
			t.Errorf("%s: exit code %d, %d alive: %s", name, code, p.alive(), said)
		}
	}
}

func TestWhatCannotBeKeptIsTakenBack(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	for name, c := range map[string]struct {
		do    func(w http.ResponseWriter, r *http.Request) bool
		says  string
		alive int
	}{
		"and it can be": {nil, "so it was taken back", 0},
		"and it cannot be": {func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == revokePath {
				panic(http.ErrAbortHandler)
			}
			return false
		}, "could not be taken back", 1},
	} {
		m, p := newMachine(t), newOwner(t, f.url)
		if c.do != nil {
			f.does(c.do)
		}
		w := m.login("--server", f.url)
		if err := os.MkdirAll(filepath.Join(m.env["COUNTERSIGN_CONFIG_DIR"], "config.toml"), 0o700); err != nil { // where a file should be
			t.Fatal(err)
		}
		p.approve(w.code, w.number)
		code, last := w.end()
		if said, _ := last["error_description"].(string); code != ExitFailed || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit code %d: %v", name, code, last)
		}
		if n := p.alive(); n != c.alive {
			t.Errorf("%s: %d are alive", name, n)
		}
		f.does(func(http.ResponseWriter, *http.Request) bool { return false })
	}
}

func TestSigningInAgainEndsTheEarlierSignIn(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m, elsewhere, p := newMachine(t), newMachine(t), newOwner(t, f.url)
	elsewhere.signIn(p)
	m.signIn(p)
	m.signIn(p)
	m.signIn(p, "--scope", "profile offline_access") // which does not say who
	m.signIn(p, "--scope", "profile offline_access")
	if n := p.alive(); n != 3 {
		t.Errorf("%d are alive", n)
	}
	for _, m := range []*machine{m, elsewhere} {
		if code, _, said := m.run("whoami"); code != ExitDone && m == elsewhere {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
}

func TestOfSignInsAtOnceNoneIsLost(t *testing.T) {
	inFull(t)
	t.Parallel()
	one, two, three := newFront(t), newFront(t), newFront(t)
	m := newMachine(t)
	first := newOwner(t, one.url)
	m.signIn(first)
	second, third := newOwner(t, two.url), newOwner(t, three.url)
	b, c := m.login("--server", two.url), m.login("--server", three.url)
	if code, _, said := m.run("logout", "--server", one.url); code != ExitDone {
		t.Fatalf("exit code %d: %s", code, said)
	}
	second.approve(b.code, b.number)
	if code, last := b.end(); code != ExitDone {
		t.Fatalf("exit code %d: %v", code, last)
	}
	third.approve(c.code, c.number)
	if code, last := c.end(); code != ExitDone {
		t.Fatalf("exit code %d: %v", code, last)
	}
	_, list, _ := m.run("accounts", "list")
	if strings.Contains(list, one.url) || !strings.Contains(list, two.url) || !strings.Contains(list, three.url) {
		t.Errorf("the accounts are\n%s", list)
	}
}

// One server that takes requests and is silent keeps nobody waiting who is not its own.
func TestASilentServerKeepsNoOtherAccountWaiting(t *testing.T) {
	inFull(t)
	t.Parallel()
	sick, well := newFront(t), newFront(t)
	m := newMachine(t)
	m.signIn(newOwner(t, sick.url))
	m.signIn(newOwner(t, well.url))
	refused, asked := atomic.Bool{}, make(chan struct{}, 10)
	sick.does(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == userInfoPath && !refused.Swap(true):
			w.WriteHeader(http.StatusUnauthorized)
			return true
		case strings.HasSuffix(r.URL.Path, "/token"):
			_, _ = io.Copy(io.Discard, r.Body) // or nobody hears of its end
			asked <- struct{}{}
			<-r.Context().Done()
			return true
		}
		return false
	})
	ended := make(chan ExitCode, 1)
	go func() {
		code, _, _ := m.run("whoami", "--server", sick.url)
		ended <- code
	}()
	<-asked // a refresh that is not answered
	for _, args := range []string{"whoami", "token", "accounts list", "logout"} {
		if args != "accounts list" {
			args += " --server " + well.url
		}
		if code, _, said := m.run(strings.Fields(args)...); code != ExitDone {
			t.Errorf("%s: exit code %d: %s", args, code, said)
		}
	}
	select {
	case code := <-ended:
		t.Errorf("the sick one ended already, with %d", code)
	default:
	}
}

func TestATokenThatTheServerRefusesIsRenewedOnceAndElseHandedToNobody(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m, p := newMachine(t), newOwner(t, f.url)
	m.signIn(p)
	_, before, _ := m.run("token")
	dead := " " + strings.TrimSpace(before)
	f.does(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.Header.Get("Authorization"), dead) {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	if code, _, said := m.run("whoami"); code != ExitDone {
		t.Errorf("exit code %d: %s", code, said)
	}
	if code, after, said := m.run("token"); code != ExitDone || after == before {
		t.Errorf("exit code %d, the same token: %v: %s", code, after == before, said)
	}
	if _, err := p.send(t.Context(), "POST", "/api/grants/revoke", map[string]any{"aud": f.url}); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"whoami", "token"} {
		if code, out, said := m.run(command); code != ExitNotSignedIn || out != "" || !strings.Contains(said, "is over") {
			t.Errorf("%s: exit code %d: %s%s", command, code, out, said)
		}
	}
}

func TestTheTimeoutIsOfTheWholeLogin(t *testing.T) {
	m := newMachine(t)
	code, _, said := m.run("login", "--timeout", "300ms", "--server", "http://"+silent(t, "tcp", "127.0.0.1:0").Addr().String())
	if code != ExitExpired || !strings.Contains(said, "longer than --timeout") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// Where a token lies is remembered: a keyring that is away is not taken for one in
// which there is nothing.
func TestAKeyringThatCannotBeReachedIsSaidNotToBe(t *testing.T) {
	inFull(t)
	keyring.MockInit()
	t.Cleanup(keyring.MockInit)
	f := newFront(t)
	m, p := newMachine(t), newOwner(t, f.url)
	delete(m.env, "COUNTERSIGN_KEYRING")
	m.env["COUNTERSIGN_PASSWORD"] = ""
	m.signIn(p)
	token, err := keyring.Get(keyringService, f.url+"#"+"x")
	if !errors.Is(err, keyring.ErrNotFound) {
		t.Fatalf("%q %v", token, err)
	}
	if code, _, said := m.run("token"); code != ExitDone {
		t.Fatalf("exit code %d: %s", code, said)
	}
	kept := func(fn func()) { // the mock forgets when it is made to fail
		keyring.MockInitWithError(errors.New("org.freedesktop.secrets is not there"))
		fn()
	}
	kept(func() {
		for _, command := range []string{"whoami", "token", "logout"} {
			code, out, said := m.run(command)
			if code != ExitLocked || out != "" || !strings.Contains(said, "keyring") || !strings.Contains(said, "COUNTERSIGN_KEYRING=off") {
				t.Errorf("%s: exit code %d: %s%s", command, code, out, said)
			}
		}
		if _, list, _ := m.run("accounts", "list"); !strings.Contains(list, f.url) {
			t.Errorf("the account is forgotten: %s", list)
		}
		if n := p.alive(); n != 1 {
			t.Errorf("%d are alive", n)
		}
		m.env["COUNTERSIGN_KEYRING"] = "off"
		if code, _, said := m.run("token"); code != ExitLocked || !strings.Contains(said, "COUNTERSIGN_KEYRING is off") {
			t.Errorf("exit code %d: %s", code, said)
		}
		m.env["COUNTERSIGN_PASSWORD"] = "correct horse battery staple"
		m.signIn(p) // into a file
		if code, _, said := m.run("token"); code != ExitDone {
			t.Errorf("exit code %d: %s", code, said)
		}
	})
}

func TestAKeyringThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		never := func() error { <-ctx.Done(); return nil }
		var said bytes.Buffer
		k := keyringTokens{&Env{Stderr: &said, StderrTerminal: true}}
		if err := k.ask(ctx, never); err == nil || errors.Is(err, errNoToken) || !strings.Contains(err.Error(), "does not answer") {
			t.Error(err)
		}
		if !strings.Contains(said.String(), "Waiting for the keyring") {
			t.Errorf("and it says %q", said.String())
		}
		cancel()
		if err := k.ask(ctx, never); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
