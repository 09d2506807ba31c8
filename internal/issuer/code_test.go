package issuer_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/code"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/issuer"
)

const (
	back     = "https://app.example/back"
	verifier = "verifier-verifier-verifier-verifier-verifier"
	// codeGood is how long a code is good for after the approval.
	codeGood = time.Minute
)

func webApps(s *authz.Settings) {
	s.DeviceCodeLifetime = 15 * time.Minute
	for _, id := range []string{"web", "other"} {
		s.Clients = append(s.Clients, authz.Client{ID: id, RedirectURIs: []string{back}})
	}
}

// codeLife is what was promised about one authorization code.
type codeLife struct {
	w  *world
	mu sync.Mutex

	id, userCode, code string
	approvedAt         time.Time // guarded by mu, as all below
	denied, burnt      bool
	tokens             []*authz.Tokens
	faults             []string
}

func (l *codeLife) redeem(at *issuer.Issuer, client, redirect, verifier string) (*authz.Tokens, error) {
	c, err := at.Clients.Get(context.Background(), client)
	if err != nil {
		return nil, err
	}
	return at.Codes.Redeem(context.Background(), c, code.Redemption{Code: authz.Secret(l.code), RedirectURI: redirect, Verifier: authz.Secret(verifier)}, authz.Proofs{})
}

// act does one random thing at one of the servers, and notes what was answered.
func (l *codeLife) act(at *issuer.Issuer, what string) {
	owner, now := l.w.owners[0], l.w.clock.Now()
	var tokens *authz.Tokens
	var err error
	switch what {
	case "approve":
		_, err = at.Approvals.Approve(context.Background(), owner, asker, approval.Decision{UserCode: l.userCode})
	case "deny":
		err = at.Approvals.Deny(context.Background(), owner, asker, l.userCode, false)
	case "redeem":
		tokens, err = l.redeem(at, "web", back, verifier)
	case "steal":
		_, err = l.redeem(at, "other", back, verifier)
	case "elsewhere":
		_, err = l.redeem(at, "web", back+"?", verifier)
	case "guess":
		_, err = l.redeem(at, "web", back, strings.Repeat("g", 43))
	case "revoke":
		err = at.Grants.Revoke(context.Background(), owner, l.id)
	case "later":
		l.w.clock.advance(codeGood / 2)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !promised(err) && !errors.Is(err, authz.NotFound) && !errors.Is(err, authz.ExpiredToken) {
		l.faults = append(l.faults, what+" answered "+err.Error())
	}
	switch {
	case what == "guess", what == "redeem" && err != nil && len(l.tokens) > 0:
		l.burnt = l.burnt || !l.approvedAt.IsZero()
	case err != nil:
	case what == "steal", what == "elsewhere":
		l.faults = append(l.faults, what+" succeeded")
	case what == "approve":
		l.approvedAt = now
	case what == "deny":
		l.denied = true
	case what == "redeem":
		l.tokens = append(l.tokens, tokens)
	}
}

// TestACodeIsRedeemedOnceWhateverHappens runs random interleavings of all that can happen to
// an authorization code, on several goroutines and servers at once (requirements Z-10,
// Z-13 to Z-15).
func TestACodeIsRedeemedOnceWhateverHappens(t *testing.T) {
	w := newWorld(t, t.TempDir(), webApps)
	secrets, err := secret.Derive(make([]byte, authz.SecretLength), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(verifier))
	asked := url.Values{
		"client_id": {"web"}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	rapid.Check(t, func(rt *rapid.T) {
		q, err := w.service.Codes.Read(t.Context(), asked)
		if err != nil {
			rt.Fatal(err)
		}
		visit, _, err := w.service.Codes.Ask(t.Context(), w.owners[0], q)
		if err != nil {
			rt.Fatal(err)
		}
		l := &codeLife{w: w}
		if l.userCode, _, err = w.service.Approvals.VisitCode(visit); err != nil {
			rt.Fatal(err)
		}
		_, r, err := w.service.Approvals.Open(t.Context(), w.owners[0], asker, l.userCode, false)
		if err != nil {
			rt.Fatal(err)
		}
		l.id, l.code = r.ID, secrets.AuthorizationCode(r.ID).Reveal()

		things := rapid.SampledFrom([]string{"approve", "approve", "deny", "redeem", "redeem", "redeem", "steal", "elsewhere", "guess", "revoke", "later"})
		plans := rapid.SliceOfN(rapid.SliceOfN(things, 1, 8), 1, 4).Draw(rt, "plans")
		var together sync.WaitGroup
		for i, plan := range plans {
			together.Go(func() {
				for _, what := range plan {
					l.act(w.at(i), what)
				}
			})
		}
		together.Wait()

		switch alone := len(plans) == 1; {
		case len(l.tokens) > 1:
			l.faults = append(l.faults, "it was redeemed twice")
		case len(l.tokens) == 1 && l.approvedAt.IsZero():
			l.faults = append(l.faults, "it was redeemed without an approval")
		case !l.approvedAt.IsZero() && l.denied:
			l.faults = append(l.faults, "it was approved and denied")
		case alone && len(l.tokens) == 0 && !l.approvedAt.IsZero() && !l.burnt && !slices.Contains(plans[0], "revoke"):
			_, err := l.redeem(w.at(1), "web", back, verifier)
			if good := w.clock.Now().Before(l.approvedAt.Add(codeGood)); good != (err == nil) {
				rt.Errorf("a code that is good: %v is answered %v", good, err)
			}
		}
		// Whatever it gave is taken back when it comes twice.
		if len(l.tokens) == 1 {
			l.act(w.at(0), "redeem")
			if _, err := w.at(1).Grants.UserInfo(t.Context(), authz.Presented{Token: l.tokens[0].AccessToken}); !errors.Is(err, authz.InvalidToken) {
				rt.Errorf("what it gave is good still: %v", err)
			}
		}
		for _, f := range l.faults {
			rt.Error(f)
		}
	})
}
