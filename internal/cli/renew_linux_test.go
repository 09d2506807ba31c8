package cli

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"countersign.dev/bap"
)

// TestABackupThatCannotBeEncryptedAnewStaysAndOpens has a home that its owner may
// only read, as a mounted one.
func TestABackupThatCannotBeEncryptedAnewStaysAndOpens(t *testing.T) {
	const bapID, password = "3zQ5iq2r377e2eW4xhUAE7gh4WaY", "correct horse battery staple"
	old, err := os.ReadFile("testdata/backups/key.bep")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	dir := filepath.Join(home, identitiesDir)
	if err := os.Mkdir(dir, privateDir); err != nil {
		t.Fatal(err)
	}
	path := withMode(t, filepath.Join(dir, "old."+bapID+".bep"), string(old), privateFile)
	const readOnly = 0o500
	if os.Geteuid() == 0 { // whom no mode stops: this thread looks at files as nobody
		const nobody = 65534
		if err := errors.Join(os.Chown(path, nobody, nobody), os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(home), 0o711)); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	if err := os.Chmod(dir, readOnly); err != nil {
		t.Fatal(err)
	}
	env := []string{"COUNTERSIGN_CONFIG_DIR=" + home, "COUNTERSIGN_PASSWORD=" + password}
	code, said := commandLine(t, env, "identity", "show", "old")
	if code != int(ExitDone) || !strings.Contains(said, bapID) || !strings.Contains(said, "cannot be encrypted anew: writing "+path) {
		t.Errorf("exit code %d: %s", code, said)
	}
	kept, err := os.ReadFile(path)
	if err != nil || string(kept) != string(old) {
		t.Errorf("what is kept was changed: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files: %v", len(files), err)
	}
	if err := os.Chmod(dir, privateDir); err != nil { // whose owner may remove it again
		t.Fatal(err)
	}
	if code, said := commandLine(t, env, "identity", "show", "old"); code != int(ExitDone) || !strings.Contains(said, "is encrypted anew now") {
		t.Errorf("once it may be written: exit code %d: %s", code, said)
	}
	if kept, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if b, err := bap.DecryptBackup(string(kept), password); err != nil || b.Iterations != bap.Iterations {
		t.Errorf("it is kept as %v: %v", b, err)
	}
}
