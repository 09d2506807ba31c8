package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/authz"
)

func TestD01_TheEndpointTakesPOSTOnly(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		r := h.send(method, codePath, "")
		r.wantError(http.StatusMethodNotAllowed, "invalid_request")
		if r.header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", r.header.Get("Allow"))
		}
	}
}

func TestD02_AClientThatDoesNotAuthenticateSendsItsID(t *testing.T) {
	h := newHouse(t)
	h.postJSON(codePath, map[string]any{}).wantError(http.StatusBadRequest, "invalid_request")
	h.postForm(codePath, url.Values{}).wantError(http.StatusBadRequest, "invalid_request")
}

func TestD03_UnknownParametersAreIgnored(t *testing.T) {
	h := newHouse(t)
	h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "foo": {"1"}}).wantOK()
	h.postJSON(codePath, map[string]any{"client_id": "pub-a", "foo": map[string]any{"bar": []int{1, 2}}, "n": 1, "b": true, "x": nil}).wantOK()
}

func TestD04_NoParameterTwice(t *testing.T) {
	h := newHouse(t)
	h.postForm(codePath, url.Values{"client_id": {"pub-a", "pub-a"}}).wantError(http.StatusBadRequest, "invalid_request")
	h.send(http.MethodPost, codePath, `{"client_id":"pub-a","client_id":"pub-a"}`, "Content-Type", "application/json").
		wantError(http.StatusBadRequest, "invalid_request")
}

func TestD05_AnEmptyValueCountsAsAbsent(t *testing.T) {
	h := newHouse(t)
	h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {""}}).wantOK()
	h.postForm(codePath, url.Values{"client_id": {""}}).wantError(http.StatusBadRequest, "invalid_request")
}

func TestD07_AConfidentialClientAuthenticatesHereToo(t *testing.T) {
	h := newHouse(t)
	for _, form := range []url.Values{{"client_id": {"conf-a"}}, {"client_id": {"conf-a"}, "client_secret": {"wrong"}}} {
		r := h.postForm(codePath, form)
		r.wantError(http.StatusUnauthorized, "invalid_client")
		if asks := r.header.Get("WWW-Authenticate"); asks != "" { // a browser would ask its user for a password (RFC 6749 §5.2)
			t.Errorf("%v: WWW-Authenticate: %q", form, asks)
		}
	}
	h.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {confSecret}}).wantOK()
	r := h.postForm(codePath, url.Values{}, "Authorization", basic("conf-a", "wrong"))
	r.wantError(http.StatusUnauthorized, "invalid_client")
	if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("WWW-Authenticate: %q", r.header.Get("WWW-Authenticate"))
	}
}

// basic is HTTP Basic as RFC 6749 §2.3.1 has it.
func basic(id, secret string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r.Header.Get("Authorization")
}

func TestD08_TheGrantMustBeEnabledForTheClient(t *testing.T) {
	h := newHouse(t)
	h.postForm(codePath, url.Values{"client_id": {"pub-nodev"}}).wantError(http.StatusBadRequest, "unauthorized_client")
}

func TestD09_ScopesBeyondTheClientsAreRefused(t *testing.T) {
	h := newHouse(t)
	for _, scope := range []string{"admin:everything", "openid admin:everything"} {
		h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {scope}}).wantError(http.StatusBadRequest, "invalid_scope")
	}
	// An unregistered client is narrowed, and told so (contract, section 6).
	d := h.ask("some-app", "openid profile offline_access admin:everything")
	h.approve(h.signIn("alice"), d.userCode)
	if r := h.poll(d).wantOK(); r.text("scope") != "openid profile" || r.text("refresh_token") != "" {
		t.Errorf("%s", r.body)
	}
}

func TestNoScopeAskedMeansTheRegisteredOneElseOpenIDProfile(t *testing.T) {
	h := newHouse(t)
	for client, want := range map[string]string{"pub-a": "openid profile email offline_access", "some-app": "openid profile"} {
		if r := h.tokens(client, "", "alice"); r.text("scope") != want {
			t.Errorf("%s: scope %q, want %q", client, r.text("scope"), want)
		}
	}
}

func TestD10_TheResponseHasItsMembersInTheirTypes(t *testing.T) {
	h := newHouse(t)
	r := h.postJSON(codePath, map[string]any{"client_id": "pub-a", "number_match": true}).wantOK()
	m := r.members()
	for _, name := range []string{"device_code", "user_code", "verification_uri", "verification_uri_complete", "match_number"} {
		if s, ok := m[name].(string); !ok || s == "" {
			t.Errorf("%s: %v", name, m[name])
		}
	}
	if m["expires_in"] != 900.0 || m["interval"] != 5.0 {
		t.Errorf("expires_in %v, interval %v", m["expires_in"], m["interval"])
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Pragma") != "no-cache" { // D-11
		t.Errorf("%v", r.header)
	}
	if number, found := h.postJSON(codePath, map[string]any{"client_id": "pub-a"}).wantOK().members()["match_number"]; found {
		t.Errorf("a number that nobody asked for: %v", number)
	}
}

func TestD12_UserCodesAreEightConsonantsAllEquallyLikely(t *testing.T) {
	inFull(t)
	const issues = 2000
	h := newHouse(t)
	shape := regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`)
	letters, seen := map[rune]int{}, map[string]bool{}
	for range issues {
		d := h.ask("some-app", "")
		if !shape.MatchString(d.userCode) || seen[d.userCode] || seen[d.deviceCode] {
			t.Fatalf("user code %q", d.userCode)
		}
		seen[d.userCode], seen[d.deviceCode] = true, true
		for _, l := range strings.ReplaceAll(d.userCode, "-", "") {
			letters[l]++
		}
		if len(d.deviceCode) < 4+43 { // D-13: a prefix, and 32 bytes in base64url
			t.Fatalf("a device code of %d characters", len(d.deviceCode))
		}
	}
	const kinds = 20
	expected, chi := float64(issues*8)/kinds, 0.0
	for _, n := range letters {
		chi += math.Pow(float64(n)-expected, 2) / expected
	}
	// 19 degrees of freedom: 10⁻⁶ of fair draws exceed this.
	if chi > 65.4 || len(letters) != kinds {
		t.Errorf("chi-square %.1f over %d letters", chi, len(letters))
	}
}

func TestD14_D15_D16_AddressesComeFromTheIssuerAndHoldNoMoreThanTheCode(t *testing.T) {
	h := newHouse(t)
	r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}}, "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example;proto=http",
		"X-Forwarded-Proto", "http").wantOK()
	if r.text("verification_uri") != testIssuer+"/device" {
		t.Errorf("verification_uri %q", r.text("verification_uri"))
	}
	if want := testIssuer + "/device?code=" + r.text("user_code"); r.text("verification_uri_complete") != want {
		t.Errorf("verification_uri_complete %q", r.text("verification_uri_complete"))
	}
}

func TestD22_D23_ThePollNeedsItsGrantTypeAndCode(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{pollPath, tokenPath} {
		for _, c := range []struct {
			form url.Values
			want string
		}{
			{url.Values{"client_id": {"pub-a"}, "grant_type": {"device_code"}, "device_code": {"x"}}, "unsupported_grant_type"},
			{url.Values{"client_id": {"pub-a"}, "device_code": {"x"}}, "invalid_request"},
			{url.Values{"client_id": {"pub-a"}, "grant_type": {deviceGrant}}, "invalid_request"},
			{url.Values{"client_id": {"pub-a"}, "grant_type": {deviceGrant}, "device_code": {"csd_unknown"}}, "invalid_grant"},
		} {
			h.postForm(path, c.form).wantError(http.StatusBadRequest, c.want)
		}
	}
}

func TestD24_ACodeIsItsClientsOwn(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	thief := d
	thief.client = "pub-b"
	h.poll(thief).wantError(http.StatusBadRequest, "invalid_grant")
	h.poll(d).wantOK()
}

func TestD25_D26_PendingThenSlowDownThenPending(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.advance(100 * time.Millisecond)
	r := h.poll(d)
	r.wantError(http.StatusBadRequest, "slow_down")
	if r.members()["interval"] != 10.0 {
		t.Errorf("%s", r.body)
	}
	h.advance(9900 * time.Millisecond)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestD27_AnApprovedCodeRedeemsAtTheNextWellTimedPoll(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.approve(h.signIn("alice"), d.userCode)
	h.poll(d).wantError(http.StatusBadRequest, "slow_down")
	h.advance(10 * time.Second)
	h.poll(d).wantOK()
}

func TestD28_ADeniedDeviceIsToldSo(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	h.open(cookie, d.userCode).wantOK()
	h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK()
	for range 2 {
		h.poll(d).wantError(http.StatusBadRequest, "access_denied")
		h.advance(5 * time.Second)
	}
}

func TestD29_AnExpiredCodeGivesNothingApprovedOrNot(t *testing.T) {
	h := newHouse(t)
	waiting, approved := h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	h.advance(15*time.Minute - 2*time.Second)
	h.approve(h.signIn("alice"), approved.userCode)
	h.advance(2 * time.Second)
	h.poll(waiting).wantError(http.StatusBadRequest, "expired_token")
	h.poll(approved).wantError(http.StatusBadRequest, "expired_token")
}

// What the review says of a permission's end is what everything says afterwards,
// however late the device comes for its token.
func TestAPermissionLastsAsLongAsTheReviewSays(t *testing.T) {
	for name, c := range map[string]struct {
		scope       string
		once, whole time.Duration
		late        time.Duration // between the decision and the device's poll
		said, token string
	}{
		"an hour":                    {"openid", time.Hour, 100 * 24 * time.Hour, 13 * time.Minute, "lasts 1 hour, then", "2820"},
		"an hour and a half":         {"openid", 90 * time.Minute, 100 * 24 * time.Hour, time.Minute, "lasts 90 minutes, then", "5340"},
		"a day and a half, renewed":  {"openid offline_access", time.Hour, 36 * time.Hour, 13 * time.Minute, "36 hours at most", "3600"},
		"half an hour, renewed":      {"openid offline_access", time.Hour, 30 * time.Minute, 10 * time.Minute, "30 minutes at most", "1200"},
		"shorter than a code's life": {"openid", time.Minute, time.Hour, 61 * time.Second, "lasts 1 minute, then", "expired_token"},
	} {
		h := newHouse(t, func(s *authz.Settings) { s.AccessTokenLifetime, s.RefreshLifetime = c.once, c.whole })
		lasts := c.once
		if strings.Contains(c.scope, "offline") {
			lasts = c.whole
		}
		d := h.ask("pub-a", c.scope)
		h.advance(time.Minute)
		cookie := h.signIn("alice")
		page, _ := h.review(cookie, d.userCode)
		page.wantPage(200, c.said)
		facts := h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, "").wantOK().members()
		if facts["lasts"] != lasts.Seconds() {
			t.Errorf("%s: the facts say %v", name, facts["lasts"])
		}
		h.approve(cookie, d.userCode)
		decided := h.now()
		ends := decided.Add(lasts)
		var grants struct {
			Grants []struct {
				ID        string `json:"id"`
				CreatedAt int64  `json:"created_at"`
				ExpiresAt int64  `json:"expires_at"`
			} `json:"grants"`
		}
		list := h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK()
		if err := json.Unmarshal([]byte(list.body), &grants); err != nil || len(grants.Grants) != 1 {
			t.Fatalf("%s: %v %s", name, err, list.body)
		}
		g := grants.Grants[0]
		if g.ExpiresAt != ends.Unix() || g.ExpiresAt-g.CreatedAt != int64(lasts.Seconds()) {
			t.Errorf("%s: the list says from %d to %d, want %d", name, g.CreatedAt, g.ExpiresAt, ends.Unix())
		}
		for _, address := range []string{"/device/done/" + g.ID, "/account"} {
			h.send(http.MethodGet, address, "", "Cookie", cookie).wantPage(200, ends.UTC().Format("2006-01-02T15:04"))
		}
		h.advance(c.late)
		r := h.poll(d)
		if c.token == "expired_token" {
			r.wantError(http.StatusBadRequest, c.token)
			continue
		}
		_, access := claimsOf(t, r.wantOK().text("access_token"))
		_, id := claimsOf(t, r.text("id_token"))
		for what, exp := range map[string]any{"access token": access["exp"], "ID token": id["exp"]} {
			if end, _ := exp.(float64); int64(end) > ends.Unix() {
				t.Errorf("%s: the %s outlives the permission by %d s", name, what, int64(end)-ends.Unix())
			}
		}
		if fmt.Sprint(r.members()["expires_in"]) != c.token {
			t.Errorf("%s: expires_in is %v, want %s", name, r.members()["expires_in"], c.token)
		}
	}
}

func TestD30_D31_SuccessIsATokenResponseOnce(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{pollPath, tokenPath} {
		d := h.ask("pub-a", "openid profile offline_access")
		h.approve(h.signIn("alice"), d.userCode)
		form := map[string]any{"grant_type": deviceGrant, "device_code": d.deviceCode, "client_id": d.client}
		r := h.postJSON(path, form).wantOK()
		if r.text("token_type") != "Bearer" || r.members()["expires_in"] != 3600.0 || r.text("scope") != "openid profile offline_access" ||
			r.text("access_token") == "" || r.text("id_token") == "" || r.text("refresh_token") == "" {
			t.Errorf("%s: %s", path, r.body)
		}
		h.advance(5 * time.Second)
		h.postJSON(path, form).wantError(http.StatusBadRequest, "invalid_grant")
	}
}

func TestD32_SixtyFourParallelPollsGetOneTokenResponse(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.approve(h.signIn("alice"), d.userCode)
	var mu sync.Mutex
	won := 0
	var together sync.WaitGroup
	for range 64 {
		together.Go(func() {
			r := h.poll(d)
			mu.Lock()
			defer mu.Unlock()
			if r.status == http.StatusOK {
				won++
			} else if r.text("error") == "" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	together.Wait()
	if won != 1 {
		t.Errorf("%d polls got tokens", won)
	}
}

func TestD34_FiveWrongCodesLockTheAccountForTheRightOneToo(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("mallory")
	for _, wrong := range []string{"BBBB-BBBB", "BBBB-BBBC", "BBBB-BBBD", "BBBB-BBBF", "nonsense"} {
		h.open(cookie, wrong).wantError(http.StatusBadRequest, "invalid_request")
	}
	r := h.open(cookie, d.userCode)
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.open(h.signIn("alice"), d.userCode).wantOK()
	h.advance(15 * time.Minute)
	fresh := h.ask("pub-a", "openid")
	h.open(cookie, fresh.userCode).wantOK()
}

func TestD37_WhoOpensFirstOwnsTheRequest(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	alice, bob := h.signIn("alice"), h.signIn("bob")
	h.open(alice, d.userCode).wantOK()
	h.open(bob, d.userCode).wantError(http.StatusForbidden, "access_denied")
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", bob).wantError(http.StatusForbidden, "access_denied")
	h.postJSON(denyPath, map[string]any{"userCode": d.userCode}, "Cookie", bob).wantError(http.StatusForbidden, "access_denied")
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", alice).wantOK()
}

// Somebody else's request says nothing of what its device shows.
func TestD37_NoMatchIsTriedByWhomARequestDoesNotBelongTo(t *testing.T) {
	h := newHouse(t)
	d := h.ask("some-app", "openid")
	statement := h.statementOf("bob", d.userCode)
	h.open(h.signIn("alice"), d.userCode).wantOK()
	body := `{"userCode":"` + d.userCode + `","match":"","statement":` + inJSON(statement) + `}`
	for range 3 {
		r, _ := h.sendApproval("bob", approvePath, body)
		r.wantError(http.StatusForbidden, "access_denied")
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestD39_CodesAreFoundHoweverTheyAreTyped(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	wide := strings.Map(func(r rune) rune { return r - 'A' + 'Ａ' }, strings.ReplaceAll(d.userCode, "-", ""))
	for _, typed := range []string{strings.ToLower(d.userCode), strings.ReplaceAll(d.userCode, "-", ""), " " + strings.ReplaceAll(d.userCode, "-", " "), wide} {
		if r := h.open(cookie, typed).wantOK(); r.text("user_code") != d.userCode || r.text("client_id") != "pub-a" {
			t.Errorf("%q: %s", typed, r.body)
		}
	}
}

func TestApprovalNeedsASessionAndAnOpening(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	body := map[string]any{"userCode": d.userCode}
	h.postJSON(approvePath, body).wantError(http.StatusUnauthorized, "unauthorized")
	cookie := h.signIn("alice")
	h.postJSON(approvePath, body, "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
	h.open(cookie, d.userCode).wantOK()
	h.postJSON(approvePath, body, "Cookie", cookie, "Origin", "https://evil.example").wantError(http.StatusForbidden, "access_denied")
	h.postForm(approvePath, url.Values{"userCode": {d.userCode}}, "Cookie", cookie).wantError(http.StatusUnsupportedMediaType, "invalid_request")
	h.postJSON(approvePath, body, "Cookie", cookie, "Origin", testIssuer).wantOK()
	h.postJSON(approvePath, body, "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
}

func TestD41_NoSecretIsKeptInTheClearOrLogged(t *testing.T) {
	onlySQLite(t)
	h := newHouse(t)
	d := h.ask("pub-a", "openid profile offline_access")
	cookie := h.signIn("alice")
	h.approve(cookie, d.userCode)
	r := h.poll(d).wantOK()
	_, session, _ := strings.Cut(cookie, "=")
	secrets := []string{d.deviceCode, strings.ReplaceAll(d.userCode, "-", ""), d.userCode, r.text("access_token"), r.text("refresh_token"), r.text("id_token"), session}
	files, err := filepath.Glob(filepath.Dir(h.path) + "/*")
	if err != nil {
		t.Fatal(err)
	}
	all := h.log.String()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	for i, secret := range secrets {
		if secret == "" || strings.Contains(all, secret) {
			t.Errorf("secret %d is in the database or the log", i)
		}
	}
}

func TestB10_TheNumberOfPendingRequestsHasACeiling(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.PendingLimit = 2 })
	h.ask("pub-b", "openid")
	d := h.ask("pub-a", "openid")
	r := h.postForm(codePath, url.Values{"client_id": {"rsa-a"}})
	r.wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending") // those already in are served
	h.approve(h.signIn("alice"), d.userCode)
	h.ask("pub-a", "openid")
}

// waitingPoll sends a poll that waits and returns its answer when it comes.
func waitingPoll(ctx context.Context, h *house, d device) <-chan reply {
	answered := make(chan reply, 1)
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {d.client}}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, pollPath, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Prefer", "wait=30")
	go func() {
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		answered <- reply{h.t, w.Code, w.Header(), w.Body.String()}
	}()
	return answered
}

func TestAWaitingPollIsAnsweredAtTheDecision(t *testing.T) {
	h := newHouse(t)
	for _, decision := range []string{"approve", "deny"} {
		d := h.ask("pub-a", "openid")
		answered := waitingPoll(t.Context(), h, d)
		select {
		case r := <-answered:
			t.Fatalf("answered before the decision: %s", r.body)
		default:
		}
		cookie := h.signIn("alice")
		h.open(cookie, d.userCode).wantOK()
		h.postJSON("/api/auth/device/"+decision, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK()
		r := <-answered
		if decision == "approve" {
			if r.wantOK(); r.header.Get("Preference-Applied") != "wait=30" {
				t.Errorf("Preference-Applied: %q", r.header.Get("Preference-Applied"))
			}
		} else {
			r.wantError(http.StatusBadRequest, "access_denied")
		}
	}
}

func TestAStoppingServerAnswersThosePollsThatWait(t *testing.T) {
	h := newHouse(t)
	answered := waitingPoll(t.Context(), h, h.ask("pub-a", "openid"))
	h.service.Drain()
	r := <-answered
	r.wantError(http.StatusBadRequest, "authorization_pending")
}

func TestAClientThatGoesAwayFreesItsPlace(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	answered := waitingPoll(ctx, h, h.ask("pub-a", "openid"))
	cancel()
	<-answered // the handler returns; goroutines left behind would fail the race run
}

func TestThousandsMayWaitAtOnce(t *testing.T) {
	const many = 2000
	h := newHouse(t)
	devices, answers := make([]device, many), make([]<-chan reply, many)
	for i := range devices {
		devices[i] = h.ask("pub-a", "openid")
		answers[i] = waitingPoll(t.Context(), h, devices[i])
	}
	cookie := h.signIn("alice")
	h.approve(cookie, devices[0].userCode)
	(<-answers[0]).wantOK()
	h.service.Drain()
	for _, a := range answers[1:] {
		if r := <-a; r.text("error") != "authorization_pending" {
			t.Fatalf("%s", r.body)
		}
	}
}

func TestWhatIsNoTextIsRefused(t *testing.T) {
	h := newHouse(t)
	for _, body := range []string{"client_id=pub-a&nonce=a%00b", "client_id=pub-a&nonce=%ff", "client_id=pub-a&other=%c3"} {
		h.send(http.MethodPost, codePath, body, "Content-Type", "application/x-www-form-urlencoded").wantError(http.StatusBadRequest, "invalid_request")
	}
	h.send(http.MethodPost, codePath, `{"client_id":"pub-a","nonce":"a\u0000b"}`, "Content-Type", "application/json").wantError(http.StatusBadRequest, "invalid_request")
	h.send(http.MethodPost, codePath, `{"client_id":"pub-a","nonce":"aéb"}`, "Content-Type", "application/json").wantOK()
}

func TestD09_AScopeThatIsAskedForTwiceIsGrantedOnce(t *testing.T) {
	h := newHouse(t)
	if got := h.tokens("pub-a", "openid profile openid  profile", "alice").text("scope"); got != "openid profile" {
		t.Errorf("%q", got)
	}
}
