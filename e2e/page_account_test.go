//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/e2e/browser"
	"countersign.dev/receipt"
)

// account opens the account by the link of every page, so that the key stays
// unlocked.
func account(tab *browser.Tab) {
	tab.Click("header a[href='/account']")
	tab.WaitFor("[data-screen=account]")
}

func TestPageTheProfileIsChangedWithASignature(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	const form = "form[data-do=profile]"
	change := func(field, text string) {
		if !tab.Shows(form) {
			tab.Click("details:has(" + form + ") summary")
		}
		paste(tab, form+" [name="+field+"]", text)
	}
	change("name", "Satoshi N")
	change("given_name", "Satoshi")
	change("family_name", "Nakamoto")
	change("description", "A few words")
	tab.Screenshot("account-change-the-profile")
	tab.Click(form + " button")
	tab.WaitUntil(`document.querySelector("[data-identity] strong").textContent === "Satoshi N"`)
	wantOneName := func(name, file string) {
		t.Helper()
		tab.WaitFor("main[data-ready] #browser-keys li")
		if kept := keptIn(tab); kept[0].Name != name {
			t.Errorf("the browser keeps the name %q", kept[0].Name)
		}
		if got := tab.Text("#browser-keys [data-part=name]"); got != name {
			t.Errorf("the key is called %q", got)
		}
		if got := browser.Eval[string](tab, `document.querySelector("#browser-keys [data-do=download]").download`); !strings.HasPrefix(got, file+".") {
			t.Errorf("the file is called %q", got)
		}
	}
	wantOneName("Satoshi N", "Satoshi-N")

	// Locked, it asks for the password first.
	tab.Click("[data-do=lock]")
	change("name", "Satoshi Nakamoto")
	if !tab.Shows(form + " [name=password]") {
		t.Error("a locked key is not asked for its password")
	}
	tab.Type(form+" [name=password]", password)
	tab.Click(form + " button")
	tab.WaitUntil(`document.querySelector("[data-identity] strong").textContent === "Satoshi Nakamoto"`)

	// What is refused is said in the page's language, not in the server's.
	tab.Click(".languages [lang=de]")
	tab.WaitUntil(`document.documentElement.lang === "de" && document.querySelector("main[data-ready]")`)
	change("picture", "http://example.org/me.png")
	tab.Click(form + " button")
	tab.WaitFor(form + " .error")
	if got := tab.Text(form + " .error"); !strings.HasPrefix(got, "Die Adresse des Bildes muss mit https:// beginnen") {
		t.Errorf("on the German page a refusal says %q", got)
	}
	change("picture", "https://example.org/"+strings.Repeat("%", 9)) // which the server refuses
	tab.Tolerate("/api/bap/profile")
	tab.Click(form + " button")
	tab.WaitUntil(`document.querySelector("` + form + ` .error").textContent.startsWith("Der Server hat das nicht angenommen.")`)

	// What was changed in another browser this one does not know; the server's name is shown.
	tab.Click(".languages [lang=en]")
	tab.WaitUntil(`document.documentElement.lang === "en"`)
	callKept(tab, "Satoshi N")
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	tab.WaitFor("#decision")
	if heading, how := tab.Text("h1"), tab.Text("[data-part=how]"); !strings.HasSuffix(heading, "as Satoshi Nakamoto") || !strings.HasPrefix(how, "Satoshi Nakamoto signs") {
		t.Errorf("the review says %q and %q", heading, how)
	}
	account(tab)
	wantOneName("Satoshi Nakamoto", "Satoshi-Nakamoto")
	goTo(tab, h, device)
	approve(tab, device)
	claims := h.userInfo(t, device.wantApproved(t, bySignature).AccessToken)
	if claims["name"] != "Satoshi Nakamoto" || claims["given_name"] != "Satoshi" || claims["family_name"] != "Nakamoto" {
		t.Errorf("userinfo says %v", claims)
	}

	// A backup says what it was called when it was made.
	backup := keptIn(tab)[0].BEP
	signOut(tab)
	h.link(tab, h.ask(t, nil))
	openWay(tab, "import")
	paste(tab, "#import-text", backup)
	bringIn(tab, password)
	tab.WaitFor("#decision")
	if kept := keptIn(tab); kept[0].Name != "Satoshi Nakamoto" {
		t.Errorf("with its backup it is called %q again", kept[0].Name)
	}
}

func TestPageWhatWasAllowedIsTakenBackOneByOneAndAllAtOnce(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	var all []tokens
	for range 3 {
		device := h.ask(t, map[string][]string{"number_match": {"true"}, "device_name": {"Kitchen"}})
		goTo(tab, h, device)
		approve(tab, device)
		all = append(all, device.wantApproved(t, bySignature))
	}
	account(tab)
	alive := func() (n int) {
		for _, tokens := range all {
			if h.userInfo(t, tokens.AccessToken) != nil {
				n++
			}
		}
		return n
	}
	const one = "form[action^='/account/grants/'][action$='/revoke']:not([action='/account/grants/revoke'])"
	count := func() int { return browser.Eval[int](tab, `document.querySelectorAll("`+one+`").length`) }
	if count() != 3 || alive() != 3 {
		t.Fatalf("%d grants on the page, %d alive", count(), alive())
	}
	tab.Axe()
	tab.Screenshot("account-full")
	goodReceipt(t, tab)
	tab.Leads(func() { tab.Click(one + " button") })
	if count() != 2 || alive() != 2 {
		t.Errorf("after one: %d on the page, %d alive", count(), alive())
	}
	if got := tab.Text("main > [role=status]"); got != "What “living-room-tv” was allowed was taken back" {
		t.Errorf("after one the page says %q", got)
	}
	const everything = "form[action='/account/grants/revoke']"
	if tab.Shows(everything + " button") {
		t.Error("all is taken back without a question")
	}
	tab.Eval(`document.querySelector("details:has(` + everything + `) summary").focus()`)
	tab.Press("Enter", "Tab")
	tab.Leads(func() { tab.Press("Enter") })
	if count() != 0 || alive() != 0 {
		t.Errorf("after all: %d on the page, %d alive", count(), alive())
	}
	if got := tab.Text("main > [role=status]"); got != "Everything that was allowed was taken back" {
		t.Errorf("after all the page says %q", got)
	}
}

func TestPageTheEventsTellWhoApprovedWhatWithTheReceipt(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	approve(tab, device)
	tab.Leads(func() { tab.Click("button[formaction$='/report']") })
	account(tab)
	events := tab.Text(".events")
	for _, want := range []string{"Signed in as", "The profile of Satoshi was changed", "“living-room-tv” was allowed to act as Satoshi", "What “living-room-tv” was allowed was taken back and reported"} {
		if !strings.Contains(events, want) {
			t.Errorf("the events lack %q:\n%s", want, events)
		}
	}
	// A grant that is gone still has its receipt.
	name, file := tab.Downloaded(func() { tab.Click(".events a[href$='/receipt']") })
	if _, err := receipt.Verify([]byte(file)); err != nil || !strings.HasSuffix(name, ".json") {
		t.Errorf("%s: %v", name, err)
	}
}

func TestPageSessionsElsewhereAreEnded(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	o := newOwner(t)
	here, there, further := h.residentAs(t, o), h.residentAs(t, o), h.residentAs(t, o)
	signedIn := func(tab *browser.Tab) bool {
		tab.Open(h.base + "/account")
		tab.WaitFor("h1")
		return tab.Shows("form[action='/sign-out']")
	}
	for _, tab := range []*browser.Tab{here, there, further} {
		if !signedIn(tab) {
			t.Fatal("nobody is signed in")
		}
	}
	here.Reload()
	here.Leads(func() {
		here.Click("form[action^='/account/sessions/'][action$='/end']:not([action='/account/sessions/end']) button")
	})
	if a, b := signedIn(there), signedIn(further); a == b {
		t.Errorf("after one was ended: %v and %v are signed in", a, b)
	}
	here.Reload()
	here.Leads(func() { here.Click("form[action='/account/sessions/end'] button") })
	if signedIn(there) || signedIn(further) || !signedIn(here) {
		t.Error("after all others were ended somebody is where they should not be")
	}
}

// memberBackup makes a backup of a new identity.
func memberBackup(t *testing.T, name string) (text string, id *bap.Identity) {
	t.Helper()
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err = bap.NewIdentity(name, key)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := bap.NewMemberBackup(id, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err = backup.Encrypt(rand.Reader, password, bap.Iterations)
	if err != nil {
		t.Fatal(err)
	}
	return text, id
}

func TestPageL05_AnotherIdentityOfTheAccountSignsForItself(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Alice")
	text, id := memberBackup(t, "Alice at work")
	tab.Click("#link summary")
	paste(tab, "#import-text", text)
	bringIn(tab, password)
	tab.WaitFor("[data-identity='" + id.BAPID() + "']")

	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	tab.WaitUntil(`[...document.querySelectorAll("#identities label")].filter(l => !l.hidden).length === 2`)
	tab.Click("[name=identity][value='" + id.BAPID() + "']")
	tab.WaitUntil(`document.querySelector("[data-part=how]").textContent.startsWith("Alice at work signs")`)
	if got := tab.Text("h1"); !strings.HasSuffix(got, "Alice at work") {
		t.Errorf("the heading still says %q", got)
	}
	tab.Click("#signed summary")
	tab.WaitUntil(`document.querySelector("#signed code").textContent.includes("` + id.BAPID() + `")`)
	tab.Screenshot("review-two-identities")
	approve(tab, device)
	if got := goodReceipt(t, tab); got.PublicKey != id.MemberPublicKey() || got.Statement.BAPID != id.BAPID() {
		t.Errorf("it is signed by %+v", got)
	}
	got := device.wantApproved(t, bySignature)
	if claims := claimsOf(t, got.AccessToken); claims.BAPID != id.BAPID() {
		encoded, _ := json.Marshal(claims)
		t.Errorf("the token says %s", encoded)
	}
}

func TestPageThatWasNotMeTakesBackAndReports(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	approve(tab, device)
	got := device.wantApproved(t, bySignature)
	account(tab)
	tab.Leads(func() { tab.Click("button[formaction$='/report']") })
	if events := tab.Text(".events"); !strings.Contains(events, "What “living-room-tv” was allowed was taken back and reported: it was not you") {
		t.Errorf("the events say\n%s", events)
	}
	if h.userInfo(t, got.AccessToken) != nil {
		t.Error("the token is alive")
	}
}

func TestPageAnIdentityThatIsForgottenInTheAccountSignsNothingMore(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.newcomer(t, "Satoshi")
	tab.WaitFor("[data-do=lock]")
	tab.Agree(true, func() { tab.Click("#browser-keys [data-do=forget]") })
	tab.WaitGone("#browser-keys")
	if len(keptIn(tab)) != 0 || tab.Shows("[data-do=lock]") {
		t.Error("its key is still unlocked")
	}
	device := h.ask(t, numberMatch)
	goTo(tab, h, device)
	approve(tab, device)
	device.wantApproved(t, bySession)
}
