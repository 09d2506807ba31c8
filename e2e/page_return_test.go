//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// startInstanceWith starts a server that knows the client "radio", which authenticates.
func startInstanceWith(t *testing.T, client string, flags ...string) *instance {
	t.Helper()
	config := filepath.Join(t.TempDir(), "countersign.toml")
	if err := os.WriteFile(config, []byte(client), 0o600); err != nil {
		t.Fatal(err)
	}
	return startInstance(t, append([]string{"--config", config}, flags...)...)
}

const (
	radioSecret = "the secret of the kitchen radio"
	radio       = "[[clients]]\nclient_id = \"radio\"\nclient_name = \"Kitchen radio\"\nclient_secret = \"" + radioSecret + "\"\n" +
		"[[clients]]\nclient_id = \"weather\"\nclient_name = \"Weather reports\"\nresources = [\"https://weather.example/v1\"]\n"
)

func TestPageAReturningOwnerUnlocksAndApproves(t *testing.T) {
	t.Parallel()
	h := startInstanceWith(t, radio)
	tab := h.newcomer(t, "Satoshi")
	signOut(tab)
	device := h.ask(t, map[string][]string{"client_id": {"radio"}, "resource": {"https://weather.example/v1/"}})
	h.link(tab, device)
	if got := browser.Eval[string](tab, `document.querySelector("details.way").dataset.way`); got != "browser" {
		t.Errorf("the way used last is %q", got)
	}
	if got := browser.Eval[string](tab, `document.activeElement.name`); got != "password" {
		t.Errorf("the focus is on %q, not on the password", got)
	}
	if who := tab.Text("[data-way=browser] [data-part=who]"); who != "Satoshi" {
		t.Errorf("the identity is called %q", who)
	}
	tab.Screenshot("returning-owner-1-unlock")
	before := tab.Steps()
	tab.Keys(password) // the field has the focus
	tab.Press("Enter")
	tab.WaitFor("#decision")
	if got := tab.Text("#decision"); !strings.Contains(got, "Use “Weather reports” at weather.example") { // requirement X-12
		t.Errorf("the review says\n%s", got)
	}
	tab.Screenshot("returning-owner-2-review-for-an-api")
	tab.Click(approveButton)
	tab.WaitFor("[data-screen=done]")
	if steps := 1 + tab.Steps() - before; steps > 2 {
		t.Errorf("a returning owner takes %d steps", steps)
	}
	if signed := goodReceipt(t, tab).Statement.Resource; !slices.Equal(signed, []string{"https://weather.example/v1"}) {
		t.Errorf("signed was %q", signed)
	}
	device.wantApproved(t, bySignature)
}

func TestPageAWrongPasswordIsSaidAndTheCodeIsKept(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	signOut(tab)
	device := h.ask(t, numberMatch)
	h.link(tab, device)
	unlock(tab, "not the password")
	tab.WaitFor("[data-way=browser] .error")
	if got := tab.Text("[data-way=browser] .error"); !strings.HasPrefix(got, "That password is wrong") {
		t.Errorf("the page says %q", got)
	}
	tab.Screenshot("returning-owner-wrong-password")
	if !strings.Contains(tab.Text("#user-code"), device.code) {
		t.Error("the code is lost")
	}
	tab.Keys(password) // in place of the wrong one
	tab.Press("Enter")
	approve(tab, device)
	device.wantApproved(t, bySignature)
}

func TestPageAnIdentityIsForgottenOnlyWhenThePersonAgrees(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	signOut(tab)
	h.link(tab, h.ask(t, nil))
	forget := func() { tab.Click("[data-way=browser] [data-do=forget]") }
	if question := tab.Agree(false, forget); !strings.Contains(question, "Satoshi") {
		t.Errorf("the page asks %q", question)
	}
	if len(keptIn(tab)) != 1 {
		t.Fatal("it was forgotten without consent")
	}
	tab.Agree(true, forget)
	tab.WaitGone("[data-way=browser]")
	if len(keptIn(tab)) != 0 {
		t.Error("it was not forgotten")
	}
	tab.WaitFor("[data-way=new][open]")
}

func TestPageTheWayUsedLastIsOnTop(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	for way, want := range map[string]string{"import": "import", "passkey": "passkey", "wallet": "new", "nonsense": "new"} {
		tab.Open(h.base + "/device")
		browser.Eval[string](tab, `localStorage["countersign.way"] = "`+way+`"`)
		h.link(tab, h.ask(t, nil))
		const first = `document.querySelector("details.way").dataset.way + document.querySelectorAll("details.way[open]").length`
		if got := browser.Eval[string](tab, first); got != want+"1" {
			t.Errorf("after %s the first way is %s", way, got)
		}
	}
}

func TestPageOfSeveralIdentitiesOneIsChosen(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Alice")
	signOut(tab)
	tab.Open(h.base + "/account")
	create(tab, "Bob")
	tab.WaitFor("[data-screen=account]")
	signOut(tab)
	device := h.ask(t, numberMatch)
	h.link(tab, device)
	tab.WaitFor("#unlock-identity")
	if got := browser.Eval[string](tab, `[...document.querySelector("#unlock-identity").options].map(o => o.text).join()`); got != "Bob,Alice" {
		t.Errorf("the choice is %s: the last used first", got)
	}
	tab.Screenshot("returning-owner-several-identities")
	tab.Click("#unlock-identity")
	tab.Press("ArrowDown", "Enter")
	tab.WaitUntil(`document.querySelector("#unlock-identity").selectedOptions[0].text === "Alice"`)
	unlock(tab, password)
	tab.WaitFor("#decision")
	if got := tab.Text("h1"); !strings.HasSuffix(got, "to act as Alice") {
		t.Errorf("the review says %q", got)
	}
	approve(tab, device)
	got := device.wantApproved(t, bySignature)
	if claims := h.userInfo(t, got.AccessToken); claims["name"] != "Alice" {
		t.Errorf("userinfo says %v", claims)
	}
}
