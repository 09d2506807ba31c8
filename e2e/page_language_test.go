//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

func TestPageEveryLanguageIsWholeFromSignInToTheAccount(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	for tag, dir := range map[string]string{"de": "ltr", "es": "ltr", "ja": "ltr", "ar": "rtl"} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			tab := h.guest(t)
			tab.Language(tag)
			tab.Viewport(320, 568, 1, false) // WCAG 2.2, 1.4.10
			look := func(screen string) {
				t.Helper()
				got := browser.Eval[string](tab, `document.documentElement.lang + " " + document.documentElement.dir + " " + getComputedStyle(document.body).direction`)
				if got != tag+" "+dir+" "+dir {
					t.Errorf("%s is %s, want %s %s", screen, got, tag, dir)
				}
				wantRoom(t, tab, screen, browser.Wide, browser.Narrow)
				tab.Axe()
				if screen != "4-account" || tag == "ar" {
					tab.Screenshot("language-" + tag + "-" + screen)
				}
			}
			device := h.ask(t, map[string][]string{"number_match": {"true"}, "device_name": {"Küche 台所 مطبخ"}})
			h.link(tab, device)
			look("1-sign-in")
			create(tab, "Satoshi")
			tab.WaitFor("#decision")
			tab.WaitUntil(`!document.querySelector("#approve").disabled`)
			look("2-review")
			approve(tab, device)
			look("3-done")
			account(tab)
			look("4-account")
			device.wantApproved(t, bySignature)
		})
	}
}

func TestPageChangingTheLanguageKeepsTheCode(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab, device := h.guest(t), h.ask(t, numberMatch)
	h.link(tab, device)
	tab.Click(".languages [lang=de]")
	tab.WaitUntil(`document.documentElement.lang === "de" && document.querySelector("#ways[data-ready]")`)
	if got := tab.Text("#user-code"); got != device.code {
		t.Errorf("on the sign-in screen the code is %q", got)
	}
	create(tab, "Satoshi")
	tab.WaitFor("#decision")
	tab.Click(".languages [lang=ar]")
	tab.WaitUntil(`document.documentElement.dir === "rtl"`)
	tab.WaitFor("#decision")
	if got := tab.Text("#user-code"); got != device.code {
		t.Errorf("in the review the code is %q", got)
	}
	if tab.Shows("#sign-password") {
		t.Error("changing the language locks the key")
	}
	approve(tab, device)
	device.wantApproved(t, bySignature)
	if got := browser.Eval[string](tab, `document.documentElement.lang`); got != "ar" {
		t.Errorf("the outcome is in %q", got)
	}
	if strings.Contains(tab.Text("main"), "Allowed") {
		t.Error("the outcome is in English")
	}
}
