package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/server"
)

// foreignHeaders are what a browser sends when another site's page, a mail or a chat
// makes it ask for an address.
var foreignHeaders = map[string][]string{
	"a link":                        {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	"a link of a neighbour":         {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	"a link in a mail":              {"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	"a link, told of as such alone": {"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"},
	"a frame":                       {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
	"an image":                      {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
	"a prefetch":                    {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty", "Sec-Purpose", "prefetch"},
	"a script":                      {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "https://evil.example"},
	"a script of a neighbour":       {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "http://localhost:3000"},
	"a script of an old browser":    {"Origin", "https://evil.example"},
	"a sandboxed one":               {"Origin", "null"},
	"one that says nonsense":        {"Origin", "http://["},
	"a link in an old browser":      {"Referer", "https://evil.example/page"},
}

// TestB02_NothingIsLookedUpForAForeignPage asks every address that answers GET as a
// foreign page makes its visitor ask, with a wrong code and with a right one. It may
// cost nobody a try, open nothing, and leave no cookie but a browser's first.
func TestB02_NothingIsLookedUpForAForeignPage(t *testing.T) {
	h := newHouse(t)
	h.from("203.0.113.9")
	alice, mallory, d := h.signIn("alice"), h.signIn("mallory"), h.ask("pub-a", "openid")
	made := h.page("/device", "", url.Values{"code": {d.userCode}}).header.Get("Location")
	opened := h.page("/device", mallory, url.Values{"code": {h.ask("pub-b", "openid").userCode}}).header.Get("Location")
	tries := 0
	for _, path := range server.GETPaths() {
		for who, header := range foreignHeaders {
			for _, cookie := range []string{"", alice} {
				for _, code := range []string{wrong(tries), d.userCode} {
					tries++
					visits := []string{""}
					if strings.Contains(path, "{visit}") {
						visits = []string{made, opened, h.page("/device", "", url.Values{"code": {code}}).header.Get("Location")}
					}
					for _, visit := range visits {
						target := strings.NewReplacer("{$}", "", "{id}", "x", "{file}", "x", "/device/request/{visit}", visit).Replace(path)
						r := h.send(http.MethodGet, target+"?lang=de&code="+code+"&user_code="+code, "", append([]string{"Cookie", cookie}, header...)...)
						lookup := strings.HasPrefix(path, "/api/auth/device")
						if lookup && r.status != http.StatusForbidden {
							t.Errorf("%s asks for %s and hears %d %.200s", who, path, r.status, r.body)
						}
						set := strings.Join(r.header.Values("Set-Cookie"), "\n")
						named := strings.HasPrefix(set, "countersign.browser=") && !strings.Contains(set, "\n")
						if set != "" && who != "a link in a mail" && who != "a link, told of as such alone" && !(named && strings.HasPrefix(who, "a link")) {
							t.Errorf("%s asks for %s and leaves %q", who, path, set)
						}
					}
				}
			}
		}
	}
	if tries < 400 {
		t.Errorf("%d tries only", tries)
	}
	for i := range 4 { // all that she has but one
		h.open(alice, wrong(9000+i)).wantError(http.StatusBadRequest, "invalid_request")
	}
	bob := h.signIn("bob")
	h.open(bob, d.userCode).wantOK() // alice has not claimed it,
	h.open(h.signIn("carol"), d.userCode).wantError(http.StatusForbidden, "access_denied")
	h.open(bob, d.userCode).wantOK() // nor opened it: three would have cancelled it
	if n := h.guess(10); n != 6 {
		t.Errorf("the network had %d tries left", n)
	}
}

// Who is none of a browser's pages works unmodified.
func TestB02_OwnScriptsAndToolsLookCodesUp(t *testing.T) {
	h := newHouse(t)
	alice := h.signIn("alice")
	for who, header := range map[string][]string{
		"our own script": {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Referer", testIssuer + "/device"},
		"an older one":   {"Referer", testIssuer + "/device", "Origin", testIssuer},
		"node":           {"Sec-Fetch-Mode", "cors"},
		"a tool":         nil,
	} {
		d := h.ask("pub-a", "openid")
		target := statusPath + d.userCode
		if r := h.send(http.MethodGet, target, "", append([]string{"Cookie", alice}, header...)...).wantOK(); r.text("client_id") != "pub-a" {
			t.Errorf("%s: %s", who, r.body)
		}
		target = "/api/auth/device/approval?user_code=" + d.userCode
		target, _ = forServer(http.MethodGet, target, testIssuer)
		h.send(http.MethodGet, target, "", append([]string{bitcoinauth.Header, h.sign("alice", target, "")}, header...)...).wantOK()
	}
}

// A browser that a foreign form or frame gave a new cookie each time would count as
// many, and five cancel a code.
func TestK03_AForeignPageMakesNoBrowserTwo(t *testing.T) {
	h := newHouse(t)
	for i, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document", "Origin", "https://evil.example"}, {"Origin", "https://evil.example"},
	} {
		r := h.postForm("/device", url.Values{"code": {wrong(i)}}, header...)
		if r.status != http.StatusForbidden || r.header.Get("Set-Cookie") != "" {
			t.Errorf("case %d: %d %q", i, r.status, r.header.Values("Set-Cookie"))
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"}, {"Referer", "https://evil.example/"}} {
		for method, named := range map[string]bool{http.MethodGet: true, http.MethodHead: true, http.MethodPost: false} {
			r := h.send(method, "/device?code="+wrong(1), "", header...)
			if set := fmt.Sprint(r.header.Values("Set-Cookie")); strings.Contains(set, "countersign.browser") != named {
				t.Errorf("a link that is followed names the browser: %s with %q sets %q", method, header, set)
			}
		}
	}
}

func TestK03_ABrowserIsNamedOnceByOurOwnPages(t *testing.T) {
	h := newHouse(t)
	const own, its = "same-origin", "countersign.browser=ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, row := range []struct {
		method, cookie string
		named          bool
	}{
		{http.MethodGet, "", true},
		{http.MethodPost, "", true},
		{http.MethodGet, its, false},
		{http.MethodPost, its, false},
		{http.MethodGet, its + "A", true}, // none of ours
	} {
		r := h.send(row.method, "/device", "code=nonsense", "Content-Type", "application/x-www-form-urlencoded",
			"Origin", testIssuer, "Sec-Fetch-Site", own, "Sec-Fetch-Dest", "document", "Cookie", row.cookie)
		set := strings.Join(r.header.Values("Set-Cookie"), "\n")
		if r.status >= http.StatusInternalServerError || strings.Contains(set, "countersign.browser=") != row.named {
			t.Errorf("%s with %q: %d sets %q", row.method, row.cookie, r.status, set)
		}
	}
}

// What a browser only shows looks nothing up, on our own pages either.
func TestB02_WhatIsShownIsNoLookUp(t *testing.T) {
	h := newHouse(t)
	for _, dest := range []string{"image", "object", "style"} {
		r := h.send(http.MethodGet, statusPath+h.ask("pub-a", "openid").userCode, "", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", dest)
		if r.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", dest, r.status, r.body)
		}
	}
}

// TestB10_AForeignPageSpendsNothingOfItsVisitors sends what a page can make the
// browsers of its visitors send to the endpoints that are open to all: it may neither
// keep a confidential client of the visitors' network from proving itself, nor the
// devices there from asking for codes. A header lifts no limit either.
func TestB10_AForeignPageSpendsNothingOfItsVisitors(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.DeviceRequestsPerNetwork = 30 })
	h.from("203.0.113.9")
	page := foreignHeaders["a script"]
	secret := func(secret string, header ...string) reply {
		form := url.Values{"client_id": {"conf-a"}, "client_secret": {secret}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}}
		return h.postForm(tokenPath, form, header...)
	}
	code := func(header ...string) reply {
		return h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {"openid"}}, header...)
	}
	for range 100 {
		secret("guess", page...)
		code(page...)
	}
	secret("guess", page...).wantBusy()
	code(page...).wantBusy()
	secret(confSecret).wantError(http.StatusBadRequest, "invalid_grant") // it has proved itself
	code().wantOK()
	secret(confSecret, page...).wantBusy()
}
