//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// offerIdentity reads the backup of an identity into the form that adds one.
func offerIdentity(tab *browser.Tab, backup string) {
	if !tab.Shows("#import-text") {
		tab.Click("#link summary")
	}
	paste(tab, "#import-text", backup)
	bringIn(tab, password)
}

// vouch types the password of the key that signs for the account.
func vouch(tab *browser.Tab, password string) {
	tab.WaitFor("#vouch[open]")
	paste(tab, "#vouch [name=password]", password)
	tab.Click("#vouch button.primary")
}

func TestPageAnIdentityIsAddedAndTakenOutWithTheSignatureOfAnother(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Alice")
	tab.Reload() // the key is locked
	tab.WaitFor("#link summary")
	text, id := memberBackup(t, "Alice at work")
	card := "[data-identity='" + id.BAPID() + "']"

	offerIdentity(tab, text)
	tab.WaitFor("#vouch[open]")
	if got := tab.Text("#vouch-what"); got != "Alice signs that Alice at work is added to this account." {
		t.Errorf("the page asks for a signature of %q", got)
	}
	tab.Axe()
	tab.Screenshot("account-vouch")
	tab.Viewport(320, 568, 1, false)
	wantRoom(t, tab, "asking for a signature", browser.Wide, browser.Narrow)
	tab.Desktop()
	vouch(tab, "not the password")
	tab.WaitFor("#vouch .error")
	tab.Click("#vouch [data-do=cancel]")
	tab.WaitGone("#vouch[open]")
	if tab.Shows(card) {
		t.Fatal("it was added without a signature")
	}

	offerIdentity(tab, text)
	vouch(tab, password)
	tab.WaitFor(card)
	tab.Screenshot("account-two-identities")

	// Both keys are unlocked now: one signs that the other goes.
	tab.Agree(false, func() { tab.Click(card + " [data-do=take-out]") })
	if !tab.Shows(card) {
		t.Fatal("it was taken out though the person said no")
	}
	tab.Agree(true, func() { tab.Click(card + " [data-do=take-out]") })
	tab.WaitGone(card)
	if tab.Shows("[data-do=take-out]") {
		t.Error("the last identity is offered to be taken out")
	}
	offerIdentity(tab, text)
	tab.WaitFor(card)
	tab.Agree(true, func() { tab.Click("#browser-keys li:has([data-part=name]) [data-do=forget]") })
	tab.WaitUntil(`document.querySelectorAll("#browser-keys li").length === 1`)
	tab.Reload()
	tab.WaitFor("main[data-ready]")
	left := browser.Eval[string](tab, `document.querySelector("#browser-keys [data-part=bap-id]").textContent`)
	tab.Agree(true, func() { tab.Click("[data-identity='" + left + "'] [data-do=take-out]") })
	tab.WaitFor("[data-identity='" + left + "'] .error")
	if got := tab.Text("[data-identity='" + left + "'] div > .error"); !strings.HasPrefix(got, "This takes the key of another identity of this account") {
		t.Errorf("of the one key that is here the page says %q", got)
	}
	if got := tab.Text(".events"); !strings.Contains(got, "The identity “Alice at work” was taken out") {
		t.Errorf("the events say\n%s", got)
	}
}

func TestPageAfterAPasskeysSignInTheKeySignsInAnewBeforeItAdds(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Alice")
	tab.AddAuthenticator()
	addPasskey(tab, "my phone")
	signOut(tab)
	tab.Open(h.base + "/account")
	signInWithPasskey(tab)
	tab.WaitFor("[data-screen=account]")
	text, id := memberBackup(t, "Alice at work")
	offerIdentity(tab, text)
	vouch(tab, password)
	tab.WaitFor("[data-identity='" + id.BAPID() + "']")
	const method = `fetch("/api/sessions").then(r => r.json()).then(s => s.sessions.find(s => s.current).method)`
	if got := browser.Eval[string](tab, method); got != "bap" {
		t.Errorf("the session is begun by %q", got)
	}
}

func TestPageAnOwnerIsToldOfWhatWasAddedAndTakesItOut(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Alice")
	tab.AddAuthenticator()
	addPasskey(tab, "not my phone")
	text, id := memberBackup(t, "Mallory")
	offerIdentity(tab, text)
	tab.WaitFor("[data-identity='" + id.BAPID() + "']")
	signOut(tab)

	device := h.ask(t, numberMatch)
	h.link(tab, device)
	openWay(tab, "browser")
	tab.Eval(`document.querySelector("[data-way=browser] select").value =
		[...document.querySelectorAll("[data-way=browser] option")].find(o => o.text === "Alice").value`)
	unlock(tab, password)
	tab.WaitFor("#decision")
	for _, want := range []string{"New ways to your account", "The passkey “not my phone” was added", "The identity Mallory was added"} {
		if got := tab.Text(".news"); !strings.Contains(got, want) {
			t.Errorf("the review lacks %q:\n%s", want, got)
		}
	}
	tab.Axe()
	tab.Screenshot("news-on-the-review")
	tab.Click(".news a[href='/account']")
	tab.WaitFor("[data-screen=account]")
	tab.Axe()
	tab.Screenshot("news-on-the-account")
	tab.Viewport(320, 568, 1, false)
	wantRoom(t, tab, "news", browser.Wide, browser.Narrow)
	tab.Desktop()
	tab.Leads(func() { tab.Click(".news form button") })
	tab.WaitUntil(`!document.querySelector(".news").innerText.includes("not my phone")`)
	tab.Agree(true, func() { tab.Click(".news [data-do=take-out]") })
	tab.WaitGone(".news")
	if tab.Shows("form[action^='/account/passkeys/']") || tab.Shows("[data-identity='"+id.BAPID()+"']") {
		t.Error("what was taken out is there still")
	}
}
