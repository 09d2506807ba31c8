package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// event is an event as the endpoint gives it.
type event struct {
	ID, Kind, ACR, Network, Subject string
	At                              int64
	BAPID                           string `json:"bap_id"`
	ClientID                        string `json:"client_id"`
	ClientName                      string `json:"client_name"`
	GrantID                         string `json:"grant_id"`
	UserAgent                       string `json:"user_agent"`
}

// events are what a person is told, newest first.
func (h *house) events(cookie string) []event {
	h.t.Helper()
	var answer struct{ Events []event }
	r := h.send(http.MethodGet, "/api/events", "", "Cookie", cookie).wantOK()
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		h.t.Fatal(err)
	}
	return answer.Events
}

func kinds(events []event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = e.Kind
	}
	return all
}

// session is a session as the endpoint gives it.
type session struct {
	ID, Method, Network string
	Current             bool
	BAPID               string `json:"bap_id"`
	UserAgent           string `json:"user_agent"`
	CreatedAt           int64  `json:"created_at"`
	ExpiresAt           int64  `json:"expires_at"`
}

func (h *house) sessions(cookie string) []session {
	h.t.Helper()
	var answer struct{ Sessions []session }
	r := h.send(http.MethodGet, "/api/sessions", "", "Cookie", cookie).wantOK()
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		h.t.Fatal(err)
	}
	return answer.Sessions
}

// signInFrom signs in from a browser that may have a cookie already.
func (h *house) signInFrom(name, userAgent, cookie string) string {
	h.t.Helper()
	h.advance(time.Second)
	return cookieOf(h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""), "User-Agent", userAgent, "Cookie", cookie).wantOK())
}

func (h *house) signedOut(cookie string) bool {
	h.t.Helper()
	return h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK().body == "null"
}

func TestAnOwnerSeesWhereTheyAreSignedInAndEndsIt(t *testing.T) {
	h := newHouse(t)
	laptop, phone, old := h.signInFrom("alice", "Laptop \u202e1.0", ""), h.signInFrom("alice", "Phone", ""), h.signInFrom("alice", "Old", "")
	mallory := h.signInFrom("mallory", "M", "")
	list := h.sessions(phone)
	if len(list) != 3 || list[0].UserAgent != "Old" || list[1].UserAgent != "Phone" || list[2].UserAgent != "Laptop 1.0" {
		t.Fatalf("%+v", list)
	}
	for i, s := range list {
		if s.Method != authz.MethodBAP || s.Network != "loopback" || s.BAPID != bapIDOf(t, "alice") || s.Current != (i == 1) || s.ExpiresAt <= s.CreatedAt {
			t.Errorf("%+v", s)
		}
	}
	end := "/api/sessions/" + list[0].ID + "/end"
	for _, noID := range []string{"%00", "%ff", list[0].ID + "%00"} { // PostgreSQL keeps no such text
		h.postJSON("/api/sessions/"+noID+"/end", map[string]any{}, "Cookie", phone).wantError(http.StatusNotFound, "not_found")
	}
	h.postJSON(end, map[string]any{}, "Cookie", mallory).wantError(http.StatusNotFound, "not_found")
	if h.signedOut(old) {
		t.Error("mallory ended alice's session")
	}
	h.postJSON(end, map[string]any{}, "Cookie", phone).wantOK()
	h.postJSON(end, map[string]any{}, "Cookie", phone).wantError(http.StatusNotFound, "not_found")
	if !h.signedOut(old) || h.signedOut(phone) || h.signedOut(laptop) {
		t.Error("not that session ended")
	}
	if r := h.postJSON("/api/sessions/end-others", map[string]any{}, "Cookie", phone).wantOK(); r.members()["count"] != 1.0 {
		t.Errorf("%s", r.body)
	}
	if h.signedOut(phone) || !h.signedOut(laptop) || h.signedOut(mallory) {
		t.Error("not the others ended")
	}
	h.signed("alice", http.MethodPost, "/api/sessions/end-others", `{"aud":"https://other.example"}`).wantError(http.StatusBadRequest, "invalid_request") // N-07
	h.signed("alice", http.MethodPost, "/api/sessions/end-others", `{"aud":"`+testIssuer+`"}`).wantOK()
	if !h.signedOut(phone) {
		t.Error("a signed request left a session")
	}
}

func TestB03_ASignInEndsTheSessionOfTheOldCookie(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	planted := h.signInFrom("mallory", "M", "")
	elsewhere := h.signInFrom("alice", "Phone", "")
	first := h.signInFrom("alice", "Laptop", planted)
	if !h.signedOut(planted) || h.signedOut(elsewhere) {
		t.Error("the planted session lives, or another ended")
	}
	second := h.signInFrom("alice", "Laptop", first)
	if !h.signedOut(first) || first == second {
		t.Error("the old session of the browser lives")
	}
	third := cookieOf(h.passkeySignIn(a, "Cookie", second).wantOK())
	if !h.signedOut(second) || h.signedOut(third) {
		t.Error("a sign-in with a passkey left the old session")
	}
	bad := newAuthenticator(t)
	bad.handle = a.handle
	h.passkeySignIn(bad, "Cookie", third).wantError(http.StatusUnauthorized, "unauthorized")
	if h.signedOut(third) {
		t.Error("a refused sign-in ended a session")
	}
	if got := h.sessions(third); len(got) != 3 || got[0].Method != authz.MethodPasskey || !got[0].Current {
		t.Errorf("%+v", got)
	}
}

func TestK11_AnOwnerTakesEverythingBackAtOnce(t *testing.T) {
	h := newHouse(t)
	first, second := h.tokens("pub-a", "openid", "alice").text("access_token"), h.tokens("pub-b", "openid", "alice").text("access_token")
	other := h.tokens("pub-a", "openid", "bob").text("access_token")
	cookie := h.signIn("alice")
	for _, want := range []float64{2, 0} {
		if r := h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK(); r.members()["count"] != want {
			t.Errorf("%s", r.body)
		}
	}
	h.userInfo(first).wantError(http.StatusUnauthorized, "invalid_token")
	h.userInfo(second).wantError(http.StatusUnauthorized, "invalid_token")
	h.userInfo(other).wantOK()
	if e := h.events(cookie)[0]; e.Kind != "revoked" || e.Subject != authz.SubjectAll {
		t.Errorf("%+v", e)
	}
	h.signed("alice", http.MethodPost, "/api/grants/revoke", `{}`).wantError(http.StatusBadRequest, "invalid_request") // N-07
}

func TestAGrantKnowsWhereItCameFrom(t *testing.T) {
	h := newHouse(t)
	r := h.postJSON(codePath, map[string]any{
		"client_id": "pub-a", "scope": "openid", "device_name": "Kitchen\u202e TV", "device_platform": "linux",
	}, "User-Agent", "TV/1").wantOK()
	cookie := h.signIn("alice")
	h.approve(cookie, r.text("user_code"))
	var answer struct {
		Grants []map[string]any
	}
	if err := json.Unmarshal([]byte(h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK().body), &answer); err != nil || len(answer.Grants) != 1 {
		t.Fatal(err)
	}
	g := answer.Grants[0]
	if g["network"] != "loopback" || g["user_agent"] != "TV/1" || g["device_name"] != "Kitchen TV" || g["platform"] != "linux" {
		t.Errorf("%v", g)
	}
}

// TestAnOwnerLooksBackAtWhatHappened does one thing of each kind.
func TestAnOwnerLooksBackAtWhatHappened(t *testing.T) {
	h := newHouse(t)
	cookie := h.signInFrom("alice", "Laptop", "")
	browser := []string{"Cookie", cookie, "User-Agent", "Laptop"}
	do := func(path string, members map[string]any) reply {
		t.Helper()
		return h.postJSON(path, members, browser...).wantOK()
	}
	ask := func() device {
		r := h.postJSON(codePath, map[string]any{"client_id": "pub-a", "scope": "openid offline_access", "device_name": "TV"}).wantOK()
		d := device{r.text("device_code"), r.text("user_code"), "pub-a"}
		h.open(cookie, d.userCode).wantOK()
		return d
	}
	approved := ask()
	grant := do(approvePath, map[string]any{"userCode": approved.userCode}).text("grant_id")
	do(denyPath, map[string]any{"userCode": ask().userCode})
	do(denyPath, map[string]any{"userCode": ask().userCode, "report": true})
	do("/api/grants/"+grant+"/revoke", map[string]any{})
	do("/api/grants/"+grant+"/revoke", map[string]any{}) // told of once
	c, a := h.passkeyOptions(cookie), newAuthenticator(t)
	h.addPasskey(cookie, "alice", c, a.create(c.Options)).wantOK()
	passkey := cookieOf(h.passkeySignIn(a, "User-Agent", "Phone").wantOK())
	h.postJSON("/api/auth/sign-out", map[string]any{}, "Cookie", passkey).wantOK()
	h.postJSON("/api/auth/sign-out", map[string]any{}, "Cookie", passkey).wantOK() // nobody is told
	do(passkeysPath+"/"+b64(a.id)+"/remove", map[string]any{})
	h.saveBackup("alice", bep(t, "alice")).wantOK()
	h.signed("alice", http.MethodPost, backupPath+"/remove", `{"aud":"`+testIssuer+`"}`).wantOK()
	h.signInFrom("alice", "Phone", "")
	do("/api/sessions/"+h.sessions(cookie)[0].ID+"/end", map[string]any{})
	profile := `{"aud":"` + testIssuer + `","bapId":"` + bapIDOf(t, "alice") + `","name":"Alice"}`
	h.signed("alice", http.MethodPut, "/api/bap/profile", profile).wantOK()
	h.link(cookie, "alice-work", "alice").wantOK()
	h.link(cookie, "alice-work", "alice").wantOK() // told of once
	h.removeIdentity("alice-work", "alice").wantOK()

	got := h.events(cookie)
	want := []string{
		"identity-removed", "identity-linked", "profile-set", "session-ended", "signed-in", "backup-removed", "backup-saved",
		"passkey-removed", "signed-out", "signed-in", "passkey-added", "revoked", "reported", "denied", "approved", "signed-in",
	}
	if !slices.Equal(kinds(got), want) {
		t.Fatalf("told %v\nwant %v", kinds(got), want)
	}
	at := func(kind string) event { return got[slices.Index(want, kind)] }
	if e := at("approved"); e.ClientID != "pub-a" || e.ClientName != "Public A" || e.GrantID != grant || e.ACR != authz.ACRSession || e.BAPID != bapIDOf(t, "alice") ||
		e.Network != "loopback" || e.UserAgent != "Laptop" || e.Subject != "TV" || e.At == 0 || e.ID == "" {
		t.Errorf("%+v", e)
	}
	if e := at("revoked"); e.ClientID != "pub-a" || e.GrantID != grant || e.UserAgent != "Laptop" {
		t.Errorf("%+v", e)
	}
	if e := got[9]; e.Subject != authz.MethodPasskey || e.UserAgent != "Phone" {
		t.Errorf("%+v", e)
	}
	for _, kind := range []string{"identity-linked", "identity-removed"} {
		if e := at(kind); e.BAPID != bapIDOf(t, "alice-work") || e.Subject != "alice-work" {
			t.Errorf("%+v", e)
		}
	}
	if e := at("passkey-added"); e.Subject != "My phone" {
		t.Errorf("%+v", e)
	}
	if others := h.events(h.signIn("bob")); !slices.Equal(kinds(others), []string{"signed-in"}) {
		t.Errorf("bob is told %v", kinds(others))
	}
	h.send(http.MethodGet, "/api/events", "").wantError(http.StatusUnauthorized, "unauthorized")
}

func TestAnOwnerIsToldOfAGrantThatEndsWithoutThem(t *testing.T) {
	h := newHouse(t)
	returned := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	h.postForm(revokePath, url.Values{"token": {returned}, "client_id": {"pub-a"}}).wantOK()
	stolen := h.tokens("pub-b", "openid offline_access", "alice").text("refresh_token")
	h.postForm(tokenPath, refreshForm("pub-b", stolen)).wantOK()
	h.advance(time.Minute)
	h.postForm(tokenPath, refreshForm("pub-b", stolen)).wantError(http.StatusBadRequest, "invalid_grant")
	var revoked []event
	for _, e := range h.events(h.signIn("alice")) {
		if e.Kind == "revoked" {
			revoked = append(revoked, e)
		}
	}
	if len(revoked) != 2 || revoked[0].Subject != authz.SubjectReuse || revoked[0].ClientID != "pub-b" ||
		revoked[1].Subject != authz.SubjectClient || revoked[1].ClientID != "pub-a" || revoked[0].GrantID == "" || revoked[0].BAPID != bapIDOf(t, "alice") {
		t.Errorf("%+v", revoked)
	}
}

func TestAtMostAHundredEventsAreListed(t *testing.T) {
	h := newHouse(t)
	var cookie string
	for range 105 {
		cookie = h.signIn("alice")
	}
	if n := len(h.events(cookie)); n != 100 {
		t.Errorf("%d", n)
	}
}

func TestK11_ThatWasNotMeTakesTheGrantBackAndReportsIt(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	grants := make([]string, 3)
	devices := make([]device, 3)
	for i := range grants {
		devices[i] = h.ask("my-app", "openid")
		grants[i] = h.approveSigned("alice", devices[i].userCode)
	}
	tokens := h.poll(devices[0]).wantOK()
	warned := func() int {
		d := h.ask("my-app", "openid")
		target := "/api/auth/device/approval?user_code=" + d.userCode
		reports, _ := h.signed("bob", http.MethodGet, target, "").wantOK().members()["reports"].(map[string]any)
		n, _ := reports["client"].(float64)
		return int(n)
	}
	for _, name := range []string{"carol", "dave"} {
		d := h.ask("my-app", "openid")
		h.signed(name, http.MethodPost, denyPath, `{"userCode":"`+d.userCode+`","report":true}`).wantOK()
	}
	if n := warned(); n != 0 {
		t.Fatalf("%d reports told of two", n)
	}
	form := url.Values{"form": {h.formToken(cookie)}}
	if r := h.page("/device/done/"+grants[0]+"/report", cookie, form); r.status != http.StatusSeeOther {
		t.Errorf("%d %s", r.status, r.body)
	}
	h.userInfo(tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	if r := h.page("/account/grants/"+grants[1]+"/report", cookie, form); r.status != http.StatusSeeOther {
		t.Errorf("%d %s", r.status, r.body)
	}
	h.signed("alice", http.MethodPost, "/api/grants/"+grants[2]+"/revoke", `{"aud":"`+testIssuer+`","report":true}`).wantOK()
	if n := warned(); n != 3 { // one person is one, however often
		t.Errorf("%d reports", n)
	}
	if n := strings.Count(h.log.String(), "its owner did not mean to allow it"); n != 3 {
		t.Errorf("the log says so %d times", n)
	}
	h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantPage(200, "it was not you")
}
