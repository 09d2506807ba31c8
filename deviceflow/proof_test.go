package deviceflow_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/deviceflow"
	"countersign.dev/dpop"
)

// prover is a server that takes proofs: it gives bound tokens to who has a key, and
// bearer tokens to who has none.
type prover struct {
	*httptest.Server
	algs  string
	nonce string // wanted in each proof, or empty
	late  time.Duration

	mu     sync.Mutex
	seen   []string          // each request: its path, and the thumbprint of its proof
	proofs map[[32]byte]bool // which count once
}

func newProver(t *testing.T, algs string) *prover {
	t.Helper()
	p := &prover{algs: algs, proofs: map[[32]byte]bool{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *prover) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	status, api := http.StatusBadRequest, r.URL.Path == "/userinfo" || r.URL.Path == "/api"
	if api {
		status = http.StatusUnauthorized
	}
	refused := func(code string) {
		if api {
			w.Header().Set("WWW-Authenticate", `DPoP error="`+code+`"`)
		}
		writeJSON(w, status, map[string]any{"error": code})
	}
	var thumbprint string
	if text := r.Header.Get(dpop.Header); text != "" {
		w.Header().Set(dpop.NonceHeader, p.nonce)
		check := dpop.Check{Method: r.Method, URL: p.URL + r.URL.Path, Now: time.Now().Add(p.late)}
		if api {
			check.AccessToken = token
		}
		proof, err := dpop.Parse(text)
		if err == nil {
			check.Fresh = p.nonce != "" && proof.Nonce == p.nonce
			proof, err = dpop.Verify(text, check)
		}
		switch {
		case err == nil && p.nonce != "" && !check.Fresh:
			refused("use_dpop_nonce")
			return
		case err != nil:
			refused("invalid_dpop_proof")
			return
		}
		thumbprint = proof.Thumbprint
		p.mu.Lock()
		again := p.proofs[proof.ReplayKey()]
		p.proofs[proof.ReplayKey()] = true
		p.mu.Unlock()
		if again {
			refused("invalid_dpop_proof")
			return
		}
	}
	p.mu.Lock()
	p.seen = append(p.seen, r.URL.Path+" "+thumbprint)
	p.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		answer := map[string]any{
			"issuer": p.URL, "device_authorization_endpoint": p.URL + "/code", "token_endpoint": p.URL + "/token", "userinfo_endpoint": p.URL + "/userinfo",
			"revocation_endpoint": p.URL + "/revoke",
		}
		if p.algs != "" {
			answer["dpop_signing_alg_values_supported"] = strings.Fields(p.algs)
		}
		writeJSON(w, http.StatusOK, answer)
	case "/code":
		writeJSON(w, http.StatusOK, map[string]any{"device_code": "code", "user_code": "USER", "verification_uri": p.URL, "expires_in": 60, "interval": 1})
	case "/token":
		answer := map[string]any{"access_token": "token-of-" + thumbprint, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh"}
		if thumbprint != "" {
			answer["token_type"] = "DPoP"
		}
		writeJSON(w, http.StatusOK, answer)
	case "/userinfo", "/api":
		if want := "token-of-" + thumbprint; token != want || (scheme == "DPoP") != (thumbprint != "") {
			refused("invalid_token")
			return
		}
		body, _ := io.ReadAll(r.Body)
		writeJSON(w, http.StatusOK, map[string]any{"sub": "alice", "sent": string(body)})
	case "/away":
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	}
}

// signedIn is a sign-in at the server, and its token.
func (p *prover) signedIn(t *testing.T, edit func(*deviceflow.Config)) (*deviceflow.Config, *oauth2.Token) {
	t.Helper()
	endpoint, err := deviceflow.Discover(t.Context(), nil, p.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &deviceflow.Config{ClientID: "my-app", Endpoint: endpoint}
	edit(c)
	request, err := c.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request.Interval = time.Millisecond
	token, err := c.Wait(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return c, token
}

func (p *prover) bearer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, seen := range p.seen {
		if !strings.HasSuffix(seen, " ") {
			return false
		}
	}
	return true
}

func TestP13_ASignInIsBoundToAKeyWhereTheServerTakesProofs(t *testing.T) {
	p := newProver(t, "RS256 ES256")
	c, token := p.signedIn(t, func(*deviceflow.Config) {})
	if c.Key == nil || token.TokenType != "DPoP" {
		t.Fatalf("%+v", token)
	}
	if who, err := c.UserInfo(t.Context(), token); err != nil || who["sub"] != "alice" {
		t.Error(who, err)
	}
	fresh, err := c.Refresh(t.Context(), token.RefreshToken)
	if err != nil || fresh.AccessToken != "token-of-"+c.Key.Thumbprint() {
		t.Error(fresh, err)
	}
	if err := c.Revoke(t.Context(), token.AccessToken); err != nil {
		t.Error(err)
	}
	// Another sign-in has another key; one that is set is used.
	other, _ := p.signedIn(t, func(*deviceflow.Config) {})
	if other.Key.Thumbprint() == c.Key.Thumbprint() {
		t.Error("two sign-ins have one key")
	}
	same, again := p.signedIn(t, func(o *deviceflow.Config) { o.Key = c.Key })
	if same.Key != c.Key || again.AccessToken != fresh.AccessToken {
		t.Error("the key that was set was not used")
	}
}

func TestASignInIsNotBoundWhereNobodyWantsThat(t *testing.T) {
	for name, row := range map[string]struct {
		algs string
		edit func(*deviceflow.Config)
	}{
		"the program":                  {"ES256", func(c *deviceflow.Config) { c.Bearer = true }},
		"a server without proofs":      {"", func(*deviceflow.Config) {}},
		"a server of other algorithms": {"RS256", func(*deviceflow.Config) {}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProver(t, row.algs)
			c, token := p.signedIn(t, row.edit)
			if _, err := c.UserInfo(t.Context(), token); err != nil {
				t.Error(err)
			}
			if _, err := c.Refresh(t.Context(), token.RefreshToken); err != nil {
				t.Error(err)
			}
			if c.Key != nil || token.TokenType != "Bearer" || !p.bearer() {
				t.Errorf("%+v: %q", token, p.seen)
			}
		})
	}
}

func TestP07_ANonceIsUsedWhereTheServerWantsOne(t *testing.T) {
	for name, late := range map[string]time.Duration{"because it wants one": 0, "because this clock is wrong": time.Hour} {
		t.Run(name, func(t *testing.T) {
			p := newProver(t, "ES256")
			p.nonce, p.late = "first nonce", late
			c, token := p.signedIn(t, func(*deviceflow.Config) {})
			p.nonce = "second nonce"
			if _, err := c.UserInfo(t.Context(), token); err != nil {
				t.Error(err)
			}
			p.nonce = "third nonce"
			client := c.Client(oauth2.StaticTokenSource(token))
			resp, err := client.Post(p.URL+"/api", "text/plain", strings.NewReader("a body"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "a body") {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			// What cannot be sent again comes back as it is, and works the next time.
			p.nonce = "fourth nonce"
			for _, want := range []int{http.StatusUnauthorized, http.StatusOK} {
				once := io.MultiReader(strings.NewReader("a body"))
				resp, err := client.Post(p.URL+"/api", "text/plain", once)
				if err != nil {
					t.Fatal(err)
				}
				if _ = resp.Body.Close(); resp.StatusCode != want {
					t.Errorf("%d, want %d", resp.StatusCode, want)
				}
			}
		})
	}
}

func TestAServerThatNeverHasEnoughIsAskedTwice(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set(dpop.NonceHeader, strings.Repeat("n", asked))
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "use_dpop_nonce"})
	}))
	defer server.Close()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c := &deviceflow.Config{Key: key, Endpoint: deviceflow.Endpoint{TokenURL: server.URL + "/token"}}
	if _, err := c.Refresh(t.Context(), "refresh"); asked != 2 || err == nil || !strings.HasPrefix(err.Error(), "use_dpop_nonce") {
		t.Errorf("asked %d times: %v", asked, err)
	}
	token := &oauth2.Token{AccessToken: "token", TokenType: "DPoP"}
	resp, err := c.Client(oauth2.StaticTokenSource(token)).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); asked != 4 || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("asked %d times: %d", asked, resp.StatusCode)
	}
}

func TestANonceThatIsNoneIsNotUsed(t *testing.T) {
	for name, nonce := range map[string]string{"none": "", "far too long": strings.Repeat("n", 2000)} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set(dpop.NonceHeader, nonce)
			writeJSON(w, http.StatusBadRequest, map[string]any{"error": "use_dpop_nonce"})
		}))
		key, err := dpop.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		c := &deviceflow.Config{Key: key, Endpoint: deviceflow.Endpoint{TokenURL: server.URL}}
		if _, err := c.Refresh(t.Context(), "refresh"); asked != 1 || err == nil {
			t.Errorf("%s: asked %d times: %v", name, asked, err)
		}
		server.Close()
	}
}

func TestATokenGoesToNoOtherServer(t *testing.T) {
	p := newProver(t, "ES256")
	var leaked []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = append(leaked, r.Header.Get("Authorization")+r.Header.Get(dpop.Header))
	}))
	defer other.Close()
	for _, bearer := range []bool{false, true} {
		c, token := p.signedIn(t, func(c *deviceflow.Config) { c.Bearer = bearer })
		resp, err := c.Client(oauth2.StaticTokenSource(token)).Get(p.URL + "/away?to=" + url.QueryEscape(other.URL))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if strings.Join(leaked, "") != "" || len(leaked) != 2 {
		t.Errorf("another server was sent %q", leaked)
	}
}

func TestABoundTokenWithoutItsKeyIsNotSent(t *testing.T) {
	token := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token", TokenType: "DPoP"})
	c := &deviceflow.Config{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:1", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client(token).Do(req); err == nil || !strings.Contains(err.Error(), "sign in again") { //nolint:bodyclose // there is none
		t.Error(err)
	}
}

func TestAClientRefreshesWhatItSends(t *testing.T) {
	p := newProver(t, "ES256")
	c, token := p.signedIn(t, func(*deviceflow.Config) {})
	token.Expiry = time.Now().Add(-time.Minute)
	var saved *oauth2.Token
	source := c.TokenSource(context.WithoutCancel(t.Context()), token, func(fresh *oauth2.Token) error { saved = fresh; return nil })
	resp, err := c.Client(source).Get(p.URL + "/api")
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK || saved == nil || !saved.Valid() {
		t.Errorf("%d, %v", resp.StatusCode, saved)
	}
	broken := errors.New("the disk is full")
	token.Expiry = time.Now().Add(-time.Minute)
	source = c.TokenSource(context.WithoutCancel(t.Context()), token, func(*oauth2.Token) error { return broken })
	if _, err := c.Client(source).Get(p.URL + "/api"); !errors.Is(err, broken) { //nolint:bodyclose // there is none
		t.Error(err)
	}
}
