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
	h := startHouse(t)
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
