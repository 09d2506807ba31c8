package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

var visitField = regexp.MustCompile(`name="visit" value="([^"]+)"`)

func TestADecisionLeadsToWhereItsPersonGoesOn(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.DeviceCodeLifetime = 2 * time.Minute })
	cookie := h.signIn("alice")
	decide := func(client string, form url.Values, change func(cookie, visit string, d device, form url.Values) string) (r reply, visit string) {
		d := h.ask(client, "openid")
		page, transaction := h.review(cookie, d.userCode)
		visit = visitField.FindStringSubmatch(page.body)[1]
		form.Set("transaction", transaction)
		form.Set("visit", visit)
		if !form.Has("scope") {
			form.Set("scope", "openid")
		}
		if !form.Has("match") {
			form.Set("match", d.userCode)
		}
		by := cookie
		if change != nil {
			by = change(cookie, visit, d, form)
		}
		return h.page("/device/decide", by, form), visit
	}
	without := func(field string) func(string, string, device, url.Values) string {
		return func(by, _ string, _ device, form url.Values) string {
			form.Del(field)
			return by
		}
	}
	signedOut := func(string, string, device, url.Values) string { return "" }
	const back, done = "/device/request/", "/device/done/"
	for name, row := range map[string]struct {
		client string
		form   url.Values
		change func(cookie, visit string, d device, form url.Values) string
		leads  string // where it begins with
		says   string // where it ends with
		status int    // where it leads nowhere
	}{
		"approved":                 {"pub-a", url.Values{"decision": {"approve"}}, nil, done, "", 0},
		"reported":                 {"pub-a", url.Values{"decision": {"report"}}, nil, done, "", 0},
		"the wrong letters":        {"some-app", url.Values{"decision": {"approve"}, "match": {anotherCode}}, nil, done, "", 0},
		"no letters":               {"some-app", url.Values{"decision": {"approve"}, "match": {""}}, nil, back, "?mistyped", 0},
		"no letters, from nowhere": {"some-app", url.Values{"decision": {"approve"}, "match": {""}}, without("visit"), "", "", 400},
		"nothing ticked":           {"pub-a", url.Values{"decision": {"approve"}, "scope": {"none-of-it"}}, nil, back, "?nothing-chosen", 0},
		"another review":           {"pub-a", url.Values{"decision": {"approve"}}, without("transaction"), back, "", 0},
		"another review, and nowhere": {"pub-a", url.Values{"decision": {"approve"}, "visit": {""}}, func(by, _ string, _ device, form url.Values) string {
			form.Del("transaction")
			form.Set("visit", "nonsense")
			return by
		}, "", "", 400},
		"signed out":               {"pub-a", url.Values{"decision": {"approve"}}, signedOut, back, "", 0},
		"signed out, from nowhere": {"pub-a", url.Values{"decision": {"approve"}}, func(_, _ string, _ device, form url.Values) string { form.Del("visit"); return "" }, "", "", 401},
		"denied in another tab": {"pub-a", url.Values{"decision": {"approve"}}, func(by, _ string, d device, _ url.Values) string {
			h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", by).wantOK()
			return by
		}, done, "", 0},
		"read for too long": {"pub-a", url.Values{"decision": {"approve"}}, func(by, _ string, _ device, _ url.Values) string {
			h.advance(6 * time.Minute)
			return by
		}, back, "", 0},
		"of a code that is over": {"pub-a", url.Values{"decision": {"approve"}}, func(by, _ string, _ device, _ url.Values) string {
			h.advance(3 * time.Minute)
			return by
		}, "", "", 400},
	} {
		r, visit := decide(row.client, row.form, row.change)
		at := r.header.Get("Location")
		switch {
		case row.leads == "":
			if r.status != row.status {
				t.Errorf("%s: %d %s", name, r.status, at)
			}
		case r.status != http.StatusSeeOther, !strings.HasPrefix(at, row.leads), row.leads == back && at != back+visit+row.says,
			row.leads == done && strings.TrimLeft(at[len(done):], "abcdefghijklmnopqrstuvwxyz234567") != row.says:
			t.Errorf("%s: %d to %q", name, r.status, at)
		}
	}
}

// The script that was refused for a wrong number asks for the review once more.
func TestAReviewOfWhatIsDecidedLeadsToItsOutcomeWithItsReason(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	d := h.ask("some-app", "openid")
	page, _ := h.review(cookie, d.userCode)
	visit := "/device/request/" + visitField.FindStringSubmatch(page.body)[1]
	statement := h.statementOf("alice", d.userCode)
	r, _ := h.sendApproval("alice", approvePath, `{"userCode":"`+d.userCode+`","match":"`+anotherCode+`","statement":`+inJSON(statement)+`}`)
	if r.wantError(http.StatusForbidden, "access_denied"); r.text("code") != "WRONG_MATCH" {
		t.Errorf("%s", r.body)
	}
	h.wantLine("WARN", "device request denied: what was entered is not what its device shows", "client_id", "some-app")
	at := h.send(http.MethodGet, visit, "", "Cookie", cookie).header.Get("Location")
	h.send(http.MethodGet, at, "", "Cookie", cookie).wantPage(200, "<h1>Denied", "What you entered is not what the device shows")
	h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantPage(200, "what was entered is not what its device showed")
}

// A form on which nothing is ticked has chosen nothing; it does not stand for all.
func TestWhatIsUntickedIsNotGrantedEvenIfThatIsEverything(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for scope, chosen := range map[string]string{"profile email": "", "profile offline_access": "", "openid profile offline_access": "openid"} {
		d := h.ask("pub-a", scope)
		visit := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
		_, transaction := h.review(cookie, d.userCode)
		form := url.Values{"transaction": {transaction}, "decision": {"approve"}, "visit": {strings.TrimPrefix(visit, "/device/request/")}, "match": {d.userCode}}
		if chosen != "" {
			form.Set("scope", chosen)
		}
		r := h.page("/device/decide", cookie, form)
		if chosen == "" {
			h.send(http.MethodGet, r.header.Get("Location"), "", "Cookie", cookie).wantPage(200, "Nothing was left ticked", `value="approve"`)
			h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
			continue
		}
		if tokens := h.poll(d).wantOK(); tokens.text("scope") != chosen || tokens.text("refresh_token") != "" {
			t.Errorf("%q of %q gave %s", chosen, scope, tokens.body)
		}
	}
}

func TestAScopeThatOnlyTheClientsServerKnowsIsShownByItsName(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) {
		s.Clients = append(s.Clients, authz.Client{ID: "repo-tool", Scope: "openid repo:write"})
	})
	cookie := h.signIn("alice")
	for _, ticked := range []bool{true, false} {
		d := h.ask("repo-tool", "openid repo:write")
		page, transaction := h.review(cookie, d.userCode)
		page.wantPage(200, `name="scope" value="repo:write"`, "This server knows no more of it than the name")
		form := url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {d.userCode[5:]}}
		want := "openid"
		if ticked {
			form.Add("scope", "repo:write")
			want = "openid repo:write"
		}
		h.page("/device/decide", cookie, form)
		if got := h.poll(d).wantOK().text("scope"); got != want {
			t.Errorf("scope %q, want %q", got, want)
		}
	}
}

func TestB03_AReviewThatIsOverLeadsBackToANewOne(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	address := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
	_, transaction := h.review(cookie, d.userCode)
	h.advance(6 * time.Minute)
	form := url.Values{"transaction": {transaction}, "decision": {"report"}, "visit": {strings.TrimPrefix(address, "/device/request/")}}
	if r := h.page("/device/decide", cookie, form); r.header.Get("Location") != address {
		t.Errorf("%d %q", r.status, r.header.Get("Location"))
	}
	h.send(http.MethodGet, address, "", "Cookie", cookie).wantPage(200, `value="report"`)
}

func TestL05_ASessionApprovesForItsOwnIdentityOnly(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "identity": {bapIDOf(t, "bob")}}).wantPage(400)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestB02_WhoHasARequestOpenIsNoGuesser(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	for i := range 10 {
		h.open(cookie, wrong(i))
	}
	h.open(cookie, d.userCode).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	r := h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"report"}})
	h.send(http.MethodGet, r.header.Get("Location"), "", "Cookie", cookie).wantPage(200, "Denied", "It was reported to the operator")
	h.poll(d).wantError(http.StatusBadRequest, "access_denied")
}
