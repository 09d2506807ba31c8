package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

const statusPath = "/api/auth/device?user_code="

// from sends what follows from an address.
func (h *house) from(addr string) *house {
	h.peer = netip.AddrPortFrom(netip.MustParseAddr(addr), 50000).String()
	return h
}

// wrong is a code that nobody drew, another for each number.
func wrong(n int) string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	code := []byte("BBBB-BBBB")
	for i := len(code) - 1; n > 0; i-- {
		code[i], n = letters[n%len(letters)], n/len(letters)
	}
	return string(code)
}

// guess tries n wrong codes without a session and returns how many were looked up.
func (h *house) guess(n int) (lookedUp int) {
	h.t.Helper()
	for i := range n {
		r := h.send(http.MethodGet, statusPath+wrong(i), "")
		if r.status == http.StatusBadRequest {
			lookedUp++
		} else {
			r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		}
	}
	return lookedUp
}

func TestD34_ANetworkHasTenWrongCodesAndTheOneAroundItForty(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	for i := range 4 {
		if n := h.from(fmt.Sprintf("203.0.113.%d", i)).guess(12); n != 10 {
			t.Errorf("address %d: %d wrong codes were looked up", i, n)
		}
	}
	if n := h.from("203.0.113.99").guess(1); n != 0 {
		t.Error("a fifth address of the /24 was served")
	}
	h.send(http.MethodGet, statusPath+d.userCode, "").wantError(http.StatusTooManyRequests, "temporarily_unavailable") // the right one too
	h.from("203.0.114.1").send(http.MethodGet, statusPath+d.userCode, "").wantOK()

	for i := range 4 {
		h.from(fmt.Sprintf("2001:db8:1:%d::1", i)).guess(5)
		if n := h.from(fmt.Sprintf("2001:db8:1:%d::2", i)).guess(12); n != 5 {
			t.Errorf("/64 number %d: %d more", i, n)
		}
	}
	if n := h.from("2001:db8:1:99::1").guess(1); n != 0 {
		t.Error("a fifth /64 of the /48 was served")
	}
	if n := h.from("2001:db8:2::1").guess(1); n != 1 {
		t.Error("another /48 was not")
	}
	h.restart() // the state is in the database
	if n := h.from("203.0.113.99").guess(1); n != 0 {
		t.Error("a restart forgave")
	}
	h.advance(15 * time.Minute)
	if n := h.guess(12); n != 10 {
		t.Errorf("in the next window: %d", n)
	}
}

func TestD34_ManyGuessesAtOnceCountLikeOneAfterTheOther(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("mallory")
	var lookedUp atomic.Int32
	var together sync.WaitGroup
	for i := range 64 {
		together.Go(func() {
			if r := h.open(cookie, wrong(i)); r.status == http.StatusBadRequest {
				lookedUp.Add(1)
			} else if r.status != http.StatusTooManyRequests {
				t.Errorf("answered %d %s", r.status, r.body)
			}
		})
	}
	together.Wait()
	if n := lookedUp.Load(); n != 5 {
		t.Errorf("%d of 64 wrong codes at once were looked up", n)
	}
}

func TestD34_AProofDoesNotLiftTheLimitOfTheAccount(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	approval := func(code string) reply {
		return h.signed("mallory", http.MethodGet, "/api/auth/device/approval?user_code="+code, "")
	}
	for i := range 5 {
		approval(wrong(i)).wantError(http.StatusBadRequest, "invalid_request")
	}
	approval(d.userCode).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
}

func TestB22_ThroughAListedProxyEachAddressIsSomebodysOwn(t *testing.T) {
	h := newHouse(t)
	h.proxies = []netip.Prefix{netip.MustParsePrefix("10.0.7.1/32")}
	h.restart()
	tries := func(peer, forwarded string) (lookedUp int) {
		h.from(peer)
		for i := range 12 {
			if r := h.send(http.MethodGet, statusPath+wrong(i), "", "X-Forwarded-For", forwarded, "X-Forwarded-Host", "evil.example"); r.status == http.StatusBadRequest {
				lookedUp++
			}
		}
		return lookedUp
	}
	for _, c := range []struct {
		peer, forwarded string
		want            int
	}{
		{"10.0.7.1", "203.0.113.9", 10},
		{"10.0.7.1", "8.8.8.8, 203.0.113.9", 0}, // the same person, who pretends
		{"10.0.7.1", "203.0.114.9", 10},
		{"10.0.7.1", "192.168.3.4", 10}, // somebody in the company
		{"10.0.7.2", "198.18.0.1", 12},  // a proxy that is not listed: nobody knows who
		{"198.51.100.7", "198.18.0.2", 10},
		{"198.51.100.7", "198.18.0.3", 0}, // a stranger's headers are nothing
	} {
		if got := tries(c.peer, c.forwarded); got != c.want {
			t.Errorf("%s for %s: %d wrong codes were looked up, want %d", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestB22_DistanceIsKnownThroughAListedProxy(t *testing.T) {
	public := func(s *authz.Settings) { s.Issuer = "https://id.example.org" }
	for _, c := range []struct {
		listed        bool
		device, owner string
		want          string
	}{
		{true, "203.0.113.9", "203.0.113.77", "same"},
		{true, "203.0.113.9", "198.51.100.7", "other"},
		{true, "192.168.1.1", "192.168.1.2", "same"},
		{false, "203.0.113.9", "203.0.113.77", "unknown"},
	} {
		h := newHouse(t, public).from("127.0.0.1")
		if c.listed {
			h.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			h.restart()
		}
		code := h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {"openid"}}, "X-Forwarded-For", c.device).wantOK().text("user_code")
		target := "/api/auth/device/approval?user_code=" + code
		r := h.send(http.MethodGet, target, "", bitcoinauth.Header, h.sign("alice", target, ""), "X-Forwarded-For", c.owner).wantOK()
		seen, _ := r.members()["seen"].(map[string]any)
		if seen["network"] != c.want {
			t.Errorf("listed %v, %s and %s: %v", c.listed, c.device, c.owner, seen["network"])
		}
	}
}

// fill puts so many pending requests of others into the database.
func (h *house) fill(n int) {
	h.t.Helper()
	c, err := sqlite.OpenConn(h.path, sqlite.OpenReadWrite)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			h.t.Error(err)
		}
	}()
	const others = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
		INSERT INTO device_requests (id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
			signed_only, match_number, nonce, network, user_agent, origin, device_name, platform)
		SELECT 'filled ' || i, randomblob(32) AS device_code, randomblob(32) AS user_code, 'pub-' || (i % 7), 'openid', 'pending', '', ?2, ?3, 0, 0, '', '', '', '', '', '' FROM n`
	err = sqlitex.Execute(c, others, &sqlitex.ExecOptions{Args: []any{n, h.now().UnixMilli(), h.now().Add(time.Hour).UnixMilli()}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.restart()
}

// proof is what the page sends along with a code, made by somebody's key.
func (h *house) proof(name, code string) string {
	return h.sign(name, authz.ProofPath, "code="+code)
}

func TestB02_WhenTheSitesBudgetIsSpentACodeNeedsAProof(t *testing.T) {
	h := newHouse(t)
	h.fill(5000) // 14 failures a window
	alice, bob := h.signIn("alice"), h.signIn("bob")
	opened, fresh, fast := h.ask("pub-a", "openid"), h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	h.open(alice, opened.userCode).wantOK()
	if n := h.guess(20); n != 14 {
		t.Fatalf("%d wrong codes of nobody in particular were looked up", n)
	}
	for _, code := range []string{fresh.userCode, wrong(1)} { // right and wrong look the same
		r := h.open(bob, code)
		r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		if r.header.Get("Retry-After") != "900" || !strings.Contains(r.text("error_description"), "countersign approve") {
			t.Errorf("%v %s", r.header, r.body)
		}
		h.page("/device", bob, url.Values{"code": {code}}).wantPage(429, "Unlock your identity in this browser")
	}
	h.approve(alice, opened.userCode) // who was in goes on
	h.approveSigned("carol", fast.userCode)

	// On the page a proof is a token of the session's account over the very code.
	for name, given := range map[string]string{
		"nothing": "", "nonsense": "x", "an unknown key": h.proof("mallory", fresh.userCode), "another account's key": h.proof("carol", fresh.userCode), "another code": h.proof("bob", opened.userCode),
		"not as shown": h.proof("bob", strings.ReplaceAll(fresh.userCode, "-", "")),
	} {
		if r := h.page("/device", bob, url.Values{"code": {fresh.userCode}, "proof": {given}}); r.status != http.StatusTooManyRequests {
			t.Errorf("%s proved a code: %d", name, r.status)
		}
	}
	good := h.proof("bob", fresh.userCode)
	proved := h.page("/device", bob, url.Values{"code": {strings.ToLower(fresh.userCode)}, "proof": {good}})
	h.send(http.MethodGet, proved.header.Get("Location"), "", "Cookie", bob).wantPage(200, fresh.userCode, `value="approve"`)
	other := h.ask("pub-a", "openid")
	h.page("/device", alice, url.Values{"code": {other.userCode}, "proof": {good}}).wantPage(429)
	// Used up: somebody else's browser with the same session gets no further with it.
	third := h.ask("pub-a", "openid")
	once := h.proof("bob", third.userCode)
	if proved, err := h.service.ProveCode(t.Context(), h.ownerOf(bob), once, third.userCode); !proved || err != nil {
		t.Fatalf("%v %v", proved, err)
	}
	h.page("/device", bob, url.Values{"code": {third.userCode}, "proof": {once}}).wantPage(429)

	if n := strings.Count(h.log.String(), "used up the site's budget"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	h.advance(15 * time.Minute) // what was asked has expired; the others are still there
	if n := h.guess(20); n != 14 {
		t.Errorf("in the next window: %d", n)
	}
	if n := strings.Count(h.log.String(), "used up the site's budget"); n != 2 {
		t.Errorf("the log says so %d times in two windows", n)
	}
}

// ownerOf is whose session a Cookie header carries.
func (h *house) ownerOf(cookie string) authz.Owner {
	h.t.Helper()
	_, token, _ := strings.Cut(cookie, "=")
	unescaped, err := url.QueryUnescape(token)
	if err != nil {
		h.t.Fatal(err)
	}
	owner, err := h.service.SessionOwner(h.t.Context(), authz.Secret(unescaped))
	if err != nil {
		h.t.Fatal(err)
	}
	return owner
}

func TestB02_TheSitesBudgetHoldsForGuessesThatComeAtOnce(t *testing.T) {
	h := newHouse(t)
	h.fill(20_000) // 3 failures a window
	var lookedUp atomic.Int32
	var together sync.WaitGroup
	for i := range 64 {
		together.Go(func() {
			if r := h.send(http.MethodGet, statusPath+wrong(i), ""); r.status == http.StatusBadRequest {
				lookedUp.Add(1)
			}
		})
	}
	together.Wait()
	if n := lookedUp.Load(); n != 3 {
		t.Errorf("%d of 64 wrong codes at once were looked up", n)
	}
}

func TestB02_SignedGuessesOfEverNewKeysAreBoundedByTheirNetworkAndTold(t *testing.T) {
	h := newHouse(t)
	h.fill(20_000) // 3 failures a window
	d := h.ask("pub-a", "openid")
	lookedUp := 0
	for i := range 60 {
		h.from(fmt.Sprintf("203.0.113.%d", i%8))
		target := "/api/auth/device/approval?user_code=" + wrong(i)
		if r := h.signed(fmt.Sprintf("key %d", i), http.MethodGet, target, ""); r.status == http.StatusBadRequest {
			lookedUp++
		} else {
			r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		}
	}
	if lookedUp != 40 {
		t.Errorf("%d signed guesses from one /24 were looked up", lookedUp)
	}
	if n := strings.Count(h.log.String(), "used up the site's budget"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	h.from("198.51.100.7").approveSigned("alice", d.userCode) // elsewhere a proof goes on
}

func TestB02_ManyPendingRequestsMakeCodesLonger(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.PendingLimit = 10_000_000 })
	h.fill(100_000)
	d := h.ask("pub-a", "openid")
	if len(d.userCode) != len("XXXX-XXXXX") {
		t.Fatalf("user code %q", d.userCode)
	}
	cookie := h.signIn("alice")
	h.open(cookie, strings.ToLower(strings.ReplaceAll(d.userCode, "-", " "))).wantOK()
	page, _ := h.review(cookie, d.userCode)
	page.wantPage(200, d.userCode)
	h.approveSigned("alice", d.userCode)
	h.poll(d).wantOK()
}

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
	report := func(name string) {
		h.from("203.0.113.9")
		d := h.ask("pub-a", "openid")
		h.from("198.51.100.7")
		body := `{"userCode":"` + d.userCode + `","report":true}`
		h.signed(name, http.MethodPost, denyPath, body).wantOK()
	}
	facts := func() (reports map[string]any, match any) {
		h.from("203.0.113.9")
		d := h.ask("pub-a", "openid")
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
	want(2, "none")
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

func TestK12_AWrongMatchIsAReportAndAPlainDenialIsNone(t *testing.T) {
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
	decide := func(name, decision string) {
		cookie, d := h.signIn(name), h.ask("some-app", "openid")
		_, transaction := h.review(cookie, d.userCode)
		h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {decision}, "match": {"BBBB"}})
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")
	}
	decide("alice", "deny")
	if got := client(); got != 0.0 {
		t.Errorf("after a denial: %v reports", got)
	}
	decide("alice", "approve") // with letters that the device does not show
	if got := client(); got != 1.0 {
		t.Errorf("after a wrong match: %v reports", got)
	}
	decide("bob", "report")
	if got := client(); got != 2.0 {
		t.Errorf("after a report: %v reports", got)
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
