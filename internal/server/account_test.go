package server_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

var (
	listItem   = regexp.MustCompile(`(?s)<li[^>]*>(.*?)</li>`)
	anyElement = regexp.MustCompile(`<[^>]*>`)
)

// items are the entries of a section of the account page, as they are read.
func (r reply) items(section string) (texts []string) {
	r.t.Helper()
	_, body, found := strings.Cut(r.wantOK().body, `<h2 id="`+section+`-title">`)
	body, _, _ = strings.Cut(body, "</section>")
	if !found {
		r.t.Fatalf("the page has no %s", section)
	}
	for _, item := range listItem.FindAllStringSubmatch(body, -1) {
		text := html.UnescapeString(anyElement.ReplaceAllString(item[1], " "))
		texts = append(texts, strings.Join(strings.Fields(text), " "))
	}
	return texts
}

// wantItems wants each entry to hold its text, and the page no other entries.
func (r reply) wantItems(section string, want ...string) {
	r.t.Helper()
	got := r.items(section)
	for i, text := range want {
		if i < len(got) && !strings.Contains(got[i], text) {
			r.t.Errorf("%s %d: %q, want %q", section, i, got[i], text)
		}
	}
	if len(got) != len(want) {
		r.t.Errorf("%s: %d are there, want %d", section, len(got), len(want))
	}
}

// TestTheAccountPageSaysWhatIsThereAndHowItCame has one thing of each kind, and one of
// each way to come about.
func TestTheAccountPageSaysWhatIsThereAndHowItCame(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.OpenClients = false })
	if err := h.store.AddClient(t.Context(), authz.Client{ID: "gone", Name: "Gone", GrantTypes: []string{deviceGrant}, Scope: "openid"}); err != nil {
		t.Fatal(err)
	}
	laptop := h.signInFrom("alice", "Laptop", "")
	h.signed("alice", http.MethodPut, "/api/bap/profile", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, "alice")+`","name":"Alice"}`).wantOK()
	h.link(laptop, "alice-work", "alice").wantOK()
	h.removeIdentity("alice-work", "alice").wantOK()
	h.link(laptop, "alice-home", "alice").wantOK()
	a := h.registered("alice")
	h.peer = "203.0.113.7:50000"
	phone := cookieOf(h.passkeySignIn(a, "User-Agent", "Phone").wantOK())
	h.peer = "127.0.0.1:50000"

	h.approve(laptop, h.ask("pub-a", "openid").userCode)
	h.advance(time.Second)
	says := h.postForm(codePath, url.Values{"client_id": {"pub-b"}, "scope": {"openid profile"}, "device_name": {"TV"}}, "User-Agent", "TheProgram/1.0").wantOK()
	signed := h.approveSigned("alice", says.text("user_code"))
	h.advance(time.Second)
	h.approve(phone, h.ask("gone", "openid").userCode)
	if err := h.store.RemoveClient(t.Context(), "gone", h.now()); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Second)

	page := h.send(http.MethodGet, "/account", "", "Cookie", laptop)
	page.wantItems("identities", "Alice signed in BAP id "+bapIDOf(t, "alice"), "alice-home BAP id "+bapIDOf(t, "alice-home"))
	page.wantItems("grants",
		"Public B pub-b Identity Alice May know that it is you · see your identity Allowed 2026-11-23 09:00 UTC · signed with your identity's key · Save the receipt "+
			"Last used never Asked from “ TV ” TheProgram/1.0 · this machine Ends 2026-11-23 10:00 UTC",
		"Public A pub-a Identity Alice May know that it is you Allowed 2026-11-23 09:00 UTC · approved by your sign-in, without a signature Last used never Ends")
	page.wantItems("passkeys", "My phone Identity Alice Added 2026-11-23 09:00 UTC Last used 2026-11-23 09:00 UTC")
	page.wantItems("sessions",
		"Phone Since 2026-11-23 09:00 UTC · with a passkey · 203.0.113.0/24 Identity Alice Sign out there",
		"an unknown program Since 2026-11-23 09:00 UTC · with your identity's key · this machine Identity Alice Sign out there",
		"Laptop this browser Since 2026-11-23 09:00 UTC · with your identity's key · this machine Identity Alice")
	page.wantItems("events",
		"“ gone ” was allowed to act as Alice this machine", // a client that is not there any more
		"“ Public B ” was allowed to act as Alice Save the receipt this machine",
		"“ Public A ” was allowed to act as Alice this machine",
		"Signed in as Alice Phone · 203.0.113.0/24",
		"The passkey “ My phone ” was added this machine",
		"Signed in as Alice this machine",
		"The identity alice-home was added this machine",
		"The identity “ alice-work ” was taken out this machine",
		"The identity "+shortened(bapIDOf(t, "alice-work"))+" was added this machine", // nobody knows its name any more
		"The profile of Alice was changed this machine",
		"Signed in as Alice Laptop · this machine")
	if page.wantPage(200, "/api/grants/"+signed+"/receipt", "Sign out everywhere else"); strings.Contains(page.body, "data-by-passkey") {
		t.Error("it is the page of a session that a passkey began")
	}
	h.send(http.MethodGet, "/account", "", "Cookie", phone).wantPage(200, "data-by-passkey")
	h.postJSON("/api/sessions/end-others", map[string]any{}, "Cookie", laptop).wantOK()
	if page := h.send(http.MethodGet, "/account", "", "Cookie", laptop); strings.Contains(page.body, "Sign out everywhere else") {
		t.Error("there is nowhere else")
	}
	for _, query := range []string{"?grants=x", "?events=x", "?grants=-1", "?events=50"} {
		h.send(http.MethodGet, "/account"+query, "", "Cookie", laptop).wantPage(http.StatusBadRequest)
	}
	// What has not happened has no time.
	var list struct{ Grants []map[string]any }
	if err := json.Unmarshal([]byte(h.send(http.MethodGet, "/api/grants", "", "Cookie", laptop).wantOK().body), &list); err != nil || len(list.Grants) != 3 {
		t.Fatalf("%v, %d grants", err, len(list.Grants))
	}
	if gone, kept := list.Grants[0], list.Grants[1]; gone["client_name"] != "gone" || gone["revoked_at"] != float64(1795424403) || gone["last_used_at"] != nil || kept["revoked_at"] != nil {
		t.Errorf("%v, %v", gone, kept)
	}
}

// shortened is how an identity without a name is called.
func shortened(bapID string) string { return bapID[:4] + "…" + bapID[len(bapID)-4:] }

// TestTheAccountPageTellsWhoTookAGrantBack does so in each way there is. What a device
// calls itself is no reason.
func TestTheAccountPageTellsWhoTookAGrantBack(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	grant := func(client string) (id string, tokens reply) {
		d := h.ask(client, "openid offline_access")
		id = h.approveSigned("alice", d.userCode)
		return id, h.poll(d).wantOK()
	}
	h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
	for _, reason := range []string{authz.SubjectAll, authz.SubjectClient, authz.SubjectNotMe, authz.SubjectReuse} {
		code := h.postForm(codePath, url.Values{"client_id": {"pub-b"}, "device_name": {reason}}).wantOK().text("user_code")
		h.signed("alice", http.MethodPost, denyPath, `{"userCode":"`+code+`"}`).wantOK()
	}
	id, _ := grant("pub-a")
	h.postJSON("/api/grants/"+id+"/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	id, _ = grant("pub-a")
	h.postJSON("/api/grants/"+id+"/revoke", map[string]any{"report": "false"}, "Cookie", cookie).wantOK()
	id, _ = grant("pub-a")
	h.postJSON("/api/grants/"+id+"/revoke", map[string]any{"report": true}, "Cookie", cookie).wantOK()
	_, tokens := grant("pub-b")
	h.postForm(revokePath, url.Values{"token": {tokens.text("refresh_token")}, "client_id": {"pub-b"}}).wantOK()
	_, tokens = grant("pub-b")
	h.postForm(tokenPath, refreshForm("pub-b", tokens.text("refresh_token"))).wantOK()
	h.advance(time.Minute)
	h.postForm(tokenPath, refreshForm("pub-b", tokens.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	h.signIn("alice")
	h.postJSON("/api/sessions/"+h.sessions(cookie)[0].ID+"/end", map[string]any{}, "Cookie", cookie).wantOK()
	h.signIn("alice")
	h.postJSON("/api/sessions/end-others", map[string]any{}, "Cookie", cookie).wantOK()
	events := h.send(http.MethodGet, "/account", "", "Cookie", cookie).items("events")
	events = slices.DeleteFunc(events, func(text string) bool {
		return strings.Contains(text, "was allowed to") || strings.Contains(text, "Signed in")
	})
	want := []string{
		"You were signed out everywhere else",
		"You were signed out in another browser",
		"Everything that was allowed was taken back",
		"“ Public B ” lost what it was allowed: one of its tokens was used twice",
		"“ Public B ” gave back what it was allowed",
		"What “ Public A ” was allowed was taken back and reported: it was not you",
		"What “ Public A ” was allowed was taken back",
		"What “ Public A ” was allowed was taken back",
		"“ Public B ” was denied", "“ Public B ” was denied", "“ Public B ” was denied", "“ Public B ” was denied",
	}
	if len(events) != len(want) {
		t.Fatalf("%q", events)
	}
	for i, text := range events {
		if !strings.Contains(text, want[i]) || strings.Contains(text, "reported") != strings.Contains(want[i], "reported") {
			t.Errorf("%q, want %q", text, want[i])
		}
	}
}
