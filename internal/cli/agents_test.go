//go:build unix

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/bap"
	"countersign.dev/receipt"
)

// chainFile is a chain of three links, of a server's contract.
const chainFile = "../../receipt/testdata/chain.json"

func TestADelegationIsCheckedOffline(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	code, out, said := m.run("agents", "verify", chainFile, "--at", "2026-11-29T12:10:00Z")
	if code != ExitDone || said != "" {
		t.Fatalf("exit code %d: %s", code, said)
	}
	golden := filepath.Join("testdata", "agents-verify.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != out {
		t.Errorf("%s, want %s: run go test ./internal/cli -update (%v)", out, want, err)
	}
	code, out, said = m.run("agents", "verify", chainFile, "--at", "1795954200", "--json")
	var event struct {
		Event, Owner, Presence string
		At                     int64
		Links                  []struct {
			Agent  receipt.Delegate
			Checks []receipt.Check
			Depth  int
		}
		NotChecked []string `json:"not_checked"`
	}
	if err := json.Unmarshal([]byte(out), &event); err != nil || code != ExitDone || event.Event != "verified" || event.At != 1795954200 || len(event.Links) != 3 ||
		event.Links[2].Agent.Name != "Courier" || len(event.Links[0].Checks) != 9 || len(event.NotChecked) != 2 || event.Presence != "password" {
		t.Errorf("exit code %d: %s%s (%v)", code, out, said, err)
	}
}

func TestADelegationThatIsNotGoodIsRefusedByLinkAndCheck(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	text, err := os.ReadFile(chainFile)
	if err != nil {
		t.Fatal(err)
	}
	links, err := receipt.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const at = "2026-11-29T12:10:00Z"
	alone, changed := write("alone.json", links[0]), write("changed.json", strings.Replace(string(text), "Shopper", "Shipper", 1))
	for what, row := range map[string]struct {
		file, at, says string
		code           ExitCode
	}{
		"the receipt of one":  {alone, at, "", ExitDone},
		"a part of the chain": {write("part.json", links[1]), at, `link 1, check "link" failed`, ExitVerification},
		"changed":             {changed, at, `link 2, check "signature" failed`, ExitVerification},
		"over":                {chainFile, "2026-11-29T14:00:00Z", `link 2, check "alive" failed: it is over`, ExitVerification},
		"not begun":           {chainFile, "2026-11-29T11:00:00+00:00", `link 1, check "alive" failed: it has not begun`, ExitVerification},
		"no chain":            {write("none.json", "{}"), at, `check "format" failed`, ExitVerification},
		"no time":             {chainFile, "noon", "--at is no time", ExitUsage},
		"no file":             {filepath.Join(dir, "nothing"), at, "no such file", ExitFailed},
	} {
		code, out, said := m.run("agents", "verify", row.file, "--at", row.at)
		if code != row.code || !strings.Contains(said, row.says) || (code == ExitDone) != strings.Contains(out, "good at 2026-11-29 12:10:00 UTC: 1 link, 9 checks passed") {
			t.Errorf("%s: exit code %d: %s%s", what, code, out, said)
		}
	}
	code, out, _ := m.run("agents", "verify", changed, "--at", at, "--json")
	if code != ExitVerification || !strings.Contains(out, `"check":"signature"`) || !strings.Contains(out, `"link":2`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestEveryKindOfReceiptIsChecked(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	text, err := os.ReadFile("../../receipt/testdata/agents.json")
	if err != nil {
		t.Fatal(err)
	}
	var known struct {
		Receipt string `json:"receipt"`
		Kill    string `json:"kill_file"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	for text, says := range map[string][]string{
		known.Receipt: {"7 checks passed", "agent        Backup tool", "may          Spend USD at https://shop.example\n", "at most 20.00 USD in all", "typed the password", "grant        d9102eb218027595c600a7070ef9871f"},
		known.Kill:    {"6 checks passed", "ends everything", "at server    https://id.example.org"},
	} {
		file := filepath.Join(t.TempDir(), "receipt.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, said := m.run("receipt", "verify", file)
		for _, want := range says {
			if code != ExitDone || !strings.Contains(out, want) {
				t.Errorf("exit code %d, want %q: %s%s", code, want, out, said)
			}
		}
	}
}

// A machine with one identity makes a kill switch and an agent's key; neither overwrites a
// file, nor asks a server.
func TestOwnersKeepAKillSwitchAndMakeAgentsKeysAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	dir := t.TempDir()
	if code, _, said := m.run("identity", "create", "satoshi"); code != ExitDone {
		t.Fatal(said)
	}
	_, id, _ := m.run("identity", "show")
	kill := filepath.Join(dir, "kill.json")
	if code, out, said := m.run("agents", "kill-switch", kill, "--server", "https://id.example.org"); code != ExitDone || out != "" ||
		!strings.Contains(said, "https://id.example.org/api/kill ends everything") {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
	text, err := os.ReadFile(kill)
	if err != nil {
		t.Fatal(err)
	}
	k, err := receipt.VerifyKillSwitch(text)
	if err != nil || k.Issuer != "https://id.example.org" || !strings.Contains(id, k.BAPID) {
		t.Errorf("%+v %v", k, err)
	}
	wantPrivate(t, kill)
	if code, _, said := m.run("agents", "kill-switch", kill); code != ExitFailed || !strings.Contains(said, "there is a file of that name") {
		t.Errorf("exit code %d: %s", code, said)
	}

	password := filepath.Join(dir, "agent.password")
	if err := os.WriteFile(password, []byte("another four random words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, out := range []string{"one.bep", "two.bep"} {
		file := filepath.Join(dir, out)
		code, name, said := m.run("agents", "derive", "backup-tool", "--out", file, "--new-password-file", password)
		if code != ExitDone {
			t.Fatalf("exit code %d: %s", code, said)
		}
		wantPrivate(t, file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bap.DecryptBackup(string(text), "another four random words")
		if err != nil || b.Kind != bap.KindMember || b.Identities[0].BAPID() != strings.TrimSpace(name) || b.Identities[0].Name != "backup-tool" {
			t.Fatalf("%v %v", b, err)
		}
		keys[b.Identities[0].MemberPublicKey()] = true
	}
	if len(keys) != 1 {
		t.Errorf("the same name gives %d keys", len(keys))
	}
	for what, args := range map[string][]string{
		"lower-case":               {"agents", "derive", "Backup", "--new-password-file", password},
		"a new password is needed": {"agents", "derive", "backup-tool", "--out", filepath.Join(dir, "x.bep")},
		"there is a file":          {"agents", "derive", "backup-tool", "--out", filepath.Join(dir, "one.bep"), "--new-password-file", password},
	} {
		if code, out, said := m.run(args...); code == ExitDone || out != "" || !strings.Contains(said, what) {
			t.Errorf("%s: exit code %d: %s%s", what, code, out, said)
		}
	}
}

func wantPrivate(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", file, info, err)
	}
}

func TestWhatApprovesDelegatesOrEndsEverythingIsNoOrdinaryRequest(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if code, _, said := m.run("identity", "create", "satoshi"); code != ExitDone {
		t.Fatal(said)
	}
	for _, path := range []string{receipt.ApprovalPath, receipt.SubdelegationPath, receipt.KillPath, receipt.KillPath + "?aud=x"} {
		if code, out, said := m.run("identity", "sign", "--path", path, "--data", "{}"); code != ExitUsage || out != "" || !strings.Contains(said, "a signature over this path") {
			t.Errorf("%s: exit code %d: %s%s", path, code, out, said)
		}
	}
	if code, out, _ := m.run("identity", "sign", "--path", receipt.KillPath+"s"); code != ExitDone || !strings.Contains(out, "|/api/kills|") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
