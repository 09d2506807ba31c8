package server_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

const factsPath = "/api/auth/device/approval?user_code="

// facts asks for the statement of a request as the command line does.
func (h *house) facts(name, userCode string) reply {
	h.t.Helper()
	return h.signed(name, http.MethodGet, factsPath+url.QueryEscape(userCode), "")
}

// signStatement sends a statement back, signed.
func (h *house) signStatement(name, userCode, statement string) reply {
	h.t.Helper()
	body, token := h.signedStatement(name, userCode, statement)
	return h.send(http.MethodPost, approvePath, body, append(jsonBody, bitcoinauth.Header, token)...)
}

// signedStatement is the body of an approval, and its signature.
func (h *house) signedStatement(name, userCode, statement string) (body, token string) {
	h.t.Helper()
	b, err := json.Marshal(map[string]string{"userCode": userCode, "statement": statement, "match": userCode[len(userCode)-4:]})
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b), h.sign(name, approvePath, string(b))
}

func TestAStatementIsGivenToWhoMayDecide(t *testing.T) {
	h := newHouse(t)
	bob := h.signIn("bob")
	h.signIn("alice")
	d := h.ask("pub-a", "openid")
	h.facts("alice", d.userCode).wantOK()
	h.open(bob, d.userCode).wantOK()
	h.facts("alice", d.userCode).wantError(http.StatusForbidden, "access_denied")
	h.facts("bob", d.userCode).wantOK()
	h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", bob).wantOK()
	h.facts("bob", d.userCode).wantError(http.StatusBadRequest, "invalid_request")
	h.facts("alice", d.userCode).wantError(http.StatusForbidden, "access_denied")
	h.facts("alice", "BBBB-BBBB").wantError(http.StatusBadRequest, "invalid_request")
}

func TestAStatementLastsNoLongerThanItsRequest(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	started := h.now()
	expires := func() (issued, expires int64) {
		s, err := receipt.ParseStatement(h.facts("alice", d.userCode).wantOK().text("statement"))
		if err != nil {
			t.Fatal(err)
		}
		return s.IssuedAt, s.ExpiresAt
	}
	if issued, over := expires(); over-issued != 300 {
		t.Errorf("it lasts %d seconds", over-issued)
	}
	h.advance(14 * time.Minute)
	if _, over := expires(); over != started.Add(15*time.Minute).Unix() {
		t.Errorf("it lasts until %v", time.Unix(over, 0))
	}
}

func TestAStatementIsSignedAsItWasGiven(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid profile")
	text := h.facts("alice", d.userCode).wantOK().text("statement")
	s, err := receipt.ParseStatement(text)
	if err != nil {
		t.Fatal(err)
	}
	h.signStatement("alice", d.userCode, "no statement").wantError(http.StatusBadRequest, "invalid_request")
	for name, change := range map[string]func(*receipt.Statement){
		"from the future": func(s *receipt.Statement) { s.IssuedAt, s.ExpiresAt = s.IssuedAt+302, s.ExpiresAt+302 },
		"too long":        func(s *receipt.Statement) { s.ExpiresAt++ },
		"for ever":        func(s *receipt.Statement) { s.IssuedAt, s.ExpiresAt = math.MinInt64/2-1000, math.MaxInt64/2 },
		"another issuer":  func(s *receipt.Statement) { s.Issuer = "https://other.example" },
		"another client":  func(s *receipt.Statement) { s.ClientID = "pub-b" },
		"another request": func(s *receipt.Statement) { s.Nonce = "another" },
		"another code":    func(s *receipt.Statement) { s.UserCodeHash = receipt.UserCodeHash("BBBB-BBBB") },
		"over":            func(s *receipt.Statement) { s.ExpiresAt = s.IssuedAt },
	} {
		changed := s
		change(&changed)
		if r := h.signStatement("alice", d.userCode, changed.Encode()); r.status != http.StatusForbidden || r.text("error") != "access_denied" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// By a signer whose clock is ahead: as far as a clock may be, and no farther.
	future := s
	future.IssuedAt, future.ExpiresAt = s.IssuedAt+310, s.ExpiresAt+310
	h.advance(4 * time.Minute)
	body, token := h.signedStatement("alice", d.userCode, future.Encode())
	h.advance(-4 * time.Minute)
	h.send(http.MethodPost, approvePath, body, append(jsonBody, bitcoinauth.Header, token)...).wantError(http.StatusForbidden, "access_denied")
	more := s
	more.Scope += " email"
	h.signStatement("alice", d.userCode, more.Encode()).wantError(http.StatusBadRequest, "invalid_scope")
	last := s // valid in its last second, and shorter than it might be
	last.ExpiresAt = h.now().Unix() + 1
	last.Scope = "openid"
	h.signStatement("alice", d.userCode, last.Encode()).wantOK()
	if got := h.poll(d).wantOK().text("scope"); got != "openid" {
		t.Errorf("scope %q", got)
	}
}

func TestNumbersAreOfferedWhereTheDeviceShowsOne(t *testing.T) {
	h := newHouse(t)
	h.signIn("alice")
	d := h.ask("nobody", "openid")
	r := h.facts("alice", d.userCode).wantOK()
	if m, _ := r.members()["match"].(map[string]any); m["kind"] != "letters" || m["numbers"] != nil {
		t.Errorf("%v", m)
	}
	shown := h.postForm(codePath, url.Values{"client_id": {"nobody"}, "scope": {"openid"}, "number_match": {"true"}}).wantOK()
	r = h.facts("alice", shown.text("user_code")).wantOK()
	numbers, _ := r.members()["match"].(map[string]any)["numbers"].([]any)
	if m := r.members()["match"].(map[string]any); m["kind"] != "number" || len(numbers) != 3 {
		t.Errorf("%v", m)
	}
}

// A grant lasts as long as an access token, from the decision on, unless
// the client renews its tokens.
func TestHowLongAGrantLasts(t *testing.T) {
	h := newHouse(t, with(
		authz.Client{ID: "once", Scope: "openid offline_access", GrantTypes: []string{deviceGrant}},
		authz.Client{ID: "often", Scope: "openid offline_access", GrantTypes: []string{deviceGrant, "refresh_token"}},
	))
	for _, c := range []struct {
		client, scope string
		lasts         time.Duration
		renewed       bool
	}{
		{"once", "openid offline_access", time.Hour, false},
		{"often", "openid", time.Hour, false},
		{"often", "openid offline_access", 180 * 24 * time.Hour, true},
	} {
		asked := h.now()
		d := h.ask(c.client, c.scope)
		if facts := h.facts("alice", d.userCode).wantOK(); facts.members()["renewed"] != c.renewed {
			t.Errorf("%s, %s: %s", c.client, c.scope, facts.body)
		}
		g, err := h.store.Grant(t.Context(), h.approveSigned("alice", d.userCode))
		if err != nil {
			t.Fatal(err)
		}
		if lasts := g.ExpiresAt.Sub(asked).Round(time.Second); lasts != c.lasts {
			t.Errorf("%s, %s: the grant lasts %v", c.client, c.scope, lasts)
		}
		if tokens := h.poll(d).wantOK(); (tokens.text("refresh_token") != "") != c.renewed {
			t.Errorf("%s, %s: %s", c.client, c.scope, tokens.body)
		}
	}
}

func TestAProfileIsShownToItsAccountOnly(t *testing.T) {
	h := newHouse(t)
	h.signIn("alice")
	mallory := h.signIn("mallory")
	const path = "/api/bap/profile?bapId="
	h.send(http.MethodGet, path+bapIDOf(t, "mallory"), "", "Cookie", mallory).wantOK()
	h.send(http.MethodGet, path+bapIDOf(t, "alice"), "", "Cookie", mallory).wantError(http.StatusNotFound, "not_found")
}

// On a public server a proxy that is not listed gives everybody its own address:
// nobody knows whose network that is.
func TestTwoUnknownNetworksAreNotTheSame(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.Issuer = "https://id.example.org" })
	distance := func() string {
		d := h.ask("pub-a", "openid")
		h.from("203.0.113.7")
		seen, _ := h.facts("alice", d.userCode).wantOK().members()["seen"].(map[string]any)
		network, _ := seen["network"].(string)
		return network
	}
	if got := distance(); got != "unknown" { // from the proxy, and from a known network
		t.Errorf("%s", got)
	}
	d := h.ask("pub-a", "openid")
	h.from("10.0.0.1")
	for _, from := range []device{d, h.ask("pub-a", "openid")} {
		seen, _ := h.facts("alice", from.userCode).wantOK().members()["seen"].(map[string]any)
		if seen["network"] != "unknown" {
			t.Errorf("%v", seen)
		}
	}
	if page, _ := h.review(h.signIn("alice"), h.ask("pub-a", "openid").userCode); !strings.Contains(page.body, `name="match"`) {
		t.Error("no match is asked for")
	}
}

// B-07: an unregistered client that looks like a registered one, wherever that is
// registered, or like this server.
func TestB07_AnImitationIsNamed(t *testing.T) {
	h := newHouse(t, with(authz.Client{ID: "your-bank", Name: "Your-Bank"}))
	if err := h.store.AddClient(t.Context(), authz.Client{ID: "sales-desk", Name: "Sales", AuthMethod: authz.AuthNone, Scope: "openid"}); err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]struct {
		name   any
		server any
	}{
		"y0ur-bank": {"Your-Bank", nil}, "Your-Bank": {"Your-Bank", nil}, "sa1es-desk": {"Sales", nil}, "Sa1es": {"Sales", nil},
		"countersign-help": {nil, true}, "an-app": {nil, nil}, "your-bank": {nil, nil}, "sales-desk": {nil, nil},
	} {
		m := h.facts("alice", h.ask(client, "openid").userCode).wantOK().members()
		if m["imitates"] != want.name || m["imitates_server"] != want.server {
			t.Errorf("%s: %v, %v", client, m["imitates"], m["imitates_server"])
		}
	}
}
