//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
	"countersign.dev/dpop"
)

// The tests of this file turn the others around: our SDK asks servers that others
// wrote, which are those of bench/peers.

// peer is such a server.
type peer struct {
	origin string
	cookie string // of somebody who is signed in; empty where nobody is
}

// startPeer runs a server of bench/peers until the test ends.
func startPeer(t *testing.T, env []string, script ...string) *peer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", script...)
	cmd.Dir = "../bench/peers"
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, lines := &peer{}, bufio.NewScanner(stdout)
	for p.origin == "" && lines.Scan() {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "cookie":
			p.cookie = rest
		case "listening":
			p.origin = rest
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, stdout) // it is not to wait for a reader
		_ = cmd.Wait()                     // it is killed
	}()
	t.Cleanup(func() { <-ended }) // once the test's context is over
	if p.origin == "" {
		<-ended
		t.Fatalf("%v did not start (make clients installs what it needs): %s", script, said.String())
	}
	return p
}

// betterAuth is a server whose codes live so long, and a client of it. It has no
// discovery document.
func betterAuth(t *testing.T, lifetime string, env ...string) (*peer, deviceflow.Config) {
	t.Helper()
	p := startPeer(t, append(env, "LIFETIME="+lifetime), "better-auth.mjs")
	return p, deviceflow.Config{ClientID: "my-app", Scopes: []string{"openid", "profile"}, Endpoint: deviceflow.Endpoint{
		DeviceAuthorizationURL: p.origin + "/api/auth/device/code", TokenURL: p.origin + "/api/auth/device/token",
	}}
}

// decideBetterAuth has the person who is signed in approve or deny.
func (p *peer) decideBetterAuth(t *testing.T, code, decision string) {
	t.Helper()
	send := func(method, path, body string) {
		t.Helper()
		fetch(t, http.DefaultClient, method, p.origin+path, body, http.Header{"Cookie": {p.cookie}, "Origin": {p.origin}, "Content-Type": {"application/json"}})
	}
	send(http.MethodGet, "/api/auth/device?user_code="+url.QueryEscape(code), "")
	send(http.MethodPost, "/api/auth/device/"+decision, `{"userCode":"`+code+`"}`)
}

// oidcProvider is a server whose codes live so long, and a client of it, which finds
// it by its discovery document.
func oidcProvider(t *testing.T, lifetime string) (*peer, deviceflow.Config) {
	t.Helper()
	p := startPeer(t, []string{"LIFETIME=" + lifetime}, "oidc-provider.mjs", "pages")
	endpoint, err := deviceflow.Discover(t.Context(), nil, p.origin)
	if err != nil {
		t.Fatal(err)
	}
	return p, deviceflow.Config{ClientID: "my-app", Scopes: []string{"openid", "profile", "offline_access"}, Endpoint: endpoint}
}

var (
	formAction = regexp.MustCompile(`action="([^"]+)"`)
	formHidden = regexp.MustCompile(`name="(xsrf|prompt|user_code)" value="([^"]*)"`)
)

// decideOIDCProvider goes through oidc-provider's own pages as a browser does: each
// form is sent with what it says already and what the person adds.
func (p *peer) decideOIDCProvider(t *testing.T, code, decision string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	at, body := fetch(t, browser, http.MethodGet, p.origin+"/device", "", http.Header{})
	const mostPages = 6
	for step := range mostPages {
		form := url.Values{}
		for _, hidden := range formHidden.FindAllStringSubmatch(body, -1) {
			form.Set(hidden[1], hidden[2])
		}
		switch {
		case step == 0:
			form.Set("user_code", code)
		case step == 1 && decision == "deny":
			form.Set("abort", "yes")
		case step == 1:
			form.Set("confirm", "yes")
		case form.Get("prompt") == "login":
			form.Set("login", "owner")
			form.Set("password", "any")
		}
		action := formAction.FindStringSubmatch(body)
		if action == nil {
			return // the last page has nothing to send, or another code
		}
		to, err := at.Parse(action[1])
		if err != nil {
			t.Fatal(err)
		}
		at, body = fetch(t, browser, http.MethodPost, to.String(), form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		if form.Has("abort") {
			return // to a page that asks for another code
		}
	}
	t.Fatalf("there is always another page: %s", body)
}

// fetch asks for something and reads the answer, which must be no refusal.
func fetch(t *testing.T, client *http.Client, method, address, body string, header http.Header) (at *url.URL, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s: %d %s %v", resp.Request.URL.Path, resp.StatusCode, said, err)
	}
	return resp.Request.URL, string(said)
}

// listener hears what a server answers to polls: an error, or "ok". It asks twice
// where it is hasty, for a client that does not keep to the interval.
type listener struct {
	token string // the endpoint

	mu    sync.Mutex
	hasty bool     // guarded by mu
	told  []string // guarded by mu
}

func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.URL.String() != l.token {
		return http.DefaultTransport.RoundTrip(r)
	}
	if l.hasty && r.Header.Get("Content-Type") == "application/json" {
		l.hasty = false
		first := r.Clone(r.Context())
		var err error
		if first.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
		if _, err := l.ask(first); err != nil {
			return nil, err
		}
	}
	return l.ask(r)
}

// ask asks once and remembers the answer, but for the one that says that the server
// takes no forms.
func (l *listener) ask(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || resp.StatusCode == http.StatusUnsupportedMediaType {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var said struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		said.Error = "ok"
	}
	l.told = append(l.told, said.Error)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// course is one run of the SDK.
type course struct {
	deviceflow.Config
	hasty bool
	// decide is what the owner does when the device has been told to wait; nobody
	// does anything without it.
	decide func(code string)
	// patient: the device goes on when the code has ended by its own clock, until
	// the server says so.
	patient bool
}

func (f course) run(t *testing.T) (token *oauth2.Token, told []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := &listener{token: f.Endpoint.TokenURL, hasty: f.hasty}
	f.HTTPClient = &http.Client{Transport: l}
	request, err := f.Request(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request.Interval = time.Second // not oidc-provider's five, which it does not insist on
	if f.patient {
		request.Expires = request.Expires.Add(time.Minute)
	}
	f.Progress = func(deviceflow.Poll) {
		if f.decide != nil {
			f.decide(request.UserCode)
			f.decide = nil
		}
	}
	token, err = f.Wait(ctx, request)
	l.mu.Lock()
	defer l.mu.Unlock()
	told = l.told
	if !f.hasty { // better-auth thinks a poll hasty that took a little less long to arrive than the one before
		told = slices.DeleteFunc(told, func(said string) bool { return said == "slow_down" })
	}
	return token, told, err
}

func TestTheSDKGetsTokensFromServersOfOthersOrHearsThatTheOwnerSaidNo(t *testing.T) {
	t.Parallel()
	better, atBetter := betterAuth(t, "120")
	oidc, atOIDC := oidcProvider(t, "120")
	// Whatever an id and a secret may consist of (RFC 6749 appendix A) arrives, either way.
	basic, post := atOIDC, atOIDC
	const secret = "s:+&c %41=/~" // that of bench/peers/oidc-provider.mjs
	basic.ClientID, basic.ClientSecret = "my app: basic", secret
	post.ClientID, post.ClientSecret, post.Endpoint.SecretInForm = "my app: post", secret, true
	for name, row := range map[string]struct {
		config deviceflow.Config
		decide func(t *testing.T, code, decision string)
	}{
		"better-auth":                        {atBetter, better.decideBetterAuth},
		"oidc-provider":                      {atOIDC, oidc.decideOIDCProvider},
		"oidc-provider, client_secret_basic": {basic, oidc.decideOIDCProvider},
		"oidc-provider, client_secret_post":  {post, oidc.decideOIDCProvider},
	} {
		t.Run(name+" approves", func(t *testing.T) {
			t.Parallel()
			token, told, err := course{Config: row.config, decide: func(code string) { row.decide(t, code, "approve") }}.run(t)
			if err != nil || !slices.Equal(told, []string{"authorization_pending", "ok"}) {
				t.Fatalf("%v after %v", err, told)
			}
			kind := "Bearer"
			if slices.Contains(row.config.Endpoint.ProofAlgs, "ES256") {
				kind = "DPoP" // it takes proofs, so the SDK sends some
			}
			if token.AccessToken == "" || token.Type() != kind || !token.Valid() || token.Expiry.IsZero() {
				t.Errorf("%+v", token)
			}
			if row.config.ClientSecret == "" {
				return
			}
			var refused *deviceflow.Error
			wrong := row.config
			wrong.ClientSecret += "x"
			if _, err := wrong.Request(t.Context()); !errors.As(err, &refused) || refused.Code != "invalid_client" {
				t.Errorf("another secret: %v", err)
			}
		})
		t.Run(name+" denies", func(t *testing.T) {
			t.Parallel()
			_, told, err := course{Config: row.config, decide: func(code string) { row.decide(t, code, "deny") }}.run(t)
			if !errors.Is(err, deviceflow.ErrDenied) || !slices.Equal(told, []string{"authorization_pending", "access_denied"}) {
				t.Errorf("%v after %v", err, told)
			}
		})
	}
}

func TestTheSDKRefreshesAndRevokesAtOIDCProvider(t *testing.T) {
	t.Parallel()
	p, config := oidcProvider(t, "120")
	var err error
	if config.Key, err = dpop.NewKey(); err != nil { // kept with the tokens, which are bound to it
		t.Fatal(err)
	}
	token, _, err := course{Config: config, decide: func(code string) { p.decideOIDCProvider(t, code, "approve") }}.run(t)
	if err != nil || token.RefreshToken == "" {
		t.Fatalf("%+v %v", token, err)
	}
	fresh, err := config.Refresh(t.Context(), token.RefreshToken)
	if err != nil || fresh.AccessToken == "" || fresh.AccessToken == token.AccessToken || fresh.RefreshToken == "" {
		t.Fatalf("%+v %v", fresh, err)
	}
	alive := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Endpoint.UserInfoURL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := config.Client(oauth2.StaticTokenSource(fresh)).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := alive(); got != http.StatusOK {
		t.Errorf("a fresh token: %d", got)
	}
	if config.Endpoint.RevocationURL == "" {
		t.Fatal("the discovery document names no revocation endpoint")
	}
	if err := config.Revoke(t.Context(), fresh.RefreshToken); err != nil {
		t.Fatal(err)
	}
	var refused *deviceflow.Error
	if _, err := config.Refresh(t.Context(), fresh.RefreshToken); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
		t.Errorf("a revoked one: %v", err)
	}
	if got := alive(); got != http.StatusUnauthorized {
		t.Errorf("the token of a revoked one: %d", got)
	}
}

// TestTheSDKHearsFromServersOfOthersThatTheCodeIsOver looks at what each says: a
// device whose own clock is right knows before it asks.
func TestTheSDKHearsFromServersOfOthersThatTheCodeIsOver(t *testing.T) {
	t.Parallel()
	_, better := betterAuth(t, "3")
	_, oidc := oidcProvider(t, "3")
	for name, row := range map[string]struct {
		config deviceflow.Config
		says   string
	}{
		"better-auth":   {better, "expired_token"},
		"oidc-provider": {oidc, "expired_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, told, err := course{Config: row.config, patient: true}.run(t)
			var refused *deviceflow.Error
			if !errors.As(err, &refused) || refused.Code != row.says || len(told) == 0 || told[len(told)-1] != row.says {
				t.Errorf("%v after %v", err, told)
			}
		})
		t.Run(name+", by the device's clock", func(t *testing.T) {
			t.Parallel()
			_, told, err := course{Config: row.config}.run(t)
			if !errors.Is(err, deviceflow.ErrExpired) || slices.ContainsFunc(told, func(said string) bool { return said != "authorization_pending" && said != row.says }) {
				t.Errorf("%v after %v", err, told)
			}
		})
	}
}

// TestTheSDKSlowsDownWhenBetterAuthSaysSo polls twice at once, which is twice within
// five seconds on any machine. oidc-provider knows no slow_down.
func TestTheSDKSlowsDownWhenBetterAuthSaysSo(t *testing.T) {
	t.Parallel()
	p, config := betterAuth(t, "120", "INTERVAL=5s")
	_, told, err := course{Config: config, hasty: true, decide: func(code string) { p.decideBetterAuth(t, code, "approve") }}.run(t)
	if err != nil || !slices.Equal(told, []string{"authorization_pending", "slow_down", "ok"}) {
		t.Errorf("%v after %v", err, told)
	}
}
