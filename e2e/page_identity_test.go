//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/bap"
	"countersign.dev/e2e/browser"
)

func TestPageANewOwnerGoesFromTheLinkToApprovedInSixSteps(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	device := h.ask(t, numberMatch)
	tab := h.guest(t)
	h.link(tab, device)
	if strings.Contains(browser.Eval[string](tab, `location.href`), device.code) {
		t.Error("B-16: the code stays in the address bar")
	}
	tab.Screenshot("new-owner-1-sign-in")
	tab.Type("[data-way=new] [name=name]", "Satoshi")
	tab.Type("[data-way=new] [name=password]", password)
	tab.Screenshot("new-owner-2-filled-in")
	tab.Click("[data-way=new] button.primary")
	tab.WaitFor("[data-do=save]")
	tab.Screenshot("new-owner-3-save-the-backup")
	file, backup := tab.Downloaded(func() { tab.Click("[data-do=save]") })
	tab.WaitFor("#decision")
	tab.Screenshot("new-owner-4-review")
	tab.Click(numberField + "[value='" + device.match + "']")
	tab.Click(approveButton)
	tab.WaitFor("[data-screen=done]")
	tab.Screenshot("new-owner-5-allowed")
	if tab.Steps() > 6 {
		t.Errorf("a new owner takes %d steps", tab.Steps())
	}

	identities := keptIn(tab)
	if len(identities) != 1 || identities[0].BEP != backup || !identities[0].Saved {
		t.Fatalf("the browser keeps %+v, saved was %s", identities, backup)
	}
	mine := identities[0]
	if file != "Satoshi."+mine.BAPID+".bep" {
		t.Errorf("the backup is called %s", file)
	}
	opened, err := bap.DecryptBackup(backup, password)
	if err != nil {
		t.Fatal("the backup:", err)
	}
	if id := opened.Identities[0]; id.BAPID() != mine.BAPID || id.MemberPublicKey() != mine.Pubkey || id.Name != "Satoshi" {
		t.Errorf("the backup holds %s %q", id.BAPID(), id.Name)
	}
	if got := goodReceipt(t, tab); got.PublicKey != mine.Pubkey || got.Statement.ClientID != device.clientID || got.Statement.Issuer != h.base {
		t.Errorf("the receipt says %+v", got)
	}
	got := device.wantApproved(t, bySignature)
	if claims := h.userInfo(t, got.AccessToken); claims["name"] != "Satoshi" || claims["bap_id"] != mine.BAPID || claims["pubkey"] != mine.Pubkey {
		t.Errorf("userinfo says %v", claims)
	}
}

func TestPageNobodyGoesOnBeforeTheBackupIsSavedOrTheLossAccepted(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	device := h.ask(t, numberMatch)
	tab := h.guest(t)
	h.link(tab, device)
	tab.Type("[data-way=new] [name=name]", "Satoshi")
	tab.Type("[data-way=new] [name=password]", password)
	tab.Click("[data-way=new] button.primary")
	tab.WaitFor("#save")
	if browser.Eval[bool](tab, `fetch("/api/auth/get-session").then(r => r.json()).then(s => s !== null)`) {
		t.Error("the page signs in before the backup is saved")
	}
	if tab.Shows("#ways") {
		t.Error("the other ways are still there")
	}
	if got := browser.Eval[string](tab, `document.activeElement.id`); got != "save-title" {
		t.Errorf("a screen reader is at %q, not at the new step", got)
	}
	tab.Axe()

	// A reload skips nothing: what was not saved was never used.
	tab.Reload()
	tab.WaitFor("[data-way=new][open]")
	if !strings.Contains(tab.Text("body"), device.code) || len(keptIn(tab)) > 0 {
		t.Error("after a reload the code is lost, or an identity is there that nobody has a backup of")
	}
	create(tab, "Satoshi")
	approve(tab, device)
	device.wantApproved(t, bySignature)
	if got := keptIn(tab); len(got) != 1 || got[0].Saved {
		t.Errorf("the browser keeps %+v", got)
	}
}

func TestPagePasswordsAreJudgedAndSuggested(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	h.link(tab, h.ask(t, nil))
	const field, worth = "[data-way=new] [name=password]", "#create-strength"
	typed := func(text string) {
		browser.Eval[bool](tab, `document.querySelector("`+field+`").select() ?? true`)
		tab.Keys(text)
	}
	tab.Type("[data-way=new] [name=name]", "Satoshi")
	tab.Click(field)
	for text, want := range map[string]string{"short": "Too short", "aaaaaaaaaaaa": "Easily guessed", "vmcy%o39wlfPz": "Strong"} {
		typed(text)
		tab.WaitUntil(`document.querySelector("` + worth + `").textContent.startsWith("` + want + `")`)
	}
	typed("short")
	tab.Click("[data-way=new] button.primary")
	tab.WaitUntil(`document.querySelector("` + field + `:invalid") || document.querySelector("[data-way=new] .error").textContent`)
	if len(keptIn(tab)) > 0 || tab.Shows("#save") {
		t.Error("a short password makes an identity")
	}

	tab.Click("[data-do=suggest]")
	tab.WaitUntil(`document.querySelector("` + field + `").value.split(" ").length === 4`)
	tab.WaitUntil(`document.querySelector("` + worth + `").textContent === "Strong"`)
	if kind := browser.Eval[string](tab, `document.querySelector("`+field+`").type`); kind != "text" {
		t.Error("nobody can read what is suggested")
	}
	suggested := browser.Eval[string](tab, `document.querySelector("`+field+`").value`)
	for _, step := range []struct{ kind, label string }{{"text", "Hide password"}, {"password", "Show password"}, {"text", "Hide password"}} {
		kind := browser.Eval[string](tab, `document.querySelector("`+field+`").type`)
		if label := tab.Text("[data-do=reveal]"); kind != step.kind || label != step.label {
			t.Errorf("beside a field of type %s the button says %q", kind, label)
		}
		tab.Click("[data-do=reveal]")
	}
	tab.Click("[data-do=reveal]") // shown again
	tab.Screenshot("new-owner-suggested-words")
	tab.Click("[data-way=new] button.primary")
	tab.Click("[data-do=accept-loss]")
	tab.WaitFor("#decision")
	if _, err := bap.DecryptBackup(keptIn(tab)[0].BEP, suggested); err != nil {
		t.Errorf("the suggested words do not open the backup: %v", err)
	}
}

func TestPageAfterOneIsForgottenTheOtherIdentityIsUnlocked(t *testing.T) {
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
	tab.Agree(true, func() { tab.Click("[data-way=browser] [data-do=forget]") })
	tab.WaitUntil(`document.querySelector("[data-way=browser] [data-part=who]").innerText === "Alice"`)
	if got := keptIn(tab); len(got) != 1 || got[0].Name != "Alice" {
		t.Errorf("the browser keeps %+v", got)
	}
	if got := tab.Text("#user-code"); got != device.code {
		t.Errorf("the code is %q", got)
	}
	unlock(tab, password)
	approve(tab, device)
	device.wantApproved(t, bySignature)
}
