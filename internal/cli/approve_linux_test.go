//go:build linux

package cli

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
)

// TestAnApprovalIsAskedInThePagesOrderEachTime: what the device shows, then yes; and only
// what may be on it is sent.
func TestAnApprovalIsAskedInThePagesOrderEachTime(t *testing.T) {
	inFull(t)
	t.Parallel()
	f := newFront(t)
	sent := 0
	f.does(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/device/approve") {
			sent++
		}
		return false
	})
	m := newMachine(t)
	m.want(ExitDone, "", "", "identity", "create", "alice")
	const number, letters, yes = "Which number does your device show: ", "The last four letters of the code, as your device shows it: ", "Approve as alice? [y/N] "
	for _, c := range []struct {
		asks  url.Values
		typed func(code, number string) string
		want  string
		sent  int
	}{
		{
			url.Values{"number_match": {"true"}},
			func(_, number string) string { return "countersign\n\n100\n" + number + "\ny\n" },
			number + "#? It is one of these. Look at your device again.\n" + number + "#? It is one of these. Look at your device again.\n" +
				number + "#? It is one of these. Look at your device again.\n" + number + "#? " + yes + "Approved.", 1,
		},
		{
			nil, func(code, _ string) string { return "AEIO\ny\n" + code[len(code)-4:] + "\ny\n" },
			letters + yes + "No device shows that. Look at yours again.\n" + letters + yes + "Approved.", 2,
		},
	} {
		sent = 0
		code, shown := askedWithNumber(t, f.url, c.asks)
		var said bytes.Buffer
		got := Main([]string{"approve", code, "--server", f.url}, &Env{
			Stdin: strings.NewReader(c.typed(code, shown)), StdinTerminal: true, Stdout: &said, Stderr: &said,
			Now: time.Now, Rand: SystemEnv().Rand, Getenv: func(name string) string { return m.env[name] },
		})
		asked := regexp.MustCompile(`\d\d, \d\d, \d\d`).ReplaceAllString(said.String(), "#")
		if got != 0 || !strings.Contains(asked, c.want) || sent != c.sent {
			t.Errorf("exit code %d, %d approvals sent:\n%s\nwant\n%s", got, sent, asked, c.want)
		}
	}
}

// What is asked for is read at a glance on a narrow terminal, too: no word is cut.
func TestWhatADeviceAsksFitsOnANarrowTerminal(t *testing.T) {
	inFull(t)
	t.Parallel()
	issuer, env := terminalServer(t)
	if code := openTerminal(t, env, "identity", "create", "alice").end(); code != 0 {
		t.Fatal("an identity could not be made")
	}
	code := asked(t, issuer, url.Values{"scope": {"openid profile offline_access"}, "device_name": {"a press in the third hall, on the left"}})
	term := openTerminalOf(t, 50, 24, env, program(t), "approve", code)
	term.await(`last four letters`)
	before, _, _ := strings.Cut(term.screen(), "The last four")
	for line := range strings.SplitSeq(before, "\r\n") {
		if uniseg.StringWidth(line) > 50 {
			t.Errorf("%q", line)
		}
	}
	term.types("\x03")
	term.end()
}
