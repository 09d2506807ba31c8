//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestS02_S03_S05_S09_AnMCPServerIsProtectedByFollowingTheGuide does what
// docs/guides/mcp-server.md says, word for word but for the addresses, and then has both
// SDKs use that MCP server for longer than a token lives.
func TestS02_S03_S05_S09_AnMCPServerIsProtectedByFollowingTheGuide(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		server := startGate(t, conf, false, "--access-token-lifetime", "6s")
		o := newOwner(t)
		o.signIn(t, server.URL)
		address := "localhost:" + freePort(t)
		resource := "http://" + address + "/mcp"
		g := openGuide(t, "mcp-server.md", "http://localhost:8628", server.issuer, "localhost:9000", address)
		g.env = append(g.env, server.storeEnv())
		modules, err := filepath.Abs("clients/node_modules")
		if err == nil {
			err = os.Symlink(modules, filepath.Join(g.dir, "node_modules"))
		}
		if err != nil {
			t.Fatal(err)
		}
		g.run(g.blocks["register"])
		stop := g.serve(address, g.compile("mcpserver"))

		challenges := func(described string) {
			t.Helper()
			said := g.run(g.blocks["challenge"])
			for _, part := range []string{"401 Unauthorized", `scope="notes:read"`, `resource_metadata="http://` + address + `/.well-known/oauth-protected-resource/mcp"`, described} {
				if !strings.Contains(said, part) {
					t.Errorf("without a token: no %s in\n%s", part, said)
				}
			}
		}
		challenges(`"resource": "` + resource + `"`)
		g.write("client.mjs")
		asked := 0
		// The owner goes where the client says, allows, and is led back to the client.
		allow := func(line string) {
			to, ok := strings.CutPrefix(line, "Open ")
			if !ok {
				return
			}
			asked++
			back, err := o.allow(t.Context(), server.URL, to)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := http.Get(back); err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
			}
		}
		if said := g.run(g.blocks["write"], allow); !strings.HasSuffix(said, "\nnoted\n") || asked != 2 {
			t.Errorf("writing, after %d questions:\n%s", asked, said)
		}
		notes := "the notes of " + o.bapID + ", for desk"
		if said := g.run(g.blocks["read"], allow); !strings.HasSuffix(said, "\n"+notes+`: ["milk"]`+"\n") || asked != 3 {
			t.Errorf("reading, after %d questions:\n%s", asked, said)
		}
		t.Run("both SDKs", func(t *testing.T) { useMCP(t, server, o, resource) })

		stop()
		g.write("server.mjs")
		g.serve(address, "node", "server.mjs")
		challenges(`"resource":"` + resource + `"`)
		if said := g.run(g.blocks["read"], allow); !strings.HasSuffix(said, "\n"+notes+"\n") {
			t.Errorf("from the server in TypeScript:\n%s", said)
		}
	})
}

// useMCP has programs with each SDK use an MCP server, at the same time.
func useMCP(t *testing.T, server *gate, o *owner, resource string) {
	t.Helper()
	const redirect, scope = "http://127.0.0.1:4000/back", "notes:read notes:write offline_access"
	server.register(t, "public", "--redirect-uri", redirect, "--scope", scope)
	secret := strings.TrimSpace(server.register(t, "secret", "--redirect-uri", redirect, "--scope", scope, "--confidential"))
	for _, c := range []struct {
		sdk, bound, id, secret string
		asked                  float64 // how often its user was, in the end
	}{
		{sdk: "sdk", id: "public", asked: 3},
		{sdk: "sdk", id: "secret", secret: secret, asked: 3},
		{sdk: "client", id: "public", asked: 2},
		{sdk: "client", id: "secret", secret: secret, asked: 2},
		{sdk: "client", id: "public", asked: 2, bound: "bound"},
	} {
		t.Run(strings.TrimSpace(c.sdk+" "+c.id+" "+c.bound), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "node", "mcp.mjs", c.sdk, c.bound)
			cmd.Dir = "clients"
			cmd.Env = append(os.Environ(), "MCP_SERVER="+resource, "CLIENT_ID="+c.id, "CLIENT_SECRET="+c.secret, "REDIRECT_URI="+redirect)
			told := map[string]step{}
			for _, s := range journey(t, server, o, cmd) {
				told[s.Name] = s
			}
			if s, failed := told[c.sdk]; failed {
				t.Fatal(s.Text)
			}
			for name, want := range map[string]string{"read": "the notes of " + o.bapID + ", for " + c.id, "write": "noted", "later": `"by ` + c.id + `"`} {
				s := told[name]
				if s.Event != "done" || !strings.Contains(s.Text, want) || s.Claims["aud"] != resource || s.Claims["bap_id"] != o.bapID {
					t.Errorf("%s: %+v", name, s)
				}
				if _, cnf := s.Claims["cnf"]; cnf != (c.bound != "") {
					t.Errorf("%s: a token bound to %v", name, s.Claims["cnf"])
				}
			}
			if told["read"].Claims["scope"] == told["write"].Claims["scope"] || told["later"].Claims["asked"] != c.asked {
				t.Errorf("the user was asked %v times, for %v, then for %v", told["later"].Claims["asked"], told["read"].Claims["scope"], told["write"].Claims["scope"])
			}
			if told["read"].Claims["jti"] == told["later"].Claims["jti"] {
				t.Error("the token did not end")
			}
			if c.sdk == "sdk" {
				return
			}
			if s := told["a scope of nobody's"]; s.Error != "invalid_scope" {
				t.Errorf("of a scope that it may not ask for it is told %s: %s", s.Error, s.Text)
			}
			if s := told["another issuer"]; s.Error != "IssuerMismatchError" {
				t.Errorf("an answer of another issuer: %s: %s", s.Error, s.Text)
			}
		})
	}
}
