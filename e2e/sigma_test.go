//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"reflect"
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

// TestSigmasCommandLineSignsUpAndAsksWhatItHas follows what that program asks in turn, at a
// server that makes accounts and at one that does not.
func TestSigmasCommandLineSignsUpAndAsksWhatItHas(t *testing.T) {
	type asked struct {
		Step   string         `json:"step"`
		Status int            `json:"status"`
		Answer map[string]any `json:"answer"`
	}
	run := func(t *testing.T, conf configuration, flags ...string) (*owner, map[string]asked) {
		t.Helper()
		g, o := startGate(t, conf, false, flags...), newOwner(t)
		g.register(t, "the-app", "--name", "The app", "--redirect-uri", "http://localhost:3000/auth/sigma/callback", "--member-key="+o.pubkey, "--owner-bap-id", o.bapID)
		cmd := exec.CommandContext(t.Context(), "node", "sigma-cli.mjs")
		cmd.Dir = "clients"
		cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+g.URL, "OWNER_WIF="+o.key.Wif(), "OWNER_BAP_ID="+o.bapID, "OWNER_PUBKEY="+o.pubkey)
		told := map[string]asked{}
		if err := readEvents(cmd, func(a asked) { told[a.Step] = a }); err != nil {
			t.Fatalf("it ended: %v; it was told %v", err, told)
		}
		return o, told
	}
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		o, told := run(t, conf)
		for _, step := range []string{"bap-ids of the key", "bap-ids"} {
			list, _ := told[step].Answer["bapIds"].([]any)
			if len(list) != 1 || list[0].(map[string]any)["bapId"] != o.bapID || list[0].(map[string]any)["is_primary"] != true {
				t.Errorf("%s: %v", step, told[step])
			}
		}
		user, _ := told["sign-up"].Answer["user"].(map[string]any)
		for step, holds := range map[string]bool{
			"sign-in":            told["sign-in"].Status == http.StatusOK && reflect.DeepEqual(told["sign-in"].Answer["user"], any(user)),
			"say the identity":   reflect.DeepEqual(told["say the identity"].Answer["bapId"].(map[string]any)["user_id"], user["id"]),
			"profile":            told["profile"].Answer["status"] == "OK" && told["profile"].Answer["result"].(map[string]any)["idKey"] == o.bapID,
			"last identity":      told["last identity"].Status == http.StatusOK && told["last identity"].Answer["lastSelectedBapId"] == nil,
			"a client of theirs": told["a client of theirs"].Status == http.StatusOK,
			"a client of nobody": told["a client of nobody"].Status == http.StatusForbidden,
			"clients":            len(told["clients"].Answer["clients"].([]any)) == 1,
		} {
			if !holds {
				t.Errorf("%s: %v", step, told[step])
			}
		}
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		_, told := run(t, asInstalled, "--sign-up", "closed")
		if told["sign-in"].Answer["code"] != "RESTORE_PROFILE_NOT_FOUND" || told["sign-up"].Answer["code"] != "USER_NOT_FOUND" || told["enrollment_unverified"].Step == "" {
			t.Errorf("%v", told)
		}
	})
}
