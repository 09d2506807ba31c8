package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

const (
	authorizePath = "/oauth2/authorize"
	webBack       = "https://rp.example/cb"
	// verifier is a code verifier of 43 characters.
	verifier = "verifier-verifier-verifier-verifier-verifie"
)

// codeClients registers the clients of the code flow that the requirements name.
func codeClients(s *authz.Settings) {
	s.Clients = append(s.Clients,
		authz.Client{ID: "web-a", Name: "Web A", RedirectURIs: []string{webBack, "https://rp.example/other?x=1"}, Scope: "openid profile email offline_access"},
		authz.Client{ID: "native-a", Name: "Native A", RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb"}},
		authz.Client{ID: "web-member", RedirectURIs: []string{webBack}, MemberKey: bap.FormatPublicKey(person("client").PubKey())},
		authz.Client{ID: "web-secret", Name: "Web S", RedirectURIs: []string{webBack}, Secret: sha256.Sum256([]byte(confSecret)), AuthMethod: authz.AuthPost, Scope: "openid profile email offline_access"},
		authz.Client{ID: "only-device", RedirectURIs: []string{webBack}, GrantTypes: []string{deviceGrant}},
	)
}

var goOnAction = regexp.MustCompile(`id="go-on" method="get" action="([^"]+)"`)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorization is a request as web-a makes it; change alters it.
func authorization(change ...string) url.Values {
	q := url.Values{
		"client_id": {"web-a"}, "redirect_uri": {webBack}, "response_type": {"code"}, "state": {"the state"},
		"scope": {"openid profile"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(change); i += 2 {
		if q.Set(change[i], change[i+1]); change[i+1] == "-" {
			q.Del(change[i])
		}
	}
	return q
}

// authorize asks as the browser of a person, or of nobody without a cookie.
func (h *house) authorize(cookie string, q url.Values) reply {
	h.t.Helper()
	return h.send(http.MethodGet, authorizePath+"?"+q.Encode(), "", "Cookie", cookie, "Accept", "text/html")
}

// reviewFor asks, and returns the review that a person is led to, and its transaction.
func (h *house) reviewFor(cookie string, q url.Values) (reply, string) {
	h.t.Helper()
	led := h.authorize(cookie, q)
	if led.status != http.StatusSeeOther {
		h.t.Fatalf("led nowhere: %d %s", led.status, led.body)
	}
	r := h.send(http.MethodGet, led.header.Get("Location"), "", "Cookie", cookie)
	found := transactionField.FindStringSubmatch(r.body)
	if r.status != http.StatusOK || found == nil {
		h.t.Fatalf("no review: %d %q %s", r.status, led.header.Get("Location"), r.body)
	}
	return r, found[1]
}

// decide sends a decision, and follows the browser to where it is led.
func (h *house) decide(cookie, transaction, decision string, scope ...string) reply {
	h.t.Helper()
	r := h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {decision}, "scope": scope})
	if r.status != http.StatusSeeOther {
		h.t.Fatalf("not decided: %d %s", r.status, r.body)
	}
	return h.send(http.MethodGet, r.header.Get("Location"), "", "Cookie", cookie)
}

// back reads the answer that a browser carries to the client (requirement Z-17).
func (r reply) back(to string) url.Values {
	r.t.Helper()
	address, query, _ := strings.Cut(r.header.Get("Location"), "?")
	q, err := url.ParseQuery(query)
	if err != nil || r.status != http.StatusSeeOther || address != to || q.Get("iss") != testIssuer {
		r.t.Fatalf("not led back to %s: %d %q %s", to, r.status, r.header.Get("Location"), r.body)
	}
	return q
}

// allowed runs a flow up to the code.
func (h *house) allowed(owner string, q url.Values) (code string) {
	h.t.Helper()
	cookie := h.signIn(owner)
	_, transaction := h.reviewFor(cookie, q)
	return h.decide(cookie, transaction, "approve", strings.Fields(q.Get("scope"))...).back(q.Get("redirect_uri")).Get("code")
}

// redemption is the form with which web-a redeems a code; change alters it.
func redemption(code string, change ...string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {webBack}, "client_id": {"web-a"}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(change); i += 2 {
		if form.Set(change[i], change[i+1]); change[i+1] == "-" {
			form.Del(change[i])
		}
	}
	return form
}

func (h *house) redeem(code string, change ...string) reply {
	h.t.Helper()
	return h.postForm(tokenPath, redemption(code, change...))
}

func TestAnAuthorizationCodeBecomesTokens(t *testing.T) {
	h := newHouse(t, codeClients)
	cookie := h.signIn("alice")
	q := authorization("nonce", "n-1", "scope", "openid profile offline_access")
	review, transaction := h.reviewFor(cookie, q)
	review.wantPage(200, "Web A", "rp.example", "See your identity")
	for _, none := range []string{`id="user-code"`, `name="match"`, "What the device says"} {
		if strings.Contains(review.body, none) {
			t.Errorf("the review has %s", none)
		}
	}
	answer := h.decide(cookie, transaction, "approve", "openid", "profile", "offline_access").back(webBack)
	if answer.Get("state") != "the state" || answer.Has("error") {
		t.Fatalf("answered %v", answer)
	}
	h.wantLine("INFO", "request approved", "grant_type", authz.GrantCode, "client_id", "web-a")
	tokens := h.redeem(answer.Get("code")).wantOK()
	for _, member := range []string{"access_token", "id_token", "refresh_token", "scope"} {
		if tokens.text(member) == "" {
			t.Errorf("no %s in %s", member, tokens.body)
		}
	}
	if _, claims := claimsOf(t, tokens.text("id_token")); claims["nonce"] != "n-1" || claims["aud"] != "web-a" {
		t.Errorf("the ID token says %v", claims)
	}
	h.userInfo(tokens.text("access_token")).wantOK()
	// What was decided is told afterwards, and can be taken back.
	h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantPage(200, "Web A")
}

func TestZ01_Z02_Z04_ARedirectIsTheVeryTextThatIsRegistered(t *testing.T) {
	h := newHouse(t, codeClients)
	cookie := h.signIn("alice")
	for client, uris := range map[string][]string{
		"web-a": {
			webBack + "/", webBack + "?x=1", "https://rp.example/CB", "https://RP.example/cb", "https://rp.example/%63b", "https://rp.example/x/%2e%2e/cb",
			"https://rp.example:443/cb", "https://rp.example@evil.example/cb", `https://rp.example\.evil.example/cb`, "//rp.example/cb", "http://rp.example/cb",
			"https://rp.example/other", "javascript:alert(1)", webBack + "#x", " " + webBack, "https://rp.example/cb\x00", "",
		},
		"native-a": {
			"http://127.0.0.1:51004/other", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1:80@evil.example/cb", "http://127.attacker.example/cb",
			"http://localhost:51004/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1:51004/cb?x",
			"https://127.0.0.1:51004/cb", "http://127.1:51004/cb", "http://[::1]:9/cb/", "http://[::ffff:127.0.0.1]:9/cb", "com.example.app:/cb?x", "com.example.app://cb", "http://127.0.0.1:+80/cb",
		},
	} {
		for _, uri := range uris {
			r := h.authorize(cookie, authorization("client_id", client, "redirect_uri", uri))
			if r.status != http.StatusBadRequest || r.header.Get("Location") != "" {
				t.Errorf("%s to %q: %d %q", client, uri, r.status, r.header.Get("Location"))
			}
		}
	}
	for _, uri := range []string{"http://127.0.0.1:51004/cb", "http://[::1]:9/cb", "http://127.0.0.1/cb", "com.example.app:/cb"} {
		q := authorization("client_id", "native-a", "redirect_uri", uri)
		_, transaction := h.reviewFor(cookie, q)
		code := h.decide(cookie, transaction, "approve", "openid").back(uri).Get("code")
		h.redeem(code, "client_id", "native-a", "redirect_uri", uri).wantOK()
	}
}

func TestZ05_APersonIsLedNowhereThatCannotBeTrusted(t *testing.T) {
	h := newHouse(t, codeClients)
	for name, q := range map[string]url.Values{
		"no client": authorization("client_id", "-"), "unknown client": authorization("client_id", "nobody"), "no redirect": authorization("redirect_uri", "-"),
		"two clients": {"client_id": {"web-a", "web-a"}, "redirect_uri": {webBack}}, "two redirects": {"client_id": {"web-a"}, "redirect_uri": {webBack, webBack}},
		"an open client": authorization("client_id", "anything"), "a device's client": authorization("client_id", "pub-a"), "much": authorization("state", strings.Repeat("x", 7<<10)),
	} {
		r := h.authorize("", q)
		r.wantPage(http.StatusBadRequest, "made a mistake")
		if r.header.Get("Location") != "" {
			t.Errorf("%s: led to %s", name, r.header.Get("Location"))
		}
		if id := q.Get("client_id"); (id == "nobody" || id == "anything") && !strings.Contains(r.body, "client_id is not registered") {
			t.Errorf("%s: the developer reads\n%s", name, r.body)
		}
	}
}

func TestZ07_Z09_Z11_Z16_Z28_OtherMistakesAreToldToTheClient(t *testing.T) {
	h := newHouse(t, codeClients)
	for _, c := range []struct {
		change []string
		want   string
	}{
		{[]string{"response_type", "-"}, "invalid_request"},
		{[]string{"response_type", "token"}, "unsupported_response_type"},
		{[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		{[]string{"response_mode", "fragment"}, "invalid_request"},
		{[]string{"code_challenge", "-"}, "invalid_request"},
		{[]string{"code_challenge_method", "-"}, "invalid_request"},
		{[]string{"code_challenge_method", "plain"}, "invalid_request"},
		{[]string{"code_challenge", "short"}, "invalid_request"},
		{[]string{"code_challenge", strings.Repeat("A", 42) + "B"}, "invalid_request"}, // another encoding of the same
		{[]string{"scope", "admin:everything"}, "invalid_scope"},
		{[]string{"request", "ey"}, "request_not_supported"},
		{[]string{"request_uri", "https://evil.example/r"}, "request_uri_not_supported"},
		{[]string{"registration", "{}"}, "registration_not_supported"},
		{[]string{"prompt", "none login"}, "invalid_request"},
		{[]string{"prompt", "dance"}, "invalid_request"},
		{[]string{"max_age", "-1"}, "invalid_request"},
		{[]string{"nonce", strings.Repeat("n", 256)}, "invalid_request"},
		{[]string{"client_id", "only-device"}, "unauthorized_client"},
		{[]string{"prompt", "none"}, "login_required"},
	} {
		answer := h.authorize("", authorization(c.change...)).back(webBack)
		if answer.Get("error") != c.want || answer.Get("state") != "the state" || answer.Has("code") {
			t.Errorf("%v: %v, want %s", c.change, answer, c.want)
		}
	}
	twice := authorization()
	twice.Add("scope", "email")
	if answer := h.authorize("", twice).back(webBack); answer.Get("error") != "invalid_request" {
		t.Errorf("scope sent twice: %v", answer)
	}
	if answer := h.authorize(h.signIn("alice"), authorization("prompt", "none")).back(webBack); answer.Get("error") != "consent_required" {
		t.Errorf("prompt=none, signed in: %v", answer)
	}
}

func TestZ08_TheStateComesBackAsItWas(t *testing.T) {
	h := newHouse(t, codeClients)
	for _, state := range []string{"", "a", `<"&'+ %2B=é日`, strings.Repeat("s", 4<<10)} {
		answer := h.authorize("", authorization("state", state, "response_type", "token")).back(webBack)
		if !answer.Has("state") || answer.Get("state") != state {
			t.Errorf("%.20q came back as %.20q", state, answer.Get("state"))
		}
	}
	if answer := h.authorize("", authorization("state", "-", "response_type", "token")).back(webBack); answer.Has("state") {
		t.Errorf("a state that nobody sent: %v", answer)
	}
	other := h.authorize("", authorization("redirect_uri", "https://rp.example/other?x=1", "response_type", "token")).header.Get("Location")
	if !strings.HasPrefix(other, "https://rp.example/other?x=1&error=") {
		t.Errorf("led to %s", other)
	}
}

func TestZ10_Z12_Z13_ACodeIsGoodForWhatItWasGivenFor(t *testing.T) {
	h := newHouse(t, codeClients)
	for name, c := range map[string]struct {
		change []string
		status int
		want   string
		after  time.Duration
		burnt  bool
	}{
		"another client":          {[]string{"client_id", "native-a"}, 400, "invalid_grant", 0, false},
		"another redirect":        {[]string{"redirect_uri", "https://rp.example/other?x=1"}, 400, "invalid_grant", 0, false},
		"no redirect":             {[]string{"redirect_uri", "-"}, 400, "invalid_grant", 0, false},
		"another verifier":        {[]string{"code_verifier", verifier[1:] + "x"}, 400, "invalid_grant", 0, true},
		"no verifier":             {[]string{"code_verifier", "-"}, 400, "invalid_request", 0, false},
		"a short verifier":        {[]string{"code_verifier", verifier[1:]}, 400, "invalid_request", 0, false},
		"a long verifier":         {[]string{"code_verifier", strings.Repeat("v", 129)}, 400, "invalid_request", 0, false},
		"a verifier with a plus":  {[]string{"code_verifier", verifier + "+"}, 400, "invalid_request", 0, false},
		"no code":                 {[]string{"code", "-"}, 400, "invalid_request", 0, false},
		"another code":            {[]string{"code", "csc_x"}, 400, "invalid_grant", 0, false},
		"a client without a code": {[]string{"client_id", "pub-a"}, 400, "unauthorized_client", 0, false},
		"late":                    {nil, 400, "invalid_grant", time.Minute, true},
	} {
		code := h.allowed("alice", authorization())
		h.advance(c.after)
		h.redeem(code, c.change...).wantError(c.status, c.want)
		if r := h.redeem(code); (r.status == http.StatusOK) == c.burnt {
			t.Errorf("after %s the right one is answered %d %s", name, r.status, r.body)
		}
	}
	// What no owner has decided gives nothing, and no device polls for a code.
	code := h.allowed("alice", authorization())
	h.postForm(pollPath, url.Values{"grant_type": {deviceGrant}, "device_code": {code}, "client_id": {"web-a"}}).wantError(400, "invalid_grant")
	h.redeem(h.ask("web-a", "openid").deviceCode).wantError(400, "invalid_grant")
	h.redeem(code).wantOK()
}

func TestZ14_ACodeThatComesTwiceTakesBackWhatItGave(t *testing.T) {
	h := newHouse(t, codeClients)
	code := h.allowed("alice", authorization("scope", "openid profile offline_access"))
	tokens := h.redeem(code).wantOK()
	h.redeem(code).wantError(400, "invalid_grant")
	h.userInfo(tokens.text("access_token")).wantError(401, "invalid_token")
	h.postForm(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}, "client_id": {"web-a"}}).wantError(400, "invalid_grant")
	h.wantLine("WARN", "token or code reused, grant revoked", "client_id", "web-a")
}

func TestZ15_OfManyRedemptionsOneSucceeds(t *testing.T) {
	h := newHouse(t, codeClients)
	code := h.allowed("alice", authorization())
	answers := make([]reply, 32)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = h.redeem(code) })
	}
	all.Wait()
	won := 0
	for _, r := range answers {
		if r.status == http.StatusOK {
			won++
		} else {
			r.wantError(400, "invalid_grant")
		}
	}
	if won != 1 {
		t.Errorf("%d succeeded", won)
	}
}

func TestZ18_APublicClientIsNeverAllowedInSilence(t *testing.T) {
	h := newHouse(t, codeClients)
	h.redeem(h.allowed("alice", authorization())).wantOK()
	if answer := h.authorize(h.signIn("alice"), authorization("prompt", "none")).back(webBack); answer.Get("error") != "consent_required" {
		t.Errorf("answered %v", answer)
	}
	h.allowed("alice", authorization())
}

func TestZ20_Z21_Z25_TheAuthorizationEndpointIsForPeople(t *testing.T) {
	h := newHouse(t, codeClients)
	for _, path := range []string{authorizePath, "/api/auth/oauth2/authorize"} {
		for _, cookie := range []string{"", h.signIn("alice")} {
			r := h.send(http.MethodGet, path+"?"+authorization().Encode(), "", "Cookie", cookie, "Origin", "https://rp.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
			if r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("X-Frame-Options") != "DENY" ||
				!strings.Contains(r.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || r.status >= 400 {
				t.Errorf("%s: %d %v", path, r.status, r.header)
			}
		}
		r := h.postForm(path, authorization(), "Origin", "https://rp.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		if r.status != http.StatusSeeOther || r.header.Get("Location") != path+"?"+authorization().Encode() {
			t.Errorf("POST %s: %d %q", path, r.status, r.header.Get("Location"))
		}
	}
	h.send(http.MethodPost, authorizePath, "x", "Content-Type", "text/plain").wantPage(http.StatusUnsupportedMediaType)
	// A form may end at the application, and nowhere else.
	review, _ := h.reviewFor(h.signIn("alice"), authorization())
	if csp := review.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://rp.example;") {
		t.Errorf("the review's policy: %s", csp)
	}
	if csp := h.send(http.MethodGet, "/device", "").header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") {
		t.Errorf("another page's policy: %s", csp)
	}
}

func TestZ27_WhoIsToSignInAnewDoes(t *testing.T) {
	h := newHouse(t, codeClients)
	cookie := h.signIn("alice")
	h.advance(10 * time.Minute)
	for _, change := range [][]string{{"prompt", "login"}, {"max_age", "300"}, {"max_age", "0"}} {
		asked := h.authorize(cookie, authorization(change...))
		asked.wantPage(200, "Web A", "Sign in")
		goOn := goOnAction.FindStringSubmatch(asked.body)
		if goOn == nil {
			t.Fatalf("no way on: %s", asked.body)
		}
		address := strings.ReplaceAll(goOn[1], "&amp;", "&")
		h.advance(time.Minute)
		// The old session does not become a new one by coming back.
		if again := h.send(http.MethodGet, address, "", "Cookie", cookie); again.status != http.StatusOK {
			t.Errorf("%v: the old session is led to %q", change, again.header.Get("Location"))
		}
		if led := h.send(http.MethodGet, address, "", "Cookie", h.signIn("alice")); !strings.HasPrefix(led.header.Get("Location"), "/device/request/") {
			t.Errorf("%v: signed in anew: %d %s", change, led.status, led.body)
		}
	}
	// Nor does another session of the same person that is older than that.
	h.advance(time.Hour)
	fresh := h.signIn("alice")
	led := h.authorize(fresh, authorization("max_age", "300")).header.Get("Location")
	stale := h.send(http.MethodGet, led, "", "Cookie", cookie)
	decided := h.page("/device/decide", cookie, url.Values{"transaction": {transactionField.FindStringSubmatch(stale.body)[1]}, "decision": {"approve"}, "scope": {"openid", "profile"}})
	decided.wantPage(http.StatusUnauthorized)
	review := h.send(http.MethodGet, led, "", "Cookie", fresh)
	h.decide(fresh, transactionField.FindStringSubmatch(review.body)[1], "approve", "openid", "profile").back(webBack)
	cookie = fresh
	h.advance(10 * time.Minute)
	if led := h.authorize(cookie, authorization("max_age", "3600")); led.status != http.StatusSeeOther {
		t.Errorf("signed in of late: %d", led.status)
	}
	if answer := h.authorize(cookie, authorization("max_age", "300", "prompt", "none")).back(webBack); answer.Get("error") != "login_required" {
		t.Errorf("too long ago, in silence: %v", answer)
	}
}

func TestTheOwnerWhoDeniesIsLedBack(t *testing.T) {
	h := newHouse(t, codeClients)
	for _, decision := range []string{"deny", "report"} {
		cookie := h.signIn("alice")
		_, transaction := h.reviewFor(cookie, authorization())
		if answer := h.decide(cookie, transaction, decision).back(webBack); answer.Get("error") != "access_denied" || answer.Get("state") != "the state" || answer.Has("code") {
			t.Errorf("%s: %v", decision, answer)
		}
	}
	if denied := h.lines("request denied"); len(denied) != 2 || denied[0]["grant_type"] != authz.GrantCode {
		t.Errorf("the log says %v", denied)
	}
	h.wantLine("WARN", "request reported: its owner did not start it", "grant_type", authz.GrantCode, "client_id", "web-a")
}

// TestWhoDecidesTooLateStartsAgainAtTheApplication comes when the request is over, when it is
// forgotten, and when its address is over too.
func TestWhoDecidesTooLateStartsAgainAtTheApplication(t *testing.T) {
	h := newHouse(t, codeClients)
	cookie := h.signIn("alice")
	visit := h.authorize(cookie, authorization()).header.Get("Location")
	review := h.send(http.MethodGet, visit, "", "Cookie", cookie)
	form := url.Values{"visit": {strings.TrimPrefix(visit, "/device/request/")}, "decision": {"approve"}, "scope": {"openid"}}
	again := func(when string, r reply) {
		t.Helper()
		if r.wantPage(http.StatusBadRequest, "Go back to “<bdi>Web A</bdi>”"); strings.Contains(r.body, `href="/device"`) || strings.Contains(r.body, `name="code"`) {
			t.Errorf("%s: there is a way to enter a code: %s", when, r.body)
		}
	}
	if !strings.Contains(review.body, "Go back to “<bdi>Web A</bdi>”") {
		t.Errorf("the review does not say so when its time is up: %s", review.body)
	}
	// Who is signed out meanwhile signs in for the application, with no code to compare.
	signIn := h.send(http.MethodGet, visit, "")
	if signIn.wantPage(200, "<bdi>Web A</bdi>", `name="visit"`); strings.Contains(signIn.body, `id="user-code"`) {
		t.Errorf("a code is shown: %s", signIn.body)
	}
	opened := h.page("/device", cookie, url.Values{"visit": form["visit"]}).header.Get("Location")
	// It is another account's, which is not asked for a code either.
	mallory := h.signIn("mallory")
	again("looked at by another", h.send(http.MethodGet, visit, "", "Cookie", mallory))
	again("opened by another", h.page("/device", mallory, url.Values{"visit": form["visit"]}))
	// Who has tried too many codes is told that, and when to come again.
	for n := range 11 {
		h.page("/device", mallory, url.Values{"code": {wrong(n)}})
	}
	h.page("/device", mallory, url.Values{"visit": form["visit"]}).wantPage(http.StatusTooManyRequests, "Too many wrong codes")

	h.advance(12 * time.Minute)
	form.Set("transaction", transactionField.FindStringSubmatch(h.send(http.MethodGet, visit, "", "Cookie", cookie).body)[1])
	h.advance(3 * time.Minute)
	again("decided too late", h.page("/device/decide", cookie, form))
	for _, address := range []string{visit, opened} {
		again("looked at too late", h.send(http.MethodGet, address, "", "Cookie", cookie))
	}
	h.advance(15*time.Minute - time.Second)
	if err := h.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	again("forgotten", h.send(http.MethodGet, visit, "", "Cookie", cookie))
	h.advance(time.Second)
	again("its address is over", h.send(http.MethodGet, visit, "", "Cookie", cookie))
	again("signed out, and its address is over", h.send(http.MethodGet, visit, ""))
	again("a form of it", h.page("/device", cookie, url.Values{"visit": form["visit"]}))
	// A device's is as it was.
	late := h.page("/device", cookie, url.Values{"code": {h.ask("pub-a", "openid").userCode}}).header.Get("Location")
	h.advance(15 * time.Minute)
	h.send(http.MethodGet, late, "", "Cookie", cookie).wantPage(http.StatusBadRequest, `name="code"`)
	h.advance(15 * time.Minute)
	h.send(http.MethodGet, late, "", "Cookie", cookie).wantPage(http.StatusBadRequest, `href="/device"`)
}

func TestTheAnswerIsForTheOwnerAlone(t *testing.T) {
	h := newHouse(t, codeClients)
	alice, mallory := h.signIn("alice"), h.signIn("mallory")
	led := h.authorize(alice, authorization()).header.Get("Location")
	r := h.send(http.MethodGet, led, "", "Cookie", alice)
	transaction := transactionField.FindStringSubmatch(r.body)[1]
	if r := h.send(http.MethodGet, led, "", "Cookie", mallory); strings.Contains(r.body, "transaction") {
		t.Error("somebody else is shown the review")
	}
	decided := h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}})
	done := decided.header.Get("Location")
	for name, r := range map[string]reply{"mallory": h.send(http.MethodGet, done, "", "Cookie", mallory), "nobody": h.send(http.MethodGet, done, "")} {
		if r.header.Get("Location") != "" || strings.Contains(r.body, "csc_") {
			t.Errorf("%s is given the code: %d %s", name, r.status, r.body)
		}
	}
	// Our script, which cannot follow to another origin, is told where to.
	soft := h.send(http.MethodGet, done, "", "Cookie", alice, "Sec-Fetch-Dest", "empty")
	soft.wantPage(200, `href="`+webBack+`?code=csc_`)
	code := h.send(http.MethodGet, done, "", "Cookie", alice).back(webBack).Get("code") // once more, for a reload
	h.redeem(code).wantOK()
	h.send(http.MethodGet, done, "", "Cookie", alice).wantPage(200, "Web A") // and then it is told what was decided
	// Who comes late is led nowhere with a code that is good no more.
	_, transaction = h.reviewFor(alice, authorization())
	late := h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}}).header.Get("Location")
	h.advance(time.Minute)
	h.send(http.MethodGet, late, "", "Cookie", alice).wantPage(200, "Web A")
}

func TestP11_ACodeIsBoundToTheKeyThatAskedForIt(t *testing.T) {
	h := newHouse(t, codeClients)
	asked, other := h.holder(), h.holder()
	code := h.allowed("alice", authorization("dpop_jkt", asked.key.Thumbprint()))
	redeem := func(header ...string) reply { return h.postForm(tokenPath, redemption(code), header...) }
	redeem().wantError(400, "invalid_grant")
	redeem("DPoP", other.proof(http.MethodPost, tokenPath, "")).wantError(400, "invalid_grant")
	tokens := redeem("DPoP", asked.proof(http.MethodPost, tokenPath, "")).wantOK()
	if tokens.text("token_type") != "DPoP" {
		t.Errorf("of the type %s", tokens.text("token_type"))
	}
	h.userInfo(tokens.text("access_token")).wantError(401, "invalid_token")
	if answer := h.authorize("", authorization("dpop_jkt", "short")).back(webBack); answer.Get("error") != "invalid_request" {
		t.Errorf("no thumbprint: %v", answer)
	}
}

func TestANoLongerRegisteredAddressGetsNoAnswer(t *testing.T) {
	h := newHouse(t, codeClients)
	const stolen = "https://stolen.example/cb"
	c := authz.Client{ID: "app", Name: "App", RedirectURIs: []string{stolen, webBack}, Registered: true}
	if err := h.store.AddClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	alice := h.signIn("alice")
	q := authorization("client_id", "app", "redirect_uri", stolen)
	change := func(uris ...string) {
		t.Helper()
		c.RedirectURIs = uris
		if err := errors.Join(h.store.RemoveClient(t.Context(), "app", time.Time{}), h.store.AddClient(t.Context(), c)); err != nil {
			t.Fatal(err)
		}
		h.advance(time.Second) // for which a client is known
	}
	_, transaction := h.reviewFor(alice, q)
	change(webBack)
	if r := h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid", "profile"}}); r.status != http.StatusNotFound {
		t.Errorf("it was approved: %d %q", r.status, r.header.Get("Location"))
	}
	change(webBack, stolen)
	_, transaction = h.reviewFor(alice, q)
	done := h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid", "profile"}}).header.Get("Location")
	code := h.send(http.MethodGet, done, "", "Cookie", alice).back(stolen).Get("code")
	change(webBack)
	h.send(http.MethodGet, done, "", "Cookie", alice).wantPage(200, "App")
	h.redeem(code, "client_id", "app", "redirect_uri", stolen).wantError(400, "invalid_grant")
}

func TestAPageOfTheSameSiteUsesNoEndpointAsAPicture(t *testing.T) {
	h := newHouse(t, logoutClients)
	hint, cookie := h.hintOf("alice")
	before := h.number(`SELECT count(*) FROM device_requests`)
	for _, target := range []string{authorizePath + "?" + authorization().Encode(), logoutPath + "?id_token_hint=" + hint} {
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
			{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
		} {
			h.send(http.MethodGet, target, "", append([]string{"Cookie", cookie}, header...)...).wantPage(http.StatusForbidden)
		}
		if r := h.send(http.MethodHead, target, "", "Cookie", cookie); r.status != http.StatusForbidden {
			t.Errorf("HEAD: %d", r.status)
		}
	}
	if h.whoIs(cookie) == "" || h.number(`SELECT count(*) FROM device_requests`) != before {
		t.Error("it did something")
	}
}

func TestX10_X11_ACodeIsForTheResourcesThatWereApproved(t *testing.T) {
	h := newHouse(t, codeClients, func(s *authz.Settings) {
		for _, uri := range []string{"https://one.example", "https://two.example/api"} {
			s.Clients = append(s.Clients, authz.Client{ID: uri[8:11], Name: "The API " + uri[8:11], Resources: []string{uri}})
		}
	})
	cookie := h.signIn("alice")
	q := authorization("scope", "openid profile")
	q["resource"] = []string{"HTTPS://One.example/", "https://two.example/api"}
	review, transaction := h.reviewFor(cookie, q)
	review.wantPage(200, "The API one", "The API two")
	code := h.decide(cookie, transaction, "approve", "openid", "profile").back(webBack).Get("code")
	h.redeem(code, "resource", "https://three.example").wantError(400, "invalid_target")
	tokens := h.redeem(code, "resource", "https://one.example").wantOK()
	_, claims := claimsOf(t, tokens.text("access_token"))
	if got := fmt.Sprint(claims["aud"]); got != "[https://one.example "+testIssuer+"]" {
		t.Errorf("for %s", got)
	}
	for _, resource := range []string{"https://nobody.example", "relative", "https://one.example#x"} {
		if answer := h.authorize(cookie, authorization("resource", resource)).back(webBack); answer.Get("error") != "invalid_target" {
			t.Errorf("%s: %v", resource, answer)
		}
	}
}

func TestAMemberKeySignsForACode(t *testing.T) {
	h := newHouse(t, codeClients)
	code := h.allowed("alice", authorization("client_id", "web-member"))
	body := "grant_type=authorization_code&code=" + code + "&redirect_uri=" + url.QueryEscape(webBack) + "&client_id=web-member&code_verifier=" + verifier
	send := func(token string) reply {
		return h.send(http.MethodPost, tokenPath, body, "Content-Type", "application/x-www-form-urlencoded", bitcoinauth.Header, token)
	}
	send(h.sign("mallory", tokenPath, body)).wantError(401, "invalid_client")
	send(h.sign("client", tokenPath, body+"&")).wantError(401, "invalid_client")
	misspelt := strings.Replace(body, "web-member", "web-menber", 1)
	r := h.send(http.MethodPost, tokenPath, misspelt, "Content-Type", "application/x-www-form-urlencoded", bitcoinauth.Header, h.sign("client", tokenPath, misspelt))
	if r.wantError(401, "invalid_client"); !strings.Contains(r.text("error_description"), "not registered here") {
		t.Errorf("a developer who misspelt the id reads %s", r.body)
	}
	tokens := send(h.sign("client", tokenPath, body)).wantOK()
	if tokens.text("id_token") == "" {
		t.Errorf("no ID token: %s", tokens.body)
	}
}
