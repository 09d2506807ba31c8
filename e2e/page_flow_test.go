//go:build e2e

package e2e

import (
	"net/url"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

func TestPageD18_TheOwnersDecisionReachesTheDevice(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	for button, told := range map[string]string{approveButton: "ok", denyButton: "access_denied", reportButton: "access_denied"} {
		for _, number := range []string{"true", "false"} {
			d := h.ask(t, url.Values{"number_match": {number}})
			h.review(tab, d)
			if !strings.Contains(tab.Text("body"), d.code) {
				t.Errorf("D-18: the code %s is not shown for comparison", d.code)
			}
			decide(tab, d, button)
			d.wantTold(t, told)
		}
	}
}

func TestPageD17_ALinkFillsTheCodeInAndDoesNoMore(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	for _, parameter := range []string{"code", "user_code"} {
		d := h.ask(t, nil)
		tab.Open(h.base + "/device?" + parameter + "=" + strings.ToLower(d.code))
		if tab.Shows(anyDecision) || !strings.Contains(tab.Text("body"), d.code) {
			t.Fatalf("%s: the page says\n%s", parameter, tab.Text("body"))
		}
		tab.Click("main button.primary")
		tab.WaitFor(denyButton)
		decide(tab, d, denyButton)
		d.wantTold(t, "access_denied")
	}
}

func TestPageWithoutScriptsTheCommandIsShown(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	d := h.ask(t, nil)
	tab := h.guest(t)
	tab.ScriptsOff()
	h.enter(tab, d.code)
	tab.WaitUntil(`document.body.innerText.includes("countersign approve ` + d.code + `")`)
	tab.Screenshot("sign-in-without-scripts")

	resident := h.resident(t)
	resident.ScriptsOff()
	h.review(resident, d)
	decide(resident, d, denyButton)
	d.wantTold(t, "access_denied")
}

func TestPageK07_ApproveIsNeitherFocusedNorWhatEnterDoes(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	for _, number := range []string{"true", "false"} {
		h.review(tab, h.ask(t, url.Values{"number_match": {number}}))
		const focused = `document.activeElement.value ?? ""`
		if got := browser.Eval[string](tab, focused); got == "approve" {
			t.Error("the page comes with the focus on Approve")
		}
		// Enter in any field presses a form's first button that sends it.
		const first = `(document.querySelector("button[value=approve]").form?.querySelector("button:not([type=button]), input[type=submit]")?.value) ?? ""`
		if got := browser.Eval[string](tab, first); got == "approve" {
			t.Error("Enter approves")
		}
	}
}

func TestPageAfterDecidingTheBackButtonDecidesNothing(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	for button, told := range map[string]string{approveButton: "ok", denyButton: "access_denied"} {
		d := h.ask(t, nil)
		h.review(tab, d)
		decide(tab, d, button)
		outcome := tab.Text("h1")
		tab.Back()
		if strings.HasPrefix(browser.Eval[string](tab, `location.href`), "chrome-error:") {
			tab.Reload() // the browser wants to know first whether to send the form again
		}
		if other := map[string]string{approveButton: denyButton, denyButton: approveButton}[button]; tab.Shows(other) {
			decide(tab, d, other)
		}
		if got := tab.Text("h1"); got != outcome {
			t.Errorf("after %q the back button leads to %q", outcome, got)
		}
		d.wantTold(t, told)
	}
}

func TestPageOfTwoTabsTheSecondIsToldWhatTheFirstDecided(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	first := h.resident(t)
	second := first.Another()
	for button, told := range map[string]string{approveButton: "ok", denyButton: "access_denied"} {
		d := h.ask(t, nil)
		h.review(first, d)
		h.review(second, d)
		decide(first, d, button)
		// The second page may have noticed by itself.
		if other := map[string]string{approveButton: denyButton, denyButton: approveButton}[button]; second.Shows(other) {
			decide(second, d, other)
		}
		second.WaitUntil(`document.querySelector("h1")?.innerText === ` + quoted(first.Text("h1")))
		d.wantTold(t, told)
	}
}

// TestPageNobodyAsksForTheStateOfWhatIsBeingDecidedHere lets the form take longer
// to be answered than the page waits between two questions. What would be answered
// after the device took its token is an error, which the browser tells everybody.
func TestPageNobodyAsksForTheStateOfWhatIsBeingDecidedHere(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	d := h.ask(t, nil)
	h.review(tab, d)
	const asked = "/api/auth/device?"
	tab.WaitUntil(`performance.getEntriesByType("resource").some((r) => r.name.includes("` + asked + `"))`)
	browser.Eval[bool](tab, `(() => {
		const send = XMLHttpRequest.prototype.send;
		XMLHttpRequest.prototype.send = function (body) { setTimeout(() => send.call(this, body), 4000); };
		return true;
	})()`)
	before := asks(tab, asked)
	decide(tab, d, approveButton)
	if after := asks(tab, asked); after != before {
		t.Errorf("the page asked %d times for a decision that it was sending itself", after-before)
	}
	d.wantTold(t, "ok")
}

// asks counts what a tab asked for.
func asks(tab *browser.Tab, part string) int {
	n := 0
	for _, r := range tab.Requests() {
		if strings.Contains(r.URL, part) {
			n++
		}
	}
	return n
}

func TestPageD37_ACodeBelongsToWhoOpenedItFirst(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	d := h.ask(t, nil)
	alice, bob := h.resident(t), h.resident(t)
	h.review(alice, d)
	h.enter(bob, d.code)
	bob.WaitFor("#problem")
	if bob.Shows(anyDecision) {
		t.Error("the second person may decide")
	}
	foreign := bob.Text("body")
	h.enter(bob, "BBBB-BBBB")
	bob.WaitFor("#problem")
	if unknown := bob.Text("body"); unknown != foreign {
		t.Errorf("B-17: a code that does not exist is answered\n%s\nand another's\n%s", unknown, foreign)
	}
	decide(alice, d, approveButton)
	d.wantTold(t, "ok")
}

func TestPageACodeThatExpiresWhileItIsOpenIsNotApproved(t *testing.T) {
	t.Parallel()
	h := startInstance(t, "--device-code-lifetime", "4s")
	tab := h.resident(t)
	tab.Tolerate("/api/auth/device?") // what is over is refused to the script that follows it
	d := h.ask(t, nil)
	h.review(tab, d)
	d.wantTold(t, "expired_token")
	// In one go, for the page may notice at any moment.
	_, letters, _ := strings.Cut(d.code, "-")
	tab.Eval(`(() => {
		const [letter, approve] = ["` + letterField + `", "` + approveButton + `"].map((e) => document.querySelector(e));
		if (letter) letter.value = "` + letters + `";
		approve?.click();
	})()`)
	tab.WaitGone(anyDecision)
	if text := tab.Text("h1"); text == "" {
		t.Error("the page says nothing of it")
	}
	tab.Screenshot("expired")
	h.enter(tab, d.code)
	tab.WaitFor("#problem")
	if tab.Shows(anyDecision) {
		t.Error("an expired code is offered for decision")
	}
}

func TestPageOverTLSAnOwnerApproves(t *testing.T) {
	t.Parallel()
	site := browser.NewSite(t, "id")
	h := startInstance(t, "--issuer", site.URL, "--unregistered-clients", "open")
	site.Serve(h.url)
	h.base = site.URL
	tab := h.resident(t)
	d := h.ask(t, nil)
	h.review(tab, d)
	if !strings.Contains(tab.Text("body"), "id.example.org") {
		t.Error("the page does not say where it is")
	}
	decide(tab, d, approveButton)
	d.wantTold(t, "ok")
}
