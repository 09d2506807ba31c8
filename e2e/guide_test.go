//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// marked is a block of a guide that is to be run, or is a file.
var marked = regexp.MustCompile("(?s)<!-- (run|file): (\\S+) -->\n```\\w+\n(.*?)```\n")

// TestAGoAPIIsProtectedByFollowingTheGuide does what docs/guides/go-api.md says, word for
// word but for the two addresses.
func TestAGoAPIIsProtectedByFollowingTheGuide(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	server := startProcess(t, data)
	issuer := issuerOf(t, server.url)
	address := "localhost:" + freePort(t)
	guide, err := os.ReadFile("../docs/guides/go-api.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, m := range marked.FindAllStringSubmatch(strings.NewReplacer("http://localhost:8628", issuer, "localhost:9000", address).Replace(string(guide)), -1) {
		blocks[m[2]] = m[3]
	}
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "COUNTERSIGN_DATA="+data, "COUNTERSIGN_SERVER="+issuer, "COUNTERSIGN_PASSWORD=correct horse battery staple",
		"PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	if onPostgres {
		env = append(env, "COUNTERSIGN_DATABASE="+databaseOf(t, data))
	}
	run := func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", script)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s\n%s", err, script, out)
		}
		return string(out)
	}

	run(blocks["register"])
	main, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "notes")
	if err := os.WriteFile(main, []byte(blocks["main.go"]), 0o600); err != nil {
		t.Fatal(err)
	}
	// Compiled from here, so that its imports are this module's.
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, main).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	api := exec.CommandContext(t.Context(), program)
	api.Stderr = os.Stderr
	if err := api.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = api.Process.Kill()
		_ = api.Wait()
	})
	awaitListener(t, address)

	said := run(blocks["challenge"])
	for _, part := range []string{"401 Unauthorized", `scope="notes:read"`, `resource_metadata="http://` + address + `/.well-known/oauth-protected-resource"`, `"resource": "http://` + address + `"`} {
		if !strings.Contains(said, part) {
			t.Errorf("without a token: no %s in\n%s", part, said)
		}
	}
	approve := `countersign identity create satoshi
countersign approve "$(echo "$code" | sed -nE 's/.*"user_code":"([^"]*)".*/\1/p')" --yes --expect-client notes-app --expect-scope "openid profile notes:read"`
	said = run(blocks["ask"] + approve + "\n" + blocks["use"])
	if !regexp.MustCompile(`(?m)^the notes of \w{20,}, for notes-app$`).MatchString(said) {
		t.Errorf("with one:\n%s", said)
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
