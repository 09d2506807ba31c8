//go:build e2e

package e2e

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestAnAppWithTheSigmaPluginSignsItsUsersIn has the plugin that Sigma's apps use, as
// npm has it, and gives it what `countersign clients add` prints.
func TestAnAppWithTheSigmaPluginSignsItsUsersIn(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		const app = "http://localhost:3000"
		g := startGate(t, conf, false)
		env := strings.Fields(g.register(t, "sigma-app", "--name", "The app", "--redirect-uri", app+"/auth/sigma/callback", "--member-key"))
		o := newOwner(t)
		o.signIn(t, g.URL)
		cmd := exec.CommandContext(t.Context(), "node", "sigma-app.mjs")
		cmd.Dir = "clients"
		cmd.Env = append(append(os.Environ(), env...), "NEXT_PUBLIC_SIGMA_AUTH_URL="+g.URL, "NEXT_PUBLIC_APP_URL="+app, "OTHER_PRIVATE_KEY="+newOwner(t).key.Wif())
		told := map[string]step{}
		for _, s := range journey(t, g, o, cmd) {
			told[s.Name] = s
		}
		for _, name := range []string{"Next.js", "Better Auth", "a slash behind the issuer"} {
			if got := told[name]; got.Event != "done" {
				t.Errorf("%s: %s %s", name, got.Title, got.Text)
			} else if err := o.checkClaims(got.Claims); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Better Auth made an account of its own, which knows this one by its sub.
		if in := told["Better Auth"]; len(in.Users) != 1 || in.Users[0]["email"] != o.bapID+"@sigma.local" ||
			len(in.Accounts) != 1 || in.Accounts[0]["accountId"] != told["Next.js"].Claims["sub"] || !strings.Contains(in.Cookie, "session_token=") {
			t.Errorf("Better Auth: users %v, accounts %v", in.Users, in.Accounts)
		}
		for name, want := range map[string]step{
			"Next.js with another key": {Title: "invalid_client", event: event{Text: "not this client's registered member key"}},
			"another key":              {Title: "invalid_client", Status: 401, event: event{Text: "not this client's registered member key"}},
			"another client":           {Title: "invalid_client", Status: 401, event: event{Text: "not registered here"}},
			"another redirect":         {Title: "invalid_grant", Status: 400, event: event{Text: "redirect_uri is not the one"}},
			"the code again":           {Title: "invalid_grant", Status: 400, event: event{Text: "already used"}},
		} {
			got := told[name]
			if got.Event != "refused" || got.Title != want.Title || got.Status != want.Status || !strings.Contains(got.Text, want.Text) {
				t.Errorf("%s: the developer reads %d %s: %s", name, got.Status, got.Title, got.Text)
			}
		}
		// A redirect that is not registered is told to the person, who is led nowhere.
		_, err := o.allow(t.Context(), g.URL, g.URL+"/oauth2/authorize?client_id=sigma-app&response_type=code&redirect_uri="+url.QueryEscape(app+"/elsewhere"))
		if shown := new(errStatus); !errors.As(err, &shown) || shown.status != 400 || !strings.Contains(shown.body, "registered") {
			t.Errorf("a redirect that is not registered: %v", err)
		}
	})
}
