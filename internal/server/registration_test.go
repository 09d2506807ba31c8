package server_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/receipt"
)

// A registration may change, or end, while a request is pending, approved or
// renewed. At each step the client as it is then decides.

// register gives the server another registration of a client, by its configuration
// or in its database; nil takes it out.
func (h *house) register(way, id string, c *authz.Client) {
	h.t.Helper()
	if way == "configuration" {
		h.settings.Clients = slices.DeleteFunc(h.settings.Clients, func(c authz.Client) bool { return c.ID == id })
		if c != nil {
			h.settings.Clients = append(h.settings.Clients, *c)
		}
		h.restart()
		return
	}
	if _, err := h.store.Client(h.t.Context(), id); err == nil {
		if err := h.store.RemoveClient(h.t.Context(), id, h.now()); err != nil {
			h.t.Fatal(err)
		}
	}
	if c != nil {
		if err := h.store.AddClient(h.t.Context(), *c); err != nil {
			h.t.Fatal(err)
		}
	}
	h.advance(time.Second) // what is remembered of clients is forgotten
}

const powerful = "openid profile offline_access admin:all"

func powerfulClient(change func(*authz.Client)) *authz.Client {
	c := &authz.Client{ID: "tool", Name: "Tool", Scope: powerful, GrantTypes: []string{deviceGrant, "refresh_token"}}
	if change != nil {
		change(c)
	}
	return c
}

var registrationWays = []string{"configuration", "database"}

// changes are what may become of the powerful client, and what it may have then of
// all that it asked for; nothing: it may not even ask.
var changes = map[string]struct {
	to   *authz.Client
	left string
}{
	"removed, and open like any other":      {nil, "openid profile"},
	"registered for less":                   {powerfulClient(func(c *authz.Client) { c.Scope = "openid offline_access" }), "openid offline_access"},
	"registered for other scopes":           {powerfulClient(func(c *authz.Client) { c.Scope = "email repo:write" }), ""},
	"no longer registered for the device":   {powerfulClient(func(c *authz.Client) { c.GrantTypes = []string{"refresh_token"} }), ""},
	"no longer registered to renew":         {powerfulClient(func(c *authz.Client) { c.GrantTypes = []string{deviceGrant} }), powerful},
	"as it was, which must not change much": {powerfulClient(nil), powerful},
}

func TestAPendingRequestGetsWhatItsClientMayHaveWhenItIsDecided(t *testing.T) {
	inFull(t)
	for _, way := range registrationWays {
		for name, change := range changes {
			t.Run(way+"/"+name, func(t *testing.T) {
				h := newHouse(t)
				h.register(way, "tool", powerfulClient(nil))
				bySession, bySignature, onPage, seen := h.ask("tool", powerful), h.ask("tool", powerful), h.ask("tool", powerful), h.ask("tool", powerful)
				alice := h.signIn("alice")
				_, before := h.review(alice, seen.userCode) // looked at before the change, decided after it
				h.open(alice, bySession.userCode).wantOK()
				h.register(way, "tool", change.to)

				status := h.open(alice, bySession.userCode)
				if change.left == "" {
					status.wantError(http.StatusNotFound, "not_found")
					h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+bySignature.userCode, "").wantError(http.StatusNotFound, "not_found")
					h.postJSON(approvePath, map[string]any{"userCode": bySession.userCode}, "Cookie", alice).wantError(http.StatusNotFound, "not_found")
					if r := h.page("/device/decide", alice, url.Values{"transaction": {before}, "decision": {"approve"}, "scope": {powerful}, "match": {seen.userCode[5:]}}); r.status != http.StatusNotFound {
						t.Errorf("decided on the page: %d", r.status)
					}
					h.postJSON("/api/auth/device/deny", map[string]any{"userCode": bySession.userCode}, "Cookie", alice).wantOK() // no is always an answer
					return
				}
				if status.text("scope") != change.left {
					t.Errorf("the status shows %q, want %q", status.text("scope"), change.left)
				}
				h.postJSON(approvePath, map[string]any{"userCode": bySession.userCode}, "Cookie", alice).wantOK()
				grant := h.approveSigned("alice", bySignature.userCode)
				s, err := receipt.Verify([]byte(h.signed("alice", http.MethodGet, "/api/grants/"+grant+"/receipt", "").wantOK().body))
				if err != nil || s.Statement.Scope != change.left {
					t.Errorf("the receipt says %+v %v, want %q", s, err, change.left)
				}
				page, transaction := h.review(alice, onPage.userCode)
				if shown := strings.Contains(page.body, "admin:all"); shown != strings.Contains(change.left, "admin:all") {
					t.Errorf("the page shows admin:all: %v", shown)
				}
				h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {change.left}, "match": {onPage.userCode[5:]}})
				for _, d := range []device{bySession, bySignature, onPage} {
					tokens := h.poll(d).wantOK()
					renews := change.to != nil && change.to.Allows(authz.GrantRefresh) && strings.Contains(change.left, "offline_access")
					if tokens.text("scope") != change.left || (tokens.text("refresh_token") != "") != renews {
						t.Errorf("%s, want %q", tokens.body, change.left)
					}
				}
				// What was looked at before counts only if it is still the same.
				r := h.page("/device/decide", alice, url.Values{"transaction": {before}, "decision": {"approve"}, "scope": {powerful}, "match": {seen.userCode[5:]}})
				if approved := strings.HasPrefix(r.header.Get("Location"), "/device/done/"); approved != (change.left == powerful) {
					t.Errorf("a decision about what was shown before: %d %q", r.status, r.header.Get("Location"))
				}
			})
		}
	}
}

func TestAnApprovedRequestIsRedeemedForWhatItsClientMayHaveThen(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.register("configuration", "tool", powerfulClient(nil))
			d := h.ask("tool", powerful)
			h.approveSigned("alice", d.userCode)
			h.register("configuration", "tool", change.to)
			r := h.poll(d)
			switch {
			case change.left != "":
				if r.wantOK().text("scope") != change.left {
					t.Errorf("%s, want %q", r.body, change.left)
				}
				_, payload := claimsOf(t, r.text("access_token"))
				if payload["scope"] != change.left {
					t.Errorf("%v", payload)
				}
			case !change.to.Allows(deviceGrant):
				r.wantError(http.StatusBadRequest, "unauthorized_client")
			default:
				r.wantError(http.StatusBadRequest, "invalid_grant")
				h.register("configuration", "tool", powerfulClient(nil)) // nothing was used up
				h.advance(5 * time.Second)
				h.poll(d).wantOK()
			}
		})
	}
	// In the database a removal ends what was allowed.
	h := newHouse(t)
	h.register("database", "tool", powerfulClient(nil))
	d := h.ask("tool", powerful)
	h.approveSigned("alice", d.userCode)
	h.register("database", "tool", nil)
	h.poll(d).wantError(http.StatusBadRequest, "access_denied")
}

func TestARefreshGivesWhatTheClientMayHaveThen(t *testing.T) {
	for name, change := range map[string]struct {
		to    *authz.Client
		left  string
		error string
	}{
		"removed":                       {nil, "", "unauthorized_client"},
		"registered for less":           {powerfulClient(func(c *authz.Client) { c.Scope = "openid offline_access" }), "openid offline_access", ""},
		"registered without renewing":   {powerfulClient(func(c *authz.Client) { c.Scope = "openid profile admin:all" }), "", "invalid_grant"},
		"no longer registered to renew": {powerfulClient(func(c *authz.Client) { c.GrantTypes = []string{deviceGrant} }), "", "unauthorized_client"},
		"confidential now":              {powerfulClient(func(c *authz.Client) { c.Secret = sha256.Sum256([]byte("s")) }), "", "invalid_client"},
		"as it was":                     {powerfulClient(nil), powerful, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.register("configuration", "tool", powerfulClient(nil))
			d := h.ask("tool", powerful)
			h.approveSigned("alice", d.userCode)
			tokens := h.poll(d).wantOK()
			h.register("configuration", "tool", change.to)
			form := refreshForm("tool", tokens.text("refresh_token"))
			r := h.postForm(tokenPath, form)
			if change.left == "" {
				if r.text("error") != change.error {
					t.Errorf("%d %s", r.status, r.body)
				}
				h.register("configuration", "tool", powerfulClient(nil)) // nothing was used up
				h.postForm(tokenPath, form).wantOK()
				return
			}
			if r.wantOK().text("scope") != change.left {
				t.Errorf("%s, want %q", r.body, change.left)
			}
			// The tokens of before tell no more either.
			if info := h.userInfo(tokens.text("access_token")).wantOK(); (info.text("bap_id") != "") != strings.Contains(change.left, "profile") {
				t.Errorf("%s", info.body)
			}
			h.advance(2 * time.Second)
			more := refreshForm("tool", r.text("refresh_token"))
			more.Set("scope", powerful)
			if r := h.postForm(tokenPath, more); (r.status == http.StatusOK) != (change.left == powerful) {
				t.Errorf("asking for all again: %d %s", r.status, r.body)
			}
		})
	}
}

func TestWhoAsksAsAnOpenClientGetsNoMoreWhenTheIdIsRegistered(t *testing.T) {
	for _, way := range registrationWays {
		h := newHouse(t)
		d, kept := h.ask("tool", powerful), h.ask("tool", powerful)
		h.approveSigned("alice", kept.userCode)
		h.register(way, "tool", powerfulClient(nil))
		h.approveSigned("alice", d.userCode)
		for _, asked := range []device{d, kept} {
			if tokens := h.poll(asked).wantOK(); tokens.text("scope") != "openid profile" || tokens.text("refresh_token") != "" {
				t.Errorf("%s: %s", way, tokens.body)
			}
		}
		// And nothing at all without the secret that it has now.
		d = h.ask("tool", powerful)
		h.approveSigned("alice", d.userCode)
		h.register(way, "tool", powerfulClient(func(c *authz.Client) { c.Secret = sha256.Sum256([]byte(confSecret)) }))
		h.poll(d).wantError(http.StatusUnauthorized, "invalid_client")
	}
}

func TestAClientThatNeedsASignatureNowNeedsItForWhatIsPending(t *testing.T) {
	for _, way := range registrationWays {
		h := newHouse(t)
		h.register(way, "tool", powerfulClient(nil))
		d := h.ask("tool", "openid")
		alice := h.signIn("alice")
		_, transaction := h.review(alice, d.userCode)
		h.register(way, "tool", powerfulClient(func(c *authz.Client) { c.Approval = authz.ApprovalSigned }))
		h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", alice).wantError(http.StatusForbidden, "access_denied")
		h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}})
		h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
		if r := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK(); r.members()["signature_required"] != true {
			t.Errorf("%s", r.body)
		}
		h.approveSigned("alice", d.userCode)
	}
}

// TestAnOwnerSeesWhatTheTokensOfAGrantCarryNow looks wherever an owner is shown a
// grant. One that is over is shown as it was allowed.
func TestAnOwnerSeesWhatTheTokensOfAGrantCarryNow(t *testing.T) {
	for name, change := range map[string]struct {
		from, to *authz.Client
		closed   bool // to clients that nobody registered, from then on
		left     string
	}{
		"registered for less":                         {powerfulClient(nil), powerfulClient(func(c *authz.Client) { c.Scope = "openid offline_access" }), false, "openid offline_access"},
		"registered for other scopes":                 {powerfulClient(nil), powerfulClient(func(c *authz.Client) { c.Scope = "email repo:write" }), false, ""},
		"registered for less than anybody may have":   {nil, powerfulClient(func(c *authz.Client) { c.Scope = "openid" }), false, "openid"},
		"taken out of the configuration":              {powerfulClient(nil), nil, false, "openid profile"},
		"taken out of it where others are refused":    {powerfulClient(nil), nil, true, ""},
		"as it was, and more, which was not asked of": {powerfulClient(nil), powerfulClient(func(c *authz.Client) { c.Scope += " email" }), false, powerful},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.register("configuration", "tool", change.from)
			d := h.ask("tool", powerful)
			allowed := powerful
			if change.from == nil {
				allowed = "openid profile" // which is what it is narrowed to
			}
			grant := h.approveSigned("alice", d.userCode)
			tokens := h.poll(d).wantOK()
			cookie := h.signIn("alice")
			shown := func() string {
				var list struct{ Grants []struct{ ID, Scope string } }
				r := h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK()
				if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Grants) != 1 || list.Grants[0].ID != grant {
					t.Fatalf("%v: %s", err, r.body)
				}
				return list.Grants[0].Scope
			}
			if got := shown(); got != allowed {
				t.Errorf("before: %q", got)
			}
			h.settings.OpenClients = !change.closed
			h.register("configuration", "tool", change.to)
			if got := shown(); got != change.left {
				t.Errorf("%q, want %q", got, change.left)
			}
			for _, address := range []string{"/account", "/device/done/" + grant} {
				page := h.send(http.MethodGet, address, "", "Cookie", cookie).wantOK().body
				if strings.Contains(page, "admin:all") != strings.Contains(change.left, "admin:all") || strings.Contains(page, "Nothing any more") != (change.left == "") {
					t.Errorf("%s shows\n%s", address, page)
				}
			}
			// And this is what they do.
			info := h.userInfo(tokens.text("access_token"))
			if (info.status == http.StatusOK) != strings.Contains(change.left, "openid") || (info.text("bap_id") != "") != strings.Contains(change.left, "profile") {
				t.Errorf("userinfo: %d %s", info.status, info.body)
			}
			if strings.Contains(change.left, "offline_access") {
				if fresh := h.postForm(tokenPath, refreshForm("tool", tokens.text("refresh_token"))).wantOK(); fresh.text("scope") != change.left {
					t.Errorf("a refresh gives %q", fresh.text("scope"))
				}
			}
			h.postJSON("/api/grants/"+grant+"/revoke", map[string]any{}, "Cookie", cookie).wantOK()
			if got := shown(); got != allowed {
				t.Errorf("when it is over: %q", got)
			}
		})
	}
}
