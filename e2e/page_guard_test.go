//go:build e2e

package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/e2e/browser"
)

// watchBodies notes what the page sends in its forms.
const watchBodies = `window.bodies = []; {
	const send = XMLHttpRequest.prototype.send;
	XMLHttpRequest.prototype.send = function (body) { bodies.push(String(body ?? "")); return send.call(this, body); };
}`

func TestPageB02_AnUnlockedKeyProvesEveryCode(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab, first := h.guest(t), h.ask(t, nil)
	tab.Before(watchBodies)
	proved := func(where string, d *tv) {
		t.Helper()
		tab.WaitFor("#decision")
		for _, body := range browser.Eval[[]string](tab, `bodies.splice(0)`) {
			form, err := url.ParseQuery(body)
			if err != nil || form.Get("proof") == "" {
				continue
			}
			proof, err := bitcoinauth.Verify(form.Get("proof"), bitcoinauth.Check{Path: "/device", Body: []byte("aud=" + h.base + "&code=" + d.code), Now: time.Now()})
			if err != nil || proof.PublicKey != keptIn(tab)[0].Pubkey {
				t.Errorf("%s: the proof: %v", where, err)
			}
			return
		}
		t.Errorf("%s: the code of %s goes without a proof", where, d.code)
	}
	h.link(tab, first)
	create(tab, "Satoshi")
	proved("after signing in", first)
	typed := h.ask(t, nil)
	goTo(tab, h, typed)
	proved("typed", typed)
	pasted := h.ask(t, nil)
	tab.Click(".brand")
	tab.WaitFor("[data-screen=home]")
	tab.Click("main a[href='/device']")
	paste(tab, codeField, h.base+"/device?code="+strings.ToLower(pasted.code))
	tab.Press("Enter")
	proved("pasted", pasted)
}

// watchApprove notes when Approve appears, and when it can be pressed.
const watchApprove = `window.seen = {}; new MutationObserver(() => {
	const approve = document.querySelector("#approve");
	if (approve) seen.there ??= performance.now();
	if (approve && !approve.disabled) seen.armed ??= performance.now();
}).observe(document, {subtree: true, childList: true, attributes: true});`

func TestPageB05_ApproveIsArmedAfterASecond(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	tab.Before(watchApprove)
	device := h.ask(t, numberMatch)
	h.review(tab, device)
	tab.WaitUntil(`!document.querySelector("#approve").disabled`)
	if waited := browser.Eval[float64](tab, `seen.armed - seen.there`); waited < 900 { // the observer hears of it a little later than the page
		t.Errorf("Approve can be pressed after %.0f ms", waited)
	}
	approve(tab, device)
	device.wantApproved(t, bySession)
}
