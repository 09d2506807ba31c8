//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// TestEverythingGoesOnInPostgreSQLAfterAMoveUnderLoad moves the data of a server
// that is busy, and goes on with another server on the new database.
func TestEverythingGoesOnInPostgreSQLAfterAMoveUnderLoad(t *testing.T) {
	database := pgtest.Database(t)
	data := t.TempDir()
	flags := []string{"--issuer", "http://localhost:8628", "--device-poll-interval", "1s"}
	old := startProcess(t, data, flags...)
	o := newOwner(t)
	o.signIn(t, old.url)
	device := signedInDevice(t, o, old.url)
	pendingCode, pendingUserCode := requestCode(t, old.url)
	approvedCode, approvedUserCode := requestCode(t, old.url)
	if err := o.decide(t.Context(), old.url, approvedUserCode, "approve"); err != nil {
		t.Fatal(err)
	}

	var owners crowd
	var book ledger
	var steps atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	for range 6 {
		load.Go(func() { workUntilMoved(ctx, old.url, &owners, &book, &steps) })
	}
	await(t, &steps, 50)
	moved := migrate(t, data, database, &steps)
	load.Wait() // each hears that the server cannot write any more
	t.Logf("%d rows moved under load, nobody could write for %d ms", moved.Rows, moved.ReadOnly)

	refused := askStatus(t, old.url+"/api/auth/device/code", url.Values{"client_id": {"my-app"}})
	if refused.status != http.StatusServiceUnavailable || refused.Error != "temporarily_unavailable" || refused.retryAfter == "" {
		t.Errorf("the old server answers %+v", refused)
	}
	if a, ok := poll(t.Context(), old.url, pendingCode); !ok || a.Error != "authorization_pending" {
		t.Errorf("the old server's poll is answered %+v", a)
	}
	old.stop(t)
	checkIntegrity(t, data)

	p := startProcess(t, t.TempDir(), append(flags, "--database", database, "--secret-file", filepath.Join(data, "secret"))...)
	device.check(t, p.url)
	// The session, and what was pending.
	if err := o.decide(t.Context(), p.url, pendingUserCode, "approve"); err != nil {
		t.Error("with the session of before:", err)
	}
	for name, code := range map[string]string{"approved": approvedCode, "pending": pendingCode} {
		if a, ok := poll(t.Context(), p.url, code); !ok || a.AccessToken == "" {
			t.Errorf("a code that was %s is answered %+v", name, a)
		}
	}
	var approved, redeemed int
	for _, r := range book.requests {
		r.check(t, p.url, 0)
		if r.approved {
			approved++
		}
		redeemed += r.redeemed
	}
	if approved < 20 || redeemed < 10 {
		t.Errorf("%d requests were approved and %d redeemed: it shows little", approved, redeemed)
	}
	p.stop(t)
}

// registered is a client that is always there, and may renew its tokens.
const registered = "countersign-cli"

// signedInDevice has tokens, of which one was replaced.
func signedInDevice(t *testing.T, o *owner, base string) tokens {
	t.Helper()
	var code struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	post(t, base+"/api/auth/device/code", url.Values{"client_id": {registered}, "scope": {"openid profile offline_access"}}, &code)
	if err := o.decide(t.Context(), base, code.UserCode, "approve"); err != nil {
		t.Fatal(err)
	}
	var got tokens
	form := pollForm(code.DeviceCode)
	form.Set("client_id", registered)
	post(t, base+"/api/auth/device/token", form, &got)
	return got.refresh(t, base)
}

func (k tokens) refresh(t *testing.T, base string) (next tokens) {
	t.Helper()
	post(t, base+"/api/auth/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.RefreshToken}, "client_id": {registered}}, &next)
	if next.AccessToken == "" || next.RefreshToken == "" {
		t.Fatalf("refreshing is answered %+v", next)
	}
	return next
}

// check uses the access token and then the refresh token.
func (k tokens) check(t *testing.T, base string) {
	t.Helper()
	if status := userinfoStatus(t, base, k.AccessToken); status != http.StatusOK {
		t.Errorf("an access token of before is refused with %d", status)
	}
	next := k.refresh(t, base)
	if status := userinfoStatus(t, base, next.AccessToken); status != http.StatusOK {
		t.Errorf("an access token of a refresh token of before is refused with %d", status)
	}
}

// workUntilMoved runs device flows, some of them to their end, until the server
// refuses to write.
func workUntilMoved(ctx context.Context, base string, owners *crowd, book *ledger, steps *atomic.Int64) {
	for n := 0; ctx.Err() == nil; n++ {
		var code struct {
			DeviceCode string `json:"device_code"`
			UserCode   string `json:"user_code"`
		}
		if !ask(ctx, base+"/api/auth/device/code", url.Values{"client_id": {"my-app"}, "scope": {"openid profile"}}, &code) || code.DeviceCode == "" {
			return
		}
		r := &request{deviceCode: code.DeviceCode, userCode: code.UserCode}
		book.add(r)
		steps.Add(1)
		if n%4 == 3 {
			continue // stays pending
		}
		r.approveAsked = true
		if owners.decide(ctx, base, r.userCode, "approve") != nil {
			return
		}
		r.approved = true
		if n%2 == 1 {
			continue // stays approved
		}
		r.redeemAsked = true
		if a, ok := poll(ctx, base, r.deviceCode); ok && a.AccessToken != "" {
			r.redeemed, r.token = r.redeemed+1, a.AccessToken
		}
	}
}

// await waits until so many more steps were taken.
func await(t *testing.T, steps *atomic.Int64, more int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for until := steps.Load() + more; steps.Load() < until; {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("nothing happens")
		}
	}
}

// movedEvent is what `countersign migrate --json` says at the end.
type movedEvent struct {
	Event    string `json:"event"`
	Rows     int64  `json:"rows"`
	ReadOnly int64  `json:"read_only_ms"`
}

// migrate runs the command beside the server.
func migrate(t *testing.T, data, database string, steps *atomic.Int64) (moved movedEvent) {
	t.Helper()
	before := steps.Load()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "migrate", "--data", data, "--json")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "COUNTERSIGN_DATABASE="+database)
	if err := readEvents(cmd, func(e movedEvent) { moved = e }); err != nil {
		t.Fatal(err)
	}
	if moved.Event != "moved" || moved.Rows == 0 {
		t.Fatalf("it ended with %+v", moved)
	}
	if steps.Load() == before {
		t.Error("nothing happened beside the move")
	}
	return moved
}

type refusal struct {
	status     int
	retryAfter string
	Error      string `json:"error"`
}

// askStatus posts a form and returns how it was refused.
func askStatus(t *testing.T, address string, form url.Values) (got refusal) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	got.status, got.retryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	return got
}
