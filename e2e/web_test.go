//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/receipt"
)

// pageEvent is what clients/page-owner.mjs tells.
type pageEvent struct {
	Event string `json:"event"`
	User  struct {
		BAPID  string `json:"bapId"`
		Pubkey string `json:"pubkey"`
	} `json:"user"`
	Strength string                       `json:"strength"`
	BEP      string                       `json:"bep"`
	Password string                       `json:"password"`
	Profile  struct{ BAPID, Name string } `json:"profile"`
	Identity struct {
		BAPID string `json:"bap_id"`
		Name  string `json:"name"`
	} `json:"identity"`
	Receipt string `json:"receipt"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
	Status  int    `json:"status"`
}

// pageScript copies the page's bundle to where Node takes it for modules.
func pageScript(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "assets"), os.DirFS("../internal/server/assets")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "assets", "page.js")
}

func TestThePagesScriptsSignInApproveAndDenyAtTheServer(t *testing.T) {
	p := startGate(t, false)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "page-owner.mjs")
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+p.URL, "PAGE_SCRIPT="+pageScript(t))
	got := map[string]pageEvent{}
	if err := readEvents(cmd, func(e pageEvent) { got[e.Event] = e }); err != nil {
		t.Fatal(err)
	}

	signedIn := got["signed-in"]
	backup, err := bap.DecryptBackup(signedIn.BEP, signedIn.Password)
	if err != nil {
		t.Fatal("the backup made in the page:", err)
	}
	me := backup.Identities[0]
	if signedIn.User.BAPID != me.BAPID() || signedIn.User.Pubkey != me.MemberPublicKey() || me.Name != "satoshi" || signedIn.Strength != "strong" {
		t.Errorf("signed in as %+v with a %s password; the backup holds %s %q", signedIn.User, signedIn.Strength, me.BAPID(), me.Name)
	}
	if e := got["profile"].Profile; e.BAPID != me.BAPID() || e.Name != "Satoshi ✓" {
		t.Errorf("profile: %+v", e)
	}
	if e := got["linked"].Identity; e.BAPID == "" || e.BAPID == me.BAPID() || e.Name != "work" {
		t.Errorf("linked: %+v", e)
	}
	approved, err := receipt.Verify([]byte(got["approved"].Receipt))
	if err != nil {
		t.Fatalf("the receipt: %v: %s", err, got["approved"].Receipt)
	}
	if s := approved.Statement; s.Issuer != p.URL || s.ClientID != "my-app" || s.Scope != got["approved"].Scope || s.BAPID != me.BAPID() {
		t.Errorf("approved: %+v", s)
	}
	if e := got["denied"]; e.Error != "invalid_request" || e.Status != 400 {
		t.Errorf("after the denial: %+v", e)
	}
	if e := got["locked"]; e.Error != "LockedError" {
		t.Errorf("a locked key signed: %+v", e)
	}
}
