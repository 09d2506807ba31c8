//go:build unix

package cli

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"countersign.dev/receipt"
)

// want runs a command and wants an exit code, and texts in what it prints and says.
func (m *machine) want(code ExitCode, out, said string, args ...string) (stdout, stderr string) {
	m.t.Helper()
	got, stdout, stderr := m.run(args...)
	if got != code || !strings.Contains(stdout, out) || !strings.Contains(stderr, said) {
		m.t.Fatalf("%v: exit code %d, want %d with %q and %q\n%s%s", args, got, code, out, said, stdout, stderr)
	}
	return stdout, stderr
}

// allow signs in and approves that here, as an identity, and returns what approve said.
func (m *machine) allow(identity string, login ...string) (said string) {
	m.t.Helper()
	w := m.login(login...)
	_, said = m.want(ExitDone, "", "Approved", "approve", w.code, "--identity", identity, "--match", w.number, "--yes",
		"--expect-client", ownClient, "--expect-scope", loginScope+" "+grantsScope)
	if code, last := w.end(); code != ExitDone {
		m.t.Fatalf("exit code %d: %v", code, last)
	}
	return said
}

// grantOf is the newest grant of a person.
func (p person) grantOf() string {
	p.t.Helper()
	raw, err := p.send(p.t.Context(), "GET", "/api/grants", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	id := regexp.MustCompile(`"id":"([a-z2-7]{26})"`).FindSubmatch(raw)
	if id == nil {
		p.t.Fatalf("no grant: %s", raw)
	}
	return string(id[1])
}

func TestWhoseIdentityIsInABrowserSeesAndTakesBackWhatTheyAllowed(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	p, m := newOwner(t, f.url), newMachine(t)
	m.want(ExitNotSignedIn, "", f.url+"/account", "grants", "list", "--server", f.url)
	m.signIn(p)
	first := p.grantOf()
	other := newMachine(t)
	other.signIn(p)
	second := p.grantOf()

	out, _ := m.want(ExitDone, first, "", "grants", "list")
	if !strings.Contains(out, second) {
		t.Errorf("the other machine's is not listed:\n%s", out)
	}
	out, _ = m.want(ExitDone, second, "", "receipt", "show", second)
	if _, err := receipt.Verify([]byte(out)); err != nil {
		t.Errorf("the receipt: %v", err)
	}
	m.want(ExitFailed, "", f.url+"/account", "grants", "revoke", second, "--report")
	m.want(ExitDone, "", "Taken back", "grants", "revoke", second)
	other.want(ExitNotSignedIn, "", "is over", "whoami")

	// A token that is refused though it looks good is renewed here too.
	asked := 0
	f.does(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/grants" {
			return false
		}
		if asked++; asked > 1 {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_token","error_description":"gone"}`))
		return true
	})
	m.want(ExitDone, first, "", "grants", "list")
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	m.want(ExitDone, "", "", "grants", "revoke", first)
	m.want(ExitNotSignedIn, "", "is over", "grants", "list")
}

func TestTheTokenActsWhereItCanWithoutAPasswordAndElseTheIdentity(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m := newMachine(t)
	m.env["COUNTERSIGN_SERVER"] = f.url
	m.want(ExitDone, "", "", "identity", "create", "home")
	allow := func() string {
		m.allow("home", "--token-store", "plain")
		out, _ := m.want(ExitDone, "Countersign", "", "grants", "list", "--identity", "home")
		return regexp.MustCompile(`[a-z2-7]{26}`).FindString(out)
	}
	grant, password := allow(), m.env["COUNTERSIGN_PASSWORD"]
	m.env["COUNTERSIGN_PASSWORD"] = ""
	m.want(ExitDone, grant, "", "grants", "list")
	m.want(ExitDone, grant, "", "receipt", "show", grant)
	m.want(ExitLocked, "", "", "grants", "revoke", grant, "--report") // which is signed
	m.want(ExitDone, "", "Taken back", "grants", "revoke", grant)
	m.want(ExitLocked, "", "", "grants", "list") // the token is over
	m.env["COUNTERSIGN_PASSWORD"] = password
	m.want(ExitDone, grant, "", "grants", "list")
	grant = allow()
	m.want(ExitDone, "", "The operator was told", "grants", "revoke", grant, "--report")
}

func TestASignInThatMayNotSeeGrantsSaysWhereTheyAreSeen(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	p, m := newOwner(t, f.url), newMachine(t)
	m.signIn(p, "--scope", "openid profile")
	for _, command := range [][]string{{"grants", "list"}, {"grants", "revoke", p.grantOf()}, {"receipt", "show", p.grantOf()}} {
		_, said := m.want(ExitRefused, "", "identity import FILE", command...)
		if !strings.Contains(said, f.url+"/account") || strings.Contains(said, "identity create") {
			t.Errorf("%v: %s", command, said)
		}
	}
	// Nor does an identity that has nothing to do with it act in its place.
	m.want(ExitDone, "", "", "identity", "create", "stranger")
	m.want(ExitRefused, "", "identity import FILE", "grants", "list")
	m.want(ExitDone, "", "allowed nothing", "grants", "list", "--identity", "stranger")
	// Nor where the server did not say whose sign-in it is.
	m.signIn(p, "--scope", "openid grants")
	m.want(ExitDone, p.grantOf(), "", "grants", "list")
}

func TestGrantsAreCompletedForWhomTheCommandActsAs(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	p, m := newOwner(t, f.url), newMachine(t)
	m.signIn(p)
	grant := p.grantOf()
	complete := func(args ...string) string {
		t.Helper()
		out, _ := m.want(ExitDone, "", "", append([]string{cobra.ShellCompRequestCmd}, args...)...)
		return out
	}
	const nothing = ":4\n"
	if got := complete("grants", "revoke", ""); !strings.HasPrefix(got, grant+"\t") {
		t.Errorf("completed with %q", got)
	}
	m.want(ExitDone, "", "", "identity", "create", "stranger")
	if got := complete("grants", "revoke", ""); !strings.HasPrefix(got, grant+"\t") { // as the account still
		t.Errorf("beside an identity, completed with %q", got)
	}
	if got := complete("grants", "revoke", "--identity", "stranger", ""); got != nothing {
		t.Errorf("for another identity, completed with %q", got)
	}
	m.want(ExitDone, "", "", "identity", "use", "stranger")
	if got := complete("receipt", "show", ""); got != nothing {
		t.Errorf("for the identity that was chosen, completed with %q", got)
	}
	m.want(ExitDone, "", "", "identity", "use")

	// No server has a flag completed.
	f.does(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/grants" {
			_, _ = w.Write([]byte(`{"grants":[{"id":"--report","client_name":"x","expires_at":9999999999},{"id":"nonsense","client_name":"x","expires_at":9999999999}]}`))
		}
		return r.URL.Path == "/api/grants"
	})
	if got := complete("grants", "revoke", ""); got != nothing {
		t.Errorf("completed with %q", got)
	}
	m.signIn(newOwner(t, f.url))
	m.config(func(text string) string { return strings.Replace(text, "bap_id = '", "bap_id = '-", 1) })
	if got := complete("accounts", "switch", ""); strings.Contains(got, "\n-") || strings.HasPrefix(got, "-") {
		t.Errorf("completed with %q", got)
	}
}

func TestTheIdentityOfTheCurrentAccountIsTheOneThatActs(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	m := newMachine(t)
	m.env["COUNTERSIGN_SERVER"] = f.url
	approved := regexp.MustCompile(`To take it back: (countersign .*)`)
	signIn := func(identity string) (undo []string) {
		undo = strings.Fields(approved.FindStringSubmatch(m.allow(identity))[1])
		return undo[1:]
	}
	for _, name := range []string{"home", "work"} {
		m.want(ExitDone, "", "", "identity", "create", name)
	}
	m.want(ExitUsage, "", "identity use NAME", "grants", "list")
	undoHome := signIn("home")
	m.want(ExitDone, undoHome[2], "", "grants", "list")
	undoWork := signIn("work") // is the current account now
	if out, _ := m.want(ExitDone, undoWork[2], "", "grants", "list"); strings.Contains(out, undoHome[2]) {
		t.Errorf("somebody else's grants:\n%s", out)
	}
	// What was printed takes it back, whoever is current meanwhile.
	m.want(ExitDone, "", "Taken back", undoHome...)

	m.want(ExitDone, "", "home", "identity", "use", "home")
	if out, _ := m.want(ExitDone, "taken back", "", "grants", "list"); strings.Contains(out, undoWork[2]) {
		t.Errorf("somebody else's grants:\n%s", out)
	}
	m.want(ExitDone, "default", "", "identity", "list")
	m.want(ExitFailed, "", "identity list", "identity", "use", "nobody")
	m.want(ExitDone, "", "", "identity", "use")
	m.want(ExitDone, undoWork[2], "", "grants", "list")
	if out, _ := m.want(ExitDone, "", "", "identity", "list"); strings.Contains(out, "default") {
		t.Errorf("none is the default any more:\n%s", out)
	}

	// Elsewhere than where commands go by themselves the server is named.
	w := m.login()
	m.env["COUNTERSIGN_SERVER"] = "http://localhost:1"
	_, said := m.want(ExitDone, "", "--server "+f.url+" --identity ", "approve", w.code, "--server", f.url, "--identity", "home", "--match", w.number, "--yes",
		"--expect-client", ownClient, "--expect-scope", loginScope+" "+grantsScope)
	m.want(ExitDone, "", "Taken back", strings.Fields(approved.FindStringSubmatch(said)[1])[1:]...)
	w.end()
}

func TestAccountsOfOneIdentityAreToldApartByTheirServers(t *testing.T) {
	inFull(t)
	t.Parallel()
	first, second := newFront(t), newFront(t)
	p, m := newOwner(t, first.url), newMachine(t)
	m.signIn(p)
	m.signIn(person{&owner{env: p.env, server: second.url, identity: p.identity}, t})
	_, said := m.want(ExitUsage, "", "Name one by its server", "accounts", "switch", p.identity.BAPID())
	for _, f := range []*front{first, second} {
		if !strings.Contains(said, f.url) {
			t.Errorf("%s is not among what fits:\n%s", f.url, said)
		}
		host := strings.TrimPrefix(f.url, "http://")
		m.want(ExitDone, "", "on "+host, "accounts", "switch", host)
	}
	_, said = m.want(ExitDone, "", "Signed out of "+second.url, "logout")
	if !strings.Contains(said, "Now ") || !strings.Contains(said, "on "+strings.TrimPrefix(first.url, "http://")) {
		t.Errorf("it does not say who is current: %s", said)
	}
	if _, said = m.want(ExitDone, "", "Signed out of "+first.url, "logout"); strings.Contains(said, "Now ") {
		t.Errorf("nobody is: %s", said)
	}
	m.want(ExitNotSignedIn, "", "login --server "+second.url, "whoami", "--server", second.url)
}

// What people read is folded at words, and what they copy is not.
func TestWhatIsSaidOnATerminalIsFoldedAtWords(t *testing.T) {
	inFull(t)
	t.Parallel()
	env := append(userOf(t, "http://127.0.0.1:1"), "COUNTERSIGN_PASSWORD=")
	term := openTerminalOf(t, 50, 24, env, program(t), "identity", "list")
	term.end()
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(term.screen(), "\r\n"), "\r", ""), "\n")
	whole := strings.Join(lines, " ")
	if len(lines) < 4 || !strings.Contains(whole, `with "countersign identity import FILE", or make a new one with "countersign identity create NAME".`) {
		t.Errorf("it says:\n%s", term.screen())
	}
	for _, line := range lines {
		if len(line) > 50 || strings.Count(line, `"`)%2 != 0 {
			t.Errorf("%q is too long, or what is to be copied goes on below", line)
		}
	}
	for text, want := range map[string]string{`a "b c" d`: `a "b c" d`, `a "b c`: `a "b c`, `"a"`: `"a"`, "": "", `unknown command "x"`: `unknown command "x"`} {
		var out bytes.Buffer
		(&Env{Stderr: &out}).say(text)
		if out.String() != want+"\n" {
			t.Errorf("%q is said as %q", text, out.String())
		}
	}
}
