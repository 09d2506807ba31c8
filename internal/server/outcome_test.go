package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// wantSays wants some texts on a page, and others not.
func (r reply) wantSays(has, lacks []string) {
	r.t.Helper()
	r.wantOK()
	for _, text := range has {
		if !strings.Contains(r.body, text) {
			r.t.Errorf("the page lacks %q", text)
		}
	}
	for _, text := range lacks {
		if strings.Contains(r.body, text) {
			r.t.Errorf("the page says %q", text)
		}
	}
}

func TestAnOutcomeSaysWhatBecameOfIt(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.signed("alice", http.MethodPut, "/api/bap/profile", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, "alice")+`","name":"Alice"}`).wantOK()
	h.link(cookie, "alice-home", "alice").wantOK()
	const receipt, mismatch, reported = "Save the receipt", "What you entered is not", "It was reported to the operator"
	look := func(at string) reply { return h.send(http.MethodGet, at, "", "Cookie", cookie) }
	decide := func(cookie string, form url.Values) string {
		d := h.ask("pub-a", "openid")
		_, transaction := h.review(cookie, d.userCode)
		form.Set("transaction", transaction)
		form.Set("match", d.userCode)
		form.Set("scope", "openid")
		r := h.page("/device/decide", cookie, form)
		if r.status != http.StatusSeeOther {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return r.header.Get("Location")
	}
	denied := decide(cookie, url.Values{"decision": {"deny"}})
	look(denied).wantSays([]string{"<h1>Denied"}, []string{mismatch, reported, receipt})
	look(denied+"?reported&mismatch").wantSays([]string{"<h1>Denied"}, []string{mismatch, reported}) // whatever a link says
	look(decide(cookie, url.Values{"decision": {"report"}})).wantSays([]string{"<h1>Denied", reported}, []string{mismatch})

	allowed := decide(cookie, url.Values{"decision": {"approve"}})
	look(allowed).wantSays([]string{"<h1>Allowed", "It acts as <bdi>Alice</bdi>", "Your sign-in approved this"}, []string{receipt, mismatch, reported})
	passkey := cookieOf(h.passkeySignIn(h.registered("alice")).wantOK())
	look(decide(passkey, url.Values{"decision": {"approve"}})).wantSays([]string{"<h1>Allowed", "Your passkey's sign-in approved this"}, []string{receipt})
	signed := "/device/done/" + h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
	look(signed).wantSays([]string{"<h1>Allowed", "You signed this", receipt}, nil)
	home := "/device/done/" + h.approveSigned("alice-home", h.ask("pub-a", "openid").userCode)
	look(home).wantSays([]string{"<h1>Allowed", "alice-home"}, nil)

	const nothing, others = "is no longer allowed anything", "other permissions that you gave it go on"
	h.page(allowed+"/undo", cookie, url.Values{"form": {h.formToken(cookie)}})
	look(allowed).wantSays([]string{"<h1>Taken back", "is taken back.", "3 " + others}, []string{"<h1>Allowed", "<h1>Over", nothing, reported})
	look(denied).wantSays([]string{"3 " + others}, nil)
	look(signed).wantSays([]string{"<h1>Allowed"}, []string{others})
	h.removeIdentity("alice-home", "alice").wantOK()
	look(home).wantSays([]string{"<h1>Taken back"}, nil) // by an identity that is not there any more
	h.advance(2 * time.Hour)
	look(signed).wantSays([]string{"<h1>Over"}, []string{"<h1>Taken back", others})
	look(allowed).wantSays([]string{nothing}, []string{others, "is taken back."})
}

func TestK08_AWrongAnswerIsExplainedHoweverItWasGiven(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	passkey := cookieOf(h.passkeySignIn(h.registered("alice")).wantOK())
	for _, by := range []string{cookie, passkey} { // by a form, as without scripts
		d := h.ask("some-app", "openid")
		_, transaction := h.review(by, d.userCode)
		told := h.page("/device/decide", by, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {anotherCode}}).header.Get("Location")
		h.send(http.MethodGet, told, "", "Cookie", by).wantSays([]string{"<h1>Denied", "What you entered is not what the device shows"}, nil)
	}
	d := h.ask("some-app", "openid") // on the command line
	h.sendApproval("alice", approvePath, `{"userCode":"`+d.userCode+`","match":"`+anotherCode+`","statement":`+inJSON(h.statementOf("alice", d.userCode))+`}`)
	h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantSays([]string{"what was entered is not what its device showed"}, nil)
}

func TestK11_AReportIsAcknowledged(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for _, from := range []string{"/account/grants/", "/device/done/"} {
		grant := h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
		told := h.page(from+grant+"/report", cookie, url.Values{"form": {h.formToken(cookie)}}).header.Get("Location")
		h.send(http.MethodGet, told, "", "Cookie", cookie).wantSays([]string{"It was reported to the operator"}, nil)
		none := h.page(from+"nothing/report", cookie, url.Values{"form": {h.formToken(cookie)}}).header.Get("Location")
		if strings.Contains(none, "?") {
			t.Errorf("a report of nothing leads to %q", none)
		}
	}
	h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantSays(nil, []string{"It was reported to the operator"})
}

// What a form of the account stopped is said at the top of the page that comes after it,
// and not because a link says so.
func TestTheAccountPageSaysAtItsTopWhatWasStopped(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	grant := h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
	reported := h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
	h.approveSigned("alice", h.ask("pub-b", "openid").userCode)
	h.signInFrom("alice", "Elsewhere", "")
	session := h.sessions(cookie)[0].ID
	h.signInFrom("alice", "Elsewhere", "")
	passkey := b64(h.registered("alice").id)
	const atTop = `<p class="big" role="status">`
	for _, stopped := range []struct{ target, says string }{
		{"grants/" + grant + "/revoke", "What “<bdi>Public A</bdi>” was allowed was taken back"},
		{"grants/" + reported + "/report", "What “<bdi>Public A</bdi>” was allowed was taken back and reported: it was not you"},
		{"grants/revoke", "Everything that was allowed was taken back"},
		{"sessions/" + session + "/end", "You were signed out in another browser"},
		{"sessions/end", "You were signed out everywhere else"},
		{"passkeys/" + passkey + "/remove", "The passkey “<bdi>My phone</bdi>” was removed"},
	} {
		told := h.page("/account/"+stopped.target, cookie, url.Values{"form": {h.formToken(cookie)}}).header.Get("Location")
		h.send(http.MethodGet, told, "", "Cookie", cookie).wantSays([]string{atTop + stopped.says + "</p>"}, nil)
		h.send(http.MethodGet, told+"&lang=de", "", "Cookie", cookie).wantSays([]string{atTop}, []string{stopped.says})
		h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantSays(nil, []string{atTop})
		h.advance(2 * time.Minute)
		h.send(http.MethodGet, told, "", "Cookie", cookie).wantSays(nil, []string{atTop})
	}
}

// What another tab decided before is told as it is.
func TestADecisionThatComesTooLateClaimsNothing(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	_, first := h.review(cookie, d.userCode)
	_, second := h.review(cookie, d.userCode)
	done := h.page("/device/decide", cookie, url.Values{"transaction": {first}, "decision": {"deny"}}).header.Get("Location")
	if late := h.page("/device/decide", cookie, url.Values{"transaction": {second}, "decision": {"report"}}).header.Get("Location"); late != done || strings.Contains(done, "?") {
		t.Errorf("%q after %q", late, done)
	}
}

// A form without a visit, or with one that is none, has no page to go back to.
func TestADecisionWithoutAVisitIsAnsweredWhereItIs(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for _, visit := range []string{"", "nonsense"} {
		d := h.ask("pub-a", "profile email")
		_, transaction := h.review(cookie, d.userCode)
		form := func(decision, match string, scope ...string) url.Values {
			return url.Values{"transaction": {transaction}, "decision": {decision}, "match": {match}, "scope": scope, "visit": {visit}}
		}
		h.page("/device/decide", "", form("deny", "")).wantPage(http.StatusUnauthorized)
		h.page("/device/decide", cookie, form("approve", d.userCode)).wantPage(http.StatusBadRequest)    // nothing ticked
		h.page("/device/decide", cookie, form("approve", "", "profile")).wantPage(http.StatusBadRequest) // no letters
		h.advance(6 * time.Minute)
		h.page("/device/decide", cookie, form("approve", d.userCode, "profile")).wantPage(http.StatusBadRequest) // read too long
		h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	}
}

func TestTheReviewAsksForWhatThisApprovalNeeds(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.link(cookie, "alice-home", "alice").wantOK()
	page, _ := h.review(cookie, h.askProved("openid").userCode)
	page.wantSays([]string{"Your sign-in approves, without a signature."}, []string{`name="match"`, "Your passkey"})
	page, _ = h.review(cookie, h.ask("pub-a", "openid").userCode)
	page.wantSays([]string{`name="match"`, `value="` + bapIDOf(t, "alice") + `" checked`, `value="` + bapIDOf(t, "alice-home") + `"`}, []string{`value="` + bapIDOf(t, "alice-home") + `" checked`})
	page, _ = h.review(cookieOf(h.passkeySignIn(h.registered("alice")).wantOK()), h.ask("pub-a", "openid").userCode)
	page.wantSays([]string{"Your passkey&#39;s sign-in approves"}, []string{"Your sign-in approves"})
}

func TestOnlyWhatAPersonCanMendIsShownAgain(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.page("/device", cookie, url.Values{"code": {"not <a> code"}}).wantPage(http.StatusBadRequest, `value="not &lt;a&gt; code"`, "That is not a code")
	r := h.page("/device", cookie, url.Values{"code": {"BBBB-BBBB"}})
	if r.wantPage(http.StatusBadRequest, "This code cannot be used"); strings.Contains(r.body, "BBBB-BBBB") {
		t.Error("a code that is no use is shown")
	}
	d := h.ask("pub-a", "openid")
	h.send(http.MethodGet, "/device?code="+d.userCode+"&user_code="+d.userCode, "", "Cookie", cookie).wantPage(http.StatusOK, d.userCode) // the same one twice
	// A browser is told from others where codes are, and nowhere else.
	for target, named := range map[string]bool{"/device": true, "/account": false, "/": false} {
		set := strings.Join(h.send(http.MethodGet, target, "", "Accept", "text/html").header.Values("Set-Cookie"), "\n")
		if strings.Contains(set, "countersign.browser=") != named {
			t.Errorf("%s sets %q", target, set)
		}
	}
}

// strange has an event of a kind that this version does not know.
type strange struct{ contract.Store }

func (s strange) Events(ctx context.Context, accountID string, after contract.Position, limit int) ([]authz.Event, error) {
	list, err := s.Store.Events(ctx, accountID, after, limit)
	return append(list, authz.Event{ID: "x", Kind: "from-the-future"}), err
}

func TestAPageThatCannotBeMadeIsAnErrorAndNoHalfPage(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	kept := h.store
	h.store = strange{kept}
	h.restart()
	r := h.send(http.MethodGet, "/account", "", "Cookie", cookie)
	if r.wantPage(http.StatusInternalServerError, "Something failed here"); strings.Contains(r.body, "Your identities") {
		t.Error("half a page is there")
	}
	h.store = kept
}

// By the origin's host: the issuer's own, or the one that the request itself is for.
func TestAPageOfThisHostIsNoForeignOne(t *testing.T) {
	h := newHouse(t)
	for name, row := range map[string]struct {
		host, origin string
		status       int
	}{
		"the issuer":               {"localhost:8628", testIssuer, http.StatusOK},
		"behind a proxy":           {"internal:8080", testIssuer, http.StatusOK},
		"another name of it":       {"127.0.0.1:8628", "http://127.0.0.1:8628", http.StatusOK},
		"another host":             {"localhost:8628", "http://127.0.0.1:8628", http.StatusForbidden},
		"no host, and no origin":   {"", "null", http.StatusForbidden},
		"an origin that is a path": {"", "/x", http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodPost, "/api/auth/sign-out", nil)
		r.RemoteAddr, r.Host = h.peer, row.host
		r.Header.Set("Origin", row.origin)
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		if w.Code != row.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestU04_ABearerIsInTheHeaderOrAForm(t *testing.T) {
	h := newHouse(t)
	token := h.tokens("pub-a", "openid", "alice").text("access_token")
	h.send(http.MethodGet, userinfoPath, "", "Authorization", "bearer "+token).wantOK()
	h.postForm(userinfoPath, url.Values{"access_token": {token}}).wantOK()
	h.postForm(userinfoPath, url.Values{}, "Authorization", "Bearer "+token).wantOK()
	for name, r := range map[string]reply{
		"a scheme alone": h.send(http.MethodGet, userinfoPath, "", "Authorization", "Bearer"),
		"a form in GET":  h.send(http.MethodGet, userinfoPath, "access_token="+token, "Content-Type", "application/x-www-form-urlencoded"),
		"JSON":           h.postJSON(userinfoPath, map[string]any{"access_token": token}),
		"nothing":        h.postForm(userinfoPath, url.Values{}),
		"another scheme": h.send(http.MethodGet, userinfoPath, "", "Authorization", "Basic "+token),
	} {
		if says := r.header.Get("WWW-Authenticate"); r.status != http.StatusUnauthorized || says != `Bearer realm="countersign", scope="openid", resource_metadata="`+userInfoMetadata+`"` {
			t.Errorf("%s: %d, WWW-Authenticate: %q", name, r.status, says)
		}
	}
	h.postForm(userinfoPath, url.Values{"access_token": {token}}, "Authorization", "Bearer "+token).wantError(http.StatusBadRequest, "invalid_request")
	h.send(http.MethodPost, userinfoPath, "access_token=%zz", "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Bearer "+token).
		wantError(http.StatusBadRequest, "invalid_request")
}

func TestU04_ATokenInTheAddressIsRefusedWhateverElseThereIs(t *testing.T) {
	h := newHouse(t)
	token := h.tokens("pub-a", "openid", "alice").text("access_token")
	for _, target := range []string{userinfoPath + "?access_token=" + token, userinfoPath + "?access_token="} {
		r := h.send(http.MethodGet, target, "", "Authorization", "Bearer "+token)
		if r.wantError(http.StatusBadRequest, "invalid_request"); !strings.Contains(r.text("error_description"), "in the URL") {
			t.Errorf("%s", r.body)
		}
	}
}

func TestTheFormForACodeComplainsOfACodeOnly(t *testing.T) {
	h := newHouse(t)
	for target, problem := range map[string]bool{"/device": false, "/device?else=1": false, "/device?code=": false, "/device?code=nonsense": true} {
		r := h.send(http.MethodGet, target, "", "Accept", "text/html").wantOK()
		if strings.Contains(r.body, `id="problem"`) != problem || !strings.Contains(r.body, `name="code"`) {
			t.Errorf("%s: %s", target, r.body)
		}
	}
}

func TestTheSessionIsToldByItsOwnToken(t *testing.T) {
	h := newHouse(t)
	_, token, _ := strings.Cut(h.signIn("alice"), "=")
	r := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", knownCookie+"=css_"+strings.Repeat("A", 43)+"; "+knownCookie+"="+token).wantOK()
	session, _ := r.members()["session"].(map[string]any)
	if session["token"] != token {
		t.Errorf("%s", r.body)
	}
}

// A statement that nobody signed is no approval of what it says, and a signature
// without one is none at all.
func TestAStatementAndItsSignatureComeTogether(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	h.open(cookie, d.userCode).wantOK()
	statement := h.statementOf("alice", d.userCode)
	unsigned := h.postJSON(approvePath, map[string]any{"userCode": d.userCode, "statement": statement}, "Cookie", cookie)
	if unsigned.wantError(http.StatusBadRequest, "invalid_request"); !strings.Contains(unsigned.body, "send X-Auth-Token over exactly this body") {
		t.Errorf("%s", unsigned.body)
	}
	silent := h.signed("alice", http.MethodPost, approvePath, `{"userCode":"`+d.userCode+`"}`)
	if silent.wantError(http.StatusBadRequest, "invalid_request"); !strings.Contains(silent.body, "carries the statement") {
		t.Errorf("%s", silent.body)
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestTheSessionHasThePictureOfItsIdentityOrNone(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for _, picture := range []any{nil, "https://example.org/a.png", nil} {
		text, _ := picture.(string)
		h.signed("alice", http.MethodPut, "/api/bap/profile", `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, "alice")+`","picture":"`+text+`"}`).wantOK()
		user, _ := h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK().members()["user"].(map[string]any)
		if image, there := user["image"]; !there || image != picture {
			t.Errorf("with %v: %v", picture, user)
		}
	}
}

func TestASignedApprovalWhoseStatementIsNoneIsNoOtherServers(t *testing.T) {
	h := newHouse(t)
	body := `{"userCode":"` + h.ask("pub-a", "openid").userCode + `","statement":"nonsense"}`
	r := h.signed("alice", http.MethodPost, approvePath, body)
	if r.status != http.StatusBadRequest || strings.Contains(r.body, "another server") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// oblivious is a store whose answers take so long that what is remembered of a client
// is over with the next; one of them fails.
type oblivious struct {
	contract.Store
	h     *house
	calls int
	fails int // which call
}

func (s *oblivious) Client(ctx context.Context, id string) (authz.Client, error) {
	if s.calls++; s.calls == s.fails {
		return authz.Client{}, errDead
	}
	c, err := s.Store.Client(ctx, id)
	s.h.advance(time.Second)
	return c, err
}

func TestC4_AListIsWholeOrAFailureHoweverOftenItsClientIsLookedUp(t *testing.T) {
	h := newHouse(t)
	if err := h.store.AddClient(t.Context(), authz.Client{ID: stored, AuthMethod: authz.AuthNone, Scope: "openid"}); err != nil {
		t.Fatal(err)
	}
	cookie := h.signIn("alice")
	h.approveSigned("alice", h.ask(stored, "openid").userCode)
	kept, slow := h.store, &oblivious{Store: h.store, h: h}
	h.store = slow
	h.restart()
	look := func(target string, fails int) reply {
		h.advance(time.Second)
		slow.calls, slow.fails = 0, fails
		return h.send(http.MethodGet, target, "", "Cookie", cookie)
	}
	for target, lookups := range map[string]int{"/api/grants": 2, "/account": 3, "/api/events": 1} {
		if look(target, 0).wantOK(); slow.calls < lookups {
			t.Errorf("%s: %d lookups", target, slow.calls)
		}
		for n := range slow.calls {
			if r := look(target, n+1); r.status != http.StatusInternalServerError {
				t.Errorf("%s without lookup %d: %d", target, n, r.status)
			}
		}
	}
	h.store = kept
}
