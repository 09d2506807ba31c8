package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// newWay is a way as a sign-in tells of it.
type newWay struct {
	Kind, ID, BAPID, Name, Network string
	AddedAt                        time.Time
}

// news is what a sign-in tells of.
func (r reply) news() (told []string) {
	r.t.Helper()
	var answer struct{ NewWays []newWay }
	if err := json.Unmarshal([]byte(r.wantOK().body), &answer); err != nil {
		r.t.Fatal(err)
	}
	for _, w := range answer.NewWays {
		if w.Network == "" || w.ID == "" || w.BAPID == "" || w.AddedAt.IsZero() {
			r.t.Errorf("%+v", w)
		}
		told = append(told, w.Kind+" "+w.Name)
	}
	return told
}

func TestAnOwnerIsToldOfNewWaysAtEverySignInByAnOlderOneForTwoWeeks(t *testing.T) {
	h := newHouse(t)
	byKey := func(name string) reply {
		h.advance(2 * time.Minute)
		return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""))
	}
	touch := func(a *authenticator) reply {
		h.advance(2 * time.Minute)
		return h.passkeySignIn(a)
	}
	want := func(r reply, told ...string) string {
		t.Helper()
		if got := r.news(); !slices.Equal(got, told) {
			t.Errorf("told %q, want %q", got, told)
		}
		return cookieOf(r)
	}
	const title = "New ways to your account"
	want(byKey("alice"))
	phone := h.registered("alice")
	want(touch(phone)) // what signs in is no news to whoever has it, and neither is what is older
	want(byKey("alice"), "passkey My phone")
	h.advance(15 * 24 * time.Hour)
	thief := want(byKey("alice"))
	want(touch(phone))

	// Whoever has the key for a moment adds ways, and signs in by each of them.
	h.advance(2 * time.Minute)
	h.peer = "203.0.113.9:50000"
	h.link(thief, "mallory", "alice").wantOK()
	h.advance(time.Second)
	theirs, c := newAuthenticator(t), h.passkeyOptions(thief)
	h.addPasskey(thief, "alice", c, theirs.create(c.Options)).wantOK()
	h.advance(time.Second)
	h.saveBackup("mallory", bep(t, "mallory")).wantOK()
	h.peer = "127.0.0.1:50000"
	for range 2 {
		want(touch(theirs), "backup mallory")
		want(byKey("mallory"), "passkey My phone", "backup mallory")
	}

	// The owner is told of all of them all the same: by the key, and by the phone,
	// whoever was told by the same before.
	all := []string{"identity mallory", "passkey My phone", "backup mallory"}
	want(byKey("alice"), all...)
	cookie := want(byKey("alice"), all...)
	page := h.send(http.MethodGet, "/account", "", "Cookie", cookie)
	page.wantPage(200, title, "203.0.113.0/24", "/account/passkeys/"+b64(theirs.id)+"/remove", `data-do="remove-backup" data-bap-id="`+bapIDOf(t, "mallory"))
	h.send(http.MethodGet, "/device", "", "Cookie", cookie).wantPage(200, title)
	if r := h.send(http.MethodGet, "/device", "", "Cookie", thief); strings.Contains(r.body, title) {
		t.Error("an older session tells of what came after it")
	}
	want(touch(phone), all...)
	h.advance(13 * 24 * time.Hour)
	want(touch(phone), all...)
	want(byKey("alice"), all...)

	// What was taken out is news no more.
	cookie = want(byKey("alice"), all...)
	h.removeIdentity("mallory", "alice").wantOK()
	h.postJSON(passkeysPath+"/"+b64(theirs.id)+"/remove", map[string]any{}, "Cookie", cookie).wantOK()
	if r := h.send(http.MethodGet, "/account", "", "Cookie", cookie); strings.Contains(r.body, title) {
		t.Error("the page still tells of it")
	}
}

// What is older than two weeks is told to who did not sign in by the same way since.
func TestAnOwnerWhoWasAwayForLongIsToldOnce(t *testing.T) {
	h := newHouse(t)
	signIn := func() reply {
		return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("alice", signInPath, ""))
	}
	h.signIn("alice")
	h.advance(time.Hour)
	phone := h.registered("alice")
	h.advance(100 * 24 * time.Hour)
	if got := h.passkeySignIn(phone).news(); len(got) != 0 {
		t.Errorf("the passkey tells of %q", got)
	}
	h.advance(time.Minute)
	first := signIn()
	if got := first.news(); !slices.Equal(got, []string{"passkey My phone"}) {
		t.Errorf("told %q", got)
	}
	h.advance(time.Hour)
	h.send(http.MethodGet, "/account", "", "Cookie", cookieOf(first)).wantPage(200, "New ways to your account")
	h.advance(time.Hour)
	if got := signIn().news(); len(got) != 0 {
		t.Errorf("told %q", got)
	}
}

// Who has one identity of an account adds another and ends the session in which its
// owner would have been told.
func TestNewsIsNotEndedWithASession(t *testing.T) {
	h := newHouse(t)
	signIn := func(name string) reply {
		h.advance(2 * time.Hour)
		return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""))
	}
	h.link(h.signIn("alice"), "bob", "alice").wantOK()
	h.advance(15 * 24 * time.Hour)
	signIn("alice").wantOK()
	bob := cookieOf(signIn("bob"))
	h.link(bob, "carol", "bob").wantOK()
	for range 3 {
		told := signIn("alice")
		if got := told.news(); !slices.Equal(got, []string{"identity carol"}) {
			t.Fatalf("told %q", got)
		}
		h.postJSON("/api/sessions/end-others", map[string]any{}, "Cookie", bob).wantOK()
		if !h.signedOut(cookieOf(told)) {
			t.Fatal("the owner's session goes on")
		}
	}
}

// allEvents are the kinds of an account's events, newest first.
func (h *house) allEvents(cookie string) (told []string) {
	h.t.Helper()
	for next := "/api/events"; next != ""; {
		var page struct {
			Events []struct{ Kind string }
			Next   string
		}
		r := h.send(http.MethodGet, next, "", "Cookie", cookie).wantOK()
		if err := json.Unmarshal([]byte(r.body), &page); err != nil {
			h.t.Fatal(err)
		}
		for _, e := range page.Events {
			told = append(told, e.Kind)
		}
		if next = ""; page.Next != "" {
			next = "/api/events?cursor=" + page.Next
		}
	}
	return told
}

// A session alone makes events that cost nothing, until those of ways are gone.
func TestCheapEventsPushOutNoEventOfAWay(t *testing.T) {
	inFull(t)
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.link(cookie, "mallory", "alice").wantOK()
	for range authz.EventsPerAccount / 2 {
		h.approve(cookie, h.ask("pub-a", "openid").userCode)
		h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
		h.advance(3 * time.Second)
	}
	told := h.allEvents(cookie)
	if len(told) != authz.EventsPerAccount+1 || told[len(told)-1] != string(authz.EventIdentityLinked) {
		t.Errorf("%d events, the oldest %s", len(told), told[len(told)-1])
	}
}

// Who has a session for a minute tries to become the account for good.
func TestA1_AStolenSessionLeavesItsThiefNothingOnceTheOwnerHasEndedAllSessions(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.SignatureRequired = true })
	stolen := h.signIn("alice")
	h.saveBackup("alice", bep(t, "alice")).wantOK()
	kept := h.send(http.MethodGet, backupPath, "", "Cookie", stolen).wantOK().text("encryptedBackup")

	body := linkBody(t, "mallory")
	h.send(http.MethodPost, identitiesPath, body, append(slices.Clone(jsonBody), "Cookie", stolen, bitcoinauth.Header, h.sign("mallory", identitiesPath, body))...).wantVouch()
	h.link(stolen, "mallory", "mallory").wantVouch()
	c, phone := h.passkeyOptions(stolen), newAuthenticator(t)
	h.addPasskey(stolen, "mallory", c, phone.create(c.Options)).wantError(http.StatusForbidden, "access_denied")
	h.postJSON(backupPath, map[string]any{"aud": testIssuer, "encryptedBackup": bep(t, "mallory")}, "Cookie", stolen).wantVouch()
	h.postJSON(identitiesPath+"/"+bapIDOf(t, "alice")+"/remove", map[string]any{"aud": testIssuer}, "Cookie", stolen).wantVouch()

	h.signed("alice", http.MethodPost, "/api/sessions/end-others", `{"aud":"`+testIssuer+`"}`).wantOK()
	if !h.signedOut(stolen) {
		t.Fatal("the stolen session is alive")
	}
	h.passkeySignIn(phone).wantError(http.StatusUnauthorized, "unauthorized")
	thief := h.signIn("mallory")
	if got := h.identities(thief); !slices.Equal(got, []string{bapIDOf(t, "mallory")}) {
		t.Errorf("the thief's key leads to %v", got)
	}
	h.send(http.MethodGet, backupPath+"?bapId="+bapIDOf(t, "alice"), "", "Cookie", thief).wantError(http.StatusNotFound, "not_found")
	d := h.ask("pub-a", "openid")
	info := h.userInfo(func() string { h.approveSigned("mallory", d.userCode); return h.poll(d).wantOK().text("access_token") }()).wantOK()
	alice := h.signIn("alice")
	session := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", alice).wantOK()
	if strings.Contains(session.body, info.text("sub")) {
		t.Error("the thief approves as the owner's account")
	}
	if got := h.send(http.MethodGet, backupPath, "", "Cookie", alice).wantOK().text("encryptedBackup"); got != kept {
		t.Error("the backup was replaced")
	}
}

// What somebody began with is no news to them.
func TestTheKeyOrPasskeyThatSignsInIsNoNews(t *testing.T) {
	h := newHouse(t)
	h.signed("alice", http.MethodGet, "/api/grants", "").wantOK() // makes the account
	h.advance(time.Hour)
	r := h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("alice", signInPath, "")).wantOK()
	if r.members()["newWays"] != nil {
		t.Errorf("of her own key: %s", r.body)
	}
	a := h.registered("bob")
	h.advance(time.Hour)
	if r := h.passkeySignIn(a).wantOK(); r.members()["newWays"] != nil {
		t.Errorf("of his own passkey: %s", r.body)
	}
	h.advance(time.Hour)
	h.saveBackup("bob", aBackup(t)).wantOK()
	h.advance(time.Hour)
	r = h.passkeySignIn(a).wantOK()
	ways, _ := r.members()["newWays"].([]any)
	if len(ways) != 1 {
		t.Errorf("of a backup: %s", r.body)
	}
	// What is added from here on is no news either: whoever does it knows.
	told := func() bool {
		return strings.Contains(h.send(http.MethodGet, "/account", "", "Cookie", cookieOf(r)).wantOK().body, `class="news"`)
	}
	if !told() {
		t.Error("the page tells of no backup")
	}
	h.saveBackup("bob", aBackup(t)).wantOK()
	if told() {
		t.Error("the page tells of what was done in this very session")
	}
}

// takenOut is who took the key that signed in out of accounts, as a sign-in tells it.
func (r reply) takenOut() (by []string) {
	r.t.Helper()
	var answer struct {
		TakenOut []struct {
			UserID, By, Network string
			LeftAt              time.Time
		}
	}
	if err := json.Unmarshal([]byte(r.wantOK().body), &answer); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range answer.TakenOut {
		if d.UserID == "" || d.Network == "" || d.LeftAt.IsZero() {
			r.t.Errorf("%+v", d)
		}
		by = append(by, d.By)
	}
	return by
}

// How long it was in another account says nothing of how old an identity is in this one.
func TestAnIdentityIsAsOldAsItIsInItsAccount(t *testing.T) {
	h := newHouse(t)
	h.link(h.signIn("mallory"), "work", "mallory").wantOK()
	h.advance(time.Hour)
	cookie := h.signIn("alice")
	h.link(cookie, "home", "alice").wantOK()
	h.advance(time.Hour)
	h.removeIdentity("work", "mallory").wantOK()
	h.link(cookie, "work", "alice").wantOK()
	h.advance(time.Hour)
	if told := h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("work", signInPath, "")).news(); told != nil {
		t.Errorf("told %q", told)
	}
}

// Whoever has the owner's only key for three signatures links a key of their own, takes the
// owner's out with it and links it again, so that it would be the owner's that is new.
func TestAnIdentityThatWasTakenOutAndLinkedAgainIsToldOfAllSinceItFirstCame(t *testing.T) {
	h := newHouse(t)
	signIn := func(name string) reply {
		h.advance(2 * time.Minute)
		return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""))
	}
	want := func(r reply, told []string, by ...string) {
		t.Helper()
		if got := r.news(); !slices.Equal(got, told) {
			t.Errorf("told %q, want %q", got, told)
		}
		if got := r.takenOut(); !slices.Equal(got, by) {
			t.Errorf("taken out by %q, want %q", got, by)
		}
	}
	h.signIn("alice")
	h.advance(30 * 24 * time.Hour)
	stolen := signIn("alice")
	want(stolen, nil)
	mallory, thiefs := bapIDOf(t, "mallory"), []string{"identity mallory"}
	h.link(cookieOf(stolen), "mallory", "alice").wantOK()
	for range 2 { // a second time changes nothing
		h.advance(time.Minute)
		h.removeIdentity("alice", "mallory").wantOK()
		h.advance(time.Minute)
		h.link(cookieOf(signIn("mallory")), "alice", "mallory").wantOK()
	}

	told := signIn("alice")
	want(told, thiefs, mallory)
	for _, page := range []string{"/account", "/device"} {
		h.send(http.MethodGet, page, "", "Cookie", cookieOf(told)).wantPage(200, "New ways to your account", "Your key was taken out of an account", mallory)
	}
	h.advance(13 * 24 * time.Hour)
	want(signIn("alice"), thiefs, mallory)
	if signIn("mallory").takenOut() != nil {
		t.Error("the thief was never taken out")
	}

	// What is forgotten of it in time makes the owner's key no younger.
	h.advance(100 * 24 * time.Hour)
	if err := h.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := signIn("alice")
	want(again, nil)
	h.link(cookieOf(again), "alice-work", "alice").wantOK()
	h.removeIdentity("mallory", "alice").wantOK()
	want(signIn("alice"), []string{"identity alice-work"})
}

// The owner was away for longer than what was taken out is kept.
func TestAnIdentityThatWasTakenOutLongAgoAndLinkedAgainIsNoYoungerForIt(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.advance(time.Minute)
	h.link(cookie, "mallory", "alice").wantOK()
	h.removeIdentity("alice", "mallory").wantOK()
	h.advance(time.Minute)
	h.link(h.signIn("mallory"), "alice", "mallory").wantOK()
	h.advance(100 * 24 * time.Hour)
	if err := h.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("alice", signInPath, ""))
	if got := r.news(); !slices.Equal(got, []string{"identity mallory"}) {
		t.Errorf("told %q", got)
	}
	if got := r.takenOut(); len(got) != 0 {
		t.Errorf("what is gone is told of: %q", got)
	}
}

func TestAnOwnerWhoseKeyWasTakenOutIsToldSoInTheNextAccount(t *testing.T) {
	h := newHouse(t)
	signIn := func(name string) reply {
		h.advance(2 * time.Minute)
		return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""))
	}
	const title = "Your key was taken out of an account"
	cookie := h.signIn("alice")
	h.link(cookie, "mallory", "alice").wantOK()
	phone := h.registered("alice")
	h.peer = "198.51.100.9:50000"
	h.removeIdentity("alice", "mallory").wantOK()
	h.peer = "127.0.0.1:50000"
	h.passkeySignIn(phone).wantError(http.StatusUnauthorized, "unauthorized")

	mallory := []string{bapIDOf(t, "mallory")}
	told := signIn("alice") // whoever of those who have the key is first takes nothing away
	for range 2 {
		told = signIn("alice")
		if got := told.takenOut(); !slices.Equal(got, mallory) {
			t.Fatalf("taken out by %q", got)
		}
	}
	if got := told.news(); len(got) != 0 {
		t.Errorf("an account of its own tells of %q", got)
	}
	page := h.send(http.MethodGet, "/account", "", "Cookie", cookieOf(told))
	page.wantPage(200, title, mallory[0], "198.51.100.0/24")
	h.send(http.MethodGet, "/device", "", "Cookie", cookieOf(told)).wantPage(200, title)
	if r := signIn("mallory"); r.takenOut() != nil || strings.Contains(h.send(http.MethodGet, "/account", "", "Cookie", cookieOf(r)).body, title) {
		t.Error("who took it out is told it was taken out")
	}

	// Linked to a third account it is told of that one's ways as well, from then on.
	h.link(cookieOf(signIn("bob")), "carol", "bob").wantOK()
	h.link(cookieOf(told), "dave", "alice").wantOK()
	h.removeIdentity("alice", "dave").wantOK()
	h.link(cookieOf(signIn("bob")), "alice", "bob").wantOK()
	moved := signIn("alice")
	if got := moved.takenOut(); !slices.Equal(got, append(mallory, bapIDOf(t, "dave"))) {
		t.Errorf("taken out by %q", got)
	}
	h.advance(15 * 24 * time.Hour)
	if got := signIn("alice").takenOut(); len(got) != 0 {
		t.Errorf("after two weeks still %q", got)
	}
}

// A key that came later saves its backup and removes it, and links and takes out keys
// of its own, until what it did to the owner's would be gone.
func TestNothingThatALaterKeyDoesPushesOutWhatTellsOfAnEarlierOne(t *testing.T) {
	inFull(t)
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.advance(time.Minute)
	h.link(cookie, "mallory", "alice").wantOK()
	h.removeIdentity("alice", "mallory").wantOK()
	thief := h.signIn("mallory")
	h.link(thief, "alice", "mallory").wantOK()
	text, body := bep(t, "mallory"), `{"aud":"`+testIssuer+`"}`
	for n := range authz.EventsPerAccount/3 + 50 { // three events each
		h.advance(time.Second)
		if n%2 == 0 {
			h.saveBackup("mallory", text).wantOK()
			h.signed("mallory", http.MethodPost, backupPath+"/remove", body).wantOK()
			continue
		}
		helper := "helper-" + strconv.Itoa(n)
		h.link(thief, helper, "mallory").wantOK()
		h.saveBackup(helper, text).wantOK()
		h.signed(helper, http.MethodPost, backupPath+"/remove", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, helper)+`"}`).wantOK()
		h.removeIdentity(helper, "mallory").wantOK()
	}
	r := h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("alice", signInPath, ""))
	if by := r.takenOut(); !slices.Contains(r.news(), "identity mallory") || !slices.Equal(by, []string{bapIDOf(t, "mallory")}) {
		t.Errorf("told %q, taken out by %q", r.news(), by)
	}
	told := h.allEvents(cookieOf(r))
	if !slices.Equal(told[len(told)-3:], []string{"identity-linked", "identity-removed", "identity-linked"}) || !strings.HasPrefix(told[len(told)-4], "backup") {
		t.Errorf("%d events, the oldest %v", len(told), told[len(told)-9:])
	}
}
