//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// hostile are texts that do harm where they are taken for markup, script or a
// template. What runs leaves a mark in the page or opens a dialog.
var hostile = []string{
	`<script>window.__xss=1</script>`,
	`<img src=x onerror=window.__xss=1>`,
	`"><svg onload=alert(1)>`,
	`'onfocus='alert(1)'autofocus='`,
	`"/onfocus="alert(1)"autofocus="`,
	`javascript:alert(1)//`,
	`</title><script>alert(1)</script>`,
	`</h1><iframe srcdoc="<script>parent.__xss=1</script>">`,
	`<a href=javascript:alert(1)>x</a><base href=//evil.example>`,
	`<meta http-equiv=refresh content=0;url=//evil.example>`,
	`<style>*{display:none}</style><link rel=stylesheet href=/x>`,
	`<form action=//evil.example><button value=approve>`,
	`{{.Code}}${alert(1)}<%=alert(1)%>`,
	`<!--`,
	`&lt;script&gt;alert(1)&lt;/script&gt;`,
}

// harm is what a text that was taken for more than text leaves in a page.
const harm = `(() => {
	const found = [...document.querySelectorAll("script:not([src], [type='application/json']), iframe, base, style, svg[onload], [onerror], [onfocus], meta[http-equiv], [href^='javascript:'], [src='x'], [action*='evil']")];
	if (window.__xss) found.push(document.documentElement);
	return found.map(e => e.outerHTML.slice(0, 120)).join("\n");
})()`

func TestPageB08_WhatAStrangerWritesIsShownAsText(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	config := filepath.Join(data, "hostile.toml")
	var clients strings.Builder
	for i, text := range hostile {
		fmt.Fprintf(&clients, "[[clients]]\nclient_id = \"hostile-%d\"\nclient_name = %q\n", i, text)
	}
	if err := os.WriteFile(config, []byte(clients.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	h := startInstance(t, "--config", config)
	for i := range hostile {
		if i%5 > 0 {
			continue // a handful of them for each tab, and the tabs side by side
		}
		t.Run(fmt.Sprint("from ", i), func(t *testing.T) {
			t.Parallel()
			o := newOwner(t)
			tab, guest := h.residentAs(t, o), h.guest(t)
			for i := i; i < min(i+5, len(hostile)); i++ {
				o.setName(t, h, hostile[i])
				h.plant(t, tab, guest, hostile[i], fmt.Sprint("hostile-", i))
			}
			h.plantAsOwner(t, i)
		})
	}
}

// plant puts a text everywhere that a stranger can, and looks at every page of it.
func (h *instance) plant(t *testing.T, tab, guest *browser.Tab, text, registered string) {
	t.Helper()
	query := url.QueryEscape(text)
	guest.Open(h.base + "/device?code=" + query + "&error=" + query + "&error_description=" + query + "&lang=" + query + "#" + query)
	unharmed(t, guest, "in a link", text)
	guest.Open(h.base + "/device")
	guest.Click(codeField)
	guest.Insert(text)
	guest.Leads(func() { guest.Press("Enter") })
	unharmed(t, guest, "entered as a code", text)

	says := url.Values{"device_name": {text}, "device_platform": {text}}
	for client, scope := range map[string]string{registered: "openid profile", strings.ReplaceAll(text, " ", "/"): "openid " + text} {
		says.Set("client_id", client)
		says.Set("scope", scope)
		d := h.tryAsk(t, says, "User-Agent", text, "Origin", text)
		if d == nil {
			if client == registered {
				t.Fatalf("%s may not ask", registered)
			}
			continue // refused, in JSON, to a device
		}
		h.review(tab, d)
		unharmed(t, tab, "in the review", text)
		// At least the identity's name, and what the device says.
		if shown := tab.Text("body"); strings.Count(shown, text) < 3 {
			t.Errorf("the review does not show %s as it is, but\n%s", text, shown)
		}
		decide(tab, d, denyButton)
		unharmed(t, tab, "in the outcome", text)
	}
}

// plantAsOwner puts a text everywhere that an owner, or who gave them a backup, can,
// and some clients with the account's events.
func (h *instance) plantAsOwner(t *testing.T, i int) {
	t.Helper()
	text := hostile[i]
	tab := h.guest(t)
	tab.AddAuthenticator()
	tab.Open(h.base + "/account")
	create(tab, text)
	tab.WaitFor("main[data-ready]")
	unharmed(t, tab, "as an identity's name", text)
	addPasskey(tab, text)
	tab.Click("#browser-keys [data-do=upload]")
	tab.WaitFor("[data-do=remove-backup]")
	backup, id := memberBackup(t, text)
	tab.Click("#link summary")
	paste(tab, "#import-text", backup)
	bringIn(tab, password)
	tab.WaitFor("[data-identity='" + id.BAPID() + "']")
	device := h.ask(t, url.Values{"client_id": {fmt.Sprint("hostile-", i)}, "device_name": {text}}, "User-Agent", text)
	goTo(tab, h, device)
	tab.Click("[name=identity][value='" + id.BAPID() + "']")
	unharmed(t, tab, "in the choice of identities", text)
	approve(tab, device)
	unharmed(t, tab, "in the outcome", text)
	device.wantApproved(t, bySignature)
	account(tab)
	tab.WaitFor("main[data-ready]")
	unharmed(t, tab, "in the account", text)
	// Two identities, the passkey, the key here, the device and its client, and what happened to them all.
	if n := strings.Count(tab.Text("main"), text); n < 8 {
		t.Errorf("the account shows %s %d times:\n%s", text, n, tab.Text("main"))
	}
	question := tab.Agree(true, func() { tab.Click("#browser-keys [data-do=forget]") })
	if !strings.Contains(question, text) {
		t.Errorf("the page asks %q", question)
	}
	tab.WaitUntil(`document.querySelectorAll("#browser-keys li").length === 1`) // nothing is clicked on a page that is on its way out
	signOut(tab)
	h.link(tab, h.ask(t, nil))
	tab.WaitFor("[data-way=browser][open]")
	unharmed(t, tab, "on the sign-in screen", text)
}

func unharmed(t *testing.T, tab *browser.Tab, where, text string) {
	t.Helper()
	tab.WaitFor("h1")
	if found := browser.Eval[string](tab, harm); found != "" {
		t.Errorf("%s: %s became\n%s", where, text, found)
	}
}

// setName gives the owner's identity a name, as the command line does.
func (o *owner) setName(t *testing.T, h *instance, name string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"aud": h.base, "bapId": o.bapID, "name": name})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.send(t.Context(), http.MethodPut, h.url, "/api/bap/profile", body, true); err != nil {
		t.Fatal("setting a name:", err)
	}
}
