package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
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
	"countersign.dev/internal/authz/contract"
)

// number reads the one number that a statement finds in the database.
func (h *house) number(statement string) (n int) {
	h.t.Helper()
	if onPostgres {
		c, err := pgx.Connect(context.Background(), h.url)
		if err != nil {
			h.t.Fatal(err)
		}
		defer c.Close(context.Background())
		if err := c.QueryRow(context.Background(), statement).Scan(&n); err != nil {
			h.t.Fatal(err)
		}
		return n
	}
	c, err := sqlite.OpenConn(h.path, sqlite.OpenReadOnly)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	err = sqlitex.Execute(c, statement, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error {
		n = r.ColumnInt(0)
		return nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// wantRows fails unless a table has exactly so many.
func (h *house) wantRows(table string, want int) {
	h.t.Helper()
	if n := h.number("SELECT count(*) FROM " + table); n != want {
		h.t.Errorf("%d rows in %s, want %d", n, table, want)
	}
}

func TestA4_AGrantThatIsRefreshedInALoopKeepsTwoTokens(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	for range 50 {
		h.advance(time.Second)
		refresh = h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK().text("refresh_token")
	}
	h.wantRows("refresh_tokens", 2)
}

// However long ago a token was replaced, and though nothing is kept of it, it is
// known for ours; so a thief who refreshes often hides nothing.
func TestR02_ATokenReplacedLongAgoEndsTheGrant(t *testing.T) {
	h := newHouse(t)
	first := h.tokens("pub-a", "openid offline_access", "alice")
	chain := []string{first.text("refresh_token")}
	for range 10 {
		h.advance(24 * time.Hour)
		chain = append(chain, h.postForm(tokenPath, refreshForm("pub-a", chain[len(chain)-1])).wantOK().text("refresh_token"))
	}
	h.postForm(tokenPath, refreshForm("pub-b", chain[3])).wantError(http.StatusBadRequest, "invalid_grant") // not its client: nothing ends
	last := h.postForm(tokenPath, refreshForm("pub-a", chain[len(chain)-1])).wantOK()
	h.postForm(tokenPath, refreshForm("pub-a", chain[3])).wantError(http.StatusBadRequest, "invalid_grant")
	h.postForm(tokenPath, refreshForm("pub-a", last.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
	h.userInfo(last.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	if n := h.number("SELECT count(*) FROM events WHERE subject = 'refresh-token-reused'"); n != 1 {
		t.Errorf("the owner was told %d times", n)
	}
}

// A token that nobody used for too long is over, which is no theft.
func TestR08_WhoComesTooLateIsNoThief(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	h.advance(31 * 24 * time.Hour)
	if _, err := h.store.Sweep(t.Context(), contract.SweepTimes{Rest: h.now()}, 100); err != nil {
		t.Fatal(err)
	}
	h.wantRows("refresh_tokens", 0)
	h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantError(http.StatusBadRequest, "invalid_grant")
	if n := h.number("SELECT count(*) FROM grants WHERE revoked_at > 0"); n != 0 {
		t.Error("the grant was revoked")
	}
}

// A made-up token that names a grant is nobody's.
func TestR02_OnlyTokensOfOursEndAGrant(t *testing.T) {
	h := newHouse(t)
	tokens := h.tokens("pub-a", "openid offline_access", "alice")
	refresh := []byte(tokens.text("refresh_token"))
	for i := range refresh {
		changed := append([]byte(nil), refresh...)
		changed[i] ^= 1
		h.postForm(tokenPath, refreshForm("pub-a", string(changed))).wantError(http.StatusBadRequest, "invalid_grant")
	}
	// Nor is one that is written in another way: a line break behind it is a mistake.
	text := string(refresh)
	for _, other := range []string{text + "\n", text[:9] + "\r\n" + text[9:], text + "=", text + "!", text[len("csr_"):], "csr_", "csr_AAAA", "csr_" + text} {
		h.postForm(tokenPath, refreshForm("pub-a", other)).wantError(http.StatusBadRequest, "invalid_grant")
	}
	h.userInfo(tokens.text("access_token")).wantOK()
	h.postForm(tokenPath, refreshForm("pub-a", text)).wantOK()
}

func TestA4_AGrantIsRefreshedSixtyTimesAMinute(t *testing.T) {
	h := newHouse(t)
	refresh := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	other := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	for range 120 {
		refresh = h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK().text("refresh_token")
	}
	r := h.postForm(tokenPath, refreshForm("pub-a", refresh))
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.postForm(tokenPath, refreshForm("pub-a", other)).wantOK()
	h.advance(time.Second)
	h.postForm(tokenPath, refreshForm("pub-a", refresh)).wantOK()
}

// A thief who has replaced a token, and from then on spends what the grant may
// refresh on what rotates nothing, hides that its owner uses the old one.
func TestR02_SpendingAGrantsRefreshesHidesNoReuse(t *testing.T) {
	h := newHouse(t)
	stolen := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	thief := h.postForm(tokenPath, refreshForm("pub-a", stolen)).wantOK()
	h.advance(time.Hour)
	more := refreshForm("pub-a", thief.text("refresh_token"))
	more.Set("scope", "openid email")
	for range 121 {
		h.postForm(tokenPath, more)
	}
	h.postForm(tokenPath, refreshForm("pub-a", stolen)).wantError(http.StatusBadRequest, "invalid_grant")
	h.postForm(tokenPath, refreshForm("pub-a", thief.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_grant")
}

// sentFrom sends what follows from another address.
func (h *house) sentFrom(address string, act func() reply) reply {
	h.t.Helper()
	before := h.peer
	h.peer = address + ":50000"
	defer func() { h.peer = before }()
	return act()
}

// wantBusy fails unless a request was refused for the number of those before it.
func (r reply) wantBusy() {
	r.t.Helper()
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") != "60" {
		r.t.Errorf("Retry-After: %q", r.header.Get("Retry-After"))
	}
}

const (
	here      = "203.0.113.7"
	elsewhere = "198.51.100.9"
)

func TestA3_SignInsOfANetworkAreLimited(t *testing.T) {
	h := newHouse(t)
	passkey := h.registered("alice") // with a session
	signIn := func(name string) func() reply {
		return func() reply {
			return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, ""))
		}
	}
	withKey, withPasskey := signIn("alice"), func() reply { return h.passkeySignIn(passkey) }
	for range 60 {
		h.sentFrom(here, withKey).wantOK()
		h.sentFrom(here, withPasskey).wantOK()
	}
	used := h.number("SELECT count(*) FROM used_once")
	h.sentFrom(here, withKey).wantBusy()
	h.sentFrom(here, withPasskey).wantBusy()
	h.wantRows("used_once", used)
	h.sentFrom(here, signIn("bob")).wantOK() // another account's are its own
	h.sentFrom(elsewhere, withKey).wantOK()
	h.wantRows("sessions", authz.SessionsPerAccount+1)
	h.advance(time.Second)
	h.sentFrom(here, withKey).wantOK()
}

// forge sends a request whose signature is of another body.
func (h *house) forge(target string) reply {
	h.t.Helper()
	return h.send(http.MethodPost, target, `{"aud":"`+testIssuer+`"}`, "Content-Type", "application/json", bitcoinauth.Header, h.sign("alice", target, "{}"))
}

func TestAForgedSignatureIsNotVerifiedWhereTooManyWere(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	const target = "/api/sessions/end-others"
	for range 120 {
		h.sentFrom(here, func() reply { return h.forge(target) }).wantError(http.StatusUnauthorized, "unauthorized")
	}
	h.sentFrom(here, func() reply { return h.forge(target) }).wantBusy()
	list := h.sign("alice", ownGrants, "")
	good := func() reply { return h.send(http.MethodGet, ownGrants, "", bitcoinauth.Header, list) }
	h.sentFrom(here, good).wantBusy() // and is not used up
	body := `{"bapId":"` + bapIDOf(t, "bob") + `","aud":"` + testIssuer + `"}`
	for name, r := range map[string]func() reply{
		"sign-in": func() reply {
			return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign("alice", signInPath, ""))
		},
		"linking": func() reply {
			return h.send(http.MethodPost, "/api/user/bap-ids", body, "Content-Type", "application/json", "Cookie", cookie,
				bitcoinauth.Header, h.sign("bob", "/api/user/bap-ids", body), vouchHeader, h.sign("alice", "/api/user/bap-ids", body))
		},
	} {
		if got := h.sentFrom(here, r); got.status != http.StatusTooManyRequests {
			t.Errorf("%s: answered %d %s", name, got.status, got.body)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		h.sentFrom(here, func() reply { return h.send(method, ownGrants, "", "Cookie", cookie) }).wantOK()
	}
	h.advance(time.Minute)
	h.sentFrom(here, good).wantOK()
	h.sentFrom(elsewhere, func() reply { return h.forge(target) }).wantError(http.StatusUnauthorized, "unauthorized")
}

// What stores something is limited by account and network, and what only looks is not.
func TestA3_ActsOfANetworkAreLimited(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	act := func() reply { return h.postJSON("/api/passkeys/options", map[string]any{}, "Cookie", cookie) }
	done := 0
	for h.sentFrom(here, act).status == http.StatusOK {
		if done++; done > 10_000 {
			t.Fatal("a network may do any number")
		}
	}
	if done < 100 {
		t.Errorf("it did %d", done)
	}
	h.sentFrom(here, act).wantBusy()
	signed := func() reply {
		return h.send(http.MethodGet, ownGrants, "", bitcoinauth.Header, h.sign("alice", ownGrants, ""))
	}
	used := h.number("SELECT count(*) FROM used_once")
	h.sentFrom(here, signed).wantBusy()
	h.wantRows("used_once", used)
	h.sentFrom(here, func() reply { return h.postJSON(endOthers, map[string]any{}, "Cookie", cookie) }).wantOK()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, target := range []string{"/account", ownGrants} {
			h.sentFrom(here, func() reply { return h.send(method, target, "", "Cookie", cookie) }).wantOK()
		}
	}
	h.sentFrom(elsewhere, act).wantOK()
	h.advance(time.Minute)
	h.sentFrom(here, act).wantOK()
	page := func() reply {
		return h.page("/device", cookie, url.Values{"code": {"BCDF-GHJK"}})
	}
	for h.sentFrom(here, act).status == http.StatusOK {
	}
	if r := h.sentFrom(here, page); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") != "60" ||
		!strings.Contains(r.body, "This server is too busy just now.") {
		t.Errorf("the page: %d %s", r.status, r.body)
	}
}

// Somebody whose clock is wrong costs nothing and hears what to mend, however often.
func TestASignatureOfAnotherTimeIsNoForgery(t *testing.T) {
	h := newHouse(t)
	token := h.sign("alice", ownGrants, "")
	h.advance(time.Hour)
	for range 200 {
		h.sentFrom(here, func() reply { return h.send(http.MethodGet, ownGrants, "", bitcoinauth.Header, token) }).
			wantError(http.StatusUnauthorized, "unauthorized")
	}
}

func TestOfAThousandForgedSignaturesAtOnceAHundredAreVerified(t *testing.T) {
	h := newHouse(t)
	h.peer = here + ":50000"
	const target = "/api/sessions/end-others"
	token := h.sign("alice", target, "{}")
	var verified atomic.Int64
	var together sync.WaitGroup
	for range 1000 {
		together.Go(func() {
			r := h.send(http.MethodPost, target, `{"aud":"`+testIssuer+`"}`, "Content-Type", "application/json", bitcoinauth.Header, token)
			if r.status == http.StatusUnauthorized {
				verified.Add(1)
			}
		})
	}
	together.Wait()
	if n := verified.Load(); n < 120 || n > 150 { // and one more for each core
		t.Errorf("%d were verified", n)
	}
}

func TestSignaturesOfUnknownKeysCountAsForged(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.SignUp = false })
	stranger := func() reply {
		return h.send(http.MethodGet, ownGrants, "", bitcoinauth.Header, h.sign("stranger", ownGrants, ""))
	}
	for range 120 {
		h.sentFrom(here, stranger).wantError(http.StatusForbidden, "access_denied")
	}
	h.sentFrom(here, stranger).wantBusy()
	h.wantRows("used_once", 0)
}

// A client's secret is guessed at twenty times from one network and then, right or
// wrong, not looked at there for a while; elsewhere the right one always counts.
func TestT16_SecretsAreGuessedAtInVainAndLockNobodyOutElsewhere(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.OpenClients = false })
	try := func(client, secret string) func() reply {
		return func() reply {
			return h.postForm(tokenPath, url.Values{"client_id": {client}, "client_secret": {secret}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}})
		}
	}
	const authenticated = "invalid_grant" // the client is who it says, the token is none
	var bodies [2][]string
	for i, client := range []string{"conf-a", "nobody"} {
		h.sentFrom(here, func() reply { return h.postForm(tokenPath, url.Values{}, "Authorization", basic(client, "")) }) // no guess
		for range 21 {
			bodies[i] = append(bodies[i], h.sentFrom(here, try(client, "guess")).body)
		}
		h.sentFrom(here, try(client, "guess")).wantBusy()
	}
	for n := range bodies[0] {
		if bodies[0][n] != bodies[1][n] {
			t.Errorf("the %dth: %s, for a client that is not there %s", n, bodies[0][n], bodies[1][n])
		}
	}
	h.sentFrom(here, try("conf-a", confSecret)).wantBusy()
	h.sentFrom(elsewhere, try("conf-a", confSecret)).wantError(http.StatusBadRequest, authenticated)
	h.sentFrom(here, try("pub-a", "")).wantError(http.StatusBadRequest, authenticated)
	h.advance(6 * time.Second)
	h.sentFrom(here, try("conf-a", confSecret)).wantError(http.StatusBadRequest, authenticated)
}

// What is remembered of guesses is bounded, and one address must not make the server
// forget its own by guessing at secrets of ever new clients.
func TestT16_GuessesAreNotForgottenForManyClients(t *testing.T) {
	inFull(t)
	onlySQLite(t) // for the sake of time
	h := newHouse(t)
	try := func(client string) reply {
		return h.postForm(tokenPath, url.Values{"client_id": {client}, "client_secret": {"guess"}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}})
	}
	h.from(here)
	for range 21 {
		try("conf-a")
	}
	for n := range 2 << 15 / 2 {
		try("x" + strconv.Itoa(n))
	}
	try("conf-a").wantBusy()
}

// The attack of one account that does everything again and again.
func TestA4_OneAccountInALoopEndsWithBoundedRows(t *testing.T) {
	inFull(t)
	h := newHouse(t)
	for range 130 {
		h.signIn("alice")
	}
	cookie := h.signIn("alice")
	h.wantRows("sessions", authz.SessionsPerAccount)

	full := 0
	for n := range 30 {
		name := fmt.Sprint("alice ", n)
		body := `{"bapId":"` + bapIDOf(t, name) + `","aud":"` + testIssuer + `"}`
		r := h.send(http.MethodPost, "/api/user/bap-ids", body, "Content-Type", "application/json", "Cookie", cookie,
			bitcoinauth.Header, h.sign(name, "/api/user/bap-ids", body), "X-Vouch-Token", h.sign("alice", "/api/user/bap-ids", body))
		if r.status == http.StatusOK {
			h.keepBackup(bapIDOf(t, name)).wantOK()
			continue
		}
		full++
		if r.wantError(http.StatusBadRequest, "invalid_request"); !strings.Contains(r.text("error_description"), "20 identities") {
			t.Errorf("%s", r.body)
		}
	}
	if full != 11 {
		t.Errorf("%d identities were refused", full)
	}
	h.wantRows("identities", authz.IdentitiesPerAccount)

	for range authz.EventsPerAccount + 20 {
		h.keepBackup(bapIDOf(t, "alice")).wantOK()
	}
	h.wantRows("events", authz.EventsPerAccount)
	h.wantRows("backups", authz.IdentitiesPerAccount)

	for range authz.LivingGrants {
		h.approve(cookie, h.ask("pub-a", "openid offline_access").userCode)
	}
	d := h.ask("pub-a", "openid")
	h.open(cookie, d.userCode).wantOK()
	r := h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie)
	if r.wantError(http.StatusBadRequest, "invalid_request"); !strings.Contains(r.text("error_description"), "take back one") {
		t.Errorf("%s", r.body)
	}
	h.wantRows("grants", authz.LivingGrants)
	h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK() // it was not decided
	h.poll(d).wantOK()
	if n := h.number("SELECT count(*) FROM device_openings"); n > 8*h.number("SELECT count(*) FROM device_requests") {
		t.Errorf("%d openings", n)
	}
	h.wantRows("accounts", 1)
	h.wantRows("clients", 0)
	if err := h.service.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.wantRows("pings", 1)
	if onPostgres {
		h.wantRows("sweeps", 1)
	}
}

// keepBackup keeps something that looks like a backup.
func (h *house) keepBackup(bapID string) reply {
	h.t.Helper()
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfe, 0x01, 0x9c, 0xe2, 0x80}, 20))
	body := `{"encryptedBackup":"` + text + `","bapId":"` + bapID + `","aud":"` + testIssuer + `"}`
	return h.send(http.MethodPost, "/api/backup", body, "Content-Type", "application/json", bitcoinauth.Header, h.sign("alice", "/api/backup", body))
}

func TestLongListsHaveCursorsThatMayBeIgnored(t *testing.T) {
	inFull(t)
	h := newHouse(t)
	cookie, foreign := h.signIn("alice"), h.signIn("mallory")
	for range 105 {
		h.advance(time.Second)
		h.approve(cookie, h.ask("pub-a", "openid").userCode)
	}
	page := func(target string) map[string]any {
		return h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK().members()
	}
	for list, all := range map[string]int{"grants": 105, "events": 106} {
		seen := map[any]bool{}
		first := page("/api/" + list)
		next := first["next"].(string)
		rest := page("/api/" + list + "?cursor=" + next)
		for _, p := range []map[string]any{first, rest} {
			for _, one := range p[list].([]any) {
				seen[one.(map[string]any)["id"]] = true
			}
		}
		if n := len(first[list].([]any)); n != 100 || len(seen) != all || rest["next"] != nil {
			t.Errorf("%s: %d first, %d in all, then %v", list, n, len(seen), rest["next"])
		}
		other := map[string]string{"grants": "/api/events", "events": "/api/grants"}[list]
		for _, bad := range []string{"-1", "x", "100", next + "A", next[:len(next)-2], strings.Repeat("A", 100)} {
			h.send(http.MethodGet, "/api/"+list+"?cursor="+bad, "", "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
		}
		h.send(http.MethodGet, other+"?cursor="+next, "", "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
		h.send(http.MethodGet, "/api/"+list+"?cursor="+next, "", "Cookie", foreign).wantError(http.StatusBadRequest, "invalid_request")
		if again := page("/api/" + list + "?cursor="); !reflect.DeepEqual(again[list], first[list]) {
			t.Errorf("%s without a cursor is not its beginning", list)
		}
	}
	older := regexp.MustCompile(`/account\?grants=[^"#]*`)
	target := "/account"
	for i, want := range []int{50, 50, 5} {
		body := h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK().body
		grants := strings.Count(body, "/revoke\"") - 1 // and the one for all
		newer := strings.Contains(body, "Back to the newest")
		if target = older.FindString(body); grants != want || (target != "") != (i < 2) || newer != (i > 0) {
			t.Errorf("page %d: %d grants, older %q, back %v", i, grants, target, newer)
		}
	}
	if r := h.send(http.MethodGet, "/account?events=x", "", "Cookie", cookie); r.status != http.StatusBadRequest {
		t.Errorf("answered %d", r.status)
	}
}
