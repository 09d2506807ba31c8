package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
)

// What a stranger's page can make a browser send must cost its person nothing.
func TestB02_AStrangersPageSpendsNobodysTries(t *testing.T) {
	h := newHouse(t)
	h.from("203.0.113.9")
	cookie := h.signIn("alice")
	for i := range 60 {
		for _, dest := range []string{"image", "empty", "script", "iframe"} {
			h.send(http.MethodGet, "/api/auth/device?user_code="+wrong(i), "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", dest).
				wantError(http.StatusForbidden, "access_denied")
			h.send(http.MethodGet, "/api/auth/device/approval?user_code="+wrong(i), "", "Cookie", cookie, "Sec-Fetch-Site", "same-site", "Sec-Fetch-Dest", dest).
				wantError(http.StatusForbidden, "access_denied")
		}
		visit := h.page("/device", "", url.Values{"code": {wrong(i)}}).header.Get("Location")
		h.send(http.MethodGet, visit, "", "Cookie", cookie, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document").wantPage(200, "Continue as")
	}
	d := h.ask("pub-a", "openid")
	h.review(cookie, d.userCode)
}

func TestZ21_RedirectsToACleanPathAreGuardedToo(t *testing.T) {
	h := newHouse(t)
	for _, target := range []string{"//device?code=BCDF-GHJK", "/device/../device", "/./device", "/device/.", "/device/x/.."} {
		r := h.send(http.MethodGet, target, "")
		if r.status/100 != 3 || r.header.Get("Content-Security-Policy") == "" || r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %d %v", target, r.status, r.header)
		}
	}
}

func TestK08_LettersAreTakenHoweverTheyAreTyped(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for i, typed := range []func(last, whole string) string{
		func(last, _ string) string { return strings.ToLower(last) }, func(last, _ string) string { return "-" + last + " " },
		func(_, whole string) string { return whole }, func(last, _ string) string {
			return strings.Map(func(r rune) rune { return r + 0xfee0 }, last) // full width
		},
	} {
		d := h.ask("some-app", "openid")
		_, transaction := h.review(cookie, d.userCode)
		h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "match": {typed(d.userCode[5:], d.userCode)}})
		if r := h.poll(d); r.status != http.StatusOK {
			t.Errorf("case %d: %s", i, r.body)
		}
	}
}

func TestB10_ANetworkBringsNoFloodOfAccounts(t *testing.T) {
	h := newHouse(t)
	made := 0
	enter := func(name string) reply {
		return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""))
	}
	h.from("203.0.113.9")
	for i := range 40 {
		if enter(fmt.Sprint("newcomer ", i)).status == http.StatusOK {
			made++
		}
	}
	if made != 20 {
		t.Errorf("%d accounts at once", made)
	}
	enter("newcomer 39").wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	enter("newcomer 3").wantOK() // who has an account is none
	h.from("198.51.100.9")
	enter("newcomer 39").wantOK()
}
