//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"countersign.dev/e2e/browser"
	"countersign.dev/receipt"
)

// application is a web application as others write one, with golang.org/x/oauth2: it sends a
// browser to the server, and says who came back.
type application struct {
	*httptest.Server
	config   oauth2.Config
	verifier string
	// prompt is added to what it asks.
	prompt string
	token  *oauth2.Token
}

const applicationState = "a state <&> of its own"

// say answers with a page, for which a browser asks for no icon.
func say(w http.ResponseWriter, text string, args ...any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<link rel="icon" href="data:,">`+text, args...)
}

func (a *application) start(w http.ResponseWriter, r *http.Request) {
	a.verifier = oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.verifier)}
	if a.prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", a.prompt))
	}
	http.Redirect(w, r, a.config.AuthCodeURL(applicationState, options...), http.StatusFound)
}

func (a *application) back(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("state") != applicationState {
		say(w, "<h1>another state: %q</h1>", q.Get("state"))
		return
	}
	if q.Has("error") {
		say(w, "<h1>refused: %s</h1>", q.Get("error"))
		return
	}
	token, err := a.config.Exchange(r.Context(), q.Get("code"), oauth2.VerifierOption(a.verifier))
	if err != nil {
		say(w, "<h1>not exchanged</h1><pre>%v</pre>", err)
		return
	}
	a.token = token
	resp, err := a.config.Client(r.Context(), token).Get(strings.Replace(a.config.Endpoint.TokenURL, "/token", "/userinfo", 1))
	if err != nil {
		say(w, "<h1>not asked: %v</h1>", err)
		return
	}
	defer resp.Body.Close()
	var who struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&who); err != nil {
		say(w, "<h1>not read: %v</h1>", err)
		return
	}
	say(w, "<h1>Welcome, %s</h1>", who.Name)
}

// applicationOf starts an application, and a server that knows it. With a secret it proves itself.
func applicationOf(t *testing.T, secret string) (*instance, *application) {
	t.Helper()
	a := &application{}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", a.start)
	mux.HandleFunc("/back", a.back)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	file := filepath.Join(t.TempDir(), "countersign.toml")
	clients := fmt.Sprintf("[[clients]]\nclient_id = \"notes\"\nclient_name = \"Notes\"\nredirect_uris = [%q]\n", a.URL+"/back")
	style := oauth2.AuthStyleInParams
	if secret != "" {
		clients += fmt.Sprintf("client_secret = %q\n", secret)
		style = oauth2.AuthStyleInHeader
	}
	if err := os.WriteFile(file, []byte(clients), 0o600); err != nil {
		t.Fatal(err)
	}
	h := startInstance(t, "--config", file)
	a.config = oauth2.Config{
		ClientID: "notes", ClientSecret: secret, RedirectURL: a.URL + "/back", Scopes: []string{"openid", "profile", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: h.base + "/oauth2/authorize", TokenURL: h.url + "/api/auth/oauth2/token", AuthStyle: style},
	}
	return h, a
}

func TestPageAnApplicationSendsSomebodyHereAndGetsThemBack(t *testing.T) {
	t.Parallel()
	h, a := applicationOf(t, "")
	tab := h.guest(t)
	tab.AllowOrigin(a.URL)
	tab.AllowOrigin(h.base)
	tab.Open(a.URL + "/")
	tab.WaitFor("#ways[data-ready]")
	if got := tab.Text("main"); !strings.Contains(got, "“Notes” asks you to sign in") {
		t.Errorf("the page says\n%s", got)
	}
	tab.Axe()
	tab.Screenshot("sign-in-for-an-application")
	create(tab, "Alice")
	tab.WaitFor("#decision")
	tab.WaitFor("#approve:not([disabled])")
	if got := tab.Text("main"); !strings.Contains(got, "you go back to "+strings.TrimPrefix(a.URL, "http://")) || strings.Contains(got, "device") {
		t.Errorf("the review says\n%s", got)
	}
	tab.Axe()
	tab.Screenshot("review-for-an-application")
	tab.Click(approveButton)
	tab.WaitUntil(`document.querySelector("h1")?.textContent === "Welcome, Alice"`)

	// The key was at hand, so the approval is signed, and leaves a receipt.
	said := claimsOf(t, a.token.AccessToken)
	if said.ACR != bySignature {
		t.Errorf("the token says %s", said.ACR)
	}
	tab.Open(h.base + "/account")
	tab.WaitFor("[data-screen=account]")
	if got := tab.Text("main"); !strings.Contains(got, "Notes") {
		t.Errorf("the account says\n%s", got)
	}
	text := browser.Eval[string](tab, `fetch(document.querySelector("a[href$='/receipt']").href).then(r => r.text())`)
	if v, err := receipt.Verify([]byte(text)); err != nil || v.Statement.ClientID != "notes" || v.Statement.BAPID != said.BAPID {
		t.Errorf("the receipt says %+v, %v", v, err)
	}

	// Signed in already, the owner sees the review at once; and may deny.
	tab.Open(a.URL + "/")
	tab.WaitFor("#decision")
	tab.Click(denyButton)
	tab.WaitUntil(`document.querySelector("h1")?.textContent === "refused: access_denied"`)
	a.prompt = "none"
	tab.Open(a.URL + "/")
	tab.WaitUntil(`document.querySelector("h1")?.textContent === "refused: consent_required"`)
	a.prompt = "login"
	tab.Open(a.URL + "/")
	unlock(tab, password)
	tab.WaitFor("#decision")

	// Whom no application names is asked before anything ends, and told what goes on.
	tab.Open(h.base + "/oauth2/logout?client_id=notes")
	tab.WaitFor("[data-screen=signout] form[action='/sign-out']")
	if got := tab.Text("main"); !strings.Contains(got, "“Notes” asks that you sign out") || !strings.Contains(got, "does not stop them") {
		t.Errorf("the page says\n%s", got)
	}
	tab.Axe()
	tab.Screenshot("sign-out-asked")
	tab.Click("main form[action='/sign-out'] button")
	tab.WaitUntil(`document.querySelector("h1")?.textContent === "You are signed out in this browser"`)
}

func TestPageAnApplicationIsLetInAgainUntilItsOwnerIsToBeAskedWithoutScriptsToo(t *testing.T) {
	t.Parallel()
	h, a := applicationOf(t, "a secret of forty letters, or a few more")
	welcome := `document.querySelector("h1")?.textContent.startsWith("Welcome, ")`
	tab := h.resident(t)
	tab.AllowOrigin(a.URL)
	tab.AllowOrigin(h.base)
	tab.Open(a.URL + "/")
	tab.WaitFor("#approve:not([disabled])")
	tab.Click(approveButton)
	tab.WaitUntil(welcome)

	// It proves itself, so that nobody is asked again.
	a.prompt = "none"
	tab.Open(a.URL + "/")
	tab.WaitUntil(welcome)
	if said := claimsOf(t, a.token.AccessToken); said.ACR != "urn:countersign:approved:before" {
		t.Errorf("the token says %s", said.ACR)
	}
	a.prompt = ""

	// For more it asks, and shows what is new.
	a.config.Scopes = append(a.config.Scopes, "email")
	tab.Open(a.URL + "/")
	tab.WaitFor("#decision details[data-part=before]:not([open])")
	if got := tab.Text("main"); !strings.Contains(got, "What is new") || !strings.Contains(got, "What you allowed it before") || strings.Contains(got, "See your identity") {
		t.Errorf("the review says\n%s", got)
	}
	tab.Axe()
	tab.Screenshot("review-of-what-is-new")
	tab.Click("details[data-part=before] summary")
	tab.WaitUntil(`document.querySelector("main").innerText.includes("See your identity")`)
	tab.WaitFor("#approve:not([disabled])")
	tab.Click(approveButton)
	tab.WaitUntil(welcome)

	tab.Open(h.base + "/account")
	tab.WaitFor("#consents-title")
	tab.Axe()
	tab.Screenshot("account-let-in-without-asking")
	tab.ScriptsOff()
	tab.Open(h.base + "/account")
	tab.WaitFor("#consents-title")
	tab.Click("form[action$='/forget'] button")
	tab.WaitUntil(`document.querySelector("#events-title") !== null && !document.querySelector("#consents-title")`)
	tab.Open(a.URL + "/")
	tab.WaitFor("#decision")
	tab.Click(approveButton)
	tab.WaitUntil(welcome)
}
