//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// again starts a server that was stopped, where it was.
func (h *instance) again(t *testing.T) {
	t.Helper()
	h.process = startProcess(t, h.data, "--listen", strings.TrimPrefix(h.url, "http://"))
}

func TestPageAFormThatIsNotSentSaysSoAndTheKeyStaysUnlocked(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	approve(tab, device)
	device.wantApproved(t, bySignature)
	account(tab)
	tab.Eval(`window.sameDocument = true`)
	h.stop(t)
	tab.Tolerate("net::ERR_")
	const all = "form[action='/account/grants/revoke']"
	tab.Click("details:has(" + all + ") summary")
	tab.Click(all + " button")
	tab.WaitFor(all + " .error")
	if got := tab.Text(all + " .error"); !strings.HasPrefix(got, "The server cannot be reached") {
		t.Errorf("the page says %q", got)
	}
	tab.Axe()
	for _, link := range []string{"header a[href='/']", ".languages [lang=de]"} {
		tab.Click(link)
		tab.WaitFor("main > .unsent")
		if got := tab.Text("main > .unsent"); !strings.HasPrefix(got, "The server cannot be reached") || !tab.Shows("[data-do=lock]") {
			t.Errorf("of a link that leads nowhere the page says %q", got)
		}
		tab.Eval(`document.querySelector("main > .unsent").remove()`)
	}
	h.again(t)
	tab.Leads(func() { tab.Click(all + " button") })
	if tab.Shows(".error") || tab.Shows(all) {
		t.Error("it was not taken back in the end")
	}
	if !browser.Eval[bool](tab, `window.sameDocument === true`) || !tab.Shows("[data-do=lock]") {
		t.Error("the document was left, and the key with it")
	}
}

func TestPageWhatNeedsKeysIsAskedForAgainAfterItWasNotReached(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab, device := h.guest(t), h.ask(t, numberMatch)
	h.link(tab, device)
	h.stop(t)
	tab.Tolerate("net::ERR_")
	openWay(tab, "new")
	tab.Type("[data-way=new] [name=name]", "Satoshi")
	tab.Type("[data-way=new] [name=password]", password)
	tab.Click("[data-way=new] button.primary")
	tab.WaitFor("[data-way=new] .error")
	if got := tab.Text("[data-way=new] .error"); !strings.HasPrefix(got, "The server cannot be reached") {
		t.Errorf("the page says %q", got)
	}
	h.again(t)
	tab.Click("[data-way=new] button.primary")
	tab.Click("[data-do=accept-loss]")
	approve(tab, device)
	device.wantApproved(t, bySignature)
}

func TestPageTheFocusIsAtEveryPageThatIsPutInPlaceAndItsTopInView(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	const atMain = `document.activeElement.id === "main" && document.querySelector("main").dataset.ready === "" && scrollY === 0`
	tab.WaitUntil(atMain)
	device := h.ask(t, numberMatch)
	tab.Open(h.base + "/device?code=" + device.code)
	tab.Click("main button.primary")
	tab.WaitFor("#decision")
	tab.WaitUntil(atMain)
	tab.Type("#sign-password", password)
	approve(tab, device)
	account(tab)
	tab.WaitUntil(atMain)
}

// slowFirst lets the first answer to a page's request come after all others.
const slowFirst = `{
	const send = XMLHttpRequest.prototype.send;
	let first = true;
	XMLHttpRequest.prototype.send = function (body) {
		if (!first) return send.call(this, body);
		first = false;
		window.letGo = () => { send.call(this, body); this.addEventListener("loadend", () => setTimeout(() => window.late = true)); };
	};
}`

func TestPageAnOlderAnswerReplacesNoNewerPage(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	tab.Before(slowFirst)
	tab.Open(h.base + "/")
	tab.Click("main a[href='/account']")
	tab.Click("main a[href='/device']")
	tab.WaitFor(codeField)
	tab.Eval(`letGo()`)
	tab.WaitUntil(`window.late === true`)
	if !tab.Shows(codeField) || !strings.HasSuffix(tab.URL(), "/device") {
		t.Errorf("the page asked for first is shown: %s", tab.URL())
	}
}
