//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// terminal is a directory of the command line's own, with one identity in it.
type terminal struct {
	server string
	env    []string
}

func (h *instance) terminal(t *testing.T) *terminal {
	t.Helper()
	c := &terminal{server: h.base, env: append(os.Environ(), "COUNTERSIGN_CONFIG_DIR="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(),
		"COUNTERSIGN_KEYRING=off", "COUNTERSIGN_PASSWORD="+password, "COUNTERSIGN_SERVER="+h.base)}
	c.run(t, "identity", "create", "satoshi")
	return c
}

func (c *terminal) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("countersign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// approve approves what a device asks, as the page tells people to.
func (c *terminal) approve(t *testing.T, d *tv, scope string, more ...string) {
	t.Helper()
	c.run(t, append([]string{"approve", d.code, "--yes", "--expect-client", d.clientID, "--expect-scope", scope}, more...)...)
}

func TestPageFollowsWhatTheCommandLineDecides(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	c := h.terminal(t)
	for decision, says := range map[string]string{"approve": "Approved elsewhere", "deny": "Denied elsewhere"} {
		tab, device := h.guest(t), h.ask(t, nil)
		h.link(tab, device)
		openWay(tab, "command")
		if got := tab.Text("[data-way=command]"); !strings.Contains(got, "countersign approve "+device.code+" --server "+h.base) {
			t.Errorf("the page says\n%s", got)
		}
		tab.Axe()
		tab.Screenshot("command-line-1-waiting")
		if decision == "approve" {
			c.approve(t, device, "openid profile")
			device.wantApproved(t, bySignature)
		} else {
			c.run(t, "deny", device.code)
			device.wantTold(t, "access_denied")
		}
		tab.WaitUntil(`document.body.innerText.includes("` + says + `")`)
		tab.Screenshot("command-line-2-" + decision)
		if tab.Shows("details") {
			t.Error("the page still offers to sign in for what is decided")
		}
		tab.Axe()
	}
}

func TestPageAReviewNoticesWhatItsOwnerDecidesElsewhere(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	c := h.terminal(t)
	// The same identity is in the browser.
	bep := c.run(t, "identity", "export", "satoshi")
	tab, device := h.guest(t), h.ask(t, numberMatch)
	h.link(tab, device)
	openWay(tab, "import")
	paste(tab, "#import-text", bep)
	bringIn(tab, password)
	tab.WaitFor("#decision")
	c.approve(t, device, "openid profile", "--match", device.match)
	tab.WaitFor("[data-screen=done]")
	if got := tab.Text("h1"); got != "Allowed" {
		t.Errorf("the page says %q", got)
	}
	device.wantApproved(t, bySignature)
}
