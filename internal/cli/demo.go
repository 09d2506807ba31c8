package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/internal/config"
	"countersign.dev/receipt"
)

func newDemoCommand(env *Env) *cobra.Command {
	var keepRunning bool
	cmd := &cobra.Command{
		Use:         "demo",
		Annotations: map[string]string{endsInOrder: "yes"},
		Short:       "See the whole story, with a real server, in three seconds",
		Long: `Run the whole story in one process: a real server on a free port, a new
identity, a device that asks, an owner who reviews and signs, tokens, and a
receipt that is checked offline. Nothing of it stays on this machine.`,
		Example: `  countersign demo
  countersign demo --keep`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), env, keepRunning) },
	}
	cmd.Flags().BoolVar(&keepRunning, "keep", false, "leave the server running at the end, until Ctrl-C")
	return cmd
}

// story tells a demo: numbered steps, and each exchange as it went over the wire.
type story struct {
	env   *Env
	step  int
	owner *owner
}

func demo(ctx context.Context, env *Env, keepRunning bool) (err error) {
	dir, err := os.MkdirTemp("", "countersign-demo-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &story{env: env}
	s.say("Start the server: a real one, with a database of its own.")
	run, err := startServer(ctx, &Env{Stderr: &bytes.Buffer{}, Now: env.Now, Rand: env.Rand}, demoSettings(dir))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err = errors.Join(err, run.stop(ctx))
	}()
	s.note("it listens on %s and calls itself %s", strings.Join(addressesOf(run.listening), " and "), run.settings.Issuer)
	if err := s.tell(ctx, run.settings.Issuer); err != nil {
		return fail(ExitFailed, "the demo", err, "")
	}
	fmt.Fprintln(env.Stdout, "\nThat was the whole story. Next: countersign serve")
	if keepRunning {
		fmt.Fprintf(env.Stdout, "The server stays at %s/device until you press Ctrl-C.\n", run.settings.Issuer)
		<-ctx.Done()
	}
	return nil
}

func demoSettings(dir string) *config.Settings {
	return &config.Settings{
		Listen: []string{"localhost:0"}, Data: dir, DeviceCodeLifetime: 15 * time.Minute, DevicePollInterval: time.Second,
		AccessTokenLifetime: time.Hour, RefreshIdleLifetime: time.Hour, RefreshTokenLifetime: time.Hour, RefreshTokenGrace: 30 * time.Second,
		SessionLifetime: time.Hour, UnregisteredClients: "open", Approval: "session", SignUp: "open", PendingLimit: 1000,
		LogLevel: "error", LogFormat: "text",
		Agents: config.Agents{
			Clients: "any", MaxLifetime: time.Hour, AccessTokenLifetime: time.Minute, MaxDepth: 3, MaxPerOwner: 100, Presence: "password", UnattendedApproval: "false",
		},
	}
}

// tell goes through RFC 8628 from the code to the receipt.
func (s *story) tell(ctx context.Context, issuer string) error {
	s.say("Make an identity: a key that never leaves its owner's hands.")
	key, err := bap.NewKey(s.env.Rand)
	if err != nil {
		return err
	}
	identity, err := bap.NewIdentity("demo", key)
	if err != nil {
		return err
	}
	s.note("bap_id %s", identity.BAPID())
	s.owner = &owner{env: s.env, server: issuer, entry: identityEntry{Name: "demo", BAPID: identity.BAPID()}, identity: identity}

	s.say("The device asks for a code (RFC 8628 §3.1). It is shown to its owner.")
	var code struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	ask := url.Values{"client_id": {"my-app"}, "scope": {"openid profile"}, "device_name": {"the demo's device"}}
	if err := s.post(ctx, issuer+"/api/auth/device/code", ask, http.StatusOK, &code); err != nil {
		return err
	}

	s.say("The device polls; nobody has decided yet (§3.5).")
	poll := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code.DeviceCode}, "client_id": {"my-app"}}
	if err := s.post(ctx, issuer+"/api/auth/device/token", poll, http.StatusBadRequest, nil); err != nil {
		return err
	}

	grantID, err := s.approve(ctx, code.UserCode)
	if err != nil {
		return err
	}

	s.say("The device polls again, a second later, and has its tokens.")
	select {
	case <-time.After(time.Second): // the interval; the server would say slow_down
	case <-ctx.Done():
		return ctx.Err()
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := s.post(ctx, issuer+"/api/auth/device/token", poll, http.StatusOK, &tokens); err != nil {
		return err
	}

	s.say("The tokens say whose the device is (OpenID Connect userinfo).")
	if err := s.userinfo(ctx, issuer, tokens.AccessToken, identity.BAPID()); err != nil {
		return err
	}
	return s.checkReceipt(ctx, grantID)
}

// approve reviews and signs, as `countersign approve` does.
func (s *story) approve(ctx context.Context, userCode string) (grantID string, err error) {
	s.say("The owner looks at what asks, and signs exactly that.")
	path := "/api/auth/device/approval?" + url.Values{"user_code": {userCode}}.Encode()
	raw, err := s.owner.send(ctx, "GET", path, nil)
	if err != nil {
		return "", err
	}
	var f facts
	if err := json.Unmarshal(raw, &f); err != nil {
		return "", err
	}
	if err := f.checkStatement(s.owner, userCode, s.env.Now()); err != nil {
		return "", err
	}
	s.note("%q (not verified) asks for: %s", printable(f.Client.Name), f.scope())
	s.note("signed: %s", f.Statement)
	raw, err = s.owner.send(ctx, "POST", "/api/auth/device/approve", map[string]string{
		"userCode": userCode, "statement": f.Statement, "match": userCode[len(userCode)-4:],
	})
	if err != nil {
		return "", err
	}
	var done struct {
		GrantID string `json:"grant_id"`
	}
	s.note("answer: %s", raw)
	return done.GrantID, errors.Join(json.Unmarshal(raw, &done), emptyError(raw, "grant_id"))
}

// emptyError guards against an answer that lacks a member.
func emptyError(raw []byte, member string) error {
	if !bytes.Contains(raw, []byte(`"`+member+`":"`)) {
		return fmt.Errorf("the answer lacks %s", member)
	}
	return nil
}

func (s *story) userinfo(ctx context.Context, issuer, accessToken, bapID string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/api/auth/oauth2/userinfo", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	body, err := s.do(req, http.StatusOK)
	if err != nil {
		return err
	}
	var info claims
	if err := json.Unmarshal(body, &info); err != nil {
		return err
	}
	if info.text("bap_id") != bapID {
		return errors.New("userinfo names another identity")
	}
	return nil
}

// checkReceipt fetches the receipt, checks it offline, changes a byte and checks
// again.
func (s *story) checkReceipt(ctx context.Context, grantID string) error {
	s.say("What is left is a receipt. It is checked with nothing but itself.")
	file, err := s.owner.send(ctx, "GET", "/api/grants/"+grantID+"/receipt", nil)
	if err != nil {
		return err
	}
	v, err := receipt.Verify(file)
	if err != nil {
		return err
	}
	s.note("good: %d checks passed; signed by %s at %s", len(v.Passed), v.Statement.BAPID, v.SignedAt.UTC().Format(time.RFC3339))
	s.say("One byte of it is changed, and it is refused.")
	forged := bytes.Replace(file, []byte("my-app"), []byte("my-apq"), 1)
	_, err = receipt.Verify(forged)
	var failed *receipt.CheckError
	if !errors.As(err, &failed) {
		return errors.New("a changed receipt was accepted")
	}
	s.note("%v", failed)
	return nil
}

// post sends a form and shows the exchange, secrets shortened.
func (s *story) post(ctx context.Context, address string, form url.Values, want int, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range form {
		s.note("  %s=%s", name, shorten(name, values[0]))
	}
	body, err := s.do(req, want)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (s *story) do(req *http.Request, want int) ([]byte, error) {
	s.note("→ %s %s", req.Method, req.URL.Path)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	const most = 1 << 20
	body, err := readAll(resp.Body, most)
	if err != nil {
		return nil, err
	}
	s.note("← %d %s", resp.StatusCode, shortenJSON(body))
	if resp.StatusCode != want {
		return nil, fmt.Errorf("answered %d, not %d", resp.StatusCode, want)
	}
	return body, nil
}

func (s *story) say(text string) {
	s.step++
	fmt.Fprintf(s.env.Stdout, "\n%d. %s\n", s.step, text)
}

func (s *story) note(format string, args ...any) {
	fmt.Fprintf(s.env.Stdout, "   "+format+"\n", args...)
}

// secretMembers are shortened in what is shown.
var secretMembers = map[string]bool{"device_code": true, "access_token": true, "id_token": true, "refresh_token": true}

func shorten(name, value string) string {
	const shown = 8
	if secretMembers[name] && len(value) > shown {
		return value[:shown] + "…"
	}
	return value
}

func shortenJSON(body []byte) string {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return printable(string(body))
	}
	for name, value := range members {
		if text, ok := value.(string); ok {
			members[name] = shorten(name, text)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(members) != nil {
		return ""
	}
	return printable(strings.TrimSpace(b.String()))
}
