package server_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// with adds clients to a server's configuration.
func with(clients ...authz.Client) func(*authz.Settings) {
	return func(s *authz.Settings) { s.Clients = append(s.Clients, clients...) }
}

func TestB03_ADecisionDoesNotCountForWhatWasNotShown(t *testing.T) {
	app := authz.Client{ID: "app", Name: "App", Scope: "openid"}
	for name, change := range map[string]func(h *house, c *authz.Client){
		"another name": func(_ *house, c *authz.Client) { c.Name = "Your bank" },
		"no longer registered": func(h *house, c *authz.Client) {
			c.ID = "another"
			h.settings.OpenClients = true
		},
	} {
		h := newHouse(t, with(app))
		cookie := h.signIn("alice")
		d := h.ask("app", "openid")
		address := h.page("/device", cookie, url.Values{"code": {d.userCode}}).header.Get("Location")
		_, transaction := h.review(cookie, d.userCode)
		change(h, &h.settings.Clients[len(h.settings.Clients)-1])
		h.restart()
		form := url.Values{
			"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {d.userCode[5:]},
			"visit": {strings.TrimPrefix(address, "/device/request/")},
		}
		if r := h.page("/device/decide", cookie, form); r.header.Get("Location") != address {
			t.Errorf("%s: %d %q", name, r.status, r.header.Get("Location"))
		}
		h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	}
}

func TestAClientRegisteredForSignedApprovalsHasNoOthers(t *testing.T) {
	h := newHouse(t, with(authz.Client{ID: "payments", Scope: "openid", Approval: authz.ApprovalSigned}))
	d := h.ask("payments", "openid")
	cookie := h.signIn("alice")
	h.open(cookie, d.userCode).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
	h.approveSigned("alice", d.userCode)
	h.poll(d).wantOK()
}

// The ID token of a client whose id is the issuer differs from an access token in
// its type alone.
func TestM09_AnIDTokenIsNoAccessTokenWhateverItsAudience(t *testing.T) {
	h := newHouse(t, with(authz.Client{ID: testIssuer, Scope: "openid"}))
	tokens := h.tokens(testIssuer, "openid", "alice")
	if _, payload := claimsOf(t, tokens.text("id_token")); payload["aud"] != testIssuer {
		t.Fatalf("%v", payload)
	}
	h.userInfo(tokens.text("access_token")).wantOK()
	h.userInfo(tokens.text("id_token")).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestU05_ATokenOfAnotherIssuerWithTheSameKeysIsRefused(t *testing.T) {
	h := newHouse(t)
	token := h.tokens("pub-a", "openid", "alice").text("access_token")
	h.restart()
	h.userInfo(token).wantOK() // verified, and not remembered
	h.settings.Issuer = "http://127.0.0.1:8628"
	h.restart()
	h.userInfo(token).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestClientIDsAreShortAndPrintable(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{strings.Repeat("x", 255), "a b", "~", "!x"} {
		h.postForm(codePath, url.Values{"client_id": {id}}).wantOK()
	}
	for _, id := range []string{strings.Repeat("x", 256), " ", "   ", "a\x1fb", "a\x7fb", "é", "a\u202eb"} {
		h.postForm(codePath, url.Values{"client_id": {id}}).wantError(http.StatusBadRequest, "invalid_client")
	}
}

func TestAPictureIsAnHTTPSAddressOfAHostWithoutUserinfo(t *testing.T) {
	h := newHouse(t)
	h.signIn("alice")
	const path = "/api/bap/profile"
	set := func(picture string) reply {
		body := `{"aud":"` + testIssuer + `","bapId":"` + bapIDOf(t, "alice") + `","picture":"` + picture + `"}`
		return h.signed("alice", http.MethodPut, path, body)
	}
	longest := "https://example.org/" + strings.Repeat("x", 1024-len("https://example.org/"))
	for _, good := range []string{"", "https://example.org/me.png", longest} {
		set(good).wantOK()
	}
	for _, bad := range []string{
		"https://alice@example.org/me.png", "https://:secret@example.org/", "https://@example.org/", "http://example.org/", "https:///me.png", "//example.org/",
		"https://example.org/%zz", longest + "x",
	} {
		set(bad).wantError(http.StatusBadRequest, "invalid_request")
	}
}

// What is remembered of a client saves a look, and for half a second only.
func TestARemovedClientIsRefusedWithinHalfASecond(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.OpenClients = false })
	ctx := context.Background()
	if err := h.store.AddClient(ctx, authz.Client{ID: "short-lived", Scope: "openid"}); err != nil {
		t.Fatal(err)
	}
	h.ask("short-lived", "openid")
	if err := h.store.RemoveClient(ctx, "short-lived", h.now()); err != nil {
		t.Fatal(err)
	}
	h.advance(500*time.Millisecond - 1)
	h.ask("short-lived", "openid")
	h.advance(1)
	h.postForm(codePath, url.Values{"client_id": {"short-lived"}}).wantError(http.StatusBadRequest, "invalid_client")
}

func TestT16_D38_ASecretThatNobodyIssuedIsAWrongOne(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	wrong := h.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {"wrong"}})
	for _, client := range []string{"pub-a", "nobody"} {
		for _, path := range []string{codePath, pollPath, tokenPath, revokePath} {
			form := url.Values{"client_id": {client}, "client_secret": {"made up"}, "grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "token": {"x"}}
			if r := h.postForm(path, form); r.status != http.StatusUnauthorized || r.body != wrong.body {
				t.Errorf("%s at %s: %d %s", client, path, r.status, r.body)
			}
			form.Del("client_secret")
			h.postForm(path, form, "Authorization", basic(client, "")).wantError(http.StatusUnauthorized, "invalid_client")
		}
	}
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending") // none of that was a poll
}

func TestK08_FewerThanFourLettersAreNoMatch(t *testing.T) {
	h := newHouse(t)
	for n := range 4 {
		d := h.ask("nobody", "openid")
		cookie := h.signIn("alice")
		_, transaction := h.review(cookie, d.userCode)
		h.page("/device/decide", cookie, url.Values{
			"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}, "match": {d.userCode[len(d.userCode)-n:]},
		})
		if r := h.poll(d); r.status != http.StatusBadRequest {
			t.Errorf("the last %d letters: %d %s", n, r.status, r.body)
		}
	}
}

func TestD24_ACodeKnownToBePendingIsPendingForItsOwnClientOnly(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.advance(5 * time.Second)
	other := d
	other.client = "pub-b"
	h.poll(other).wantError(http.StatusBadRequest, "invalid_grant")
	h.advance(5 * time.Second)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestT05_WhatIsNoFormEncodingIsNoBasicCredential(t *testing.T) {
	h := newHouse(t)
	for _, credentials := range []string{"conf-a%zz:secret", "conf-a:%zz", "conf-a"} {
		encoded := "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
		r := h.postForm(codePath, url.Values{}, "Authorization", encoded)
		r.wantError(http.StatusUnauthorized, "invalid_client")
		if !strings.Contains(r.text("error_description"), "cannot be read") {
			t.Errorf("%s: %s", credentials, r.body)
		}
	}
}

func TestANonceIsAsLongAsItMayBe(t *testing.T) {
	h := newHouse(t)
	for length, good := range map[int]bool{255: true, 256: false} {
		r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "nonce": {strings.Repeat("n", length)}})
		if (r.status == http.StatusOK) != good {
			t.Errorf("%d characters: %d %s", length, r.status, r.body)
		}
	}
}

// What the operator demanded when the device asked is demanded to the end.
func TestASignatureThatWasDemandedStaysSo(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.SignatureRequired = true })
	d := h.ask("pub-a", "openid")
	h.settings.SignatureRequired = false
	h.restart()
	cookie := h.signIn("alice")
	h.open(cookie, d.userCode).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
	h.approveSigned("alice", d.userCode)
}

func TestACodeThatIsOverIsOverForWhoIsNotSignedIn(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	if r := h.send(http.MethodGet, statusPath+d.userCode, "").wantOK(); r.text("status") != "pending" {
		t.Errorf("%s", r.body)
	}
	h.advance(15 * time.Minute)
	for _, cookie := range []string{"", h.signIn("alice")} {
		h.send(http.MethodGet, statusPath+d.userCode, "", "Cookie", cookie).wantError(http.StatusBadRequest, "expired_token")
	}
}

// That somebody may be trying to be a client is said of those that have something to
// prove themselves with.
func TestTheLogSaysWhichClientDidNotProveItself(t *testing.T) {
	const line = "client refused: it did not prove itself"
	wrong := url.Values{"client_secret": {"made up"}}
	for client, logged := range map[string]int{"conf-a": 1, "member-a": 1, "pub-a": 0, "nobody": 0} {
		h := newHouse(t)
		wrong.Set("client_id", client)
		h.postForm(codePath, wrong)
		if n := len(h.lines(line)); n != logged {
			t.Errorf("%s: %d lines", client, n)
		}
	}
}

func TestWhatAClientMayUse(t *testing.T) {
	const other = "client_credentials"
	for name, row := range map[string]struct {
		client authz.Client
		may    map[string]bool
	}{
		"nobody":                         {authz.Client{}, map[string]bool{authz.GrantDevice: true}},
		"registered without any":         {authz.Client{Registered: true}, map[string]bool{authz.GrantDevice: true, authz.GrantRefresh: true}},
		"registered for one":             {authz.Client{Registered: true, GrantTypes: []string{other}}, map[string]bool{other: true}},
		"not registered, and has others": {authz.Client{GrantTypes: []string{authz.GrantRefresh}}, map[string]bool{authz.GrantRefresh: true}},
	} {
		for _, grantType := range []string{authz.GrantDevice, authz.GrantRefresh, other, ""} {
			if got := row.client.Allows(grantType); got != row.may[grantType] {
				t.Errorf("%s, %q: %v", name, grantType, got)
			}
		}
	}
}

// golang.org/x/oauth2 sends an empty secret first to find out what a server takes.
func TestT16_AnEmptySecretIsNoGuess(t *testing.T) {
	h := newHouse(t)
	h.from(here)
	for range 30 {
		h.postForm(codePath, url.Values{}, "Authorization", basic("conf-a", "")).wantError(http.StatusUnauthorized, "invalid_client")
	}
	h.postForm(codePath, url.Values{}, "Authorization", basic("conf-a", confSecret)).wantOK()
	for range 30 {
		h.postForm(codePath, url.Values{}, "Authorization", basic("conf-a", "made up"))
	}
	if r := h.postForm(codePath, url.Values{}, "Authorization", basic("conf-a", confSecret)); r.status != http.StatusTooManyRequests {
		t.Errorf("after thirty guesses: %d %s", r.status, r.body)
	}
}

func TestAClientsSignatureThatCannotBeReadIsOfNoClient(t *testing.T) {
	h := newHouse(t)
	body := `{"client_id":"member-a","scope":"openid"}`
	for _, token := range []string{"x", h.sign("client", codePath, "{}")} {
		h.send(http.MethodPost, codePath, body, append(jsonBody, bitcoinauth.Header, token)...).wantError(http.StatusUnauthorized, "invalid_client")
	}
}

func TestAGrantThatWasTakenBackIsNotSaidToHaveExpired(t *testing.T) {
	for _, takenBack := range []bool{true, false} {
		h := newHouse(t, func(s *authz.Settings) { s.AccessTokenLifetime = time.Minute })
		d := h.ask("pub-a", "openid")
		grant := h.approveSigned("alice", d.userCode)
		want := "expired_token"
		if takenBack {
			h.signed("alice", http.MethodPost, "/api/grants/"+grant+"/revoke", `{"aud":"`+testIssuer+`"}`).wantOK()
			want = "access_denied"
		}
		h.advance(2 * time.Minute)
		h.poll(d).wantError(http.StatusBadRequest, want)
	}
}

// Taking back is no report, and only a report counts as one.
func TestK11_TakingBackReportsNobody(t *testing.T) {
	h := newHouse(t)
	for i := range 12 {
		name := fmt.Sprint("owner ", i)
		grant := h.approveSigned(name, h.from(fmt.Sprintf("198.51.%d.7", i)).askProved("openid").userCode)
		h.signed(name, http.MethodPost, "/api/grants/"+grant+"/revoke", `{"aud":"`+testIssuer+`"}`).wantOK()
	}
	facts := h.facts("judge", h.askProved("openid").userCode).wantOK().members()
	if reports, _ := facts["reports"].(map[string]any); reports["client"] != 0.0 && reports["client"] != nil {
		t.Errorf("%v", reports)
	}
	if n := len(h.lines("grant reported: its owner did not mean to allow it")); n != 0 {
		t.Errorf("the log tells of %d reports", n)
	}
}

func TestTheLogSaysWhetherTokensCanBeRenewed(t *testing.T) {
	for scope, renewed := range map[string]bool{"openid": false, "openid offline_access": true} {
		h := newHouse(t)
		h.tokens("pub-a", scope, "alice")
		h.wantLine("INFO", "tokens issued", "refresh_token", renewed)
	}
}

func TestU15_ATokenThatIsWrittenInAnotherWayIsNone(t *testing.T) {
	h := newHouse(t)
	token := h.tokens("pub-a", "openid", "alice").text("access_token")
	h.userInfo(token).wantOK()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	parts, changed := strings.Split(token, "."), 0
	for i, part := range parts {
		spare := len(part) * 6 % 8 // bits at the end that are of no byte
		last := strings.IndexByte(alphabet, part[len(part)-1])
		for bits := 1; bits < 1<<spare; bits++ {
			other := append([]string{}, parts...)
			other[i] = part[:len(part)-1] + string(alphabet[last^bits])
			h.userInfo(strings.Join(other, ".")).wantError(http.StatusUnauthorized, "invalid_token")
			changed++
		}
	}
	if changed == 0 {
		t.Fatal("the token has only one way to be written")
	}
}

func TestAnIDTokenNamesTheIdentityWithTheProfileOnly(t *testing.T) {
	h := newHouse(t)
	for scope, named := range map[string]bool{"openid": false, "openid email": false, "openid profile": true} {
		_, claims := claimsOf(t, h.tokens("pub-a", scope, "alice").text("id_token"))
		for _, name := range []string{"bap_id", "pubkey"} {
			if _, there := claims[name]; there != named {
				t.Errorf("%s: %s is there: %v", scope, name, there)
			}
		}
	}
}

func TestARevocationNeedsATokenAndFindsTheGrantOfOneReplacedLongAgo(t *testing.T) {
	h := newHouse(t)
	r := h.tokens("pub-a", "openid offline_access", "alice")
	for _, form := range []url.Values{{"client_id": {"pub-a"}}, {"client_id": {"pub-a"}, "token": {""}}} {
		if r := h.postForm(revokePath, form); r.status != http.StatusBadRequest || !strings.Contains(r.body, "token is missing") {
			t.Errorf("%v: %d %s", form, r.status, r.body)
		}
	}
	first := r.text("refresh_token")
	for range 4 {
		h.advance(time.Minute)
		r = h.postForm(tokenPath, refreshForm("pub-a", r.text("refresh_token"))).wantOK()
	}
	h.userInfo(r.text("access_token")).wantOK()
	h.postForm(revokePath, url.Values{"client_id": {"pub-a"}, "token": {first}}).wantOK()
	h.userInfo(r.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestU14_ATokenOfAClientThatIsConfiguredNoMoreIsRefused(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.OpenClients = false })
	token := h.tokens("pub-a", "openid", "alice").text("access_token")
	h.userInfo(token).wantOK()
	h.settings.Clients = nil
	h.restart()
	h.userInfo(token).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestWhatSignedInIsInTheIDTokenAndWithoutOpenIDThereIsNone(t *testing.T) {
	h := newHouse(t)
	if r := h.tokens("pub-a", "profile", "alice"); r.members()["id_token"] != nil {
		t.Errorf("%s", r.body)
	}
	a := h.registered("bob")
	byTouch := cookieOf(h.passkeySignIn(a).wantOK())
	for cookie, want := range map[string]string{h.signIn("alice"): "[pop]", byTouch: "[pop user]"} {
		d := h.ask("pub-a", "openid")
		h.approve(cookie, d.userCode)
		_, claims := claimsOf(t, h.poll(d).wantOK().text("id_token"))
		if methods := fmt.Sprint(claims["amr"]); methods != want {
			t.Errorf("the token says %s, want %s", methods, want)
		}
	}
}

func TestARefreshThatAnotherUseWasFasterThanIsRefusedAndOneWithoutATokenIsAMistake(t *testing.T) {
	f := newFrail(t)
	if r := f.postForm(tokenPath, refreshForm("pub-a", "")); r.status != http.StatusBadRequest || !strings.Contains(r.body, "refresh_token is missing") {
		t.Errorf("%d %s", r.status, r.body)
	}
	token := f.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	body := refreshForm("pub-a", token).Encode()
	f.store.during(&fault{"RotateRefreshToken", 1, false, contract.ErrNotFound}, func(ctx context.Context) {
		f.do(ctx, call{http.MethodPost, tokenPath, body, []string{"Content-Type", "application/x-www-form-urlencoded"}}).wantError(http.StatusBadRequest, "invalid_grant")
	})
}
