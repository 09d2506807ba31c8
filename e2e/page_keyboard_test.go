//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

func TestPageIsDecidedWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	for button, told := range map[string]string{"approve": "ok", "deny": "access_denied"} {
		d := h.ask(t, numberMatch)
		tab.Open(h.base + "/device")
		tabTo(tab, `document.activeElement.name === "code"`)
		tab.Keys(strings.ToLower(strings.ReplaceAll(d.code, "-", " ")))
		tab.Press("Enter")
		decideByKeys(tab, d, button)
		d.wantTold(t, told)
	}
}

func TestPageANewOwnerNeedsNoMouse(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	device := h.ask(t, numberMatch)
	tab := h.guest(t)
	h.link(tab, device)
	tabTo(tab, `document.activeElement.id === "create-name"`)
	tab.Keys("Satoshi")
	tabTo(tab, `document.activeElement.id === "create-password"`)
	tab.Keys(password)
	tabTo(tab, `document.activeElement.matches("[data-way=new] button.primary")`)
	tab.Press("Space")
	tab.WaitFor("#save")
	tabTo(tab, `document.activeElement.dataset.do === "save"`)
	tab.Downloaded(func() { tab.Press("Enter") })
	decideByKeys(tab, device, "approve")
	device.wantApproved(t, bySignature)

	// Once more, by unlocking: Enter in the password does it.
	tabTo(tab, `document.activeElement.matches("form[action='/sign-out'] button")`)
	tab.Press("Enter")
	tab.WaitFor("[data-screen=home]")
	another := h.ask(t, numberMatch)
	h.link(tab, another)
	tab.WaitUntil(`document.activeElement.id === "unlock-password"`)
	tab.Keys(password)
	tab.Press("Enter")
	decideByKeys(tab, another, "approve")
	another.wantApproved(t, bySignature)
}

// decideByKeys decides in the review with the keyboard alone.
func decideByKeys(tab *browser.Tab, d *tv, button string) {
	tab.WaitFor(denyButton)
	if button == "approve" {
		tabTo(tab, `document.activeElement.name === "match"`)
		tab.Press("Space")
		for browser.Eval[string](tab, `document.querySelector("input[name=match]:checked").value`) != d.match {
			tab.Press("ArrowDown")
		}
	}
	tab.WaitUntil(`!document.querySelector("button[value=` + button + `]").disabled`)
	tabTo(tab, `document.activeElement.value === "`+button+`"`)
	tab.Press("Enter")
	tab.WaitGone(anyDecision)
}

// tabTo presses Tab until a condition holds of what has the focus.
func tabTo(tab *browser.Tab, condition string) {
	for n := 0; n < 40 && !browser.Eval[bool](tab, condition); n++ {
		tab.Press("Tab")
	}
	tab.WaitUntil(condition)
}
