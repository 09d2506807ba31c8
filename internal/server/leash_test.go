package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/receipt"
)

const (
	agentsPath = "/api/agents"
	killPath   = "/api/kill"
)

// leashed is an agent of an owner, with its grant's id.
func (h *house) leashed(owner, id string, change ...func(*authz.Grant)) authz.Grant {
	h.t.Helper()
	h.signIn(owner)
	i, err := h.store.Identity(h.t.Context(), bapIDOf(h.t, owner))
	if err != nil {
		h.t.Fatal(err)
	}
	d := h.ask("pub-a", "openid profile")
	r, err := h.store.DeviceRequest(h.t.Context(), authz.Secret(d.deviceCode).Hash())
	if err != nil {
		h.t.Fatal(err)
	}
	g := authz.Grant{
		ID: r.ID, AccountID: i.AccountID, ClientID: r.ClientID, Scope: r.Scope, BAPID: i.BAPID, MemberKey: i.MemberKey, ACR: authz.ACRSignature,
		AuthTime: h.now(), CreatedAt: h.now(), ExpiresAt: h.now().Add(time.Hour), Presence: authz.PresencePassword,
		Delegated: authz.Delegated{Kind: authz.OfAgent, Agent: authz.AgentKey{ID: id, Name: "Agent " + id, Thumbprint: id}, Line: r.ID, Depth: 2},
	}
	for _, c := range change {
		c(&g)
	}
	err = h.store.ApproveDeviceRequest(h.t.Context(), contract.Approval{
		RequestID: r.ID, AccountID: i.AccountID, Unclaimed: true, At: h.now(), Grant: g, Living: 200, Keep: contract.KeepAtMost(1000),
		Agents: contract.AgentRoom{PerAccount: 1000, PerLine: 500}, Event: h.leashEvent(g), Receipt: g.Delegated.Delegation,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

func (h *house) leashEvent(g authz.Grant) contract.NewEvent {
	return contract.NewEvent{Event: authz.Event{ID: "event-" + g.ID, AccountID: g.AccountID, At: h.now(), Kind: authz.EventDelegated, GrantID: g.ID}, Keep: contract.KeepAtMost(1000)}
}

// below is a sub-agent of an agent.
func (h *house) below(above authz.Grant, id string) authz.Grant {
	h.t.Helper()
	g := above
	g.ID = strings.ReplaceAll(id, " ", "-") + above.ID
	g.Delegated.Kind, g.Delegated.Parent, g.Delegated.Agent = authz.OfSubAgent, above.ID, authz.AgentKey{ID: id, Name: "Sub " + id, Thumbprint: id}
	err := h.store.Delegate(h.t.Context(), contract.Delegation{
		Grant: g, Receipt: g.Delegated.Delegation, At: h.now(), Room: contract.AgentRoom{PerAccount: 1000, PerLine: 500}, Keep: contract.KeepAtMost(1000), Event: h.leashEvent(g),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

// pulls sends what the leash does, signed.
func (h *house) pulls(owner, what string, more ...string) reply {
	h.t.Helper()
	return h.signed(owner, http.MethodPost, agentsPath+what, `{"aud":"`+testIssuer+`"`+strings.Join(more, "")+`}`)
}

// stand holds an owner's list to what each agent should be.
func (h *house) stand(owner, when string, want map[string]string) {
	h.t.Helper()
	got := map[string]string{}
	var list struct {
		Agents []struct{ ID, State string }
	}
	if err := json.Unmarshal([]byte(h.signed(owner, http.MethodGet, agentsPath+"?aud="+testIssuer, "").wantOK().body), &list); err != nil {
		h.t.Fatal(err)
	}
	for _, a := range list.Agents {
		got[a.ID] = a.State
		if one := h.signed(owner, http.MethodGet, agentsPath+"/"+a.ID+"?aud="+testIssuer, "").wantOK().text("state"); one != a.State {
			h.t.Errorf("%s: %s is %s in the list, and %s by itself", when, a.ID, a.State, one)
		}
	}
	for id, state := range want {
		if got[id] != state {
			h.t.Errorf("%s: %s is %q, want %q", when, id, got[id], state)
		}
	}
}

func TestB27_TheLeashHoldsAllBelow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	top := h.leashed("alice", "one")
	middle := h.below(top, "two")
	low := h.below(middle, "three")
	other := h.leashed("alice", "four")
	states := func(a, b, c, d string) map[string]string {
		return map[string]string{top.ID: a, middle.ID: b, low.ID: c, other.ID: d}
	}
	h.stand("alice", "at first", states("active", "active", "active", "active"))
	shown := h.signed("alice", http.MethodGet, agentsPath+"/"+top.ID+"?aud="+testIssuer, "").wantOK().body
	if !strings.Contains(shown, `"children":[{"id":"`+middle.ID) || strings.Contains(shown, low.ID) {
		t.Errorf("it shows others than those right below it: %s", shown)
	}

	// A child of its own pause stays paused when the one above is resumed.
	present := `,"presence":"password"`
	h.pulls("alice", "/"+low.ID+"/pause").wantOK()
	h.pulls("alice", "/"+top.ID+"/pause").wantOK()
	h.pulls("alice", "/"+top.ID+"/pause").wantOK() // twice
	h.stand("alice", "when the top is paused", states("paused", "paused", "paused", "active"))
	h.pulls("alice", "/"+top.ID+"/resume", present).wantOK()
	h.pulls("alice", "/"+top.ID+"/resume", present).wantOK()
	h.stand("alice", "when it is resumed", states("active", "active", "paused", "active"))
	h.pulls("alice", "/"+low.ID+"/resume", present).wantOK()
	if n := h.pulls("alice", "/pause").wantOK().members()["count"]; n != 2.0 {
		t.Errorf("%v were paused", n)
	}
	h.stand("alice", "when all are paused", states("paused", "paused", "paused", "paused"))
	for _, id := range []string{top.ID, other.ID} {
		h.pulls("alice", "/"+id+"/resume", present).wantOK()
	}

	h.pulls("alice", "/"+middle.ID+"/revoke").wantOK()
	h.pulls("alice", "/"+middle.ID+"/revoke").wantOK()
	h.stand("alice", "when the middle is revoked", states("active", "revoked", "revoked", "active"))
	for _, id := range []string{middle.ID, low.ID} {
		h.pulls("alice", "/"+id+"/resume", present).wantError(http.StatusBadRequest, "invalid_request")
		h.pulls("alice", "/"+id+"/pause").wantError(http.StatusBadRequest, "invalid_request")
	}
	if n := h.pulls("alice", "/revoke").wantOK().members()["count"]; n != 2.0 {
		t.Errorf("%v were revoked", n)
	}
	h.pulls("alice", "/revoke").wantOK()
	h.stand("alice", "when all are revoked", states("revoked", "revoked", "revoked", "revoked"))

	last := h.leashed("alice", "five")
	h.advance(time.Hour)
	h.stand("alice", "when it is over", map[string]string{last.ID: "expired"})
}

func TestB27_OnlyItsOwnerHoldsAnAgent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.leashed("alice", "one")
	d := h.ask("pub-a", "openid")
	plain := h.approveSigned("alice", d.userCode) // a grant that is no agent's
	for _, at := range []struct{ owner, id string }{{"bob", g.ID}, {"alice", plain}, {"alice", "none"}} {
		for _, what := range []string{"/pause", "/resume", "/revoke"} {
			h.pulls(at.owner, "/"+at.id+what, `,"presence":"password"`).wantError(http.StatusNotFound, "not_found")
		}
		for _, what := range []string{"", "/chain"} {
			h.signed(at.owner, http.MethodGet, agentsPath+"/"+at.id+what+"?aud="+testIssuer, "").wantError(http.StatusNotFound, "not_found")
		}
	}
	h.pulls("bob", "/pause").wantOK()
	h.pulls("bob", "/revoke").wantOK()
	h.stand("alice", "after what bob did", map[string]string{g.ID: "active"})
}

func TestK17_ResumingAnAgentTakesWhatApprovingOneDoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := h.leashed("alice", "one")
	cookie := h.signIn("alice")
	h.postJSON(agentsPath+"/"+g.ID+"/pause", map[string]any{}, "Cookie", cookie).wantOK() // stopping takes a session alone
	resume := agentsPath + "/" + g.ID + "/resume"
	for what, r := range map[string]reply{
		"by a session":             h.postJSON(resume, map[string]any{"presence": "password"}, "Cookie", cookie),
		"without a word":           h.pulls("alice", "/"+g.ID+"/resume"),
		"with a key at hand":       h.pulls("alice", "/"+g.ID+"/resume", `,"presence":"key"`),
		"claiming a passkey":       h.pulls("alice", "/"+g.ID+"/resume", `,"presence":"presence"`),
		"claiming what is no word": h.pulls("alice", "/"+g.ID+"/resume", `,"presence":"always"`),
	} {
		r.wantError(http.StatusForbidden, "access_denied")
		if r.text("presence") != "password" {
			t.Errorf("%s: %s", what, r.body)
		}
	}
	h.stand("alice", "when it was refused", map[string]string{g.ID: "paused"})
	h.settings.Agents.Presence = authz.PresencePerson
	h.restart()
	h.pulls("alice", "/"+g.ID+"/resume", `,"presence":"password"`).wantError(http.StatusForbidden, "access_denied")
	h.settings.Agents.Presence = authz.PresenceKey
	h.restart()
	h.pulls("alice", "/"+g.ID+"/resume", `,"presence":"key"`).wantOK()
	h.pulls("alice", "/"+g.ID+"/resume", `,"presence":"key"`).wantOK() // twice is no news
	h.wantLine("INFO", "agent paused by its owner", "grant", g.ID, "agent", "one")
	h.wantLine("INFO", "agent resumed by its owner", "grant", g.ID, "presence", "key")
}

// killSwitch is what an owner signed beforehand.
func (h *house) killSwitch(name, issuer, nonce string, at time.Time) string {
	h.t.Helper()
	file, err := receipt.SignKillSwitch(person(name), issuer, nonce, at)
	if err != nil {
		h.t.Fatal(err)
	}
	return file
}

func (h *house) kills(file string) reply {
	h.t.Helper()
	return h.send(http.MethodPost, killPath, file, "Content-Type", "application/json")
}

func TestB27_AKillSwitchEndsEverythingOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	top := h.leashed("alice", "one")
	low := h.below(top, "two")
	cookie := h.signIn("alice")
	tokens := h.tokens("pub-a", "openid profile offline_access", "alice")
	bobs := h.leashed("bob", "three")
	nonce := strings.Repeat("0f", 16)
	file := h.killSwitch("alice", testIssuer, nonce, h.now())

	for what, wrong := range map[string]string{
		"changed":        strings.Replace(file, `0f0f`, `1f0f`, 1),
		"another's":      h.killSwitch("alice", "https://elsewhere.example", nonce, h.now()),
		"a future one":   h.killSwitch("alice", testIssuer, nonce, h.now().Add(time.Hour)),
		"of nobody":      h.killSwitch("stranger", testIssuer, nonce, h.now()),
		"no kill switch": `{"v":2,"kind":"revoke-everything"}`,
	} {
		h.kills(wrong).wantError(http.StatusForbidden, "access_denied")
		if h.userInfo(tokens.text("access_token")).status != http.StatusOK {
			t.Fatalf("one that is %s ended something", what)
		}
	}
	h.advance(20 * time.Minute) // at any time later
	pending := h.ask("pub-a", "openid")
	h.open(cookie, pending.userCode)

	var won, lost atomic.Int64
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			switch r := h.kills(file + "\n"); r.status {
			case http.StatusOK:
				won.Add(1)
			case http.StatusForbidden:
				lost.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 || lost.Load() != 19 {
		t.Errorf("%d of 20 at once ended everything, %d were refused", won.Load(), lost.Load())
	}
	h.userInfo(tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK()
	if r := h.send(http.MethodGet, "/api/sessions", "", "Cookie", cookie); r.status != http.StatusUnauthorized {
		t.Errorf("the session lives: %s", r.body)
	}
	h.poll(pending).wantError(http.StatusBadRequest, "access_denied")
	h.stand("alice", "after it", map[string]string{top.ID: "revoked", low.ID: "revoked"})
	h.stand("bob", "after alice's", map[string]string{bobs.ID: "active"})
	h.wantLine("WARN", "everything of an account was ended by its kill switch", "bap_id", bapIDOf(t, "alice"))

	// A network's tries are few.
	h.peer = "203.0.113.7:4711"
	var last reply
	for range 40 {
		last = h.kills(file)
	}
	last.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
}
