package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// What Sigma's own command line asks (contract, sections 3 and 6).

const (
	signUpPath  = "/api/auth/sign-up/sigma"
	proofHeader = "X-Sigma-Enrollment-Proof"
	lastPath    = "/api/user/last-oauth-identity"
	profilePath = "/api/bap/profile"
	clientsPath = "/api/oauth-clients"
)

// enrolment is a sign-up as it is sent.
type enrolment struct {
	target, body string
	token, proof string
}

// enrolmentOf is the sign-up of a person, signed as the command line signs it.
func (h *house) enrolmentOf(name string) enrolment {
	h.t.Helper()
	return h.enrolmentWith(name, signUpPath, `{"bapId":"`+bapIDOf(h.t, name)+`","intent":"sign-up"}`)
}

func (h *house) enrolmentWith(name, target, body string) enrolment {
	h.t.Helper()
	return enrolment{target, body, h.sign(name, signInPath, ""), h.sign(name, target, body)}
}

func (h *house) signUp(e enrolment) reply {
	h.t.Helper()
	header := append([]string{}, jsonBody...)
	for name, value := range map[string]string{bitcoinauth.Header: e.token, proofHeader: e.proof} {
		if value != "" {
			header = append(header, name, value)
		}
	}
	return h.send(http.MethodPost, e.target, e.body, header...)
}

func TestN07_ASignUpMakesTheAccountOfAKeyAndSignsItIn(t *testing.T) {
	h := newHouse(t)
	r := h.signUp(h.enrolmentOf("alice")).wantOK()
	user, _ := r.members()["user"].(map[string]any)
	if user["pubkey"] != bap.FormatPublicKey(person("alice").PubKey()) || user["id"] == "" || user["bapId"] != bapIDOf(t, "alice") || r.text("token") == "" {
		t.Errorf("%s", r.body)
	}
	if !strings.Contains(r.header.Get("Set-Cookie"), "HttpOnly") {
		t.Errorf("cookie %.60q", r.header.Get("Set-Cookie"))
	}
	if list := h.send(http.MethodGet, identitiesPath, "", "Cookie", cookieOf(r)).wantOK(); !strings.Contains(list.body, bapIDOf(t, "alice")) {
		t.Errorf("%s", list.body)
	}
	// Who has an account is signed in to it, however it was made.
	again := h.signUp(h.enrolmentOf("alice")).wantOK()
	signedIn := h.signed("alice", http.MethodPost, signInPath, `{"bapId":"`+bapIDOf(t, "alice")+`"}`).wantOK()
	for _, other := range []reply{again, signedIn} {
		if other, _ := other.members()["user"].(map[string]any); other["id"] != user["id"] {
			t.Errorf("%v is not %v", other["id"], user["id"])
		}
	}
}

func TestN03_N04_N07_N09_ASignUpIsRefusedUnlessOneKeySignedBothForItselfAndHere(t *testing.T) {
	h := newHouse(t)
	good := h.enrolmentOf("alice")
	mine := `{"bapId":"` + bapIDOf(t, "mallory") + `","intent":"sign-up"`
	for name, c := range map[string]struct {
		sent   enrolment
		status int
		code   string
		says   string
	}{
		"no proof":        {enrolment{good.target, good.body, good.token, ""}, 401, "unauthorized", proofHeader + " is missing"},
		"no token":        {enrolment{good.target, good.body, "", good.proof}, 401, "unauthorized", "X-Auth-Token is missing"},
		"broken token":    {enrolment{good.target, good.body, good.token[:70], h.sign("alice", signUpPath, good.body)}, 401, "unauthorized", ""},
		"broken proof":    {enrolment{good.target, good.body, h.sign("alice", signInPath, ""), good.proof[:70]}, 401, "unauthorized", ""},
		"another token":   {enrolment{good.target, good.body, h.sign("mallory", signInPath, ""), h.sign("alice", signUpPath, good.body)}, 401, "unauthorized", "different keys"},
		"another proof":   {enrolment{good.target, good.body, h.sign("alice", signInPath, ""), h.sign("mallory", signUpPath, good.body)}, 401, "unauthorized", "different keys"},
		"proof as token":  {enrolment{good.target, good.body, good.proof, good.proof}, 401, "unauthorized", ""},
		"token as proof":  {enrolment{good.target, good.body, good.token, good.token}, 401, "unauthorized", ""},
		"another body":    {enrolment{good.target, strings.Replace(good.body, "}", " }", 1), good.token, good.proof}, 401, "unauthorized", ""},
		"another path":    {enrolment{good.target + "?x=1", good.body, good.token, good.proof}, 401, "unauthorized", ""},
		"another's id":    {h.enrolmentWith("mallory", signUpPath, good.body), 403, "access_denied", "bapId is not the identity"},
		"no id":           {h.enrolmentWith("mallory", signUpPath, `{"intent":"sign-up"}`), 403, "access_denied", "bapId is not the identity"},
		"no intent":       {h.enrolmentWith("mallory", signUpPath, `{"bapId":"`+bapIDOf(t, "mallory")+`"}`), 400, "invalid_request", "intent"},
		"another intent":  {h.enrolmentWith("mallory", signUpPath, strings.Replace(mine, "sign-up", "sign-in", 1)+`}`), 400, "invalid_request", "intent"},
		"another server":  {h.enrolmentWith("mallory", signUpPath, mine+`,"aud":"`+anotherServer+`"}`), 401, "unauthorized", "for another server"},
		"a server's list": {h.enrolmentWith("mallory", signUpPath, mine+`,"aud":["`+testIssuer+`"]}`), 400, "invalid_request", "aud"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.signUp(c.sent)
			r.t = t
			if r.wantError(c.status, c.code); !strings.Contains(r.text("error_description"), c.says) {
				t.Errorf("%s", r.body)
			}
		})
	}
	h.wantRows("accounts", 0)
	h.signUp(good).wantOK()
	// What has signed up does so once, and its proof is of no use with a new token.
	h.signUp(good).wantError(http.StatusUnauthorized, "unauthorized")
	good.token = h.sign("alice", signInPath, "")
	h.signUp(good).wantError(http.StatusUnauthorized, "unauthorized")
	foreign := h.enrolmentOf("bob")
	h.send(http.MethodPost, signUpPath, foreign.body, append(jsonBody, bitcoinauth.Header, foreign.token, proofHeader, foreign.proof, "Origin", "https://evil.example")...).
		wantError(http.StatusForbidden, "access_denied")
}

func TestWhereTheOperatorMakesAccountsNobodySignsUp(t *testing.T) {
	h := newHouse(t)
	h.signIn("bob")
	h.settings.SignUp = false
	h.restart()
	for form, want := range map[string]string{"": "USER_NOT_FOUND", `{"bapId":"` + bapIDOf(t, "alice") + `"}`: "RESTORE_PROFILE_NOT_FOUND"} {
		r := h.signed("alice", http.MethodPost, signInPath, form)
		if r.wantError(http.StatusForbidden, "access_denied"); r.text("code") != want {
			t.Errorf("%q: %s", form, r.body)
		}
	}
	r := h.signUp(h.enrolmentOf("alice"))
	if r.wantError(http.StatusForbidden, "access_denied"); r.text("code") != "USER_NOT_FOUND" {
		t.Errorf("%s", r.body)
	}
	h.signUp(h.enrolmentOf("bob")).wantOK() // who is here already
	h.wantRows("accounts", 1)
}

func TestA3_SignUpsAreCountedAsSignInsAre(t *testing.T) {
	h := newHouse(t)
	alice := func() reply { return h.signUp(h.enrolmentOf("alice")) }
	for range 120 {
		h.sentFrom(here, alice).wantOK()
	}
	used := h.number("SELECT count(*) FROM used_once")
	h.sentFrom(here, alice).wantBusy()
	h.wantRows("used_once", used)
	h.sentFrom(elsewhere, alice).wantOK()
}

// A proof that holds costs a verification, and whoever sends one again and again with a token that
// will not do must not use up what their network has.
func TestA3_B10_ASignUpWhoseTokenWillNotDoShutsNobodyOut(t *testing.T) {
	h := newHouse(t)
	h.signIn("alice")
	signUp := func(e enrolment) reply { return h.sentFrom(here, func() reply { return h.signUp(e) }) }
	signIn := func() reply {
		token := h.sign("alice", signInPath, "")
		return h.sentFrom(here, func() reply { return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, token) })
	}
	e := h.enrolmentOf("nobody")
	e.token = h.sign("mallory", signInPath, "")
	for range 2400 {
		signUp(e).wantError(http.StatusUnauthorized, "unauthorized")
	}
	signIn().wantOK()
	e.token = h.sign("nobody", signUpPath, "")
	for range 120 {
		signUp(e).wantError(http.StatusUnauthorized, "unauthorized")
	}
	signUp(e).wantBusy()
	signIn().wantOK() // by a key that is known here
}

func TestB10_ANetworkSignsUpNoFloodOfAccounts(t *testing.T) {
	h := newHouse(t)
	for i := range 20 {
		h.sentFrom(here, func() reply { return h.signUp(h.enrolmentOf(fmt.Sprint("newcomer ", i))) }).wantOK()
	}
	h.sentFrom(here, func() reply { return h.signUp(h.enrolmentOf("one more")) }).wantBusy()
	h.sentFrom(elsewhere, func() reply { return h.signUp(h.enrolmentOf("one more")) }).wantOK()
}

// Whether a key has an account here is nobody else's business: what is said to a stranger
// anybody can compute.
func TestAStrangerWhoNamesAKeyHearsWhatAnybodyCanCompute(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.signed("alice", http.MethodPut, profilePath, `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, "alice")+`","name":"Alice"}`).wantOK()
	h.tokens("pub-a", "openid", "alice")
	type listed struct {
		BAPIDs []map[string]any `json:"bapIds"`
	}
	for _, name := range []string{"alice", "nobody"} {
		key := bap.FormatPublicKey(person(name).PubKey())
		r := h.send(http.MethodGet, identitiesPath+"?pubkey="+strings.ToUpper(key), "").wantOK()
		var got listed
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || len(got.BAPIDs) != 1 {
			t.Fatalf("%s %v", r.body, err)
		}
		id := bapIDOf(t, name)
		want := map[string]any{"bap_id": id, "bapId": id, "account_pubkey": key, "name": id[:4] + "…" + id[len(id)-4:], "counter": nil, "is_primary": true}
		if len(got.BAPIDs[0]) != len(want) {
			t.Errorf("%s: %s", name, r.body)
		}
		for member, value := range want {
			if got.BAPIDs[0][member] != value {
				t.Errorf("%s: %s is %v", name, member, got.BAPIDs[0][member])
			}
		}
		if r := h.send(http.MethodGet, lastPath+"?clientId=pub-a&pubkey="+key, "").wantOK(); r.body != `{"lastSelectedBapId":null}` {
			t.Errorf("%s: %s", name, r.body)
		}
		h.send(http.MethodGet, profilePath+"?bapId="+id, "").wantError(http.StatusNotFound, "not_found")
	}
	for _, key := range []string{"x", strings.Repeat("0", 66), "04" + strings.Repeat("1", 64), "%00"} {
		h.send(http.MethodGet, identitiesPath+"?pubkey="+key, "").wantError(http.StatusBadRequest, "invalid_request")
	}
	h.send(http.MethodGet, identitiesPath, "").wantError(http.StatusUnauthorized, "unauthorized")
	h.send(http.MethodGet, lastPath, "", "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
	// Who tries to prove who they are, and fails, hears that.
	key := bap.FormatPublicKey(person("alice").PubKey())
	for _, target := range []string{identitiesPath + "?pubkey=" + key, lastPath + "?clientId=pub-a", profilePath + "?bapId=" + bapIDOf(t, "alice")} {
		aimed, _ := forServer(http.MethodGet, target, testIssuer)
		h.send(http.MethodGet, aimed, "", bitcoinauth.Header, h.sign("alice", target, "")).wantError(http.StatusUnauthorized, "unauthorized")
		h.send(http.MethodGet, target, "", "Cookie", cookie, "Sec-Fetch-Site", "cross-site").wantError(http.StatusForbidden, "access_denied")
	}
}

func TestOwnersReadTheirIdentitiesInTheShapesOfSigmasClients(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.link(cookie, "alice-work", "alice").wantOK()
	h.signed("alice", http.MethodPut, profilePath, `{"aud":"`+testIssuer+`","bapId":"`+bapIDOf(t, "alice")+`","name":"Alice"}`).wantOK()
	mallory := bap.FormatPublicKey(person("mallory").PubKey())
	var list struct {
		BAPIDs []struct {
			BAPID   string `json:"bapId"`
			UserID  string `json:"user_id"`
			Name    string `json:"name"`
			Primary bool   `json:"is_primary"`
		} `json:"bapIds"`
	}
	// Whose key the query names makes no difference to who is signed in.
	r := h.send(http.MethodGet, identitiesPath+"?pubkey="+mallory, "", "Cookie", cookie).wantOK()
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.BAPIDs) != 2 {
		t.Fatalf("%s %v", r.body, err)
	}
	first, second := list.BAPIDs[0], list.BAPIDs[1]
	if first.BAPID != bapIDOf(t, "alice") || first.Name != "Alice" || !first.Primary || second.BAPID != bapIDOf(t, "alice-work") || second.Primary || first.UserID == "" {
		t.Errorf("%s", r.body)
	}
	var profile struct {
		Status string
		Result struct {
			IDKey       string
			RootAddress string
			Identity    struct{ AlternateName string }
		}
	}
	r = h.send(http.MethodGet, profilePath+"?bapId="+bapIDOf(t, "alice"), "", "Cookie", cookie).wantOK()
	if err := json.Unmarshal([]byte(r.body), &profile); err != nil || profile.Status != "OK" || profile.Result.IDKey != bapIDOf(t, "alice") ||
		profile.Result.Identity.AlternateName != "Alice" || profile.Result.RootAddress == "" {
		t.Errorf("%s %v", r.body, err)
	}
}

func TestOwnersHearWhichIdentityAClientWasAllowedSomethingAsLast(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.link(cookie, "alice-work", "alice").wantOK()
	last := func(client, pubkey string) string {
		t.Helper()
		return h.send(http.MethodGet, lastPath+"?pubkey="+pubkey+"&clientId="+client, "", "Cookie", cookie).wantOK().text("lastSelectedBapId")
	}
	if r := h.send(http.MethodGet, lastPath+"?clientId=pub-a", "", "Cookie", cookie).wantOK(); r.body != `{"lastSelectedBapId":null}` {
		t.Errorf("%s, of no grant", r.body)
	}
	h.tokens("pub-a", "openid", "alice")
	h.advance(1e9)
	h.tokens("pub-a", "openid", "alice-work")
	h.advance(1e9)
	h.tokens("pub-b", "openid", "alice")
	for client, want := range map[string]string{"pub-a": bapIDOf(t, "alice-work"), "pub-b": bapIDOf(t, "alice"), "conf-a": ""} {
		if got := last(client, "x"); got != want {
			t.Errorf("%s: %s, want %s", client, got, want)
		}
	}
	// One that was taken out is none of theirs.
	h.signed("alice", http.MethodPost, identitiesPath+"/"+bapIDOf(t, "alice-work")+"/remove", `{"aud":"`+testIssuer+`"}`).wantOK()
	if got := last("pub-a", "x"); got != "" {
		t.Errorf("%s was taken out", got)
	}
	if got := h.send(http.MethodGet, lastPath+"?clientId=pub-b", "", "Cookie", h.signIn("mallory")).wantOK().text("lastSelectedBapId"); got != "" {
		t.Errorf("somebody else hears %s", got)
	}
}

// ownedClient is a client that the operator registered for a person.
func ownedClient(t testing.TB, id, owner string) authz.Client {
	t.Helper()
	return authz.Client{
		ID: id, Name: "The app", AuthMethod: authz.AuthNone, OwnerBAPID: bapIDOf(t, owner), MemberKey: bap.FormatPublicKey(person("client").PubKey()),
		RedirectURIs: []string{webBack, "http://localhost:3000/auth/sigma/callback"},
	}
}

func TestOwnersSeeTheClientsThatTheOperatorRegisteredForThemAndProgramsRegisterNone(t *testing.T) {
	configured := ownedClient(t, "alices-configured", "alice-work")
	h := newHouse(t, with(configured))
	for _, c := range []authz.Client{ownedClient(t, "alices-app", "alice"), ownedClient(t, "bobs-app", "bob"), ownedClient(t, configured.ID, "alice"), {ID: "nobodys-app", AuthMethod: authz.AuthNone}} {
		if err := h.store.AddClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	cookie := h.signIn("alice")
	h.link(cookie, "alice-work", "alice").wantOK()
	list := func(query string) (ids []string) {
		t.Helper()
		var got struct {
			Clients []struct {
				ID           string   `json:"clientId"`
				RedirectURIs []string `json:"redirectUris"`
			}
		}
		r := h.send(http.MethodGet, clientsPath+query, "", "Cookie", cookie).wantOK()
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || !strings.Contains(r.body, `"clients":[`) {
			t.Fatalf("%s %v", r.body, err)
		}
		for _, c := range got.Clients {
			if ids = append(ids, c.ID); len(c.RedirectURIs) != 2 {
				t.Errorf("%s", r.body)
			}
		}
		return ids
	}
	for query, want := range map[string][]string{
		"": {"alices-app", "alices-configured"}, "?clientId=alices-app": {"alices-app"}, "?clientId=bobs-app": nil, "?clientId=none": nil, "?clientId=nobodys-app": nil,
	} {
		if got := list(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	h.send(http.MethodGet, clientsPath, "").wantError(http.StatusUnauthorized, "unauthorized")

	asked := func(change ...any) map[string]any {
		m := map[string]any{
			"clientId": "alices-app", "ownerBapId": bapIDOf(t, "alice"), "name": "The app", "accountPubkey": bap.FormatPublicKey(person("client").PubKey()),
			"redirectUris": []string{webBack, "http://localhost:3000/auth/sigma/callback"},
		}
		for i := 0; i+1 < len(change); i += 2 {
			m[change[i].(string)] = change[i+1]
		}
		return m
	}
	r := h.postJSON(clientsPath, asked(), "Cookie", cookie).wantOK()
	if c, _ := r.members()["client"].(map[string]any); c["clientId"] != "alices-app" || c["ownerBapId"] != bapIDOf(t, "alice") {
		t.Errorf("%s", r.body)
	}
	for _, other := range []map[string]any{
		asked("clientId", "new-app"), asked("ownerBapId", bapIDOf(t, "alice-work")), asked("name", "Another"), asked("accountPubkey", bap.FormatPublicKey(person("mallory").PubKey())),
		asked("redirectUris", []string{webBack}), asked("redirectUris", webBack), asked("clientId", "bobs-app", "ownerBapId", bapIDOf(t, "bob")),
		{},
	} {
		h.postJSON(clientsPath, other, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
	}
	h.postJSON(clientsPath, asked("redirectUris", 5), "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
	h.postJSON(clientsPath, asked()).wantError(http.StatusUnauthorized, "unauthorized")
	h.postJSON(clientsPath, asked(), "Cookie", cookie, "Origin", "https://evil.example").wantError(http.StatusForbidden, "access_denied")
	if clients, err := h.store.Clients(t.Context()); err != nil || len(clients) != 4 {
		t.Errorf("%d clients: %v", len(clients), err)
	}
}
