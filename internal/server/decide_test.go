package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

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
	h.send(http.MethodGet, r.header.Get("Location"), "", "Cookie", cookie).wantPage(200, "Denied", "It was reported too")
	h.poll(d).wantError(http.StatusBadRequest, "access_denied")
}
