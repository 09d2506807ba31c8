package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/server"
)

// lines are the log's, with a message.
func (h *house) lines(message string) []map[string]any {
	h.t.Helper()
	var found []map[string]any
	for text := range strings.Lines(h.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			h.t.Fatalf("%v: %s", err, text)
		}
		if line["msg"] == message {
			found = append(found, line)
		}
	}
	return found
}

// wantLine wants one line with a message, and what it says, in pairs. That of a
// request has its name.
func (h *house) wantLine(level, message string, says ...any) map[string]any {
	h.t.Helper()
	found := h.lines(message)
	if len(found) != 1 {
		h.t.Errorf("%q is there %d times", message, len(found))
		return nil
	}
	line := found[0]
	for i := 0; i+1 < len(says); i += 2 {
		if name := says[i].(string); line[name] != says[i+1] {
			h.t.Errorf("%s: %s is %v, want %v", message, name, line[name], says[i+1])
		}
	}
	if name, _ := line["request"].(string); line["level"] != level || len(name) != 12 {
		h.t.Errorf("%s: level %v, request %q", message, line["level"], name)
	}
	return line
}

// TestEachThingThatAnOperatorIsAskedAboutLeavesOneLine does each of them once.
func TestEachThingThatAnOperatorIsAskedAboutLeavesOneLine(t *testing.T) {
	h := newHouse(t)
	h.peer = "203.0.113.7:50000"
	const network, deviceNetwork = "203.0.113.0/24", "198.51.100.0/24"
	bapID := bapIDOf(t, "alice")
	by := func(more ...any) []any { return append(more, "bap_id", bapID, "network", network) }

	cookie := h.signIn("alice")
	account := h.wantLine("INFO", "account made", by()...)["account"]
	by = func(more ...any) []any { return append(more, "account", account, "bap_id", bapID, "network", network) }
	made := h.lines("account made")[0]
	if in := h.wantLine("INFO", "signed in", by("way", "bap")...); in["request"] != made["request"] {
		t.Error("the lines of one request have two names")
	}

	h.peer = "198.51.100.9:50000"
	d := h.ask("pub-a", "openid profile offline_access")
	h.peer = "203.0.113.7:50000"
	h.approve(cookie, d.userCode)
	approved := h.wantLine("INFO", "request approved", by("grant_type", deviceGrant, "client_id", "pub-a", "scope", "openid profile offline_access", "acr", authz.ACRSession, "device_network", deviceNetwork)...)
	if approved["request"] == made["request"] {
		t.Error("two requests have one name")
	}
	grant := approved["grant"]
	tokens := h.poll(d).wantOK()
	of := []any{"grant", grant, "client_id", "pub-a", "account", account, "bap_id", bapID, "scope", "openid profile offline_access"}
	h.wantLine("INFO", "tokens issued", append(of, "refresh_token", true)...)
	tokens = h.postForm(tokenPath, url.Values{"grant_type": {"refresh_token"}, "client_id": {"pub-a"}, "refresh_token": {tokens.text("refresh_token")}}).wantOK()
	h.wantLine("INFO", "tokens refreshed", of...)
	for range 2 { // the second time is no news
		h.postForm(revokePath, url.Values{"client_id": {"pub-a"}, "token": {tokens.text("refresh_token")}}).wantOK()
	}
	h.wantLine("INFO", "grant revoked by its client", "grant", grant, "client_id", "pub-a", "account", account, "bap_id", bapID)

	denied := h.ask("pub-b", "openid")
	h.open(cookie, denied.userCode).wantOK()
	h.postJSON(denyPath, map[string]any{"userCode": denied.userCode}, "Cookie", cookie).wantOK()
	h.wantLine("INFO", "request denied", by("grant_type", deviceGrant, "client_id", "pub-b", "device_network", network)...)

	again := h.approveSigned("alice", h.ask("pub-a", "openid").userCode)
	for range 2 {
		h.postJSON("/api/grants/"+again+"/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	}
	h.wantLine("INFO", "grant revoked by its owner", by("grant", again, "client_id", "pub-a", "with_grant", nil)...)
	h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", cookie).wantOK()
	h.wantLine("INFO", "all grants revoked by their owner", by()...)

	h.saveBackup("alice", bep(t, "alice")).wantOK()
	h.wantLine("INFO", "backup saved", by("of", bapID)...)
	for range 3 { // as often as somebody likes
		h.send(http.MethodGet, backupPath+"?bapId="+bapID, "", "Cookie", cookie).wantOK()
	}
	h.wantLine("INFO", "backup fetched", by("of", bapID)...)
	h.peer = "192.0.2.7:50000" // and from elsewhere it is news
	h.send(http.MethodGet, backupPath+"?bapId="+bapID, "", "Cookie", cookie).wantOK()
	if found := h.lines("backup fetched"); len(found) != 2 || found[1]["network"] != "192.0.2.0/24" {
		t.Errorf("fetched from elsewhere: %v", found)
	}
	h.peer = "203.0.113.7:50000"
	h.signed("alice", http.MethodPost, backupPath+"/remove", `{"aud":"`+testIssuer+`"}`).wantOK()
	h.wantLine("INFO", "backup removed", by("of", bapID)...)

	h.signed("alice", http.MethodPut, "/api/bap/profile", `{"aud":"`+testIssuer+`","bapId":"`+bapID+`","name":"A"}`).wantOK()
	h.wantLine("INFO", "profile set", by()...)

	a, c := newAuthenticator(t), h.passkeyOptions(cookie)
	h.addPasskey(cookie, "alice", c, a.create(c.Options)).wantOK()
	h.wantLine("INFO", "passkey added", by("passkey", b64(a.id), "signs_in_as", bapID)...)
	h.passkeySignIn(a).wantOK()
	if in := h.lines("signed in"); len(in) != 2 || in[1]["way"] != "passkey" || in[1]["account"] != account {
		t.Errorf("signed in: %v", in)
	}
	other := h.sessions(cookie)[0]
	h.postJSON("/api/sessions/"+other.ID+"/end", map[string]any{}, "Cookie", cookie).wantOK()
	h.wantLine("INFO", "session ended by its owner", by("session", other.ID)...)
	h.postJSON(passkeysPath+"/"+b64(a.id)+"/remove", map[string]any{}, "Cookie", cookie).wantOK()
	h.wantLine("INFO", "passkey removed", by("passkey", b64(a.id))...)
	h.postJSON("/api/sessions/end-others", map[string]any{}, "Cookie", cookie).wantOK()
	h.wantLine("INFO", "all other sessions ended by their owner", by()...)
	h.postJSON("/api/auth/sign-out", map[string]any{}, "Cookie", cookie).wantOK()
	h.wantLine("INFO", "signed out", "account", account, "bap_id", bapID)
}

func TestAFailureIsFoundInTheLogUnderTheNameThatItsClientWasTold(t *testing.T) {
	h := newHouse(t)
	if err := h.store.(interface{ Close() error }).Close(); err != nil {
		t.Fatal(err)
	}
	r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}})
	line := h.wantLine("ERROR", "request failed")
	if name, _ := line["request"].(string); name == "" || !strings.HasSuffix(r.text("error_description"), name) {
		t.Errorf("the client hears %s, the log says %v", r.body, line)
	}
}

// TestRefusalsThatStrangersCauseAreLoggedSparingly causes more of them than there
// may be lines.
func TestRefusalsThatStrangersCauseAreLoggedSparingly(t *testing.T) {
	const tries, lines = 25, 10
	h := newHouse(t)
	for _, c := range []struct {
		message, name, is string
		cause             func()
	}{
		{"sign-in refused", "way", "bap", func() { h.send(http.MethodPost, signInPath, "", "X-Auth-Token", "nonsense") }},
		{"client refused: it did not prove itself", "client_id", "conf-a", func() {
			h.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {"a wrong guess"}})
		}},
	} {
		for range tries {
			c.cause()
		}
		found := h.lines(c.message)
		if len(found) != lines || found[0][c.name] != c.is || found[0]["level"] != "INFO" || found[0]["reason"] == "" {
			t.Errorf("%s: %d lines, the first of them %v", c.message, len(found), found[0])
		}
		h.advance(time.Minute)
		c.cause()
		if found = h.lines(c.message); len(found) != lines+1 || found[lines]["left_out"] != float64(tries-lines) {
			t.Errorf("%s: a minute later the last of %d lines is %v", c.message, len(found), found[len(found)-1])
		}
	}
}

// What a request can have a secret in, and what it says that is none.
var (
	secretHeaders = []string{"Authorization", "Cookie", "DPoP", "X-Auth-Token", "X-Sigma-Enrollment-Proof", "X-Vouch-Token", "Referer"}
	publicHeaders = []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Headers", "Content-Encoding", "Content-Type", "Forwarded", "Origin", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "X-Forwarded-For",
	}
	secretMembers = []string{
		"access_token", "actor_token", "assertion", "back", "ceremony", "client_assertion", "client_secret", "code", "code_verifier", "credential", "device_code", "encryptedBackup", "form", "match", "password", "proof", "refresh_token",
		"statement", "subject_token", "token", "transaction", "userCode", "user_code", "visit",
	}
	publicMembers = []string{
		"presence",
		"actor_token_type", "agent_name", "agent_reason", "approval", "accountPubkey", "asked", "aud", "audience", "authorization_details", "bapId", "clientId", "client_assertion_type", "client_id", "cursor", "decision", "depth", "description", "device_name", "device_platform", "dpop_jkt", "events", "family_name", "format", "given_name",
		"grant_type", "grants", "identity", "intent", "lang", "lifetime", "name", "nonce", "number_match", "organizationId", "ownerBapId", "picture", "pubkey", "redirect_uri", "redirectUris", "report", "requested_token_type", "resource", "scope", "subject_token_type", "v", "vouchedBy",
	}
)

// Whoever has the server read something more says here whether it may be logged.
func TestB16_WhatIsReadOfARequestIsPlantedOrNoSecret(t *testing.T) {
	header := regexp.MustCompile(`Header\.(?:Get|Values)\(("[^"]+"|[a-zA-Z.]+)\)`)
	member := regexp.MustCompile(`(?:\.Text|\.Flag|\.List|\.JSON|\.Whole|Query\(\)\.Get)\("([^"]+)"\)`)
	names := map[string]string{"bitcoinauth.Header": "X-Auth-Token", "dpop.Header": "DPoP", "vouchHeader": vouchHeader, "proofHeader": proofHeader, "asked": "Access-Control-Request-Headers"}
	read := 0
	for _, file := range sources(t) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range header.FindAllStringSubmatch(string(source), -1) {
			read++
			name := strings.Trim(found[1], `"`)
			if known, there := names[name]; there {
				name = known
			}
			if !slices.Contains(slices.Concat(secretHeaders, publicHeaders), name) {
				t.Errorf("%s reads the header %s: may it be logged?", file, name)
			}
		}
		for _, found := range member.FindAllStringSubmatch(string(source), -1) {
			read++
			if !slices.Contains(slices.Concat(secretMembers, publicMembers), found[1]) {
				t.Errorf("%s reads the member %s: may it be logged?", file, found[1])
			}
		}
	}
	if read < 50 {
		t.Errorf("only %d were found", read)
	}
}

// TestB16_NoSecretIsLoggedWhateverIsSentWhere goes through every route, with
// secrets wherever a request can have one, and then through all that succeeds.
func TestB16_NoSecretIsLoggedWhateverIsSentWhere(t *testing.T) {
	h := newHouse(t)
	secrets := map[string]string{} // by what they are
	keep := func(what, secret string) {
		if len(secret) < 8 {
			t.Fatalf("%s is %q, no secret", what, secret)
		}
		secrets[what] = secret
	}
	_, session, _ := strings.Cut(h.signIn("alice"), "=")
	keep("a session", session)
	own := h.signIn("alice")
	_, session, _ = strings.Cut(own, "=")
	keep("another session", session)
	cookie := "better-auth.session_token=" + session
	d := h.ask("pub-a", "openid offline_access")
	keep("a device code", d.deviceCode)
	keep("a user code", d.userCode)
	keep("a user code as it is typed", strings.ReplaceAll(d.userCode, "-", ""))

	const planted = "planted-K7Qd2xw9"
	keep("a text that was sent", planted)
	members, form := map[string]string{}, url.Values{}
	for _, name := range secretMembers {
		if name == "client_assertion" {
			continue // a client authenticates in one way; this one is sent below
		}
		members[name] = planted
		form.Set(name, planted)
	}
	for name, secret := range map[string]string{"user_code": d.userCode, "userCode": d.userCode, "code": d.userCode, "device_code": d.deviceCode} {
		members[name] = secret
		form.Set(name, secret)
	}
	members["client_id"], members["grant_type"], members["aud"] = "conf-a", "refresh_token", testIssuer
	form.Set("client_id", "conf-a")
	form.Set("grant_type", deviceGrant)
	inJSON, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	wildcard := regexp.MustCompile(`\{[a-z$]+\}`)
	for _, e := range server.Endpoints() {
		path := wildcard.ReplaceAllString(e.Path, planted)
		for _, body := range []struct{ kind, text string }{
			{"application/json", string(inJSON)}, {"application/x-www-form-urlencoded", form.Encode()},
		} {
			for _, header := range [][]string{
				{"Cookie", cookie},
				{"Cookie", "better-auth.session_token=" + planted, "Authorization", "Bearer " + planted},
				{"X-Auth-Token", planted + "|" + planted, "Authorization", "Basic " + planted},
				{"X-Auth-Token", planted + "|" + planted, "X-Vouch-Token", planted + "|" + planted, proofHeader, planted + "|" + planted, "Cookie", own},
				{"Cookie", own + "; countersign.browser=" + planted + "; countersign.language=" + planted},
				{"Origin", "https://" + planted + ".example", "Referer", "https://" + planted + ".example/" + d.userCode},
			} {
				h.send(e.Method, path+"?user_code="+d.userCode+"&code="+d.userCode+"&token="+planted, body.text, append(header, "Content-Type", body.kind)...)
			}
		}
	}
	h.postForm(tokenPath, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"conf-a"}, "client_assertion": {planted}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}).wantError(401, "invalid_client")
	if n := len(h.lines("request")); n < 12*len(server.Endpoints()) {
		t.Fatalf("only %d requests were logged", n)
	}

	// What was planted may have spent somebody's tries.
	h.advance(time.Hour)
	signIn := h.signIn("bob")
	_, session, _ = strings.Cut(signIn, "=")
	keep("bob's session", session)
	d = h.ask("pub-a", "openid profile offline_access")
	keep("bob's device code", d.deviceCode)
	keep("bob's user code", d.userCode)
	target, _ := forServer(http.MethodGet, "/api/auth/device/approval?user_code="+d.userCode, testIssuer)
	signature := h.sign("bob", target, "")
	keep("a request token", signature)
	h.send(http.MethodGet, target, "", "X-Auth-Token", signature).wantOK()
	h.approveSigned("bob", d.userCode)
	tokens := h.poll(d).wantOK()
	for range 2 {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			keep(fmt.Sprintf("%s %d", name, len(secrets)), tokens.text(name))
		}
		h.userInfo(tokens.text("access_token")).wantOK()
		tokens = h.postForm(tokenPath, url.Values{"grant_type": {"refresh_token"}, "client_id": {"pub-a"}, "refresh_token": {tokens.text("refresh_token")}}).wantOK()
	}
	conf := h.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {confSecret}}).wantOK()
	keep("a client's secret", confSecret)
	keep("a confidential client's code", conf.text("device_code"))
	h.saveBackup("bob", bep(t, "bob")).wantOK()
	keep("a backup", bep(t, "bob"))
	h.send(http.MethodGet, backupPath, "", "Cookie", signIn).wantOK()
	a := h.registered("bob")
	sealed := h.passkeySignInOptions()
	keep("a ceremony", sealed.Ceremony)
	assertion := a.get(sealed.Options)
	keep("an assertion", assertion)
	byPasskey := cookieOf(h.assert(sealed, assertion).wantOK())
	_, session, _ = strings.Cut(byPasskey, "=")
	keep("a passkey's session", session)

	// An identity is linked, by two signatures, refused and taken out again; the page is used.
	body := linkBody(t, "bob at work")
	link := func(vouch string) reply {
		added := h.sign("bob at work", identitiesPath, body)
		keep(fmt.Sprintf("a link's signature %d", len(secrets)), added)
		keep(fmt.Sprintf("a voucher's signature %d", len(secrets)), vouch)
		return h.send(http.MethodPost, identitiesPath, body, append(slices.Clone(jsonBody), "Cookie", signIn, bitcoinauth.Header, added, vouchHeader, vouch)...)
	}
	link(h.sign("mallory", identitiesPath, body)).wantVouch()
	vouch := h.sign("bob", identitiesPath, body)
	link(vouch).wantOK()
	link(vouch).wantOK() // it is linked
	h.removeIdentity("bob at work", "bob").wantOK()
	d = h.ask("pub-a", "openid")
	keep("a proof", h.proof("bob", d.userCode))
	h.page("/device", signIn, url.Values{"code": {d.userCode}, "proof": {secrets["a proof"]}})
	_, transaction := h.review(signIn, d.userCode)
	keep("a review", transaction)
	h.page("/device/decide", signIn, url.Values{"transaction": {transaction}, "decision": {"deny"}})
	keep("a form's token", h.formToken(signIn))
	h.page("/account/sessions/end", signIn, url.Values{"form": {secrets["a form's token"]}})

	log := h.log.String()
	for _, done := range []string{"identity linked", "identity removed", "request denied", "tokens refreshed", "backup fetched", "signed in", "sign-in refused", "client refused: it did not prove itself"} {
		if len(h.lines(done)) == 0 {
			t.Errorf("nothing was logged of %q", done)
		}
	}
	for what, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), strings.ToLower(secret)} {
			if strings.Contains(log, form) {
				t.Errorf("%s is in the log", what)
			}
		}
	}
}

func TestB22_ForwardedHeadersOfAnUnlistedProxyAreWarnedOfOnce(t *testing.T) {
	const message = "forwarded headers are not believed: if a proxy of yours is there, name its address in trusted-proxies"
	h := newHouse(t)
	ask := func(peer string, header ...string) {
		h.peer = peer + ":50000"
		h.send(http.MethodPost, codePath, url.Values{"client_id": {"pub-a"}}.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
	}
	ask("10.0.0.5")
	if found := h.lines(message); len(found) != 0 {
		t.Fatalf("without such a header: %v", found)
	}
	for range 3 {
		ask("10.0.0.5", "X-Forwarded-For", "203.0.113.9")
		ask("10.0.0.5", "Forwarded", "for=203.0.113.9")
	}
	h.wantLine("WARN", message, "from", "10.0.0.5")
	if strings.Contains(h.log.String(), "203.0.113.9") {
		t.Error("what the header says is in the log")
	}
	ask("127.0.0.1", "X-Forwarded-For", "203.0.113.9")
	if found := h.lines(message); len(found) != 2 || found[1]["from"] != "127.0.0.1" {
		t.Errorf("%v", found)
	}
	// A stranger's is a network, and there is an end to them.
	for n := range 100 {
		ask(fmt.Sprintf("198.51.%d.7", n), "X-Forwarded-For", "203.0.113.9")
	}
	found := h.lines(message)
	if len(found) != 32 || found[2]["from"] != "198.51.0.0/24" {
		t.Errorf("%d lines, the third %v", len(found), found[2])
	}
	h.proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}
	before := len(found)
	h.restart()
	ask("10.0.0.5", "X-Forwarded-For", "203.0.113.9")
	if now := len(h.lines(message)); now != before {
		t.Error("a listed proxy is warned of")
	}
}
