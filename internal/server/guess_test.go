package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	proving "countersign.dev/internal/authz/account"
)

const statusPath = "/api/auth/device?user_code="

// from sends what follows from an address.
func (h *house) from(addr string) *house {
	h.peer = netip.AddrPortFrom(netip.MustParseAddr(addr), 50000).String()
	return h
}

// lettersUnlike are four letters of which none is where a code has it: no slip leads from the
// ones to the others.
func lettersUnlike(code string) string {
	letters := []byte("BBBB")
	for i, letter := range []byte(code[len(code)-4:]) {
		if letter == 'B' {
			letters[i] = 'C'
		}
	}
	return string(letters)
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
		target, _ = forServer(http.MethodGet, target, h.settings.Issuer)
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
	const others = `INSERT INTO device_requests (id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
			signed_only, match_number, nonce, network, user_agent, origin, device_name, platform)
		SELECT 'filled ' || i, %s AS device_code, %s AS user_code, 'pub-' || (i %% 7), 'openid', 'pending', '', %d, %d, %s, 0, '', '', '', '', '', '' FROM `
	created, expires := h.now().UnixMilli(), h.now().Add(time.Hour).UnixMilli()
	if onPostgres {
		c, err := pgx.Connect(h.t.Context(), h.url)
		if err != nil {
			h.t.Fatal(err)
		}
		defer c.Close(context.Background())
		statement := fmt.Sprintf(others+"generate_series(1, %d) AS i", "sha256(('device ' || i)::bytea)", "sha256(('user ' || i)::bytea)", created, expires, "false", n)
		if _, err := c.Exec(h.t.Context(), statement); err != nil {
			h.t.Fatal(err)
		}
		h.restart()
		return
	}
	c, err := sqlite.OpenConn(h.path, sqlite.OpenReadWrite)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			h.t.Error(err)
		}
	}()
	statement := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+others+"n", n, "randomblob(32)", "randomblob(32)", created, expires, "0")
	if err := sqlitex.Execute(c, statement, nil); err != nil {
		h.t.Fatal(err)
	}
	h.restart()
}

// proof is what the page sends along with a code, made by somebody's key.
func (h *house) proof(name, code string) string {
	return h.sign(name, proving.ProofPath, "aud="+h.settings.Issuer+"&code="+code)
}

func TestB02_WhenTheSitesBudgetIsSpentACodeNeedsAProof(t *testing.T) {
	h := newHouse(t)
	h.fill(5000) // 14 failures a window
	alice, bob := h.signIn("alice"), h.signIn("bob")
	opened, fresh, fast := h.ask("pub-a", "openid"), h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	h.open(alice, opened.userCode).wantOK()
	if n := h.guess(1); n != 1 || strings.Contains(h.log.String(), "used up") {
		t.Fatalf("one wrong code: %d were looked up", n)
	}
	if n := h.guess(20); n != 13 {
		t.Fatalf("%d wrong codes of nobody in particular were looked up", n)
	}
	for _, code := range []string{fresh.userCode, wrong(1), opened.userCode} { // right and wrong look the same, and so does another's
		r := h.open(bob, code)
		r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		if r.header.Get("Retry-After") != "900" || !strings.Contains(r.text("error_description"), "countersign approve") {
			t.Errorf("%v %s", r.header, r.body)
		}
		h.page("/device", bob, url.Values{"code": {code}}).wantPage(429, "a code counts only with your signature")
	}
	h.approve(alice, opened.userCode) // who was in goes on
	h.approveSigned("carol", fast.userCode)

	// On the page a proof is a token of the session's account over the very code.
	for name, given := range map[string]string{
		"nothing": "", "nonsense": "x", "an unknown key": h.proof("mallory", fresh.userCode), "another account's key": h.proof("carol", fresh.userCode), "another code": h.proof("bob", opened.userCode),
		"for no server": h.sign("bob", proving.ProofPath, "code="+fresh.userCode), "for another server": h.sign("bob", proving.ProofPath, "aud="+anotherServer+"&code="+fresh.userCode),
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
	unproved := h.ownerOf(bob).Asker(authz.Source{}, authz.Hash{})
	if proved, err := h.service.Accounts.ProveCode(t.Context(), h.ownerOf(bob), unproved, once, third.userCode); proved == unproved || err != nil {
		t.Fatal(err)
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

// What a network fails beyond its share is not the site's, in the log neither.
func TestB02_TheLogSaysThatTheBudgetIsSpentWhenItIs(t *testing.T) {
	h := newHouse(t)
	h.fill(5000) // 14 failures a window, of which an address has one
	fails := func(n int) {
		h.sentFrom(here, func() reply {
			return h.signed("mallory", http.MethodGet, "/api/auth/device/approval?user_code="+wrong(9000+n), "")
		}).wantError(http.StatusBadRequest, "invalid_request")
	}
	fails(1)
	if n := h.guess(12); n != 12 {
		t.Fatalf("%d were looked up", n)
	}
	fails(2)
	if strings.Contains(h.log.String(), "used up the site's budget") {
		t.Error("it is said to be spent")
	}
	h.guess(1)
	if !strings.Contains(h.log.String(), "used up the site's budget") {
		t.Error("it is not said to be spent")
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
	owner, err := h.service.Accounts.SessionOwner(h.t.Context(), authz.Secret(unescaped))
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

// Whoever holds one network asks for codes there until the budget is small, and spends
// what it may of it: nobody elsewhere needs a proof for that. With a key at hand nobody
// in it does either.
func TestB02_ThreeNetworksDoNotSpendTheSitesBudget(t *testing.T) {
	for _, addresses := range [][]string{
		{"198.51.100.", "198.51.101.", "198.51.102."},
		{"2001:db8:1:", "2001:db8:2:", "2001:db8:3:"},
	} {
		h := newHouse(t)
		address := func(network string, i int) string {
			if strings.HasSuffix(network, ":") {
				return fmt.Sprintf("%s%d::1", network, i)
			}
			return fmt.Sprintf("%s%d", network, i)
		}
		h.from("203.0.113.7")
		victim, clumsy, neighbour := h.signIn("alice"), h.signIn("bob"), h.signIn("carol")
		d, e, own := h.ask("pub-a", "openid"), h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
		h.open(neighbour, own.userCode).wantOK()
		h.fill(1976) // as many as one /24 has started after a quarter of an hour: 36 failures a window
		for _, network := range addresses {
			lookedUp := 0
			for i := range 10 {
				lookedUp += h.from(address(network, i)).guess(12)
			}
			if lookedUp != 9 {
				t.Errorf("%s: %d wrong codes were looked up", network, lookedUp)
			}
		}
		// An address has had its share before its network has.
		h.from("203.0.113.7")
		if n := h.guess(12); n != 4 {
			t.Errorf("one address: %d wrong codes were looked up", n)
		}
		h.open(clumsy, d.userCode).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		h.open(neighbour, own.userCode).wantOK() // who was in goes on
		h.approveSigned("dave", e.userCode)      // and who has a key
		h.from("203.0.113.8").open(victim, d.userCode).wantOK()
		if strings.Contains(h.log.String(), "used up the site's budget") {
			t.Error("the site's budget is spent")
		}
	}
}

// Signed guesses go on beyond a network's share, and take nothing out of what everybody
// else has.
func TestB02_SignedGuessesOfOneNetworkDoNotSpendTheSitesBudget(t *testing.T) {
	h := newHouse(t)
	h.from("203.0.113.7")
	victim, d := h.signIn("alice"), h.ask("pub-a", "openid")
	h.fill(1976)
	lookedUp := 0
	for i := range 60 {
		h.from(fmt.Sprintf("198.51.100.%d", i%8))
		r := h.signed(fmt.Sprintf("key %d", i), http.MethodGet, "/api/auth/device/approval?user_code="+wrong(i), "")
		if r.status == http.StatusBadRequest {
			lookedUp++
		}
	}
	if lookedUp != 40 {
		t.Errorf("%d signed guesses from one /24 were looked up", lookedUp)
	}
	h.from("203.0.113.7").open(victim, d.userCode).wantOK()
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
	for i := range 2 { // each network takes one out of the budget
		target := "/api/auth/device/approval?user_code=" + wrong(i)
		h.from(fmt.Sprintf("192.0.%d.1", i)).signed(fmt.Sprintf("key %d", i), http.MethodGet, target, "").wantError(http.StatusBadRequest, "invalid_request")
	}
	for _, spent := range []string{"used up its share", "used up the site's budget"} {
		if n := strings.Count(h.log.String(), spent); n != 1 {
			t.Errorf("the log says %d times that they have %s", n, spent)
		}
	}
	h.from("198.51.100.7").approveSigned("alice", d.userCode) // elsewhere a proof goes on
}

func TestB02_ManyPendingRequestsMakeCodesLonger(t *testing.T) {
	inFull(t)
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
