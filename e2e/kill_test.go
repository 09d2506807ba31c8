//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // a reader of the file that is not the server's own
)

// request is one device request as the world outside the server knows it: what
// was answered before the server died, and what was only asked.
type request struct {
	round                int
	deviceCode, userCode string
	approveAsked         bool
	approved             bool // acknowledged
	redeemAsked          bool
	redeemed             int // acknowledged
	token                string
}

// ledger is every device request of all rounds.
type ledger struct {
	mu       sync.Mutex
	requests []*request // guarded by mu; each request is its maker's until the round is over
}

func (l *ledger) add(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.requests)
}

// TestNothingAcknowledgedIsLostOrRedeemedTwiceWhenTheServerIsKilled kills the
// server at random moments under load and looks at what is left.
func TestNothingAcknowledgedIsLostOrRedeemedTwiceWhenTheServerIsKilled(t *testing.T) {
	const rounds = 30
	const workers = 8
	data := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var owners crowd
	var all []*request
	for round := range rounds {
		p := startProcess(t, data, "--issuer", "http://localhost:8628", "--device-poll-interval", "1s")
		// What the rounds before left, and then new work until the end comes.
		for _, r := range all {
			r.check(t, p.url, round)
		}
		// Each is looked at after three deaths; more shows nothing new.
		all = slices.DeleteFunc(all, func(r *request) bool { return round-r.round >= 3 })
		var book ledger
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() { work(ctx, p.url, &owners, &book) })
		}
		<-time.After(time.Duration(20+random.IntN(280)) * time.Millisecond)
		p.kill()
		cancel()
		wg.Wait()
		checkIntegrity(t, data)
		for _, r := range book.requests {
			r.round = round
			all = append(all, r)
		}
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	p := startProcess(t, data, "--issuer", "http://localhost:8628", "--device-poll-interval", "1s")
	var approved, redeemed int
	for _, r := range all {
		r.check(t, p.url, rounds)
		if r.approved {
			approved++
		}
		redeemed += r.redeemed
	}
	if approved == 0 || redeemed == 0 {
		t.Errorf("the last round approved %d and redeemed %d requests: it shows nothing", approved, redeemed)
	}
	p.stop(t)
	checkIntegrity(t, data)
}

// work runs device flows, some of them to their end, until the server is gone.
func work(ctx context.Context, base string, owners *crowd, book *ledger) {
	n := 0
	for flow(ctx, base, owners, book, n) {
		n++
	}
}

// flow runs one device flow, some to its end, and reports whether everything was
// answered as it should be.
func flow(ctx context.Context, base string, owners *crowd, book *ledger, n int) bool {
	var code struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	if !ask(ctx, base+"/api/auth/device/code", url.Values{"client_id": {"my-app"}, "scope": {"openid profile"}}, &code) || code.DeviceCode == "" {
		return false
	}
	r := &request{deviceCode: code.DeviceCode, userCode: code.UserCode}
	book.add(r)
	if n%4 == 3 {
		return true // stays pending
	}
	r.approveAsked = true
	if owners.decide(ctx, base, r.userCode, "approve") != nil {
		return false
	}
	r.approved = true
	if n%2 == 1 {
		return true // stays approved
	}
	r.redeemAsked = true
	a, ok := poll(ctx, base, r.deviceCode)
	if !ok || a.AccessToken == "" {
		return false
	}
	r.redeemed, r.token = r.redeemed+1, a.AccessToken
	return true
}

// check holds a request against what was acknowledged of it.
func (r *request) check(t *testing.T, base string, round int) {
	t.Helper()
	if r.token != "" {
		// Its grant was on disk when the token was handed out.
		if status := userinfoStatus(t, base, r.token); status != http.StatusOK {
			t.Errorf("round %d: a token that was handed out is refused with %d", round, status)
		}
		r.token = ""
	}
	a, ok := poll(t.Context(), base, r.deviceCode)
	if !ok {
		t.Fatalf("round %d: a server that nobody killed does not answer", round)
	}
	if a.AccessToken != "" {
		r.redeemed++
	}
	switch {
	case r.redeemed > 1:
		t.Errorf("round %d: a device code was redeemed %d times", round, r.redeemed)
	case r.redeemed == 1 && a.AccessToken == "" && a.Error != "invalid_grant" && a.Error != "slow_down":
		t.Errorf("round %d: a redeemed code is answered %q", round, a.Error)
	case r.redeemed == 1:
	case r.redeemAsked && a.Error == "invalid_grant":
		r.redeemed = 1 // the answer was lost on the way, not the redemption
	case r.approved:
		t.Errorf("round %d: an acknowledged approval is lost: the poll is answered %q", round, a.Error)
	case a.Error != "authorization_pending":
		t.Errorf("round %d: an acknowledged code is lost (approval asked for: %t): the poll is answered %q", round, r.approveAsked, a.Error)
	}
}

type answer struct {
	AccessToken string `json:"access_token"`
	Error       string `json:"error"`
}

func poll(ctx context.Context, base, deviceCode string) (a answer, ok bool) {
	ok = ask(ctx, base+"/api/auth/device/token", pollForm(deviceCode), &a)
	return a, ok
}

// ask posts a form; false means that there was no whole answer.
func ask(ctx context.Context, address string, form url.Values, into any) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && json.Unmarshal(body, into) == nil
}

func userinfoStatus(t *testing.T, base, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/auth/oauth2/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// checkIntegrity lets SQLite look at a copy of the database as the dead server
// left it: opening the original would repair it before the server can.
func checkIntegrity(t *testing.T, data string) {
	t.Helper()
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		from, err := os.ReadFile(filepath.Join(data, "countersign.db"+suffix))
		if errors.Is(err, os.ErrNotExist) && suffix != "" {
			continue // folded back by a clean stop
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "copy.db"+suffix), from, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var said string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&said); err != nil || said != "ok" {
		t.Error(fmt.Errorf("integrity_check says %q: %w", said, err))
	}
}
