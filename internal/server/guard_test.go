package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

func TestK03_ACodeThatThreeAccountsOpenIsCancelled(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	waits := waitingPoll(t.Context(), h, d)
	alice, bob, carol := h.signIn("alice"), h.signIn("bob"), h.signIn("carol")
	for range 3 { // as often as they like
		h.open(alice, d.userCode).wantOK()
		h.open(bob, d.userCode).wantError(http.StatusForbidden, "access_denied")
	}
	h.review(alice, d.userCode)
	h.page("/device", carol, url.Values{"code": {d.userCode}}).wantPage(400, "This code cannot be used")
	(<-waits).wantError(http.StatusBadRequest, "access_denied")
	h.advance(5 * time.Second)
	h.poll(d).wantError(http.StatusBadRequest, "access_denied")
	for _, cookie := range []string{alice, bob, carol} {
		h.open(cookie, d.userCode).wantError(http.StatusForbidden, "access_denied")
		h.page("/device", cookie, url.Values{"code": {d.userCode}}).wantPage(400, "This code cannot be used")
		h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
	}
	h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantError(http.StatusForbidden, "access_denied")
	if n := strings.Count(h.log.String(), "opened by too many"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

func TestK03_SignedApprovalsAndDecidedRequestsAreNoOpenings(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	target := "/api/auth/device/approval?user_code=" + d.userCode
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		h.signed(name, http.MethodGet, target, "").wantOK()
	}
	h.approveSigned("alice", d.userCode)
	for _, name := range []string{"bob", "carol", "dave"} {
		h.open(h.signIn(name), d.userCode).wantError(http.StatusForbidden, "access_denied")
	}
	h.poll(d).wantOK()
}

func TestK12_ReportsCountAgainstTheClientAndItsNetwork(t *testing.T) {
	h := newHouse(t)
	reporters := 0
	report := func(name string) {
		h.from("203.0.113.9")
		d := h.askProved("openid")
		reporters++
		h.from(fmt.Sprintf("198.51.%d.7", reporters))
		body := `{"userCode":"` + d.userCode + `","report":true}`
		h.signed(name, http.MethodPost, denyPath, body).wantOK()
	}
	facts := func() (reports map[string]any, match any) {
		h.from("203.0.113.9")
		d := h.askProved("openid")
		r := h.signed("judge", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK()
		m, _ := r.members()["match"].(map[string]any)
		reports, _ = r.members()["reports"].(map[string]any)
		return reports, m["kind"]
	}
	want := func(n float64, kind string) {
		t.Helper()
		if reports, match := facts(); reports["client"] != n || reports["network"] != n || match != kind {
			t.Errorf("reports %v, match %v, want %v and %s", reports, match, n, kind)
		}
	}
	want(0, "none")
	report("person 0")
	report("person 0") // one person is one
	report("person 1")
	want(0, "none") // two may both slip
	report("person 2")
	want(3, "letters")
	for i := 3; i < 10; i++ {
		report(fmt.Sprintf("person %d", i))
	}
	h.from("203.0.113.200") // the whole coarse network, for the day
	r := h.postForm(codePath, url.Values{"client_id": {"pub-b"}})
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.restart()
	h.postForm(codePath, url.Values{"client_id": {"pub-b"}}).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	h.from("203.0.114.9").ask("pub-a", "openid") // a registered client is never refused for it
	h.from("127.0.0.1").ask("pub-a", "openid")
	h.advance(24*time.Hour + time.Second)
	h.restart()
	want(0, "none")
}

// One stranger has as many keys as they like, and a network or a few.
func TestK12_TheKeysOfOneNetworkAreOneReporter(t *testing.T) {
	h := newHouse(t)
	const theirs, victims = "198.51.100.7", "203.0.113.9"
	for i := range 12 {
		d := h.from(victims).askProved("openid")
		h.from(theirs).signed(fmt.Sprint("key ", i), http.MethodPost, denyPath, `{"userCode":"`+d.userCode+`","report":true}`).wantOK()
		d = h.from(victims).askProved("openid")
		id := h.from(theirs).approveSigned(fmt.Sprint("key ", i), d.userCode)
		h.signed(fmt.Sprint("key ", i), http.MethodPost, "/api/grants/"+id+"/revoke", `{"aud":"`+testIssuer+`","report":true}`).wantOK()
		h.advance(10 * time.Second)
	}
	d := h.from(victims).askProved("openid")
	r := h.signed("judge", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK()
	if reports, _ := r.members()["reports"].(map[string]any); reports["client"] != 0.0 || reports["network"] != 0.0 {
		t.Errorf("counted as %v", reports)
	}
}

// A page has its visitors start requests, whose codes it knows, and has them reported
// from ten networks: that shuts pages out of the visitors' network, and no program. A
// program that says that it is a page is shut out as that, and then as itself.
func TestK12_WhatAPageStartsIsNotHeldAgainstThePrograms(t *testing.T) {
	h := newHouse(t)
	ask := func(origin string) reply {
		h.from("203.0.113.9")
		return h.postForm(codePath, url.Values{"client_id": {"pub-a"}}, "Origin", origin)
	}
	people := 0
	report := func(origin string) {
		for range 10 {
			people++
			r := ask(origin).wantOK()
			h.from(fmt.Sprintf("198.51.%d.7", people)).signed(fmt.Sprint("person ", people), http.MethodPost, denyPath, `{"userCode":"`+r.text("user_code")+`","report":true}`).wantOK()
			h.advance(10 * time.Second)
		}
	}
	report("https://evil.example")
	for _, origin := range []string{"https://evil.example", "https://other.example", "null", "http://localhost:8628"} {
		ask(origin).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	}
	ask("").wantOK()
	ask("\u200b").wantOK() // says nothing
	report("")
	ask("").wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	ask("\u200b").wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	h.from("203.0.114.9").ask("pub-a", "openid")
}

func TestK12_OnlyWhatIsReportedIsAReportAndOnlySeveralAreTold(t *testing.T) {
	h := newHouse(t)
	client := func() any {
		d := h.ask("some-app", "openid")
		r := h.signed("judge", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK()
		reports, _ := r.members()["reports"].(map[string]any)
		if reports["network"] != 0.0 {
			t.Errorf("the loopback network is counted: %v", reports)
		}
		return reports["client"]
	}
	decide := func(name, decision, match string) {
		cookie, d := h.signIn(name), h.ask("some-app", "openid")
		_, transaction := h.review(cookie, d.userCode)
		h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {decision}, "match": {match}})
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")
	}
	for i := range 4 {
		name := fmt.Sprintf("person %d", i)
		decide(name, "deny", "")
		decide(name, "approve", anotherCode) // with letters that another device shows
	}
	if got := client(); got != 0.0 {
		t.Errorf("after denials and wrong matches: %v reports", got)
	}
	for i := range 3 {
		name := fmt.Sprintf("person %d", i)
		decide(name, "report", "")
		page, _ := h.review(h.signIn("judge"), h.ask("some-app", "openid").userCode)
		if told := strings.Contains(page.body, "reported requests in this client"); told != (i == 2) {
			t.Errorf("after %d reports the next person is told: %v", i+1, told)
		}
	}
	if got := client(); got != 3.0 {
		t.Errorf("after three reports: %v", got)
	}
}

// anotherCode is typed where a device shows another code than the one that is asked
// about; that one would have to begin with four of a kind.
const anotherCode = "BBBB-BBBB"

// A request has its two slips from its beginning to its end, wherever the quarters of
// the clock lie.
func TestK08_SlipsAreForgivenTwiceWhateverTheClockSays(t *testing.T) {
	h := newHouse(t)
	quarter := 15 * time.Minute
	left := h.now().Truncate(quarter).Add(quarter).Sub(h.now())
	h.advance((left - 10*time.Second + quarter) % quarter) // ten seconds to the next quarter
	d := h.ask("some-app", "openid")
	slip := func() reply {
		body, err := json.Marshal(map[string]string{"userCode": d.userCode, "statement": h.statementOf("alice", d.userCode), "match": ""})
		if err != nil {
			t.Fatal(err)
		}
		return h.signed("alice", http.MethodPost, approvePath, string(body))
	}
	slip().wantError(http.StatusBadRequest, "match_mistyped")
	slip().wantError(http.StatusBadRequest, "match_mistyped")
	h.advance(20 * time.Second)
	slip().wantError(http.StatusForbidden, "access_denied")
	h.poll(d).wantError(http.StatusBadRequest, "access_denied")

	d = h.ask("some-app", "openid") // another has its own
	slip().wantError(http.StatusBadRequest, "match_mistyped")
}

// Whoever cannot have seen that on a device is asked again; who has, is denied.
func TestK08_WhatNoDeviceShowsIsAskedForAgain(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	events := len(h.events(cookie))
	start := func(number bool) (d device, right string, wrong []string) {
		r := h.postForm(codePath, url.Values{"client_id": {"some-app"}, "number_match": {fmt.Sprint(number)}}).wantOK()
		d = device{r.text("device_code"), r.text("user_code"), "some-app"}
		if !number {
			return d, d.userCode[5:], nil
		}
		facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK().members()
		match, _ := facts["match"].(map[string]any)
		offered, _ := match["numbers"].([]any)
		for _, n := range offered {
			if n != r.text("match_number") {
				wrong = append(wrong, fmt.Sprint(n))
			}
		}
		return d, r.text("match_number"), wrong
	}
	// answer decides on the page, and says whether the page asks again.
	answer := func(d device, text string) bool {
		h.t.Helper()
		visit := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
		page, transaction := h.review(cookie, d.userCode)
		page.wantPage(200)
		r := h.page("/device/decide", cookie, url.Values{
			"transaction": {transaction}, "decision": {"approve"}, "match": {text}, "visit": {strings.TrimPrefix(visit, "/device/request/")}, "scope": {"openid profile email"},
		})
		again := h.send(http.MethodGet, r.header.Get("Location"), "", "Cookie", cookie)
		return again.status == http.StatusOK && strings.Contains(again.body, "No device shows that") && strings.Contains(again.body, `value="approve"`)
	}
	// by signature, as the command line answers.
	sign := func(d device, text string) reply {
		facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK()
		body, err := json.Marshal(map[string]string{"userCode": d.userCode, "statement": facts.text("statement"), "match": text})
		if err != nil {
			t.Fatal(err)
		}
		return h.signed("alice", http.MethodPost, approvePath, string(body))
	}
	swap := func(s string) string { return s[1:2] + s[:1] + s[2:] }
	for _, number := range []bool{true, false} {
		d, right, _ := start(number)
		slips := []string{"9", "100"}
		if !number {
			slips = []string{right[:3], "AEIO"}
			if swap(right) != right {
				slips[0] = swap(right)
			}
		}
		for i, slip := range slips {
			if i == 0 && !answer(d, slip) {
				t.Errorf("number %v: %q is not asked for again", number, slip)
			}
			if i == 1 {
				sign(d, slip).wantError(http.StatusBadRequest, "match_mistyped")
			}
			h.advance(5 * time.Second)
			h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
		}
		if n := len(h.events(cookie)); n != events {
			t.Errorf("number %v: slips leave %d events", number, n-events)
		}
		sign(d, right).wantOK()
		h.advance(5 * time.Second)
		h.poll(d).wantOK()
		events++

		d, _, _ = start(number) // the third slip is none
		for range 2 {
			sign(d, "").wantError(http.StatusBadRequest, "match_mistyped")
		}
		sign(d, "").wantError(http.StatusForbidden, "access_denied")
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")
		events++

		d, _, wrong := start(number) // what another device shows denies at once
		if !number {
			wrong = []string{lettersUnlike(d.userCode)}
		}
		sign(d, wrong[0]).wantError(http.StatusForbidden, "access_denied")
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")
		if newest := h.events(cookie)[0]; newest.Kind != "denied" {
			t.Errorf("number %v: a wrong one leaves %+v", number, newest)
		}
		events++
	}
}

// Who sends a public client's id may be anybody; who authenticates is who the operator
// knows (decision 0028).
func TestB01_ARegistrationSaysNoMoreThanItMeans(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	memberBody := `{"client_id":"member-a","scope":"openid"}`
	member := h.send(http.MethodPost, codePath, memberBody, append(jsonBody, bitcoinauth.Header, h.sign("client", codePath, memberBody))...).wantOK()
	for name, c := range map[string]struct {
		code, says           string
		registered, verified bool
		match                string
	}{
		"nobody's id":      {h.ask("some-app", "openid").userCode, "not verified", false, false, "letters"},
		"a public id":      {h.ask("pub-a", "openid").userCode, "nobody has checked that this is the one", true, false, "letters"},
		"a client secret":  {h.askProved("openid").userCode, "has proved with a secret or key", true, true, "none"},
		"a client's key":   {member.text("user_code"), "has proved with a secret or key", true, true, "none"},
		"a secret, though": {h.askProved("openid offline_access").userCode, "has proved with a secret or key", true, true, "letters"},
	} {
		facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+c.code, "").wantOK().members()
		client, _ := facts["client"].(map[string]any)
		match, _ := facts["match"].(map[string]any)
		if client["registered"] != c.registered || client["verified"] != c.verified || match["kind"] != c.match {
			t.Errorf("%s: %v, match %v", name, client, match)
		}
		page, _ := h.review(cookie, c.code)
		page.wantPage(200, c.says)
	}
}

func TestB10_ANetworkStartsSoManyRequestsAMinute(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.DeviceRequestsPerNetwork = 3 })
	// Nothing is looked at before the limit: not even a signature.
	body := `{"client_id":"member-a","scope":"openid"}`
	h.from("203.0.113.9")
	for range 5 {
		h.ask("pub-a", "openid")
	}
	signed := h.sign("client", codePath, body)
	start := func() reply {
		return h.send(http.MethodPost, codePath, body, append(jsonBody, bitcoinauth.Header, signed)...)
	}
	h.postJSON(codePath, map[string]any{}).wantError(http.StatusBadRequest, "invalid_request") // counts too
	r := start()
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", r.header)
	}
	h.from("203.0.113.10")
	start().wantOK() // the token had not been used up
	h.from("203.0.113.9").advance(20 * time.Second)
	h.ask("pub-a", "openid")
	h.postForm(codePath, url.Values{"client_id": {"pub-a"}}).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	for range 20 { // behind a proxy that is not listed everybody would share one limit
		h.from("127.0.0.1").ask("pub-a", "openid")
		h.from("10.0.7.1").ask("pub-a", "openid")
	}
}

func TestB10_UnregisteredClientsHaveATenthAndOneClientHalf(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.PendingLimit = 20 })
	started := func(client string, n int) (in int) {
		for range n {
			if r := h.postForm(codePath, url.Values{"client_id": {client}}); r.status == http.StatusOK {
				in++
			} else {
				r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
			}
		}
		return in
	}
	if n := started("some-app", 1) + started("other-app", 5); n != 2 {
		t.Errorf("%d of unregistered clients", n)
	}
	if n := started("pub-a", 12); n != 10 {
		t.Errorf("%d of one client", n)
	}
	h.restart() // counted anew from the database
	if n := started("some-app", 1) + started("pub-a", 1); n != 0 {
		t.Errorf("%d more after a restart", n)
	}
	if n := started("pub-b", 12); n != 8 {
		t.Errorf("%d of the next client", n)
	}
}

// written reports whether what follows is written to the database.
func (h *house) written(act func()) bool {
	h.t.Helper()
	onlySQLite(h.t)
	c, err := sqlite.OpenConn(h.path, sqlite.OpenReadOnly)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			h.t.Error(err)
		}
	}()
	version := func() (v int64) {
		err := sqlitex.ExecuteTransient(c, `PRAGMA data_version`, &sqlitex.ExecOptions{
			ResultFunc: func(row *sqlite.Stmt) error { v = row.ColumnInt64(0); return nil },
		})
		if err != nil {
			h.t.Fatal(err)
		}
		return v
	}
	before := version()
	act()
	return version() != before
}

func TestB17_EveryCodeThatCannotBeUsedCostsTheSameAndAReloadLocksNobody(t *testing.T) {
	h := newHouse(t)
	expired := h.ask("pub-a", "openid")
	h.advance(15 * time.Minute)
	foreign, used, gone := h.ask("pub-a", "openid"), h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	bob := h.signIn("bob")
	h.open(bob, foreign.userCode).wantOK()
	h.approve(bob, used.userCode)
	for _, name := range []string{"x", "y", "z"} {
		h.open(h.signIn(name), gone.userCode)
	}
	alice := h.signIn("alice")
	for range 7 {
		for name, d := range map[string]device{"expired": expired, "foreign": foreign, "used": used, "cancelled": gone} {
			written := h.written(func() {
				h.page("/device", alice, url.Values{"code": {d.userCode}}).wantPage(400, "This code cannot be used")
			})
			if !written {
				t.Errorf("%s codes cost no write", name)
			}
		}
	}
	if !h.written(func() {
		h.page("/device", alice, url.Values{"code": {wrong(1)}}).wantPage(400, "This code cannot be used")
	}) {
		t.Error("unknown codes cost no write")
	}
	h.review(alice, h.ask("pub-a", "openid").userCode)
}

// What a device writes into its request is a claim, header or not (decision 0028).
func TestB21_NoHeaderOfADeviceLiftsItsNetworksBan(t *testing.T) {
	claims := []string{
		"Origin", "https://app.example", "Referer", "https://app.example/tv", "User-Agent", "TV/1", "X-Forwarded-For", "198.51.100.7", "Forwarded", "for=198.51.100.7",
		"X-Real-IP", "198.51.100.7", "Sec-Fetch-Site", "cross-site",
	}
	says := url.Values{"client_id": {"pub-a"}, "scope": {"openid"}, "device_name": {"TV"}, "device_platform": {"linux"}}
	h := newHouse(t)
	// What says that it is a page is shut out as one first, and then as itself.
	for round, sent := range [][]string{claims, claims[2:]} {
		for i := range 10 {
			h.from("203.0.113.9")
			code := h.postForm(codePath, says, sent...).wantOK().text("user_code")
			h.from(fmt.Sprintf("198.51.%d.7", 10*round+i))
			h.signed(fmt.Sprintf("person %d", 10*round+i), http.MethodPost, denyPath, `{"userCode":"`+code+`","report":true}`).wantOK()
		}
	}
	h.from("203.0.113.9")
	for i := 0; i < len(claims); i += 2 {
		h.postForm(codePath, says, claims[i:i+2]...).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	}
	h.from("198.51.100.7").postForm(codePath, says, claims...).wantOK()
}

func TestB21_AnOriginIsAmongWhatTheDeviceSays(t *testing.T) {
	h := newHouse(t)
	says := url.Values{"client_id": {"pub-a"}, "scope": {"openid"}, "device_name": {"Kitchen TV"}}
	code := h.postForm(codePath, says, "Origin", "https://app.example", "User-Agent", "TheProgram/1.0").wantOK().text("user_code")
	facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+code, "").wantOK().members()
	seen, _ := facts["seen"].(map[string]any)
	device, _ := facts["device"].(map[string]any)
	if len(seen) != 1 || seen["network"] != "same" || device["origin"] != "https://app.example" || device["user_agent"] != "TheProgram/1.0" || device["name"] != "Kitchen TV" {
		t.Errorf("seen %v, the device says %v", seen, device)
	}
	page, _ := h.review(h.signIn("alice"), code)
	saw, said, found := strings.Cut(page.body, "What the device says of itself")
	if !found || strings.Contains(saw, "app.example") || strings.Contains(saw, "TheProgram") || !strings.Contains(said, "https://app.example") ||
		!strings.Contains(said, "TheProgram") {
		t.Error("the page puts what was said elsewhere")
	}
}
