package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz/contract"
)

const endOthers = "/api/sessions/end-others"

// stopping are the ways in which an owner stops something, by session.
func (h *house) stopping(cookie string) map[string]func() reply {
	post := func(target string) func() reply {
		return func() reply { return h.postJSON(target, map[string]any{}, "Cookie", cookie) }
	}
	form := func(target string) func() reply {
		return func() reply { return h.page(target, cookie, url.Values{"form": {h.formToken(cookie)}}) }
	}
	return map[string]func() reply{
		"take all back": post("/api/grants/revoke"), "take one back": post("/api/grants/x/revoke"), "report one": post("/api/grants/x/revoke?report=true"),
		"end other sessions": post(endOthers), "end one": post("/api/sessions/x/end"), "remove a passkey": post("/api/passkeys/x/remove"),
		"take out an identity": post(identitiesPath + "/x/remove"), "remove a backup": post("/api/backup/remove"),
		"deny": func() reply {
			return h.postJSON(denyPath, map[string]any{"userCode": "BCDF-GHJK"}, "Cookie", cookie)
		},
		"deny by form": func() reply {
			return h.page("/device/decide", cookie, url.Values{"decision": {"deny"}, "transaction": {"x"}})
		},
		"take all back by form": form("/account/grants/revoke"), "take one back by form": form("/account/grants/x/revoke"),
		"report by form": form("/account/grants/x/report"), "end sessions by form": form("/account/sessions/end"), "end one by form": form("/account/sessions/x/end"),
		"remove a passkey by form": form("/account/passkeys/x/remove"), "undo": form("/device/done/x/undo"), "report what was done": form("/device/done/x/report"),
	}
}

// Behind one address are a household, an office, the customers of a carrier. What anybody
// there can send, without an account, stops nobody else there.
func TestWhoProvesNothingStopsNobodyBehindTheSameAddress(t *testing.T) {
	h := newHouse(t).from(here)
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	h.approve(cookie, h.ask("pub-a", "openid").userCode)
	forged := h.sign("nobody", signInPath, "")
	junk := map[string]func() reply{
		"nothing": func() reply { return h.postJSON("/api/grants/revoke", map[string]any{}) },
		"a cookie": func() reply {
			return h.postJSON(endOthers, map[string]any{}, "Cookie", "countersign.session_token=css_x")
		},
		"no token":         func() reply { return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, "x") },
		"no token, to act": func() reply { return h.send(http.MethodGet, ownGrants, "", bitcoinauth.Header, "x") },
		"a forged signature": func() reply {
			return h.send(http.MethodPost, signInPath, `{"a":"b"}`, append(jsonBody[:2:2], bitcoinauth.Header, forged)...)
		},
		"no passkey": func() reply {
			return h.postJSON("/api/auth/sign-in/passkey", map[string]any{"ceremony": "x", "credential": "y"})
		},
		"a form":            func() reply { return h.page("/account/grants/revoke", "", url.Values{}) },
		"signing out":       func() reply { return h.postJSON("/api/auth/sign-out", map[string]any{}) },
		"signing out, form": func() reply { return h.page("/sign-out", "", url.Values{}) },
		"a code":            func() reply { return h.page("/device", "", url.Values{"code": {"BCDF-GHJK"}}) },
	}
	for name, send := range junk {
		for range 1300 {
			if r := send(); r.status == http.StatusTooManyRequests && name != "a forged signature" {
				t.Fatalf("%s: %d %s", name, r.status, r.body)
			}
		}
	}
	h.open(cookie, d.userCode).wantOK()
	h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK()
	h.approve(cookie, h.ask("pub-a", "openid").userCode)
	h.signed("alice", http.MethodPost, endOthers, `{"aud":"`+testIssuer+`"}`).wantOK()
	cookie = h.signIn("alice")
	for name, stop := range h.stopping(cookie) {
		if r := stop(); r.status == http.StatusTooManyRequests {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	h.postJSON("/api/auth/sign-out", map[string]any{}, "Cookie", cookie).wantOK()
	h.wantRows("sessions", 0)
}

// Who has an account does not either, as long as they have not many.
func TestAnAccountSpendsNothingOfItsNeighbours(t *testing.T) {
	h := newHouse(t).from(here)
	alice, mallory := h.signIn("alice"), h.signIn("mallory")
	changes := func(cookie string) reply {
		return h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", cookie)
	}
	n := 0
	for changes(mallory).status == http.StatusOK {
		if n++; n > 5000 {
			t.Fatal("an account may do any number")
		}
	}
	if n != 480 {
		t.Errorf("it did %d", n)
	}
	changes(mallory).wantBusy()
	changes(alice).wantOK()
	h.sentFrom(elsewhere, func() reply { return changes(mallory) }).wantOK()
}

// What is done before stops no owner from stopping something, nor does what a thief
// does with their session.
func TestStoppingHasAnAllowanceOfItsOwn(t *testing.T) {
	h := newHouse(t).from(here)
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	_, transaction := h.review(cookie, d.userCode)
	for h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", cookie).status == http.StatusOK {
	}
	form := url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {d.userCode}}
	if r := h.page("/device/decide", cookie, form); r.status != http.StatusTooManyRequests {
		t.Errorf("approving is no stop: %d %s", r.status, r.body)
	}
	for name, stop := range h.stopping(cookie) {
		if r := stop(); r.status == http.StatusTooManyRequests {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	stop := func(cookie string) reply { return h.postJSON(endOthers, map[string]any{}, "Cookie", cookie) }
	n := 0
	for stop(cookie).status == http.StatusOK {
		if n++; n > 1000 {
			t.Fatal("a session may do any number")
		}
	}
	for name, stop := range h.stopping(cookie) {
		if r := stop(); r.status != http.StatusTooManyRequests {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	another := h.signIn("alice")
	stop(another).wantOK() // ends the other
	h.postJSON("/api/auth/sign-out", map[string]any{}, "Cookie", another).wantOK()
	h.signed("alice", http.MethodPost, endOthers, `{"aud":"`+testIssuer+`"}`).wantOK()
}

// Pages of other sites make the browsers of their visitors send what they like, cookies
// included where a browser still sends them.
func TestPagesOfOtherSitesSpendNothingOfTheirVisitors(t *testing.T) {
	h := newHouse(t).from(here)
	cookie := h.signIn("alice")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
	} {
		for range 500 {
			for _, target := range []string{"/api/passkeys/options", endOthers, "/account/grants/revoke", "/device", "/api/auth/sign-out"} {
				r := h.postForm(target, url.Values{}, append([]string{"Cookie", cookie}, headers...)...)
				if r.status != http.StatusForbidden {
					t.Fatalf("%s with %v: %d %s", target, headers, r.status, r.body)
				}
			}
		}
	}
	h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", cookie).wantOK()
	h.postJSON(endOthers, map[string]any{}, "Cookie", cookie).wantOK()
}

// A key that is known here is shut out by what is forged in its name alone, in that
// network alone.
func TestStrangersForgeriesShutOutNoKeyThatIsKnownHere(t *testing.T) {
	h := newHouse(t).from(here)
	h.signIn("alice")
	h.signIn("bob")
	forge := func(name string) (verified int) {
		token := h.sign(name, signInPath, "")
		for range 200 {
			if r := h.send(http.MethodPost, signInPath, `{"a":"b"}`, append(jsonBody[:2:2], bitcoinauth.Header, token)...); r.status == http.StatusUnauthorized {
				verified++
			}
		}
		return verified
	}
	if n := forge("nobody"); n != 120 {
		t.Errorf("%d forgeries by unknown keys were verified", n)
	}
	signIn := func(name string) reply { return h.signed(name, http.MethodPost, signInPath, "") }
	signIn("a newcomer").wantBusy()
	signIn("alice").wantOK()
	form := url.Values{"client_id": {"member-a"}}.Encode()
	h.send(http.MethodPost, codePath, form, "Content-Type", "application/x-www-form-urlencoded", bitcoinauth.Header, h.sign("client", codePath, form)).wantOK()
	if n := forge("alice"); n != 120 {
		t.Errorf("%d forgeries by a known key were verified", n)
	}
	signIn("alice").wantBusy()
	signIn("bob").wantOK()
	h.sentFrom(elsewhere, func() reply { return signIn("alice") }).wantOK()
}

// Accounts cost little, and each signature 2 ms: what a network signs is bounded however
// many it has, and so is what it changes. What it stops goes on.
func TestManyAccountsOfOneNetworkAreBoundedTogether(t *testing.T) {
	inFull(t)
	h := newHouse(t).from(here)
	alice := h.signIn("alice")
	tokens := make([]string, 8)
	for i := range tokens {
		tokens[i] = h.sign(fmt.Sprint("account ", i), ownGrants, "")
	}
	verified := 0
	for i := range 3000 {
		r := h.send(http.MethodGet, ownGrants, "", bitcoinauth.Header, tokens[i%len(tokens)])
		if r.status != http.StatusTooManyRequests {
			verified++
		} else if !strings.Contains(r.text("error_description"), "from this network") {
			t.Fatal(r.body)
		}
	}
	if verified != 2399 { // and alice's
		t.Errorf("%d were verified", verified)
	}
	h.signed("alice", http.MethodGet, ownGrants, "").wantBusy()
	h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", alice).wantOK() // one is left
	h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", alice).wantBusy()
	h.postJSON(endOthers, map[string]any{}, "Cookie", alice).wantOK()
	h.sentFrom(elsewhere, func() reply { return h.signed("alice", http.MethodGet, ownGrants, "") }).wantOK()
}

// What an account signs beyond its allowance costs as much as a forgery, and counts as
// one; what is refused for others does not.
func TestWhatAnAccountSignsBeyondItsAllowanceCountsAsForged(t *testing.T) {
	h := newHouse(t).from(here)
	signIn := func(name string) reply { return h.signed(name, http.MethodPost, signInPath, "") }
	for signIn("alice").status == http.StatusOK {
	}
	for range 118 {
		signIn("alice").wantBusy()
	}
	signIn("a newcomer").wantOK()
	signIn("alice").wantBusy()
	signIn("another").wantBusy()
}

func TestWhatIsRefusedForANetworksSakeCountsNotAsForged(t *testing.T) {
	inFull(t)
	h := newHouse(t).from(here)
	for i := range 5 {
		cookie := h.signIn(fmt.Sprint("account ", i))
		for range 480 {
			h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", cookie).wantOK()
		}
	}
	refused := 0
	for range 130 {
		if h.signed("alice", http.MethodGet, ownGrants, "").status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 121 {
		t.Fatalf("%d were refused", refused)
	}
	h.signed("a newcomer", http.MethodPost, signInPath, "").wantOK()
}

// Where it cannot be known whether a key is known here, nobody is told that it forged.
func TestANetworkThatForgedIsToldOfAStoreThatFails(t *testing.T) {
	f := newFrail(t)
	f.from(here)
	token := f.sign("nobody", signInPath, "")
	for range 121 {
		f.send(http.MethodPost, signInPath, `{"a":"b"}`, append(jsonBody[:2:2], bitcoinauth.Header, token)...)
	}
	f.store.during(&fault{"Identity", 1, false, contract.ErrUnreachable}, func(ctx context.Context) {
		f.do(ctx, f.by("alice", http.MethodPost, signInPath, nil)).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	})
}
