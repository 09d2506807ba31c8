//go:build unix

package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/deviceflow"
	"countersign.dev/internal/config"
	"countersign.dev/receipt"
)

var (
	copied = regexp.MustCompile(`(countersign|chmod) [a-z].*`)
	valued = regexp.MustCompile(`<--(cursor|server)><[^>]*>`) // a flag, and its value whatever that is
)

// People copy commands that they are shown. Each is run here, by a shell whose
// countersign and chmod only say what they were given.
func TestACommandThatIsShownRunsNothingElseWhateverTextIsInIt(t *testing.T) {
	bad, dir := newBadServer(t), t.TempDir()
	const mark = "mark" // in the directory of the shell
	ctx := t.Context()
	for _, text := range []string{
		"x; touch " + mark + " #", "x | touch " + mark, "x && touch " + mark, "$(touch " + mark + ")", "`touch " + mark + "`", "x\ntouch " + mark,
		"' ; touch " + mark + " ; '", `" ; touch ` + mark + ` ; "`, `\'; touch ` + mark + " #", "--server=http://evil.example", "-x", "two words", "x>" + mark, "~", "*", "",
	} {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		odd := filepath.Join(dir, strings.ReplaceAll(text, "/", "_"))
		if text == "" || text == "~" || strings.Contains(text, "\n") {
			odd = filepath.Join(dir, "plain")
		}
		if err := os.WriteFile(odd, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(odd, 0o644); err != nil {
			t.Fatal(err)
		}
		for name, act := range map[string]func(c *owner) error{
			"receipt verify": func(c *owner) error {
				c.env.Stdin = strings.NewReader(receiptWithNonce(t, text))
				verify := newReceiptVerify(c.env)
				verify.SetArgs([]string{"-"})
				return verify.Execute()
			},
			"approve": func(c *owner) error {
				bad.answers(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						answering(200, `{"success":true,"grant_id":`+string(quoted)+`}`)(w, r)
						return
					}
					answering(200, goodFacts(bad.URL, satoshi().BAPID(), func(_ map[string]any, s *receipt.Statement) { s.Nonce = text }))(w, r)
				})
				return c.approve(ctx, "BCDF-GHJK", yes)
			},
			"grants list": func(c *owner) error {
				bad.answers(answering(200, `{"grants":[],"next":`+string(quoted)+`}`))
				return c.listGrants(ctx, "", false)
			},
			"login": func(c *owner) error {
				for _, code := range []string{text, "BCDF-GHJK"} {
					newLoginScreen(c.env, &deviceflow.Config{Endpoint: deviceflow.Endpoint{Issuer: text}},
						&deviceflow.Authorization{UserCode: code, VerificationURI: "https://id.example.org/device", Expires: time.Now()}, loginOptions{}).show()
				}
				return nil
			},
			"a file that others can read": func(*owner) error {
				_, err := checkPrivate(odd, false)
				return err
			},
			"migrate": func(*owner) error {
				return fail(ExitFailed, "moving", nil, nextServer(&config.Settings{SecretFile: odd}))
			},
		} {
			_, out := as(bad.URL, act)
			for _, line := range copied.FindAllString(out, -1) {
				line = strings.TrimSuffix(strings.TrimSuffix(line, "."), `"`)
				shell := exec.Command("sh", "-c", `countersign() { printf '<%s>' "$@"; }; chmod() { countersign "$@"; }; `+line)
				shell.Dir = dir
				said, err := shell.CombinedOutput()
				if err != nil || strings.Contains(valued.ReplaceAllString(string(said), ""), "<--server=") {
					t.Errorf("%s with %q: %s: %v %s", name, text, line, err, said)
				}
				if os.Remove(filepath.Join(dir, mark)) == nil {
					t.Errorf("%s with %q shows a command that runs another: %s", name, text, line)
				}
			}
		}
	}
}

// receiptWithNonce is a receipt that is well signed.
func receiptWithNonce(t *testing.T, nonce string) string {
	t.Helper()
	now := time.Now()
	s := receipt.Statement{
		Version: receipt.StatementVersion, Issuer: "https://id.example.org", Purpose: receipt.PurposeDeviceApproval, UserCodeHash: receipt.UserCodeHash("BCDF-GHJK"),
		ClientID: "my-app", Scope: "openid", BAPID: satoshi().BAPID(), Nonce: nonce, IssuedAt: now.Unix(), ExpiresAt: now.Unix() + 300,
	}
	body, err := json.Marshal(map[string]string{"userCode": "BCDF-GHJK", "statement": s.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	token, err := bitcoinauth.Sign(satoshi().MemberKey(), bitcoinauth.Signing{Path: receipt.ApprovalPath, Body: body, Time: now})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Receipt{BAPID: satoshi().BAPID(), Path: receipt.ApprovalPath, Body: string(body), Token: token}.Encode()
}

func TestAnIDOfOursIsShownInTheCommandsThatTakeIt(t *testing.T) {
	const id = "mzxw6ytboi4dcmzvgq2tgobzgu"
	_, out := as("", func(c *owner) error {
		c.env.Stdin = strings.NewReader(receiptWithNonce(t, id))
		verify := newReceiptVerify(c.env)
		verify.SetArgs([]string{"-"})
		return verify.Execute()
	})
	if !strings.HasSuffix(out, "the server says: countersign receipt show "+id+" --server https://id.example.org\n") {
		t.Error(out)
	}
	for text, word := range map[string]string{"/etc/countersign/secret": "/etc/countersign/secret", "https://id.example.org:8443": "https://id.example.org:8443", "a b": "'a b'", "it's": `'it'\''s'`, "": "''"} {
		if got := shellWord(text); got != word {
			t.Errorf("%q is %s", text, got)
		}
	}
}
