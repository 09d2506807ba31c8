//go:build e2e

package e2e

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is what a client tells of its run.
type event struct {
	Event         string         `json:"event"` // code, userinfo or error
	UserCode      string         `json:"user_code"`
	Claims        map[string]any `json:"claims"`
	IDTokenClaims map[string]any `json:"id_token_claims"`
	Error         string         `json:"error"`
	Text          string         `json:"text"`
}

// client is a client that somebody wrote. run goes through the whole flow once;
// what it returns is told as an error event.
type client struct {
	name string
	run  func(ctx context.Context, t *testing.T, server string, tell func(event)) error
	// idToken: the client verifies the ID token by itself.
	idToken bool
	// discovers: it is told the issuer, and finds the endpoints by itself.
	discovers bool
	// stopsItself: the client may give up on its own clock before the server tells
	// it that the code has expired.
	stopsItself string
}

// clients are all there are.
var clients = []client{
	{name: "README JavaScript", run: runReadme("javascript")},
	{name: "README Go", run: runReadme("go"), discovers: true, stopsItself: "expired"},
	{name: "README curl", run: runReadme("curl")},
	{name: "golang.org/x/oauth2", run: runOAuth2, stopsItself: context.DeadlineExceeded.Error()},
	{name: "openid-client", run: runNode("openid-client.mjs"), idToken: true, discovers: true, stopsItself: "OAUTH_TIMEOUT"},
	{name: "oauth4webapi", run: runNode("oauth4webapi.mjs"), idToken: true, discovers: true},
	{name: "better-auth", run: runNode("better-auth.mjs")},
	{name: "clawnet", run: runNode("../clawnet/login.mjs"), stopsItself: "timed out"},
}

// story is one run of one client as the test follows it.
type story struct {
	client   client
	gate     *gate
	userCode string
	end      event
}

// follow runs a client; onCode is called when it has shown its code.
func follow(t *testing.T, c client, g *gate, onCode func(userCode string)) *story {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	events := make(chan event, 8)
	go func() {
		defer close(events)
		tell := func(e event) {
			select {
			case events <- e:
			case <-ctx.Done():
			}
		}
		server := g.URL
		if c.discovers {
			server = g.issuer
		}
		if err := c.run(ctx, t, server, tell); err != nil {
			tell(event{Event: "error", Error: err.Error()})
		}
	}()
	s := &story{client: c, gate: g}
	for e := range events {
		if e.Event != "code" {
			s.end = e
			continue
		}
		s.userCode = e.UserCode
		if onCode != nil {
			onCode(e.UserCode)
		}
	}
	if s.userCode == "" {
		t.Fatalf("the client never showed a code; it ended with %+v", s.end)
	}
	return s
}

// signedIn expects the client to have ended with the owner's claims.
func (s *story) signedIn(t *testing.T, o *owner) {
	t.Helper()
	if s.end.Event != "userinfo" {
		t.Fatalf("ended with %+v after being told %v", s.end, s.told())
	}
	if err := o.checkClaims(s.end.Claims); err != nil {
		t.Errorf("userinfo: %v", err)
	}
	if s.client.idToken && s.end.IDTokenClaims["sub"] != s.end.Claims["sub"] {
		t.Errorf("U-08: the ID token's sub is %v, userinfo's %v", s.end.IDTokenClaims["sub"], s.end.Claims["sub"])
	}
}

// refused expects the client to have ended with one of these in its error.
func (s *story) refused(t *testing.T, any ...string) {
	t.Helper()
	said := s.end.Error + " " + s.end.Text
	if s.end.Event != "error" || !slices.ContainsFunc(any, func(want string) bool { return want != "" && strings.Contains(said, want) }) {
		t.Errorf("ended with %+v, want an error with one of %q; it was told %v", s.end, any, s.told())
	}
}

// told is what the client's polls were answered.
func (s *story) told() []string {
	told, _ := s.gate.polled(s.userCode)
	return told
}

// decidedBy has an owner decide about a code once its device has polled.
func (g *gate) decidedBy(t *testing.T, o *owner, decision string) func(code string) {
	t.Helper()
	return func(code string) {
		g.awaitPoll(t, code)
		if err := o.decide(t.Context(), g.URL, code, decision); err != nil {
			t.Error(err)
		}
	}
}

func TestRealClientsGetTheirTokensWhenTheOwnerApproves(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		g := startGate(t, conf, false, "--device-poll-interval", "1s")
		o := newOwner(t)
		o.signIn(t, g.URL)
		eachClient(t, func(t *testing.T, c client) {
			s := follow(t, c, g, g.decidedBy(t, o, "approve"))
			s.signedIn(t, o)
		})
	})
}

func TestD28_RealClientsAreToldWhenTheOwnerDenies(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		g := startGate(t, conf, false, "--device-poll-interval", "1s")
		o := newOwner(t)
		o.signIn(t, g.URL)
		eachClient(t, func(t *testing.T, c client) {
			s := follow(t, c, g, g.decidedBy(t, o, "deny"))
			s.refused(t, "access_denied", "The owner said no.")
			if told := s.told(); told[len(told)-1] != "access_denied" {
				t.Errorf("was told %v", told)
			}
		})
	})
}

func TestD29_RealClientsAreToldWhenTheCodeExpires(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		g := startGate(t, conf, false, "--device-poll-interval", "1s", "--device-code-lifetime", "4s")
		eachClient(t, func(t *testing.T, c client) {
			s := follow(t, c, g, nil)
			s.refused(t, "expired_token", "The code has expired", c.stopsItself)
		})
	})
}

func TestD26_RealClientsSlowDownWhenTheyAreTold(t *testing.T) {
	eachConfiguration(t, func(t *testing.T, conf configuration) {
		g := startGate(t, conf, true, "--device-poll-interval", "1s")
		o := newOwner(t)
		o.signIn(t, g.URL)
		eachClient(t, func(t *testing.T, c client) {
			s := follow(t, c, g, g.decidedBy(t, o, "approve"))
			s.signedIn(t, o)
			if told := s.told(); !slices.Equal(told, []string{"slow_down", "ok"}) {
				t.Errorf("was told %v, want one slow_down and then tokens", told)
			}
		})
	})
}

// eachClient runs a test for each client, at the same time.
func eachClient(t *testing.T, test func(t *testing.T, c client)) {
	t.Helper()
	atOnce(t, clients, test)
}

// atOnce runs a test for each of some clients at the same time, whatever -parallel says:
// they mostly wait.
func atOnce(t *testing.T, clients []client, test func(t *testing.T, c client)) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { t.Run(c.name, func(t *testing.T) { test(t, c) }) })
	}
	all.Wait()
}

// errEnded is how a client's process ended, with what it said.
type errEnded struct {
	said string
	err  error
}

func (e *errEnded) Error() string { return e.err.Error() + ": " + e.said }

var errNoCode = errors.New("the client showed no code")
