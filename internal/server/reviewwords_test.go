package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A browser hides among the names of others; what is none says its own name first.
func TestAProgramIsCalledByTheNameItGivesItself(t *testing.T) {
	h := newHouse(t)
	for agent, want := range map[string]string{
		"":                               "an unknown program",
		"TheProgram/1.0":                 "TheProgram/1.0",
		"curl/8.0 (x86_64-pc-linux-gnu)": "curl/8.0",
		"MyApp 3 (iPhone; iOS 17.1)":     "MyApp on iOS",
		"Mozilla/5.0 (compatible; Foo)":  "Foo",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36": "Chrome on Linux",
		"Safari/1.0 Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)":                                            "Safari/1.0 on macOS",
	} {
		cookie := h.signInFrom("alice", agent, "")
		h.postJSON("/api/sessions/end-others", map[string]any{}, "Cookie", cookie).wantOK()
		h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantItems("sessions", want+" this browser")
		h.postJSON("/api/auth/sign-out", map[string]any{}, "Cookie", cookie).wantOK()
	}
}

func TestTheReviewSaysHowLongAgoTheDeviceAsked(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for age, want := range map[time.Duration]string{
		0: "just now", 1999 * time.Millisecond: "just now", 2 * time.Second: "2 seconds ago", 119999 * time.Millisecond: "119 seconds ago", 2 * time.Minute: "2 minutes ago", 14 * time.Minute: "14 minutes ago",
	} {
		d := h.ask("pub-a", "openid")
		h.advance(age)
		page, _ := h.review(cookie, d.userCode)
		page.wantPage(200, "Asked <bdi>"+want+"</bdi>")
	}
}

// Whatever may be unticked is ticked at first: what does more than read is asked for by
// clients only that the operator has looked at.
func TestWhatActsIsTickedForClientsThatTheOperatorKnowsAndNobodyElseIsOfferedIt(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for client, known := range map[string]bool{"pub-a": true, "some-app": false} {
		page, _ := h.review(cookie, h.ask(client, "openid profile offline_access").userCode)
		page.wantPage(200, `name="scope" value="profile" checked`)
		if strings.Contains(page.body, `name="scope" value="offline_access" checked`) != known || strings.Contains(page.body, "offline_access") != known {
			t.Errorf("%s is offered what acts, or is not", client)
		}
	}
}

func TestTheReviewSaysWhatItLacked(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	visit := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
	for query, says := range map[string][2]bool{"": {}, "?nothing-chosen": {true, false}, "?mistyped": {false, true}, "?else": {}} {
		page := h.send(http.MethodGet, visit+query, "", "Cookie", cookie)
		page.wantPage(200, `value="approve"`)
		warnings := [2]bool{strings.Contains(page.body, `<p class="warning">Nothing was left ticked`), strings.Contains(page.body, `<p class="warning">No device shows that`)}
		if warnings != says || (says == [2]bool{} && strings.Contains(page.body, `class="warning"`)) {
			t.Errorf("%q: %v", query, warnings)
		}
	}
}
