//go:build e2e

package e2e

import (
	"database/sql"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the database of the app

	"countersign.dev/e2e/browser"
)

// sigmaApp is an app with the Sigma plugin: its page, bundled as its developer's tools do it,
// and a Better Auth server that keeps its users in SQLite.
type sigmaApp struct {
	url  string
	data string
}

// sigmaAppOf starts one, and a server that knows it. Both are on localhost, as while somebody
// develops the app: they share their cookies.
func sigmaAppOf(t *testing.T) (*instance, *sigmaApp) {
	t.Helper()
	h := startInstance(t)
	address := "localhost:" + freePort(t)
	a := &sigmaApp{url: "http://" + address, data: filepath.Join(t.TempDir(), "app.db")}
	store := []string{"--data", h.data}
	if onPostgres {
		store = []string{"--database", databaseOf(t, h.data)}
	}
	env := strings.Fields(runClients(t, "", append([]string{"add", "sigma-app", "--name", "The app", "--redirect-uri", a.url + "/auth/sigma/callback", "--member-key"}, store...)...))
	env = append(env, "NEXT_PUBLIC_SIGMA_AUTH_URL="+h.base, "NEXT_PUBLIC_APP_URL="+a.url)

	public := map[string]string{}
	for _, line := range env {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "NEXT_PUBLIC_") {
			public[name] = value
		}
	}
	process, err := json.Marshal(map[string]any{"env": public})
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "app.js")
	bundle := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../tools/go.mod", "esbuild", "clients/sigma-page.mjs",
		"--bundle", "--format=esm", "--target=es2022", "--log-level=warning", "--define:process="+string(process), "--outfile="+script)
	if out, err := bundle.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := exec.CommandContext(t.Context(), "node", "sigma-server.mjs", script, a.data)
	server.Dir, server.Env, server.Stderr = "clients", append(os.Environ(), env...), os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	awaitListener(t, address)
	return h, a
}

// read asks the database of the app for one text.
func (a *sigmaApp) read(t *testing.T, query string) (text string) {
	t.Helper()
	db, err := sql.Open("sqlite", a.data)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), query).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPageAnAppWithTheSigmaPluginSignsAPersonIn(t *testing.T) {
	t.Parallel()
	h, a := sigmaAppOf(t)
	tab := h.guest(t)
	tab.AllowOrigin(h.base)
	heading := func(text string) string {
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return `document.querySelector("h1")?.textContent === ` + string(encoded)
	}
	tab.Open(a.url + "/")
	tab.WaitUntil(heading("Nobody is signed in"))
	tab.Click("main button")
	tab.WaitFor("#ways[data-ready]")
	if got := tab.Text("main"); !strings.Contains(got, "“The app” asks you to sign in") {
		t.Errorf("the page says\n%s", got)
	}
	create(tab, "Alice")
	tab.WaitFor("#approve:not([disabled])")
	tab.Click(approveButton)
	tab.WaitUntil(heading("Welcome, Alice"))
	tab.Screenshot("sigma-app-signed-in")
	subject := a.read(t, `SELECT "accountId" FROM account WHERE "providerId" = 'sigma'`)
	if email := a.read(t, `SELECT email FROM "user"`); !strings.HasSuffix(email, "@sigma.local") || tab.Text("main p") != email {
		t.Errorf("the app knows %s, and shows %s", email, tab.Text("main p"))
	}
	user := a.read(t, `SELECT "userId" FROM session`)

	// Nobody is signed out here for it, and the other way round.
	tab.Click("main button")
	tab.WaitUntil(heading("Nobody is signed in"))
	if left := a.read(t, `SELECT count(*) FROM session`); left != "0" {
		t.Errorf("%s sessions are left at the app", left)
	}
	tab.Click("main button")
	const locked = "#sign-password" // a new document has no key at hand
	tab.WaitUntil(`document.querySelector("` + locked + `")?.checkVisibility({visibilityProperty: true}) || ` + heading("Welcome, Alice"))
	if tab.Shows(locked) {
		tab.Type(locked, password)
		tab.WaitFor("#approve:not([disabled])")
		tab.Click(approveButton)
	}
	tab.WaitUntil(heading("Welcome, Alice"))
	if users, again := a.read(t, `SELECT count(*) FROM "user"`), a.read(t, `SELECT "userId" FROM session`); users != "1" || again != user {
		t.Errorf("the app has %s users, and %s is signed in, not %s", users, again, user)
	}
	if accounts, again := a.read(t, `SELECT count(*) FROM account`), a.read(t, `SELECT "accountId" FROM account`); accounts != "1" || again != subject {
		t.Errorf("the app has %s accounts, and %s is not %s", accounts, again, subject)
	}
	who := browser.Eval[map[string]map[string]any](tab, `fetch("/api/auth/get-session").then(r => r.json())`)
	if who["user"]["name"] != "Alice" || who["session"]["userId"] != user {
		t.Errorf("get-session says %v", who)
	}

	// A person who says no comes back too, and the app says so.
	tab.Click("main button")
	tab.WaitUntil(heading("Nobody is signed in"))
	tab.Open(a.url + "/?prompt=consent")
	tab.WaitUntil(heading("Nobody is signed in"))
	tab.Click("main button")
	tab.WaitFor(denyButton)
	tab.Click(denyButton)
	tab.WaitUntil(heading("Authentication Error"))
	if got := tab.Text("main p"); got != "the owner denied the request" {
		t.Errorf("the app says %q", got)
	}
}
