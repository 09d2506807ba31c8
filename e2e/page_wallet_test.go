//go:build e2e

package e2e

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/e2e/browser"
)

// walletScript is @bsv/sdk's own ProtoWallet as it stands in a page, in one
// script.
const walletScript = `import { PrivateKey, ProtoWallet } from "@bsv/sdk";
const wallet = new ProtoWallet(PrivateKey.fromHex("$key"));
(window as unknown as { CWI: unknown }).CWI = {
	getPublicKey: (args: never) => wallet.getPublicKey(args),
	createSignature: async (args: never) => {
		if (localStorage.getItem("refuse")) throw new Error("the person said no");
		return wallet.createSignature(args);
	},
};`

// walletWith bundles a wallet that holds a key.
func walletWith(t *testing.T, key *ec.PrivateKey) string {
	t.Helper()
	bundle := filepath.Join(t.TempDir(), "wallet.js")
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../tools/go.mod", "esbuild",
		"--bundle", "--format=iife", "--target=es2022", "--loader=ts", "--log-level=warning", "--outfile="+bundle)
	cmd.Dir = "../web" // where npm's packages are
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(walletScript, "$key", key.Hex()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("bundling the wallet: %v\n%s", err, out)
	}
	script, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func TestPageAWalletSignsInAndApproves(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tab, device := h.guest(t), h.ask(t, numberMatch)
	tab.Before(walletWith(t, key))
	h.link(tab, device)
	tab.WaitFor("[data-way=wallet][open]") // nothing else is kept here: the wallet comes first
	tab.Axe()
	tab.Screenshot("wallet-1-sign-in")

	refuse := func(yes string) { tab.Eval(`localStorage.setItem("refuse", "` + yes + `")`) }
	refuse("1")
	tab.Click("[data-way=wallet] button")
	tab.WaitUntil(`document.querySelector("[data-way=wallet] .error").textContent === "The wallet did not sign."`)
	refuse("")
	tab.Click("[data-way=wallet] button")
	tab.WaitFor("#decision")
	tab.WaitUntil(`document.querySelector("[data-part=how]").textContent === "Your wallet signs."`)
	tab.Screenshot("wallet-2-review")
	refuse("1")
	tab.Click(numberField + "[value='" + device.match + "']")
	tab.Click(approveButton)
	tab.WaitUntil(`document.querySelector("#decision .error").textContent === "The wallet did not sign."`)
	refuse("")
	tab.Click(approveButton)
	tab.WaitFor("[data-screen=done]")
	if got := goodReceipt(t, tab); got.PublicKey != bap.FormatPublicKey(key.PubKey()) {
		t.Errorf("it is signed by %s", got.PublicKey)
	}
	device.wantApproved(t, bySignature)
}

// watchWallet counts what the wallet is asked to sign.
const watchWallet = `{
	const { createSignature } = CWI;
	window.signatures = 0;
	CWI.createSignature = args => {
		signatures++;
		if (!window.pending) return createSignature(args);
		return new Promise(resolve => { window.confirmed = () => resolve(createSignature(args)); });
	};
}`

func TestPageAWalletIsAskedOnceAndThePageSaysThatItWaits(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tab, device := h.guest(t), h.ask(t, numberMatch)
	tab.Before(walletWith(t, key) + ";" + watchWallet)
	h.link(tab, device)
	tab.Eval(`window.pending = true`)
	tab.Click("[data-way=wallet] button")
	tab.WaitUntil(`document.querySelector("[data-way=wallet] [data-part=waiting]").innerText === "Confirm in your wallet."`)
	tab.WaitUntil(`window.confirmed`)
	tab.Eval(`window.pending = false`)
	tab.Eval(`confirmed()`)
	tab.WaitFor("#decision")
	if got := browser.Eval[int](tab, `signatures`); got != 1 {
		t.Errorf("signing in asks the wallet %d times", got)
	}

	// Another code is looked up without a proof.
	another := h.ask(t, numberMatch)
	goTo(tab, h, another)
	if got := browser.Eval[int](tab, `signatures`); got != 1 {
		t.Errorf("entering a code asks the wallet: %d signatures", got)
	}
	approve(tab, another)
	another.wantApproved(t, bySignature)
}

func TestPageAnotherWalletDoesNotLetTheSessionApproveInstead(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	var wallets [2]string
	for i := range wallets {
		key, err := bap.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		wallets[i] = walletWith(t, key)
	}
	tab, device := h.guest(t), h.ask(t, numberMatch)
	tab.Before(wallets[0])
	h.link(tab, device)
	tab.Click("[data-way=wallet] button")
	tab.WaitFor("#decision")
	tab.Before(wallets[1])
	tab.Reload()
	tab.WaitUntil(`document.querySelector("[data-part=how]").textContent === "Your wallet signs."`)
	tab.Click(numberField + "[value='" + device.match + "']")
	tab.Click(approveButton)
	tab.WaitFor("#decision .error")
	if got := tab.Text("#decision .error"); !strings.HasPrefix(got, "The key of this identity is not in this browser") {
		t.Errorf("the page says %q", got)
	}
	// What the page says then is what happens.
	if got := tab.Text("[data-part=how]"); got != "Your sign-in approves, without a signature." {
		t.Errorf("the review says %q", got)
	}
	tab.Click(approveButton)
	tab.WaitFor("[data-screen=done]")
	device.wantApproved(t, bySession)
}
