//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

// owner is a person with an identity key and, once signed in, a session.
type owner struct {
	key    *ec.PrivateKey
	bapID  string
	pubkey string
	cookie string
	// leavesOut is a scope that they never allow.
	leavesOut string
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	o, err := drawOwner()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func drawOwner() (*owner, error) {
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := bap.ID(key.PubKey())
	if err != nil {
		return nil, err
	}
	return &owner{key: key, bapID: id, pubkey: bap.FormatPublicKey(key.PubKey())}, nil
}

// crowd are owners who take turns at deciding, for an account may have so many
// grants at once. The zero value is ready to use, from any goroutine.
type crowd struct {
	mu    sync.Mutex
	owner *owner // whose turn it is; guarded by mu
	left  int    // decisions of this turn; guarded by mu
}

func (c *crowd) decide(ctx context.Context, base, userCode, decision string) error {
	o, err := c.next(ctx, base)
	if err != nil {
		return err
	}
	return o.decide(ctx, base, userCode, decision)
}

// next is whose turn it is, signed in.
func (c *crowd) next(ctx context.Context, base string) (*owner, error) {
	const turn = 100
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		o, err := drawOwner()
		if err != nil {
			return nil, err
		}
		if err := o.begin(ctx, base); err != nil {
			return nil, err
		}
		c.owner, c.left = o, turn
	}
	c.left--
	return c.owner, nil
}

// errStatus is an answer that is no success.
type errStatus struct {
	status int
	body   string
}

func (e *errStatus) Error() string { return fmt.Sprintf("status %d: %.300s", e.status, e.body) }

// signIn signs in at the server that listens at base.
func (o *owner) signIn(t *testing.T, base string) {
	t.Helper()
	if err := o.begin(t.Context(), base); err != nil {
		t.Fatal("signing in:", err)
	}
}

// signedIn reports whether the owner's session lives at the server that listens at base.
func (o *owner) signedIn(t *testing.T, base string) bool {
	t.Helper()
	_, answer, err := o.send(t.Context(), http.MethodGet, base, "/api/auth/get-session", nil, false)
	if err != nil {
		t.Fatal("asking for the session:", err)
	}
	return strings.TrimSpace(string(answer)) != "null"
}

// call gives the owner's identity a name at the server that listens at base.
func (o *owner) call(t *testing.T, base, name string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"bapId": o.bapID, "name": name, "aud": issuerOf(t, base)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.send(t.Context(), http.MethodPut, base, "/api/bap/profile", body, true); err != nil {
		t.Fatal("setting the profile:", err)
	}
}

// begin is signIn for any goroutine.
func (o *owner) begin(ctx context.Context, base string) error {
	body, err := json.Marshal(map[string]string{"bapId": o.bapID})
	if err != nil {
		return err
	}
	cookies, _, err := o.send(ctx, http.MethodPost, base, "/api/auth/sign-in/sigma", body, true)
	if err != nil {
		return err
	}
	if len(cookies) != 1 || cookies[0].Value == "" {
		return fmt.Errorf("cookies %v", cookies)
	}
	o.cookie = cookies[0].Name + "=" + cookies[0].Value
	return nil
}

// send sends a request with the session, or signed by the key, and returns the
// cookies that were set and the body. An answer that is no success is an
// *errStatus.
func (o *owner) send(ctx context.Context, method, base, target string, body []byte, signed bool) ([]*http.Cookie, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, base+target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if signed {
		token, err := bitcoinauth.Sign(o.key, bitcoinauth.Signing{Path: target, Body: body, Time: time.Now()})
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set(bitcoinauth.Header, token)
	} else {
		req.Header.Set("Cookie", o.cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &errStatus{status: resp.StatusCode, body: string(answer)}
	}
	return resp.Cookies(), answer, err
}

// decide opens a request and approves or denies it, as a page with a session
// does. It is safe to call from any goroutine.
func (o *owner) decide(ctx context.Context, base, userCode, decision string) error {
	if err := o.open(ctx, base, userCode); err != nil {
		return err
	}
	return o.conclude(ctx, base, userCode, decision)
}

// open looks at a request, which is then this owner's.
func (o *owner) open(ctx context.Context, base, userCode string) error {
	if _, _, err := o.send(ctx, http.MethodGet, base, "/api/auth/device?user_code="+url.QueryEscape(userCode), nil, false); err != nil {
		return fmt.Errorf("opening %s: %w", userCode, err)
	}
	return nil
}

// conclude approves or denies an open request.
func (o *owner) conclude(ctx context.Context, base, userCode, decision string) error {
	body, err := json.Marshal(map[string]string{"userCode": userCode})
	if err != nil {
		return err
	}
	_, answer, err := o.send(ctx, http.MethodPost, base, "/api/auth/device/"+decision, body, false)
	if err != nil {
		return fmt.Errorf("%s %s: %w", decision, userCode, err)
	}
	var done struct{ Success bool }
	if err := json.Unmarshal(answer, &done); err != nil || !done.Success {
		return fmt.Errorf("%s %s: answered %.300s", decision, userCode, answer)
	}
	return nil
}

// issuerOf is what a server calls itself, which what is signed for it names.
func issuerOf(t *testing.T, base string) string {
	t.Helper()
	resp, err := http.Get(base + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&metadata); err != nil || metadata.Issuer == "" {
		t.Fatal("who the server is:", err)
	}
	return metadata.Issuer
}

// approveSigned approves with a signature over the statement, and no session.
func (o *owner) approveSigned(t *testing.T, base, userCode string) (grantID string) {
	t.Helper()
	_, answer, err := o.send(t.Context(), http.MethodGet, base, "/api/auth/device/approval?aud="+url.QueryEscape(issuerOf(t, base))+"&user_code="+url.QueryEscape(userCode), nil, true)
	if err != nil {
		t.Fatal("asking what to sign:", err)
	}
	var review struct {
		Statement string                `json:"statement"`
		Match     struct{ Kind string } `json:"match"`
	}
	if err := json.Unmarshal(answer, &review); err != nil || review.Statement == "" {
		t.Fatalf("asking what to sign: %v: %s", err, answer)
	}
	decision := map[string]string{"userCode": userCode, "statement": review.Statement}
	if review.Match.Kind == "letters" {
		_, decision["match"], _ = strings.Cut(userCode, "-") // the last four letters
	}
	body, err := json.Marshal(decision)
	if err != nil {
		t.Fatal(err)
	}
	_, answer, err = o.send(t.Context(), http.MethodPost, base, "/api/auth/device/approve", body, true)
	if err != nil {
		t.Fatal("approving:", err)
	}
	var done struct {
		GrantID string `json:"grant_id"`
	}
	if err := json.Unmarshal(answer, &done); err != nil || done.GrantID == "" {
		t.Fatalf("approving: %v: %s", err, answer)
	}
	return done.GrantID
}

// checkClaims checks what userinfo says of this owner (requirement U-10).
func (o *owner) checkClaims(claims map[string]any) error {
	if claims["sub"] == nil || claims["sub"] == "" || claims["sub"] == o.pubkey || claims["sub"] == o.bapID {
		return fmt.Errorf("sub is %v", claims["sub"])
	}
	if claims["bap_id"] != o.bapID || claims["pubkey"] != o.pubkey {
		return fmt.Errorf("bap_id %v and pubkey %v, not %s and %s", claims["bap_id"], claims["pubkey"], o.bapID, o.pubkey)
	}
	text, ok := claims["bap"].(string)
	if !ok {
		return errors.New("bap is not a string")
	}
	var profile struct{ IDKey string }
	if err := json.Unmarshal([]byte(text), &profile); err != nil {
		return fmt.Errorf("bap is not JSON: %w", err)
	}
	if profile.IDKey != o.bapID {
		return fmt.Errorf("bap.idKey is %q, not %s", profile.IDKey, o.bapID)
	}
	return nil
}
