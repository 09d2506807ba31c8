package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

// page posts a form as a browser on our own page does.
func (h *house) page(target, cookie string, form url.Values) reply {
	h.t.Helper()
	return h.postForm(target, form, "Cookie", cookie, "Origin", testIssuer, "Sec-Fetch-Site", "same-origin")
}

var transactionField = regexp.MustCompile(`name="transaction" value="([^"]+)"`)

// review enters a code and returns the review page and its transaction.
func (h *house) review(cookie, code string) (reply, string) {
	h.t.Helper()
	opened := h.page("/device", cookie, url.Values{"code": {code}})
	if opened.status != http.StatusSeeOther || strings.Contains(opened.header.Get("Location"), code) {
		h.t.Fatalf("not opened: %d %q %s", opened.status, opened.header.Get("Location"), opened.body)
	}
	r := h.send(http.MethodGet, opened.header.Get("Location"), "", "Cookie", cookie)
	found := transactionField.FindStringSubmatch(r.body)
	if r.status != http.StatusOK || found == nil {
		h.t.Fatalf("no review: %d %s", r.status, r.body)
	}
	return r, found[1]
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// formToken is what the forms of a session carry.
func (h *house) formToken(cookie string) string {
	h.t.Helper()
	found := formField.FindStringSubmatch(h.send(http.MethodGet, "/device", "", "Cookie", cookie).body)
	if found == nil {
		h.t.Fatal("the page has no form of the session")
	}
	return found[1]
}

func (r reply) wantPage(status int, texts ...string) {
	r.t.Helper()
	if r.status != status || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
		r.t.Errorf("answered %d %s", r.status, r.header.Get("Content-Type"))
	}
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			r.t.Errorf("the page lacks %q:\n%s", text, r.body)
		}
	}
}

func TestD17_D18_TheCodeIsShownForComparisonAndNothingIsDecided(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.send(http.MethodGet, "/device", "").wantPage(200, `name="code"`, "Did somebody send you this code?")
	cookie := h.signIn("alice")
	for _, q := range []string{"?code=", "?user_code="} {
		h.send(http.MethodGet, "/device"+q+strings.ToLower(d.userCode), "", "Cookie", cookie).wantPage(200, d.userCode, "Is this the code your device shows?", "Continue as")
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	r := h.send(http.MethodGet, "/device?code="+d.userCode+"&user_code=BBBB-BBBB", "")
	if r.wantPage(400); strings.Contains(r.body, d.userCode) {
		t.Error("two different codes, and one was filled in")
	}
}

func TestD19_NoGETApproves(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	for _, path := range []string{
		"/device?code=" + d.userCode, "/device/decide?decision=approve&transaction=" + transaction, "/device/done/x",
		approvePath + "?userCode=" + d.userCode, "/api/auth/device?user_code=" + d.userCode,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			h.send(method, path, "", "Cookie", cookie)
		}
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestD20_D35_TheReviewShowsWhoAsksAndWhatWeKnow(t *testing.T) {
	h := newHouse(t)
	ask := url.Values{"client_id": {"pub-a"}, "scope": {"openid profile offline_access"}, "device_name": {"Kitchen TV"}, "device_platform": {"tvOS"}}
	code := h.postForm(codePath, ask, "User-Agent", "TheProgram/1.0", "Origin", "https://app.example").wantOK().text("user_code")
	h.advance(40 * time.Second)
	r, _ := h.review(h.signIn("alice"), code)
	r.wantPage(200, code, "Public A", "pub-a", "registered name", bapIDOf(t, "alice"), "See your identity", "Stay signed in", "40 seconds ago",
		"TheProgram/1.0", "https://app.example", "Kitchen TV", "tvOS", "180 days", `value="deny"`, `value="approve"`, "I did not start this")
	if strings.Index(r.body, `value="deny"`) > strings.Index(r.body, `value="approve"`) {
		t.Error("K-07: deny comes first in tab order")
	}
}

func TestD21_AfterTheDecisionThePersonGoesBackToTheDevice(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-b", "openid profile")
	cookie := h.signIn("alice")
	opened := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
	_, transaction := h.review(cookie, d.userCode)
	// T-08: the device gets what was ticked.
	decided := h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {d.userCode}})
	if decided.status != http.StatusSeeOther {
		t.Fatalf("%d %s", decided.status, decided.body)
	}
	done := decided.header.Get("Location")
	h.send(http.MethodGet, done, "", "Cookie", cookie).wantPage(200, "Go back to your device", "Take it back", "That was not me")
	tokens := h.poll(d).wantOK()
	if tokens.text("scope") != "openid" {
		t.Errorf("scope %q", tokens.text("scope"))
	}

	h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"deny"}}).wantPage(400) // single use
	again := h.send(http.MethodGet, opened, "", "Cookie", cookie)                                                  // the back button
	if again.status != http.StatusSeeOther || again.header.Get("Location") != done {
		t.Errorf("%d %q", again.status, again.header.Get("Location"))
	}
	h.send(http.MethodGet, done, "", "Cookie", h.signIn("bob")).wantPage(404)

	h.page(done+"/undo", cookie, nil).wantPage(400)                                                                    // B-04: a form of another session, or of none
	if r := h.page(done+"/undo", cookie, url.Values{"form": {h.formToken(cookie)}}); r.status != http.StatusSeeOther { // K-11
		t.Errorf("%d", r.status)
	}
	h.send(http.MethodGet, done, "", "Cookie", cookie).wantPage(200, "Taken back")
	h.userInfo(tokens.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestK08_TheNumberMustMatch(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for _, right := range []bool{true, false} {
		r := h.postForm(codePath, url.Values{"client_id": {"some-app"}, "number_match": {"true"}}).wantOK()
		d := device{r.text("device_code"), r.text("user_code"), "some-app"}
		page, transaction := h.review(cookie, d.userCode)
		numbers := regexp.MustCompile(`name="match" value="(\d\d)"`).FindAllStringSubmatch(page.body, -1)
		if len(numbers) != 3 || !strings.Contains(page.body, `value="`+r.text("match_number")+`"`) {
			t.Fatalf("numbers %v, want %s among them", numbers, r.text("match_number"))
		}
		choice := r.text("match_number")
		for _, n := range numbers {
			if !right && n[1] != r.text("match_number") {
				choice = n[1]
			}
		}
		h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "match": {choice}})
		if right {
			h.poll(d).wantOK()
		} else {
			h.poll(d).wantError(http.StatusBadRequest, "access_denied")
		}
	}
}

func TestK08_AnUnverifiedClientWithoutANumberNeedsTheLastLetters(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	d := h.ask("some-app", "openid")
	page, transaction := h.review(cookie, d.userCode)
	page.wantPage(200, "not verified", "last four letters")
	h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "match": {strings.ToLower(d.userCode[5:])}})
	h.poll(d).wantOK()
}

func TestK12_NotStartedByTheOwnerIsDeniedAndReported(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"report"}})
	h.poll(d).wantError(http.StatusBadRequest, "access_denied")
	if !strings.Contains(h.log.String(), "reported") {
		t.Error("the report is not in the log")
	}
}

func TestB03_AReviewCountsForItsSessionAndTime(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	alice, again := h.signIn("alice"), h.signIn("alice")
	_, transaction := h.review(alice, d.userCode)
	form := url.Values{"transaction": {transaction}, "decision": {"approve"}}
	h.page("/device/decide", again, form).wantPage(400)
	h.page("/device/decide", "", form).wantPage(401)
	h.advance(5 * time.Minute)
	h.page("/device/decide", alice, form).wantPage(400)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestAMistypedAddressIsAPageForAPersonAndJSONForAProgram(t *testing.T) {
	h := newHouse(t)
	h.send(http.MethodGet, "/devise", "", "Accept", "text/html,*/*").wantPage(404, "There is no such page")
	h.send(http.MethodGet, "/devise", "", "Accept", "*/*").wantError(http.StatusNotFound, "not_found")
	h.send(http.MethodGet, "/api/devise", "", "Accept", "text/html,*/*").wantError(http.StatusNotFound, "not_found")
}

// A form of the script's own goes nowhere by itself: were the script to fail, a
// password in it would stand in an address.
func TestNoFormSendsAPasswordWithoutTheScript(t *testing.T) {
	files, err := filepath.Glob("page/templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	forms := regexp.MustCompile(`(?s)<form[^>]*>.*?</form>`)
	passwords := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range forms.FindAllString(string(text), -1) {
			opening, _, _ := strings.Cut(form, ">")
			if !regexp.MustCompile(`method="(post|get|dialog)"`).MatchString(opening) {
				t.Errorf("%s: %s> says not where it goes", file, opening)
			}
			for _, field := range regexp.MustCompile(`<input[^>]*type="password"[^>]*>`).FindAllString(form, -1) {
				passwords++
				if strings.Contains(field, " name=") && !strings.Contains(opening, `method="dialog"`) {
					t.Errorf("%s: %s> would send %s", file, opening, field)
				}
			}
		}
	}
	if passwords < 5 {
		t.Errorf("%d password fields were found", passwords)
	}
}

func TestZ23_NoLinkOfAPageLeadsElsewhere(t *testing.T) {
	h := newHouse(t)
	for _, target := range []string{
		"/%2fevil.example/x", "/%5cevil.example", "/device%2f%2fevil.example", "/devil", "/device/done//evil.example", "/javascript:alert(1)", "/account/%22%3E%3Cb%3E",
	} {
		r := h.send(http.MethodGet, target, "", "Accept", "text/html")
		for _, link := range regexp.MustCompile(`(?:href|action|formaction|src)="([^"]*)"`).FindAllStringSubmatch(r.body, -1) {
			if !regexp.MustCompile(`^(/([a-z]|[?]|$)|data:,)`).MatchString(link[1]) {
				t.Errorf("%s: a link to %q", target, link[1])
			}
		}
	}
}

func TestADecisionIsOneOfThree(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	for _, decision := range []string{"", "yes", "approve deny"} {
		h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {decision}}).wantPage(400)
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"approve"}, "match": {d.userCode}}) // it was not used up
	h.advance(6 * time.Second)
	h.poll(d).wantOK()
}

func TestB04_ForeignPagesPostNothing(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	_, transaction := h.review(cookie, d.userCode)
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
		for target, form := range map[string]url.Values{
			"/device":        {"code": {d.userCode}},
			"/device/decide": {"transaction": {transaction}, "decision": {"approve"}},
		} {
			h.postForm(target, form, append(header, "Cookie", cookie)...).wantPage(403)
		}
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestB17_UnknownExpiredUsedAndForeignCodesLookAlike(t *testing.T) {
	h := newHouse(t)
	expired := h.ask("pub-a", "openid")
	h.advance(15 * time.Minute)
	foreign, used := h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	bob := h.signIn("bob")
	h.open(bob, foreign.userCode).wantOK()
	h.approve(bob, used.userCode)
	alice := h.signIn("alice")
	first := h.page("/device", alice, url.Values{"code": {"BBBB-BBBB"}})
	for _, code := range []string{expired.userCode, foreign.userCode, used.userCode} {
		if r := h.page("/device", alice, url.Values{"code": {code}}); r.body != first.body || r.status != first.status {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

func TestTheCodeSurvivesASignInWithoutStandingInAnAddress(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	opened := h.page("/device", "", url.Values{"code": {d.userCode}})
	address := opened.header.Get("Location")
	if opened.status != http.StatusSeeOther || strings.Contains(address, d.userCode) {
		t.Fatalf("%d %q", opened.status, address)
	}
	h.send(http.MethodGet, address, "").wantPage(200, d.userCode, "countersign approve "+d.userCode, "countersign deny "+d.userCode+" --report")
	alice := h.signIn("alice")
	page := h.send(http.MethodGet, address, "", "Cookie", alice) // a GET opens nothing (B-04)
	page.wantPage(200, d.userCode, "Continue as")
	bob := h.signIn("bob")
	h.send(http.MethodGet, address, "", "Cookie", bob).wantPage(200, "Continue as")
	visit := strings.TrimPrefix(address, "/device/request/")
	r := h.page("/device", alice, url.Values{"visit": {visit}})
	review := r.header.Get("Location")
	if r.status != http.StatusSeeOther || strings.Contains(review, d.userCode) {
		t.Fatalf("%d %s", r.status, r.body)
	}
	h.send(http.MethodGet, review, "").wantPage(200, d.userCode, "countersign approve "+d.userCode) // signed out meanwhile
	h.send(http.MethodGet, review, "", "Cookie", alice).wantPage(200, `value="approve"`)
	h.send(http.MethodGet, review, "", "Cookie", bob).wantPage(200, "Continue as") // and looked up for alice only
	h.page("/device", bob, url.Values{"visit": {strings.TrimPrefix(review, "/device/request/")}}).wantPage(400, "This code cannot be used")
	other := "_"
	if strings.HasSuffix(visit, other) {
		other = "-"
	}
	for _, broken := range []string{"", "x", visit[1:], visit[:len(visit)-1] + other, strings.Repeat("A", 60), strings.Repeat("A", 5000)} {
		h.page("/device", alice, url.Values{"visit": {broken}}).wantPage(400)
	}
	h.advance(30 * time.Minute)
	h.send(http.MethodGet, address, "").wantPage(400, "open for too long")
}

// inlineScript finds a script that stands in the page itself; one of data runs
// nothing.
var inlineScript = regexp.MustCompile(`<script(>| type="(module"[^>]*>[^<]|text))`)

func TestZ21_Z22_EveryHTMLAnswerIsGuarded(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	review, _ := h.review(cookie, d.userCode)
	for name, r := range map[string]reply{
		"enter": h.send(http.MethodGet, "/device", ""), "review": review,
		"sign in": h.send(http.MethodGet, "/device?code="+d.userCode, ""), "wrong code": h.page("/device", cookie, url.Values{"code": {"x"}}),
		"done": h.send(http.MethodGet, "/device/done/x", "", "Cookie", cookie), "method": h.send(http.MethodDelete, "/device", ""),
		"foreign": h.postForm("/device", url.Values{}, "Origin", "https://evil.example"), "home": h.send(http.MethodGet, "/", "", "Accept", "text/html"),
		"body": h.send(http.MethodPost, "/device", "{}", "Content-Type", "application/json"),
	} {
		if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s is no page: %s", name, r.header.Get("Content-Type"))
		}
		csp := r.header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(csp, directive) {
				t.Errorf("%s: the policy lacks %s", name, directive)
			}
		}
		if strings.Contains(csp, "unsafe") || inlineScript.MatchString(r.body) || strings.Contains(r.body, " style=") {
			t.Errorf("%s: script or inline style", name)
		}
		for header, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if r.header.Get(header) != want {
				t.Errorf("%s: %s is %q", name, header, r.header.Get(header))
			}
		}
		if r.header.Get("Access-Control-Allow-Origin") != "" || regexp.MustCompile(`(src|href|action)="(https?:)?//`).MatchString(r.body) {
			t.Errorf("%s: open to others", name)
		}
	}
}

// pagesWith are the pages on which a stranger's text stands.
func (h *house) pagesWith(cookie, code, text string) []reply {
	h.t.Helper()
	page, transaction := h.review(cookie, code)
	done := h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"deny"}})
	outcome := h.send(http.MethodGet, done.header.Get("Location"), "", "Cookie", cookie)
	return []reply{page, outcome, h.page("/device", cookie, url.Values{"code": {text}}), h.send(http.MethodGet, "/device?code="+url.QueryEscape(text), "")}
}

// TestB08_NothingAStrangerWritesBecomesMarkup goes through every text that
// somebody else can set.
func TestB08_NothingAStrangerWritesBecomesMarkup(t *testing.T) {
	inFull(t)
	harmless := map[bool][]reply{}
	for registered, client := range map[bool]string{true: "pub-a", false: "harmless"} {
		h := newHouse(t)
		code := h.postForm(codePath, url.Values{"client_id": {client}, "scope": {"openid"}, "device_name": {"x"}, "device_platform": {"y"}},
			"User-Agent", "z", "Origin", "https://harmless.example").wantOK().text("user_code")
		harmless[registered] = h.pagesWith(h.signIn("alice"), code, "harmless")
	}
	for _, evil := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `</title><svg onload=alert(1)>`,
		"\u202e<b>", "{{.}}", "&lt;script&gt;", "<!--", "]]>",
	} {
		ask := url.Values{"scope": {"openid"}, "device_name": {evil}, "device_platform": {evil}}
		for _, client := range []string{"pub-a", evil} {
			h := newHouse(t, func(s *authz.Settings) {
				if client == "pub-a" {
					s.Clients[0].Name = evil
				}
			})
			cookie := h.signIn("alice")
			ask.Set("client_id", client)
			answer := h.postForm(codePath, ask, "User-Agent", evil, "Origin", evil)
			if answer.status != http.StatusOK {
				continue // not a client id at all
			}
			for i, r := range h.pagesWith(cookie, answer.text("user_code"), evil) {
				if got, want := tags(r.body), tags(harmless[client == "pub-a"][i].body); got != want {
					t.Errorf("%q made the elements\n%s\nwant\n%s", evil, got, want)
				}
				for _, markup := range []string{"onerror=alert(1)>", "onmouseover='", `href="javascript`, "\u202e"} {
					if strings.Contains(r.body, markup) {
						t.Errorf("%q became %q in\n%s", evil, markup, r.body)
					}
				}
			}
		}
	}
}

var anyTag = regexp.MustCompile(`<[a-zA-Z!/][a-zA-Z]*`)

// tags are the elements of a page, in their order.
func tags(body string) string { return strings.Join(anyTag.FindAllString(body, -1), " ") }

func TestB07_AClientThatLooksLikeAnotherIsToldFromIt(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for client, warning := range map[string]string{
		"Pub1ic A": "This is not “Public A”", "countersign-c1i": "This is not “Countersign command line”", "Security Team": "poses as a part of this server", "my-app": "",
	} {
		d := h.ask(client, "openid")
		page, _ := h.review(cookie, d.userCode)
		if warning != "" {
			page.wantPage(200, warning)
		}
		if warned := strings.Contains(page.body, "This is not") || strings.Contains(page.body, "poses as"); warned != (warning != "") {
			t.Errorf("%s: warned %v", client, warned)
		}
	}
}
