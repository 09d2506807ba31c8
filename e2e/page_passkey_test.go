//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// addPasskey adds a passkey on the account page.
func addPasskey(tab *browser.Tab, name string) {
	tab.Type("form[data-do=add-passkey] [name=name]", name)
	if tab.Shows("form[data-do=add-passkey] [name=password]") {
		tab.Type("form[data-do=add-passkey] [name=password]", password)
	}
	tab.Click("form[data-do=add-passkey] button")
	tab.WaitFor("form[action$='/remove'][action^='/account/passkeys/']")
}

// signInWithPasskey uses a passkey on the sign-in screen.
func signInWithPasskey(tab *browser.Tab) {
	openWay(tab, "passkey")
	tab.Click("[data-way=passkey] button.primary")
}

func TestPageAPasskeySignsInAndApprovesAndSaysSo(t *testing.T) {
	t.Parallel()
	h := startInstanceWithPath(t) // which is no part of any address, nor of what passkeys are bound to
	tab := h.newcomer(t, "Satoshi")
	tab.AddAuthenticator()
	if tab.Shows("form[data-do=add-passkey] [name=password]") {
		t.Error("the password is asked for though the key is unlocked")
	}
	addPasskey(tab, "my phone")
	addPasskey(tab, "my phone again")
	tab.WaitFor("form[data-do=add-passkey] .error")
	if got := tab.Text("form[data-do=add-passkey] .error"); got != "This device has a passkey of your account already." {
		t.Errorf("of a second passkey in one device the page says %q", got)
	}
	signOut(tab)

	device := h.ask(t, numberMatch)
	h.link(tab, device)
	openWay(tab, "passkey")
	tab.Axe()
	tab.Screenshot("passkey-1-sign-in")
	signInWithPasskey(tab)
	tab.WaitFor("#decision")
	if tab.Shows("#sign-password") {
		t.Error("who came with a passkey is asked for a password that nobody needs")
	}
	if got := tab.Text("[data-part=how]"); !strings.HasPrefix(got, "Your passkey's sign-in approves") {
		t.Errorf("the review says %q", got)
	}
	tab.Screenshot("passkey-2-review")
	approve(tab, device)
	if got := tab.Text("main"); !strings.Contains(got, "Your passkey's sign-in approved this, without a signature") {
		t.Errorf("the outcome says\n%s", got)
	}
	if tab.Shows("a[href$='/receipt']") {
		t.Error("there is a receipt without a signature")
	}
	tab.Screenshot("passkey-3-allowed")
	device.wantApproved(t, byPasskey)

	// Where the client wants a signature, the key in this browser gives it.
	signed := h.ask(t, map[string][]string{"approval": {"signature"}, "number_match": {"true"}})
	h.review(tab, signed)
	tab.Type("#sign-password", password)
	approve(tab, signed)
	signed.wantApproved(t, bySignature)
	tab.Open(h.base + "/account")
	tab.Agree(true, func() { tab.Click("#browser-keys [data-do=forget]") })
	tab.WaitGone("#browser-keys [data-do=forget]")
	strict := h.ask(t, map[string][]string{"approval": {"signature"}})
	h.review(tab, strict)
	tab.WaitUntil(`document.querySelector("[data-part=command]").innerText.includes("countersign approve ` + strict.code + `")`)
	tab.WaitUntil(`document.querySelector("#approve").disabled`)
	tab.Axe()
	decide(tab, strict, denyButton)
	strict.wantTold(t, "access_denied")

	tab.Open(h.base + "/account")
	tab.Leads(func() { tab.Click("form[action^='/account/passkeys/'] button") })
	tab.WaitFor("[data-screen=signin]") // it had begun this session
	tab.Tolerate("/api/auth/sign-in/passkey")
	signInWithPasskey(tab)
	tab.WaitFor("[data-way=passkey] .error")
	tab.Screenshot("passkey-5-removed")
}

func TestPageN09_AddingAPasskeyNeedsTheIdentitysKey(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	authenticator := tab.AddAuthenticator()
	tab.Reload() // the key is locked
	tab.WaitFor("form[data-do=add-passkey] [name=password]")
	tab.Type("form[data-do=add-passkey] [name=name]", "my phone")
	tab.Type("form[data-do=add-passkey] [name=password]", "not the password")
	tab.Click("form[data-do=add-passkey] button")
	tab.WaitUntil(`document.querySelector("form[data-do=add-passkey] .error").textContent.startsWith("That password is wrong")`)
	if n := authenticator.Passkeys(); n != 0 {
		t.Errorf("%d passkeys were made though the password is wrong", n)
	}
	tab.Eval(`document.querySelector("form[data-do=add-passkey] [name=password]").value = ""`)
	tab.Type("form[data-do=add-passkey] [name=password]", password)
	tab.Click("form[data-do=add-passkey] button")
	tab.WaitFor("form[action^='/account/passkeys/']")
	if n := authenticator.Passkeys(); n != 1 {
		t.Errorf("%d passkeys", n)
	}

	// Somebody whose key is elsewhere is told so.
	other := h.resident(t)
	other.AddAuthenticator()
	other.Open(h.base + "/account")
	other.WaitFor("[data-screen=account]")
	other.Type("form[data-do=add-passkey] [name=name]", "my phone")
	other.Click("form[data-do=add-passkey] button")
	other.WaitFor("form[data-do=add-passkey] .error")
	if got := other.Text("form[data-do=add-passkey] .error"); !strings.HasPrefix(got, "The key of this identity is not in this browser") {
		t.Errorf("the page says %q", got)
	}
}

func TestPageAPersonWhoUsesNoPasskeyIsToldSo(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab, device := h.guest(t), h.ask(t, nil)
	tab.AddAuthenticator().SetVerified(false)
	h.link(tab, device)
	signInWithPasskey(tab)
	tab.WaitFor("[data-way=passkey] .error")
	if got := tab.Text("[data-way=passkey] .error"); !strings.HasPrefix(got, "No passkey was used") {
		t.Errorf("the page says %q", got)
	}
	if !strings.Contains(tab.Text("#user-code"), device.code) {
		t.Error("the code is lost")
	}
}

func TestPageABackupOnTheServerBringsTheIdentityBack(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	tab.AddAuthenticator()
	addPasskey(tab, "my phone")
	mine := keptIn(tab)[0]
	tab.Click("#browser-keys [data-do=upload]")
	tab.WaitFor("[data-do=remove-backup]")
	tab.Screenshot("account-backup-on-the-server")
	tab.Agree(true, func() { tab.Click("#browser-keys [data-do=forget]") })
	tab.WaitGone("#browser-keys [data-do=forget]")
	signOut(tab)

	// As in another browser: nothing is kept here, a passkey signs in.
	tab.Open(h.base + "/account")
	signInWithPasskey(tab)
	tab.WaitFor("[data-do=fetch-backup]")
	tab.Click("[data-do=fetch-backup]")
	const form = "form[data-do=open-backup]"
	tab.Type(form+" input", "not the password")
	tab.Click(form + " button")
	tab.WaitUntil(`document.querySelector("` + form + ` .error").textContent.startsWith("That password is wrong")`)
	tab.Eval(`document.querySelector("` + form + ` input").value = ""`)
	tab.Type(form+" input", password)
	tab.Click(form + " button")
	tab.WaitFor("#browser-keys [data-do=forget]")
	if got := keptIn(tab); len(got) != 1 || got[0].BEP != mine.BEP || got[0].Name != "Satoshi" {
		t.Errorf("the browser keeps %+v", got)
	}
	device := h.ask(t, numberMatch)
	// By our own links: a typed address is a new document, in which the key is locked.
	tab.Click(".brand")
	tab.WaitFor("[data-screen=home]")
	tab.Click("main a[href='/device']")
	tab.Type(codeField, device.code)
	tab.Press("Enter")
	approve(tab, device)
	if got := goodReceipt(t, tab); got.PublicKey != mine.Pubkey {
		t.Errorf("it is signed by %s", got.PublicKey)
	}
	device.wantApproved(t, bySignature)

	tab.Open(h.base + "/account")
	tab.Agree(true, func() { tab.Click("[data-do=remove-backup]") })
	vouch(tab, password) // the typed address locked the key
	tab.WaitGone("[data-do=remove-backup]")
}
