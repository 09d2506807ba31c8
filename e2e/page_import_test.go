//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/e2e/browser"
)

// vector is a backup that another program wrote.
type vector struct {
	Name       string          `json:"name"`
	Iterations int             `json:"iterations"`
	Passphrase string          `json:"passphrase"`
	Encrypted  string          `json:"encrypted"`
	Payload    json.RawMessage `json:"payload"`
}

func backupVectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("../bap/testdata/backups.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d vectors: %v", len(file.Cases), err)
	}
	return file.Cases
}

// paste puts a text into a field in place of what is there.
func paste(tab *browser.Tab, selector, text string) {
	tab.Click(selector)
	browser.Eval[bool](tab, `document.activeElement.select() ?? true`)
	tab.Insert(text)
}

// bringIn reads a backup that was chosen or pasted.
func bringIn(tab *browser.Tab, password string) {
	paste(tab, "#import-password", password)
	tab.Click("form[data-do=import] button")
}

func TestPageEveryKindOfBackupIsBroughtIn(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	for i, v := range backupVectors(t) {
		t.Run(fmt.Sprint(v.Name, " ", v.Iterations), func(t *testing.T) {
			t.Parallel()
			backup, err := bap.DecryptBackup(v.Encrypted, v.Passphrase)
			if err != nil {
				t.Fatal(err)
			}
			last := backup.Identities[len(backup.Identities)-1]
			tab, device := h.guest(t), h.ask(t, numberMatch)
			h.link(tab, device)
			openWay(tab, "import")
			if i%2 == 0 {
				file := filepath.Join(t.TempDir(), "mine.bep")
				if err := os.WriteFile(file, []byte(v.Encrypted+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				tab.Choose("#import-file", file)
			} else {
				paste(tab, "#import-text", " "+v.Encrypted+"\n")
			}
			if i == 0 {
				tab.Screenshot("import-1-backup")
			}
			bringIn(tab, v.Passphrase)
			if len(backup.Identities) > 1 {
				tab.WaitFor("form[data-do=choose]")
				if i == 0 {
					tab.Axe()
					tab.Screenshot("import-2-which-identity")
				}
				tab.Click("[name=identity][value='" + last.BAPID() + "']")
				tab.Click("form[data-do=choose] button")
			}
			approve(tab, device)
			if got := goodReceipt(t, tab); got.PublicKey != last.MemberPublicKey() {
				t.Errorf("it is signed by %s", got.PublicKey)
			}
			device.wantApproved(t, bySignature)
			got := keptIn(tab)
			if len(got) != 1 || (got[0].BEP == v.Encrypted) != (v.Iterations == bap.Iterations) || got[0].BAPID != last.BAPID() || !got[0].Saved {
				t.Fatalf("the browser keeps %+v", got)
			}
			today(t, got[0].BEP, v.Passphrase)
		})
	}
}

// today wants a backup that is encrypted as backups are today.
func today(t *testing.T, bep, password string) {
	t.Helper()
	if b, err := bap.DecryptBackup(bep, password); err != nil || b.Iterations != bap.Iterations {
		t.Errorf("a backup is encrypted as %+v: %v", b, err)
	}
}

// TestPageWhatOlderSoftwareEncryptedIsEncryptedAnew has a browser and a server that
// keep a backup of few rounds, as both may since before they were encrypted anew.
func TestPageWhatOlderSoftwareEncryptedIsEncryptedAnew(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	old := backupVectors(t)[slices.IndexFunc(backupVectors(t), func(v vector) bool { return v.Iterations == bap.LegacyIterations })]
	backup, err := bap.DecryptBackup(old.Encrypted, old.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	identity := backup.Identities[0]
	o := &owner{key: identity.MemberKey(), bapID: identity.BAPID(), pubkey: identity.MemberPublicKey()}
	tab := h.guest(t)
	tab.Open(h.base + "/account")
	openWay(tab, "import")
	paste(tab, "#import-text", old.Encrypted)
	bringIn(tab, old.Passphrase)
	if len(backup.Identities) > 1 {
		tab.WaitFor("form[data-do=choose]")
		tab.Click("form[data-do=choose] button")
	}
	tab.WaitFor("#browser-keys [data-do=upload]")
	browser.Eval[bool](tab, `new Promise((resolve, reject) => {
		const opening = indexedDB.open("countersign");
		opening.onsuccess = () => {
			const change = opening.result.transaction("identities", "readwrite"), all = change.objectStore("identities");
			all.getAll().onsuccess = ({target}) => { const {rounds, ...record} = target.result[0]; all.put({...record, bep: "`+old.Encrypted+`"}); };
			change.oncomplete = () => { opening.result.close(); resolve(true); };
			change.onabort = () => reject(change.error);
		};
	})`)

	// What is sent to the server is not the old one: the key is asked for its password.
	tab.Reload()
	tab.WaitFor("main[data-ready]")
	tab.Click("#browser-keys [data-do=upload]")
	tab.Type("#vouch [name=password]", old.Passphrase)
	tab.Click("#vouch .primary")
	tab.WaitFor("[data-do=remove-backup]")
	saved := func() string {
		return browser.Eval[string](tab, `fetch("/api/backup?bapId=`+o.bapID+`").then(r => r.json()).then(b => b.encryptedBackup)`)
	}
	mine := keptIn(tab)[0]
	today(t, mine.BEP, old.Passphrase)
	if got := saved(); got != mine.BEP {
		t.Errorf("the server keeps %q", got)
	}

	// What the server keeps is replaced by whoever brings it back.
	body, err := json.Marshal(map[string]string{"bapId": o.bapID, "encryptedBackup": old.Encrypted, "aud": h.base})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.send(t.Context(), http.MethodPost, h.url, "/api/backup", body, true); err != nil {
		t.Fatal(err)
	}
	tab.Agree(true, func() { tab.Click("#browser-keys [data-do=forget]") })
	tab.WaitFor("[data-do=fetch-backup]")
	tab.Click("[data-do=fetch-backup]")
	tab.Type("form[data-do=open-backup] input", old.Passphrase)
	tab.Click("form[data-do=open-backup] button")
	tab.WaitFor("#browser-keys [data-do=forget]")
	if kept := keptIn(tab); len(kept) != 1 || kept[0].BEP != saved() {
		t.Errorf("the browser keeps %+v", kept)
	}
	today(t, saved(), old.Passphrase)
}

func TestPageAMemberAndAKeyInTheClearAreBroughtIn(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := bap.NewIdentity("Carol", key)
	if err != nil {
		t.Fatal(err)
	}
	member, err := bap.NewMemberBackup(identity, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := member.Encrypt(rand.Reader, password, bap.Iterations)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"member": encrypted, "JSON in the clear": string(member.Payload()), "WIF in the clear": key.Wif()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tab, device := h.guest(t), h.ask(t, numberMatch)
			h.link(tab, device)
			openWay(tab, "import")
			paste(tab, "#import-text", text)
			if text != encrypted { // it needs a password from now on, and a good one
				bringIn(tab, "short")
				tab.WaitFor("[data-way=import] .error")
				if got := tab.Text("[data-way=import] .error"); !strings.Contains(got, "10 characters") {
					t.Errorf("a short password: %q", got)
				}
			}
			bringIn(tab, password)
			approve(tab, device)
			if got := goodReceipt(t, tab); got.PublicKey != identity.MemberPublicKey() {
				t.Errorf("it is signed by %s", got.PublicKey)
			}
			device.wantApproved(t, bySignature)
			got := keptIn(tab)
			if len(got) != 1 || strings.Contains(got[0].BEP, key.Wif()) {
				t.Fatalf("the browser keeps %+v", got)
			}
			if _, err := bap.DecryptBackup(got[0].BEP, password); err != nil {
				t.Errorf("what is kept: %v", err)
			}
		})
	}
}

func TestPageWhatIsNoBackupOrHasAnotherPasswordIsSaid(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	h.link(tab, h.ask(t, nil))
	openWay(tab, "import")
	const errorText = `document.querySelector("[data-way=import] .error").textContent`
	refused := func(text, password, want string) {
		t.Helper()
		paste(tab, "#import-text", text)
		bringIn(tab, password)
		tab.WaitUntil(errorText + `.includes("` + want + `")`)
		browser.Eval[string](tab, errorText+` = ""`)
	}
	v := backupVectors(t)[1]
	refused(v.Encrypted, "not the password", "That password is wrong")
	refused("this is no backup", "not the password", "not a backup")
	refused(`{"xprv":"xprv9s21ZrQH143K"}`, "not the password", "not a backup")
	bringInNothing := func() {
		browser.Eval[bool](tab, `document.querySelector("#import-text").value = ""; true`)
		bringIn(tab, "not the password")
		tab.WaitUntil(errorText + `.length > 0`)
	}
	bringInNothing()
	if len(keptIn(tab)) > 0 || tab.Shows("form[data-do=choose]") {
		t.Error("something was brought in")
	}
}

func TestPageWhatWasReadOfABackupIsDroppedAfterTenMinutes(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab, device := h.guest(t), h.ask(t, numberMatch)
	tab.Before(tenMinutes)
	several, second := twoIdentities(t)
	h.link(tab, device)
	openWay(tab, "import")
	paste(tab, "#import-text", several)
	bringIn(tab, password)
	tab.WaitFor("form[data-do=choose]")
	tab.Eval(`tenMinutesLater()`)
	tab.WaitGone("form[data-do=choose]")
	if left := browser.Eval[string](tab, `document.querySelector("#import-text").value + document.querySelector("#import-password").value + document.querySelector("[data-part=choices]").childElementCount`); left != "0" {
		t.Errorf("the page still holds %q", left)
	}

	// It can be read again; the page's clock is ten minutes ahead of the server's now.
	tab.Reload()
	openWay(tab, "import")
	paste(tab, "#import-text", several)
	bringIn(tab, password)
	tab.Axe()
	tab.Click("[name=identity][value='" + second.BAPID() + "']")
	tab.Click("form[data-do=choose] button")
	approve(tab, device)
	if got := goodReceipt(t, tab); got.PublicKey != second.MemberPublicKey() {
		t.Errorf("it is signed by %s", got.PublicKey)
	}
	device.wantApproved(t, bySignature)
}

// twoIdentities makes a backup of a master with two identities.
func twoIdentities(t *testing.T) (text string, second *bap.Identity) {
	t.Helper()
	master, err := bap.NewMaster(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	identities := make([]*bap.Identity, 2)
	for i := range identities {
		if identities[i], err = master.Identity(i, fmt.Sprint("Number ", i)); err != nil {
			t.Fatal(err)
		}
	}
	backup, err := bap.NewMasterBackup(master, identities, "both", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if text, err = backup.Encrypt(rand.Reader, password, bap.Iterations); err != nil {
		t.Fatal(err)
	}
	return text, identities[1]
}

// noStorage takes a browser's storage away, as a private window may.
const noStorage = `Object.defineProperty(window, "indexedDB", {get: () => undefined})`

func TestPageWithoutStorageWhoHasTheBackupGoesOnAndNobodyElse(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	text, id := memberBackup(t, "Carol")

	t.Run("a new identity", func(t *testing.T) {
		t.Parallel()
		tab, device := h.guest(t), h.ask(t, numberMatch)
		tab.Before(noStorage)
		h.link(tab, device)
		if got := tab.Text("[data-way=new] .error"); !strings.HasPrefix(got, "This browser may not store anything") {
			t.Errorf("before there is something to lose the page says %q", got)
		}
		create(tab, "Satoshi") // and accepts the loss
		tab.WaitFor("#save .error")
		if got := tab.Text("#save .error"); !strings.HasPrefix(got, "This browser may not store anything") {
			t.Errorf("the page says %q", got)
		}
		if browser.Eval[bool](tab, `fetch("/api/auth/get-session").then(r => r.json()).then(s => s !== null)`) {
			t.Error("an identity that is gone with the page has an account")
		}
		tab.Downloaded(func() { tab.Click("[data-do=save]") })
		tab.WaitFor("#decision")
		if got := tab.Text("[data-part=how]"); got != "Satoshi signs with its key in this browser." {
			t.Errorf("the review says %q", got)
		}
		approve(tab, device)
		device.wantApproved(t, bySignature)
	})
	t.Run("a backup", func(t *testing.T) {
		t.Parallel()
		tab, device := h.guest(t), h.ask(t, numberMatch)
		tab.Before(noStorage)
		h.link(tab, device)
		openWay(tab, "import")
		paste(tab, "#import-text", text)
		bringIn(tab, password)
		approve(tab, device)
		if got := goodReceipt(t, tab); got.PublicKey != id.MemberPublicKey() {
			t.Errorf("it is signed by %s", got.PublicKey)
		}
		device.wantApproved(t, bySignature)
	})
}
