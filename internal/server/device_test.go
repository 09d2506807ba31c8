package server_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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
