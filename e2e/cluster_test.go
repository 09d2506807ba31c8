//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// trio is three servers on one database behind a proxy that sends each request
// to the next of them. The proxy's address is the issuer.
type trio struct {
	*httptest.Server
	database string // its URL
	secret   string // the file
	flags    []string
	next     atomic.Uint32

	mu    sync.Mutex
	nodes [3]*process // guarded by mu; a killed one is replaced
}

// startTrio starts three servers at the same moment on an empty database, and
// registers the client my-app, for no other may ask.
func startTrio(t *testing.T, database string, flags ...string) *trio {
	t.Helper()
	c := &trio{database: database, secret: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(c.secret, []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		Transport: c,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	})
	t.Cleanup(c.Close)
	c.flags = append([]string{"--database", database, "--secret-file", c.secret, "--issuer", c.URL, "--unregistered-clients", "refuse"}, flags...)
	for i := range c.nodes {
		c.nodes[i] = c.launch(t)
	}
	for _, p := range c.nodes {
		p.await(t)
	}
	runClients(t, database, "add", "my-app", "--scope", "openid profile")
	for i := range c.nodes {
		// It may have been asked about before it was added.
		within(t, 2*time.Second, "the client is unknown at a server", func() bool { return c.knows(t, i, "my-app") })
	}
	return c
}

func (c *trio) launch(t *testing.T) *process {
	t.Helper()
	return launch(t, filepath.Join(t.TempDir(), "none"), c.flags...)
}

// node is the URL of one server, counted round.
func (c *trio) node(i int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i%len(c.nodes)].url
}

// replace kills a server and starts a new one in its place.
func (c *trio) replace(t *testing.T, i int) {
	t.Helper()
	c.mu.Lock()
	old := c.nodes[i]
	c.mu.Unlock()
	old.kill()
	p := c.launch(t)
	p.await(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = p
}

// RoundTrip sends a request to the next server, and to the one after it where
// nobody listens.
func (c *trio) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	var failed error
	for range c.nodes {
		to := r.Clone(r.Context())
		to.Body = io.NopCloser(bytes.NewReader(body))
		to.URL.Scheme, to.URL.Host = "http", c.node(int(c.next.Add(1)))[len("http://"):]
		resp, err := http.DefaultTransport.RoundTrip(to)
		var dial *net.OpError
		if err == nil || !errors.As(err, &dial) || dial.Op != "dial" {
			return resp, err
		}
		failed = err
	}
	return nil, failed
}

// knows asks one server for a device code, as a client.
func (c *trio) knows(t *testing.T, i int, clientID string) bool {
	t.Helper()
	var code struct {
		DeviceCode string `json:"device_code"`
		Error      string `json:"error"`
	}
	post(t, c.node(i)+"/api/auth/device/code", map[string][]string{"client_id": {clientID}, "scope": {"openid"}}, &code)
	if code.DeviceCode == "" && code.Error != "invalid_client" && code.Error != "unauthorized_client" {
		t.Fatalf("node %d answers %s with %q", i, clientID, code.Error)
	}
	return code.DeviceCode != ""
}

// within asks until something is so, and returns how long that took. Later than
// the limit is an error.
func within(t *testing.T, limit time.Duration, otherwise string, so func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit+10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s, for %v now", otherwise, time.Since(began))
		}
	}
	took := time.Since(began)
	if took > limit {
		t.Errorf("%s for %v, longer than %v", otherwise, took, limit)
	}
	return took
}

// get asks for something as JSON or text, with headers in pairs.
func get(t *testing.T, address string, header ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestServersThatStartTogetherAgreeOnTheirKeys(t *testing.T) {
	t.Parallel()
	for range 3 {
		c := startTrio(t, pgtest.Database(t))
		_, keys := get(t, c.node(0)+"/api/auth/jwks")
		if keys == "" {
			t.Fatal("no keys")
		}
		for i := range c.nodes {
			if _, other := get(t, c.node(i)+"/api/auth/jwks"); other != keys {
				t.Errorf("server %d has the keys %s, not %s", i, other, keys)
			}
		}
		o := newOwner(t)
		o.signIn(t, c.URL)
		for signer := range c.nodes {
			token := c.token(t, o, signer, signer, signer)
			for verifier := range c.nodes {
				if status := userinfoStatus(t, c.node(verifier), token); status != http.StatusOK {
					t.Errorf("server %d answers a token of server %d with %d", verifier, signer, status)
				}
			}
		}
		for _, p := range c.nodes {
			p.stop(t)
		}
	}
}

// TestB20_ALeakedKeyIsTakenOutOfServersThatRun: of three, by a command elsewhere.
func TestB20_ALeakedKeyIsTakenOutOfServersThatRun(t *testing.T) {
	t.Parallel()
	c := startTrio(t, pgtest.Database(t))
	o := newOwner(t)
	o.signIn(t, c.URL)
	forged := c.token(t, o, 0, 0, 0)
	kid := keyOf(t, forged)
	operate(t, c.database, "keys", "retire", kid, "--now", "--secret-file", c.secret)
	for i := range c.nodes {
		within(t, 5*time.Second, "a server accepts what a leaked key signed", func() bool { return userinfoStatus(t, c.node(i), forged) == http.StatusUnauthorized })
	}
	_, keys := get(t, c.node(0)+"/api/auth/jwks")
	for i := range c.nodes {
		if _, other := get(t, c.node(i)+"/api/auth/jwks"); other != keys || strings.Contains(other, kid) {
			t.Errorf("server %d has the keys %s", i, other)
		}
		token := c.token(t, o, i, i, i)
		if keyOf(t, token) == kid {
			t.Errorf("server %d signs with the leaked key", i)
		}
		for verifier := range c.nodes {
			if status := userinfoStatus(t, c.node(verifier), token); status != http.StatusOK {
				t.Errorf("server %d answers a token of server %d with %d", verifier, i, status)
			}
		}
	}
}

// keyOf is the key that a token says it was signed with.
func keyOf(t *testing.T, token string) string {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	var header struct{ Kid string }
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err := errors.Join(err, json.Unmarshal(b, &header)); err != nil || header.Kid == "" {
		t.Fatalf("a token without a key: %v", err)
	}
	return header.Kid
}

// token runs a flow, each step on a server of its own.
func (c *trio) token(t *testing.T, o *owner, start, approve, redeem int) string {
	t.Helper()
	deviceCode, userCode := requestCode(t, c.node(start))
	if err := o.decide(t.Context(), c.node(approve), userCode, "approve"); err != nil {
		t.Fatal(err)
	}
	a, ok := poll(t.Context(), c.node(redeem), deviceCode)
	if !ok || a.AccessToken == "" {
		t.Fatalf("the poll is answered %q", a.Error)
	}
	return a.AccessToken
}

func TestAFlowMayHaveEachStepOnAnotherServer(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	c := startTrio(t, pgtest.Database(t), "--device-poll-interval", interval.String())
	o := newOwner(t)
	o.signIn(t, c.node(1))
	for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			deviceCode, userCode := requestCode(t, c.node(order[0]))
			// What a server remembers of a pending request must not outlive the decision.
			for i := range c.nodes {
				if a, _ := poll(t.Context(), c.node(i), deviceCode); a.Error != "authorization_pending" {
					t.Errorf("server %d answers %q before the decision", i, a.Error)
				}
			}
			if err := o.decide(t.Context(), c.node(order[1]), userCode, "approve"); err != nil {
				t.Fatal(err)
			}
			<-time.After(interval)
			a, _ := poll(t.Context(), c.node(order[2]), deviceCode)
			if a.AccessToken == "" {
				t.Fatalf("server %d answers %q after the approval", order[2], a.Error)
			}
			for i := range c.nodes {
				if status := userinfoStatus(t, c.node(i), a.AccessToken); status != http.StatusOK {
					t.Errorf("userinfo of server %d answers %d", i, status)
				}
				if again, _ := poll(t.Context(), c.node(i), deviceCode); again.AccessToken != "" {
					t.Errorf("server %d gives tokens for a redeemed code", i)
				}
			}
		})
	}
}
