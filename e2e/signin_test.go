//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"countersign.dev/receipt"
)

// requestCode asks for a device code for my-app.
func requestCode(t *testing.T, base string) (deviceCode, userCode string) {
	t.Helper()
	var code struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	post(t, base+"/api/auth/device/code", url.Values{"client_id": {"my-app"}, "scope": {"openid profile"}}, &code)
	if code.DeviceCode == "" || code.UserCode == "" {
		t.Fatal("no device code")
	}
	return code.DeviceCode, code.UserCode
}

// post sends a form and decodes the answer, whatever its status.
func post(t *testing.T, address string, form url.Values, into any) {
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
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v: %s", address, err, body)
	}
}

func TestBitcoinAuthSignsInWithAnUnsignedEmptyBodyAndWithASignedOne(t *testing.T) {
	p := startProcess(t, t.TempDir())
	o := newOwner(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "bitcoin-auth.mjs")
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+p.url, "OWNER_WIF="+o.key.Wif(), "OWNER_BAP_ID="+o.bapID)

	type signIn struct {
		Form   string `json:"form"`
		Status int    `json:"status"`
		Cookie string `json:"cookie"`
		Answer struct {
			Error string `json:"error"`
			User  struct {
				ID     string `json:"id"`
				Pubkey string `json:"pubkey"`
			} `json:"user"`
		} `json:"answer"`
	}
	got := map[string]signIn{}
	if err := readEvents(cmd, func(s signIn) { got[s.Form] = s }); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"unsigned", "signed", "bsm"} {
		s := got[form]
		if s.Status != http.StatusOK || s.Answer.User.Pubkey != o.pubkey || !strings.HasPrefix(s.Cookie, "countersign.session.") {
			t.Errorf("%s: %+v", form, s)
		}
		if s.Answer.User.ID == "" || s.Answer.User.ID != got["unsigned"].Answer.User.ID {
			t.Errorf("%s: the account is %q, the first sign-in's was %q", form, s.Answer.User.ID, got["unsigned"].Answer.User.ID)
		}
	}
	// The same token once more, and a token that does not cover its body.
	for _, form := range []string{"again", "body not signed"} {
		if s := got[form]; s.Status != http.StatusUnauthorized || s.Answer.Error == "" || s.Cookie != "" {
			t.Errorf("%s: %+v", form, s)
		}
	}
}

func TestTheBetterAuthClientDecides(t *testing.T) {
	p := startProcess(t, t.TempDir(), "--device-poll-interval", "1s")
	o := newOwner(t)
	o.signIn(t, p.url)
	for decision, wants := range map[string]string{"approve": "", "deny": "access_denied"} {
		t.Run(decision, func(t *testing.T) {
			deviceCode, userCode := requestCode(t, p.url)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", "better-auth-owner.mjs", decision, userCode)
			cmd.Dir = "clients"
			cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+p.url, "SESSION_COOKIE="+o.cookie)
			var got struct {
				Session struct {
					User struct{ ID string }
				}
				Seen struct {
					Status   string
					ClientID string `json:"client_id"`
				}
				Answer struct{ Success bool }
				Error  any
			}
			if err := readEvents(cmd, func(line json.RawMessage) {
				if err := json.Unmarshal(line, &got); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if got.Session.User.ID == "" || got.Seen.Status != "pending" || got.Seen.ClientID != "my-app" || !got.Answer.Success || got.Error != nil {
				t.Errorf("the better-auth client saw %+v", got)
			}
			var answer struct {
				Error       string `json:"error"`
				AccessToken string `json:"access_token"`
			}
			post(t, p.url+"/api/auth/device/token", pollForm(deviceCode), &answer)
			if answer.Error != wants || (answer.AccessToken != "") != (wants == "") {
				t.Errorf("the device is told %q", answer.Error)
			}
		})
	}
}

func TestASignedApprovalNeedsNoSessionAndLeavesAReceiptThatVerifiesOffline(t *testing.T) {
	p := startProcess(t, t.TempDir(), "--approval", "signature")
	o := newOwner(t)
	o.signIn(t, p.url)
	deviceCode, userCode := requestCode(t, p.url)
	if err := o.decide(t.Context(), p.url, userCode, "approve"); err == nil {
		t.Fatal("a session alone approved where a signature is asked for")
	}
	grant := o.approveSigned(t, p.url, userCode)
	var tokens struct {
		Error       string `json:"error"`
		AccessToken string `json:"access_token"`
	}
	post(t, p.url+"/api/auth/device/token", pollForm(deviceCode), &tokens)
	if tokens.AccessToken == "" {
		t.Fatalf("the device is told %q", tokens.Error)
	}
	issuer := url.QueryEscape(issuerOf(t, p.url))
	_, file, err := o.send(t.Context(), http.MethodGet, p.url, "/api/grants/"+grant+"/receipt?aud="+issuer, nil, true)
	if err != nil {
		t.Fatal("fetching the receipt:", err)
	}
	p.stop(t)
	if _, err := receipt.Verify(file); err != nil {
		t.Errorf("the receipt: %v", err)
	}
	file[len(file)/2] ^= 1
	if _, err := receipt.Verify(file); err == nil {
		t.Error("a receipt with a changed byte verifies")
	}
}

// pollForm is one poll of my-app.
func pollForm(deviceCode string) url.Values {
	return url.Values{
		"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
		"device_code": {deviceCode},
		"client_id":   {"my-app"},
	}
}
