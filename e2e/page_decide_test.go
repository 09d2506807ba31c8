//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// wrongNumber is one of the numbers on the page that the device does not show.
func wrongNumber(tab *browser.Tab, d *tv) string {
	return browser.Eval[string](tab, `[...document.querySelectorAll("input[name=match]")].map(e => e.value).find(v => v !== "`+d.match+`")`)
}

func TestPageB01_AWrongNumberOrLettersDenyAndItIsSaid(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	for name, tab := range map[string]*browser.Tab{"by the session": h.resident(t), "with a signature": h.newcomer(t, "Satoshi")} {
		tab.Tolerate("/api/auth/device/approve") // the browser's own word for the refusal
		device := h.ask(t, numberMatch)
		goTo(tab, h, device)
		tab.Click(numberField + "[value='" + wrongNumber(tab, device) + "']")
		tab.Click(approveButton)
		tab.WaitGone("#decision")
		if got := tab.Text("h1"); got != "Denied" {
			t.Errorf("%s: after a wrong number the page says %q", name, got)
		}
		if got := tab.Text("main"); !strings.Contains(got, "What you entered is not what the device shows") {
			t.Errorf("%s: after a wrong number the page says no more than\n%s", name, got)
		}
		device.wantTold(t, "access_denied")

		lettered := h.ask(t, nil)
		goTo(tab, h, lettered)
		tab.Type(letterField, "bbbb")
		tab.Click(approveButton)
		tab.WaitGone("#decision")
		if got := tab.Text("h1"); got != "Denied" {
			t.Errorf("%s: after wrong letters the page says %q", name, got)
		}
		lettered.wantTold(t, "access_denied")
	}
}

// goTo goes from the account to the review by our own links, so that what is
// unlocked stays so.
func goTo(tab *browser.Tab, h *instance, d *tv) {
	// There, shown or not: a page that is being arranged is not shown yet.
	if browser.Eval[bool](tab, `document.querySelector("[data-screen]") !== null`) {
		tab.Click(".brand")
		tab.WaitFor("[data-screen=home]")
		tab.Click("main a[href='/device']")
	} else {
		tab.Open(h.base + "/device")
	}
	tab.Type(codeField, d.code)
	tab.Press("Enter")
	tab.WaitFor(denyButton)
}

func TestPageWhatIsNotTickedIsNotGranted(t *testing.T) {
	t.Parallel()
	h := startInstanceWith(t, radio)
	for acr, tab := range map[string]*browser.Tab{bySession: h.resident(t), bySignature: h.newcomer(t, "Satoshi")} {
		device := h.ask(t, map[string][]string{"client_id": {"radio"}, "scope": {"openid profile offline_access"}, "number_match": {"true"}})
		goTo(tab, h, device)
		tab.Click("[name=scope][value=profile]")
		tab.Click("[name=scope][value=offline_access]")
		approve(tab, device)
		if text := tab.Text("main"); strings.Contains(text, "See your identity") || strings.Contains(text, "Stay signed in") {
			t.Errorf("the outcome says\n%s", text)
		}
		if got := device.wantApproved(t, acr); got.Scope != "openid" || got.RefreshToken != "" {
			t.Errorf("%s: the device gets %q and a refresh token %q", acr, got.Scope, got.RefreshToken)
		}
	}
}

func TestPageUndoTakesEverythingBackAtOnce(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	device := h.ask(t, numberMatch)
	h.review(tab, device)
	approve(tab, device)
	got := device.wantApproved(t, bySession)
	if h.userInfo(t, got.AccessToken) == nil {
		t.Fatal("the token is dead before")
	}
	tab.Leads(func() { tab.Click("form[action$='/undo'] button") })
	tab.WaitUntil(`document.querySelector("h1").textContent === "Taken back"`)
	tab.Axe()
	tab.Screenshot("done-taken-back")
	if h.userInfo(t, got.AccessToken) != nil {
		t.Error("the token is alive after")
	}
}

func TestPageSeveralReportsAreSaidToTheNextPerson(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	for range 3 {
		tab, device := h.resident(t), h.ask(t, nil)
		h.review(tab, device)
		decide(tab, device, reportButton)
		if got := tab.Text("h1"); got != "Denied" {
			t.Errorf("the page says %q", got)
		}
		device.wantTold(t, "access_denied")
	}
	other := h.resident(t)
	h.review(other, h.ask(t, nil))
	if got := other.Text("main"); !strings.Contains(got, "3 accounts reported requests in this client's name today") {
		t.Errorf("the review says\n%s", got)
	}
	other.Axe()
	other.Screenshot("review-reported-client")
}

func TestPageAReloadAtEachStepLosesNothing(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	signOut(tab)
	device := h.ask(t, numberMatch)
	h.link(tab, device)
	tab.Reload()
	tab.WaitFor("[data-way=browser][open]")
	unlock(tab, password)
	tab.WaitFor("#decision")
	tab.Reload() // which locks the key
	tab.WaitFor("#sign-password")
	if got := tab.Text("[data-part=how]"); !strings.Contains(got, "once it is unlocked") {
		t.Errorf("the review says %q", got)
	}
	tab.Axe()
	tab.Type("#sign-password", "not the password")
	tab.Click(numberField + "[value='" + device.match + "']")
	tab.Click(approveButton)
	tab.WaitUntil(`document.querySelector("#decision .error").textContent.startsWith("That password is wrong")`)
	tab.Eval(`document.querySelector("#sign-password").value = ""`)
	tab.Type("#sign-password", password)
	tab.Click(approveButton)
	tab.WaitFor("[data-screen=done]")
	tab.Reload()
	if got := tab.Text("h1"); got != "Allowed" {
		t.Errorf("after a reload the page says %q", got)
	}
	device.wantApproved(t, bySignature)
}

func TestPageTheServerMayRestartAndTheSessionEndInBetween(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	tab.Tolerate("net::ERR_") // the page asks now and then whether it is decided elsewhere
	h.restart(t)
	approve(tab, device)
	device.wantApproved(t, bySignature)

	// The session ends while the review is open: the signature needs none.
	another := h.ask(t, numberMatch)
	goTo(tab, h, another)
	tab.Eval(`fetch("/api/auth/sign-out", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}).then(r => window.ended = r.status)`)
	tab.WaitUntil(`window.ended === 200`)
	approve(tab, another)
	if got := tab.Text("h1"); got != "Allowed" {
		t.Errorf("the page says %q", got)
	}
	another.wantApproved(t, bySignature)

	// Without the key it does: the person signs in again, with the same code.
	resident, third := h.resident(t), h.ask(t, numberMatch)
	h.review(resident, third)
	resident.Eval(`fetch("/api/auth/sign-out", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}).then(r => window.ended = r.status)`)
	resident.WaitUntil(`window.ended === 200`)
	resident.Click(numberField + "[value='" + third.match + "']")
	resident.Click(approveButton)
	resident.WaitFor("#ways[data-ready]")
	if got := resident.Text("#user-code"); got != third.code {
		t.Errorf("the code is %q", got)
	}
}

func TestPageAServerThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	h.stop(t)
	tab.Tolerate("net::ERR_")
	tab.Click(numberField + "[value='" + device.match + "']")
	tab.Click(approveButton)
	tab.WaitUntil(`document.querySelector("#decision .error").textContent.startsWith("The server cannot be reached")`)
	h.process = startProcess(t, h.data, "--listen", strings.TrimPrefix(h.url, "http://"))
	tab.Click(approveButton)
	tab.WaitFor("[data-screen=done]")
	device.wantApproved(t, bySignature)
}
