//go:build linux

package cli

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/config"
	"countersign.dev/receipt"
)

const agentsPassword = "correct horse battery staple"

// agentDesk is a server, and the environment of an owner of whom the agent knows everything
// that lies there: the password of the identity, too.
type agentDesk struct {
	t   *testing.T
	run *running
	env []string
}

func newAgentDesk(t *testing.T, change ...func(*config.Settings)) *agentDesk {
	t.Helper()
	settings := demoSettings(t.TempDir())
	for _, c := range change {
		c(settings)
	}
	run := startRunning(t, settings)
	d := &agentDesk{t, run, userOf(t, run.settings.Issuer)}
	if code := openTerminal(t, d.env, "identity", "create", "alice").end(); code != 0 {
		t.Fatal("an identity could not be made")
	}
	return d
}

// asks stores what an agent asks.
func (d *agentDesk) asks() (id, userCode string) {
	d.t.Helper()
	kept, err := keptSecret(d.run.settings)
	if err != nil {
		d.t.Fatal(err)
	}
	secrets, err := secret.Derive(kept, SystemEnv().Rand)
	if err != nil {
		d.t.Fatal(err)
	}
	if id, err = secrets.NewID(); err != nil {
		d.t.Fatal(err)
	}
	key, err := bap.NewKey(SystemEnv().Rand)
	if err != nil {
		d.t.Fatal(err)
	}
	agent, err := receipt.NewDelegate("Shopper", key.PubKey())
	if err != nil {
		d.t.Fatal(err)
	}
	const code = "BCDF-GHJK"
	now := time.Now()
	err = d.run.database.store.CreateDeviceRequest(d.t.Context(), authz.DeviceRequest{
		ID: id, DeviceCode: authz.Secret(id).Hash(), UserCode: secrets.HashUserCode(code), ClientID: "my-app", Scope: "openid profile", State: authz.Pending,
		CreatedAt: now, ExpiresAt: now.Add(15 * time.Minute), Thumbprint: agent.JKT, Seen: authz.Seen{Network: "203.0.113.0/24"},
		Asked: authz.Asked{
			Agent: authz.AgentKey{ID: agent.ID, Name: agent.Name, PublicKey: agent.PublicKey, Thumbprint: agent.JKT}, Reason: "Buy paper", Lifetime: time.Hour, Depth: 2,
			Details: `[{"currency":"USD","payees":["https://shop.example"],"per_day":"20.00","type":"spend"},{"actions":["orders.read"],"resource":"https://api.example","type":"call"}]`,
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return id, code
}

func (d *agentDesk) state(id string) authz.State {
	d.t.Helper()
	r, err := d.run.database.store.DeviceRequestByID(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.State
}

func TestK16_AtATerminalAnAgentIsNarrowedAndApprovedWithThePassword(t *testing.T) {
	inFull(t)
	t.Parallel()
	d := newAgentDesk(t)
	id, code := d.asks()
	term := openTerminal(t, d.env, "approve", code, "--limit", "USD:per_day=5.00")
	term.await("Less, or Enter to go on: ")
	screen := term.screen()
	last := -1
	for _, part := range []string{
		`The agent "Shopper" of`, "It may:", "(openid)", "1. Spend USD at https://shop.example", "at most 5.00 USD a day (per_day)", "2. Call orders.read at https://api.example",
		"Until:", "Not alone:", "We saw:", "It says of itself:", `it wants: "Buy paper"`,
	} {
		at := strings.Index(screen, part)
		if at < last || at < 0 {
			t.Errorf("%q is not there, or not in its place:\n%s", part, screen)
		}
		last = at
	}
	term.types("limit USD:per_day=20.01\n")
	term.await("not narrower")
	term.types("without 2\n")
	term.await(`(?s)Less.*Less.*Less, or Enter`)
	term.types("no-subagents\n")
	term.await("it may have no sub-agents")
	term.types("\n")
	term.await("Password for identity alice: ")
	term.types("not the password\n")
	term.await("Try again")
	term.types(agentsPassword + "\n")
	term.await("last four letters")
	term.types(code[len(code)-4:] + "\n")
	if ended := term.end(); ended != 0 || !strings.Contains(term.screen(), "Approved.") {
		t.Fatalf("exit code %d:\n%s", ended, term.screen())
	}
	exported := exec.CommandContext(t.Context(), program(t), "receipt", "export", id, "--jws")
	exported.Env = d.env
	if jws, err := exported.Output(); err != nil || strings.Count(string(jws), ".") != 2 || !strings.HasSuffix(string(jws), "\n") {
		t.Errorf("%s %v", jws, err)
	}
	g, err := d.run.database.store.Grant(t.Context(), id)
	if err != nil || g.Presence != authz.PresencePassword || g.Delegated.Depth != 0 ||
		g.Delegated.Details != `[{"currency":"USD","payees":["https://shop.example"],"per_day":"5.00","type":"spend"}]` {
		t.Errorf("%+v %v", g, err)
	}
}

// K-17: a shell with all that lies in the owner's environment, the password included, and a
// terminal that the agent made, at which it types what it knows but the password.
func TestK17_AScriptedShellApprovesNoAgent(t *testing.T) {
	inFull(t)
	t.Parallel()
	d := newAgentDesk(t)
	id, code := d.asks()
	for _, args := range [][]string{
		{"approve", code},
		{"approve", code, "--match", code[5:], "--yes", "--expect-client", "my-app", "--expect-scope", "openid profile"},
	} {
		cmd := exec.CommandContext(t.Context(), program(t), args...)
		cmd.Env = d.env
		cmd.Stdin = strings.NewReader("y\n" + agentsPassword + "\n" + code[5:] + "\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err == nil {
			t.Errorf("%q succeeded:\n%s", args, said.String())
		}
		if len(args) == 2 && (cmd.ProcessState.ExitCode() != int(ExitRefused) || !strings.Contains(said.String(), "typed for it at a terminal")) {
			t.Errorf("%q: %d\n%s", args, cmd.ProcessState.ExitCode(), said.String())
		}
	}
	term := openTerminal(t, d.env, "approve", code, "--match", code[5:])
	term.await("Less, or Enter to go on: ")
	term.types("\n")
	term.await("Password for identity alice: ")
	term.types("y\n")
	term.await("Try again")
	term.types("yes\n" + code[5:] + "\n")
	if ended := term.end(); ended != int(ExitLocked) {
		t.Errorf("exit code %d:\n%s", ended, term.screen())
	}
	if state := d.state(id); state != authz.Pending {
		t.Errorf("it is %s", state)
	}
}

func TestK16_WhereTheOperatorSaysSoAScriptApprovesWhatItExpects(t *testing.T) {
	inFull(t)
	t.Parallel()
	d := newAgentDesk(t, func(s *config.Settings) { s.Agents.UnattendedApproval = "true" })
	id, code := d.asks()
	r, err := d.run.database.store.DeviceRequestByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	run := func(more ...string) int {
		cmd := exec.CommandContext(t.Context(), program(t), append([]string{
			"approve", code, "--match", code[5:], "--yes", "--expect-client", "my-app", "--expect-scope", "openid profile", "--expect-agent", r.Asked.Agent.ID,
		}, more...)...)
		cmd.Env = d.env
		_ = cmd.Run() // its exit code says how it ended
		return cmd.ProcessState.ExitCode()
	}
	if got := run(); got != int(ExitVerification) { // no details were expected
		t.Errorf("exit code %d", got)
	}
	if got := run("--without", "1", "--expect-details", `[{"type":"call","resource":"https://api.example","actions":["orders.read"]}]`); got != 0 {
		t.Errorf("exit code %d", got)
	}
	if g, err := d.run.database.store.Grant(t.Context(), id); err != nil || g.Presence != authz.PresenceKey {
		t.Errorf("%+v %v", g, err)
	}
}
