//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

func TestPageTheTimeLeftIsShownAndTheEndSaidWithoutAReload(t *testing.T) {
	t.Parallel()
	h := startInstance(t, "--device-code-lifetime", "6s")
	tab := h.resident(t)
	tab.Tolerate("/api/auth/device?") // what is over is refused to the script that follows it
	device := h.ask(t, nil)
	h.review(tab, device)
	tab.WaitFor("#countdown")
	if got := tab.Text("#countdown"); !strings.HasPrefix(got, "0:0") || !strings.HasSuffix(got, "left to decide") {
		t.Errorf("the page says %q", got)
	}
	tab.Screenshot("review-time-left")
	tab.WaitFor("[data-screen=expired]")
	tab.WaitGone(anyDecision)
	if got := tab.Text("main"); !strings.Contains(got, "This code has expired") {
		t.Errorf("the page says\n%s", got)
	}
	tab.Axe()
	tab.Screenshot("expired-while-open")

	// With more time than two minutes nothing ticks.
	calm := startInstance(t)
	tab = calm.resident(t)
	calm.review(tab, calm.ask(t, nil))
	tab.WaitUntil(`!document.querySelector("#approve").disabled`) // a second later
	if tab.Shows("#countdown") {
		t.Error("the page counts down a quarter of an hour")
	}
}

// tenMinutes lets a test say that ten minutes have gone by: the page's long
// timers wait for that, and its clock goes on by as much.
const tenMinutes = `(() => {
	const [now, timeout] = [Date.now, setTimeout], long = [];
	let gone = 0;
	Date.now = () => now() + gone;
	window.setTimeout = (f, ms, ...rest) => ms >= 600000 ? long.push(f) && -1 : timeout(f, ms, ...rest);
	window.tenMinutesLater = () => { gone += 600001; long.splice(0).forEach(f => f()); };
})()`

func TestPageTheKeyIsDroppedAfterTenIdleMinutesAndByTheButton(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	for name, lock := range map[string]string{"idle": "tenMinutesLater()", "button": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tab, device := h.guest(t), h.ask(t, numberMatch)
			tab.Before(tenMinutes)
			h.link(tab, device)
			create(tab, "Satoshi")
			tab.WaitFor("#decision")
			tab.WaitFor("[data-do=lock]")
			if lock != "" {
				tab.Eval(lock)
			} else {
				tab.Click("[data-do=lock]")
			}
			tab.WaitFor("#sign-password")
			tab.WaitGone("[data-do=lock]")
			if !strings.Contains(tab.Text("[data-part=how]"), "once it is unlocked") {
				t.Errorf("the review says %q", tab.Text("[data-part=how]"))
			}
			if lock != "" {
				return // the page's clock is ten minutes ahead of the server's now
			}
			tab.Type("#sign-password", password)
			approve(tab, device)
			device.wantApproved(t, bySignature)
		})
	}
}

func TestPageWhoTakesTenMinutesOverTheBackupUnlocksTheIdentity(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	tab.Before(tenMinutes)
	h.link(tab, h.ask(t, nil))
	openWay(tab, "new")
	tab.Type("[data-way=new] [name=name]", "Satoshi")
	tab.Type("[data-way=new] [name=password]", password)
	tab.Click("[data-way=new] button.primary")
	tab.WaitFor("#save")
	tab.Eval(`tenMinutesLater()`)
	tab.Downloaded(func() { tab.Click("[data-do=save]") })
	tab.WaitFor("[data-way=browser][open] .error")
	if got := tab.Text("[data-way=browser] .error"); !strings.HasPrefix(got, "The key was locked meanwhile") {
		t.Errorf("the page says %q", got)
	}
	if got := keptIn(tab); len(got) != 1 || !got[0].Saved {
		t.Errorf("the browser keeps %+v", got)
	}
}

func TestPageWhoFollowsTheCommandLineIsToldThatTheCodeIsOver(t *testing.T) {
	t.Parallel()
	h := startInstance(t, "--device-code-lifetime", "5s")
	tab := h.guest(t)
	tab.Tolerate("/api/auth/device?") // what is over is refused to the script that follows it
	h.link(tab, h.ask(t, nil))
	openWay(tab, "command")
	tab.WaitFor("[data-screen=expired] a[href='/device']")
	if got := tab.Text("main"); !strings.Contains(got, "This code has expired") {
		t.Errorf("the page says\n%s", got)
	}
	tab.Axe()
}
