//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
	"countersign.dev/receipt"
)

// What the walks have in common: the steps that people take again and again.

const password = "four plain quiet words"

// link opens a device's link, as a person does who was not here before.
func (h *instance) link(tab *browser.Tab, d *tv) {
	tab.Open(h.base + "/device?code=" + d.code)
	tab.WaitFor("#ways[data-ready]")
}

// create makes a new identity on the sign-in screen and keeps no backup of it.
func create(tab *browser.Tab, name string) {
	openWay(tab, "new")
	tab.Type("[data-way=new] [name=name]", name)
	tab.Type("[data-way=new] [name=password]", password)
	tab.Click("[data-way=new] button.primary")
	tab.Click("[data-do=accept-loss]")
}

// openWay opens one of the ways to sign in.
func openWay(tab *browser.Tab, way string) {
	tab.WaitFor("#ways[data-ready]")
	if !tab.Shows("[data-way=" + way + "][open]") {
		tab.Click("[data-way=" + way + "] summary")
	}
}

// newcomer gives somebody a browser, an identity in it and an account, and shows
// the account. The identity is unlocked.
func (h *instance) newcomer(t *testing.T, name string) *browser.Tab {
	t.Helper()
	tab := h.guest(t)
	tab.Open(h.base + "/account")
	create(tab, name)
	tab.WaitFor("[data-screen=account]")
	return tab
}

// signOut signs out by the button of every page.
func signOut(tab *browser.Tab) {
	tab.Leads(func() { tab.Click("form[action='/sign-out'] button") })
	tab.WaitFor("[data-screen=home]")
}

// unlock opens the identity that is kept in the browser, on the sign-in screen.
func unlock(tab *browser.Tab, password string) {
	openWay(tab, "browser")
	tab.Type("[data-way=browser] [name=password]", password)
	tab.Click("[data-way=browser] button.primary")
}

// approve decides for the device, and waits until that is done.
func approve(tab *browser.Tab, d *tv) {
	tab.WaitFor("#decision")
	decide(tab, d, approveButton)
	tab.WaitFor("[data-screen=done]")
}

// claims are those of a token that the tests look at.
type claims struct {
	ACR   string `json:"acr"`
	BAPID string `json:"bap_id"`
}

// claimsOf reads a token, which is a JWT.
func claimsOf(t *testing.T, token string) claims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token is no JWT: %s", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// The ways an approval was proved.
const (
	bySignature = "urn:countersign:acr:signature"
	bySession   = "urn:countersign:acr:session"
	byPasskey   = "urn:countersign:acr:passkey"
)

// wantApproved redeems the device's code and checks how the approval was proved.
func (d *tv) wantApproved(t *testing.T, acr string) tokens {
	t.Helper()
	got := d.redeem(t)
	if got.AccessToken == "" {
		t.Fatalf("the device is told %q", got.Error)
	}
	if claims := claimsOf(t, got.AccessToken); claims.ACR != acr {
		t.Errorf("the token says %s, want %s", claims.ACR, acr)
	}
	return got
}

// userInfo asks who a token is of; the answer is empty when it is dead.
func (h *instance) userInfo(t *testing.T, token string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/api/auth/oauth2/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	var claims map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// goodReceipt saves the receipt that the page offers, and verifies it.
func goodReceipt(t *testing.T, tab *browser.Tab) *receipt.Verified {
	t.Helper()
	_, file := tab.Downloaded(func() { tab.Click("a[href$='/receipt']") })
	verified, err := receipt.Verify([]byte(file))
	if err != nil {
		t.Fatalf("the receipt: %v\n%s", err, file)
	}
	return verified
}

// kept is what the browser keeps of each identity.
type kept struct {
	BAPID  string `json:"bapId"`
	Name   string `json:"name"`
	Pubkey string `json:"pubkey"`
	BEP    string `json:"bep"`
	Saved  bool   `json:"saved"`
}

// keptIn reads the identities that a browser keeps.
func keptIn(tab *browser.Tab) []kept {
	return browser.Eval[[]kept](tab, `new Promise((resolve, reject) => {
		const opening = indexedDB.open("countersign");
		opening.onerror = () => reject(opening.error);
		opening.onsuccess = () => {
			const db = opening.result;
			if (!db.objectStoreNames.contains("identities")) return resolve([]);
			const all = db.transaction("identities").objectStore("identities").getAll();
			all.onsuccess = () => { db.close(); resolve(all.result); };
		};
	})`)
}

// callKept gives what the browser keeps a name of before: what was changed elsewhere it
// does not know.
func callKept(tab *browser.Tab, name string) {
	browser.Eval[bool](tab, `new Promise((resolve, reject) => {
		const opening = indexedDB.open("countersign");
		opening.onerror = () => reject(opening.error);
		opening.onsuccess = () => {
			const db = opening.result, transaction = db.transaction("identities", "readwrite"), kept = transaction.objectStore("identities");
			kept.getAll().onsuccess = (all) => all.target.result.forEach((record) => kept.put({...record, name: `+quoted(name)+`}));
			transaction.oncomplete = () => { db.close(); resolve(true); };
		};
	})`)
}

var numberMatch = url.Values{"number_match": {"true"}}
