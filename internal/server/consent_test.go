package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

const (
	consentLasts  = 90 * 24 * time.Hour
	acrBefore     = "urn:countersign:approved:before"
	apiOfConsents = "https://api.example"
)

// consentClients are the clients of the code flow, and an API.
func consentClients(s *authz.Settings) {
	codeClients(s)
	s.Clients = append(s.Clients, authz.Client{ID: "api", Name: "The API", Resources: []string{apiOfConsents, apiOfConsents + "/more"}})
}

// asSecret is a request of the client that proves itself by a secret.
func asSecret(change ...string) url.Values {
	return authorization(append([]string{"client_id", "web-secret"}, change...)...)
}

// asked reports whether a person is shown a review; else they are led back with a code.
func (h *house) asked(cookie string, q url.Values) bool {
	h.t.Helper()
	r := h.authorize(cookie, q)
	if strings.HasPrefix(r.header.Get("Location"), "/device/request/") {
		return true
	}
	if r.back(webBack).Get("code") == "" {
		h.t.Fatalf("answered %s", r.header.Get("Location"))
	}
	return false
}

// allow approves a request on its review, and redeems the code.
func (h *house) allow(cookie string, q url.Values, left ...string) reply {
	h.t.Helper()
	if len(left) == 0 {
		left = strings.Fields(q.Get("scope"))
	}
	_, transaction := h.reviewFor(cookie, q)
	return h.redeemSecret(h.decide(cookie, transaction, "approve", left...).back(webBack).Get("code"))
}

func (h *house) redeemSecret(code string) reply {
	h.t.Helper()
	return h.redeem(code, "client_id", "web-secret", "client_secret", confSecret).wantOK()
}

// letIn is the code that a client gets for which nobody is asked.
func (h *house) letIn(cookie string, q url.Values) string {
	h.t.Helper()
	return h.authorize(cookie, q).back(webBack).Get("code")
}

// later is a time at which the allowance is whole again and access tokens are over.
const later = 2 * time.Hour

func TestL04_S09_AnApplicationThatProvesItselfIsLetInAgainForWhatItWasAllowed(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	scope := []string{"scope", "openid profile email"}
	h.allow(alice, asSecret(scope...))
	h.advance(later) // by which the grant is over
	for _, change := range [][]string{nil, {"prompt", "none"}, {"scope", "openid email"}, {"max_age", "20000"}, {"bap_id", h.whoIs(alice)}, {"state", "-"}} {
		tokens := h.redeemSecret(h.letIn(alice, asSecret(slices.Concat(scope, change)...)))
		_, claims := claimsOf(t, tokens.text("id_token"))
		if amr, _ := json.Marshal(claims["amr"]); claims["acr"] != acrBefore || string(amr) != `["pop"]` {
			t.Errorf("%v: %v %s", change, claims["acr"], amr)
		}
		h.advance(time.Minute)
	}
	if got := h.events(alice)[0]; got.Kind != "approved" || got.ACR != acrBefore {
		t.Errorf("the owner is told of %+v", got)
	}
	h.send(http.MethodGet, "/account", "", "Cookie", alice).wantPage(200, "was let in again as", "let in as you allowed before, without asking")
	if h.number(`SELECT count(*) FROM grants WHERE receipt <> ''`) != 0 {
		t.Error("a receipt was invented")
	}
	bob := h.signIn("bob")
	if !h.asked(bob, asSecret(scope...)) {
		t.Error("somebody else is not asked")
	}
	for name, other := range map[string]struct {
		cookie string
		q      url.Values
	}{
		"for more":           {alice, asSecret("scope", "openid profile email offline_access")},
		"by prompt=consent":  {alice, asSecret("prompt", "consent")},
		"by select_account":  {alice, asSecret("prompt", "select_account")},
		"as another":         {alice, asSecret("bap_id", h.whoIs(bob))},
		"for an API":         {alice, asSecret("resource", apiOfConsents)},
		"by another client":  {alice, authorization("client_id", "web-member")},
		"with a hint of bob": {alice, asSecret("id_token_hint", h.allow(bob, asSecret(scope...)).text("id_token"))},
		"with no hint":       {alice, asSecret("id_token_hint", "e30.e30.e30")},
	} {
		if !h.asked(other.cookie, other.q) {
			t.Errorf("%s nobody is asked", name)
		}
	}
	alice = h.signIn("alice")
	if !h.asked(alice, asSecret("prompt", "login", "came", "1")) {
		t.Error("who is to prove it anew is not asked")
	}
	for want, q := range map[string]url.Values{
		"consent_required": asSecret("scope", "openid offline_access", "prompt", "none"),
		"login_required":   asSecret("prompt", "none", "id_token_hint", h.redeemSecret(h.letIn(bob, asSecret())).text("id_token")),
	} {
		if answer := h.authorize(alice, q).back(webBack); answer.Get("error") != want {
			t.Errorf("answered %v, want %s", answer, want)
		}
	}
	h.advance(time.Hour)
	if r := h.authorize(alice, asSecret("max_age", "60", "prompt", "none")).back(webBack); r.Get("error") != "login_required" {
		t.Errorf("signed in too long ago: %v", r)
	}
}

func TestZ18_WhatIsRememberedIsForTheSameAudienceAndIdentityAndWayOfSigningIn(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	here, api, both := asSecret(), asSecret("resource", apiOfConsents), asSecret("resource", apiOfConsents)
	both.Add("resource", apiOfConsents+"/more")
	want := func(asked ...bool) {
		t.Helper()
		for i, q := range []url.Values{here, api, both} {
			if got := h.asked(alice, q); got != asked[i] {
				t.Errorf("%v is asked for: %v", q["resource"], got)
			}
		}
		h.advance(2 * time.Minute)
	}
	want(true, true, true)
	h.allow(alice, here)
	want(false, true, true)
	h.allow(alice, api) // takes its place: nothing is joined that was not read together
	want(true, false, true)
	h.allow(alice, both)
	want(true, false, false)
	h.allow(alice, here, "openid") // what was left out is asked for again
	want(true, true, true)
}

func TestZ18_WhoIsRegisteredOtherwiseIsAskedForAnew(t *testing.T) {
	h := newHouse(t)
	app := authz.Client{ID: "web-secret", Name: "Web S", RedirectURIs: []string{webBack}, Secret: authz.Secret(confSecret).Hash(), AuthMethod: authz.AuthPost, Registered: true}
	api := authz.Client{ID: "api", Name: "The API", Resources: []string{apiOfConsents, apiOfConsents + "/more"}, Registered: true}
	register := func(c authz.Client) {
		t.Helper()
		err := h.store.RemoveClient(t.Context(), c.ID, time.Time{})
		if err != nil && !strings.Contains(err.Error(), "not found") {
			t.Fatal(err)
		}
		if err := h.store.AddClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		h.advance(2 * time.Minute) // for a second of which a client is known
	}
	register(app)
	register(api)
	alice := h.signIn("alice")
	q := asSecret("resource", apiOfConsents)
	h.allow(alice, q)
	if h.asked(alice, q) {
		t.Fatal("it is asked for again")
	}
	// Who serves the API is another now, or has another name.
	for _, change := range []func(){func() { api.Name = "Another API" }, func() { api.ID = "api-2" }} {
		if change(); api.ID == "api-2" {
			if err := h.store.RemoveClient(t.Context(), "api", time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		register(api)
		if !h.asked(alice, q) {
			t.Errorf("served by %+v nobody is asked", api)
		}
		h.allow(alice, q)
	}
	// What it was allowed as well is served by nobody now.
	both := asSecret("resource", apiOfConsents)
	both.Add("resource", apiOfConsents+"/more")
	h.allow(alice, both)
	if h.asked(alice, q) {
		t.Error("less is asked for again")
	}
	api.Resources = api.Resources[:1]
	if register(api); !h.asked(alice, q) {
		t.Error("where an API is gone nobody is asked")
	}
	h.allow(alice, q)
	register(app) // as it was
	if !h.asked(alice, q) {
		t.Error("registered anew nobody is asked")
	}
}

func TestZ18_ASettingsFileThatChangesAClientHasItsOwnersAsked(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	settings := h.settings
	askedWith := func(change func(s *authz.Settings, c *authz.Client)) bool {
		t.Helper()
		h.settings = settings
		h.settings.Clients = slices.Clone(settings.Clients)
		i := slices.IndexFunc(settings.Clients, func(c authz.Client) bool { return c.ID == "web-secret" })
		change(&h.settings, &h.settings.Clients[i])
		h.restart()
		return h.asked(alice, asSecret())
	}
	for name, change := range map[string]func(s *authz.Settings, c *authz.Client){
		"name":           func(_ *authz.Settings, c *authz.Client) { c.Name = "Web T" },
		"redirect":       func(_ *authz.Settings, c *authz.Client) { c.RedirectURIs = []string{webBack, "https://rp.example/new"} },
		"authentication": func(_ *authz.Settings, c *authz.Client) { c.AuthMethod = authz.AuthBasic },
		"member key":     func(_ *authz.Settings, c *authz.Client) { c.MemberKey = "02" },
		"keys":           func(_ *authz.Settings, c *authz.Client) { c.Keys = `{"keys":[]}` },
		"type":           func(_ *authz.Settings, c *authz.Client) { c.ApplicationType = authz.ApplicationNative },
		"owner":          func(_ *authz.Settings, c *authz.Client) { c.OwnerBAPID = "somebody" },
		"resource":       func(_ *authz.Settings, c *authz.Client) { c.Resources = []string{"https://own.example"} },
		"approval":       func(_ *authz.Settings, c *authz.Client) { c.Approval = authz.ApprovalSigned },
		"secret":         func(_ *authz.Settings, c *authz.Client) { c.Secret = authz.Hash{} },
		"rule":           func(s *authz.Settings, _ *authz.Client) { s.SignatureRequired = true },
	} {
		if !askedWith(change) {
			t.Errorf("with another %s nobody is asked", name)
		}
	}
	if askedWith(func(*authz.Settings, *authz.Client) {}) {
		t.Error("as it was it is asked for")
	}
}

func TestK11_WhatIsTakenBackIsAskedForAgain(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	again := asSecret("prompt", "consent")
	var tokens reply
	decide := func(decision string) {
		_, transaction := h.reviewFor(alice, again)
		h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {decision}})
	}
	for name, take := range map[string]func(){
		"revoked": func() {
			h.postJSON("/api/grants/"+h.events(alice)[0].GrantID+"/revoke", map[string]any{}, "Cookie", alice).wantOK()
		},
		"all revoked": func() { h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", alice).wantOK() },
		"given back": func() {
			h.postForm(revokePath, url.Values{"token": {tokens.text("access_token")}, "client_id": {"web-secret"}, "client_secret": {confSecret}}).wantOK()
		},
		"denied":   func() { decide("deny") },
		"reported": func() { decide("report") },
		"used twice": func() {
			code := h.letIn(alice, asSecret())
			h.redeemSecret(code)
			h.redeem(code, "client_id", "web-secret", "client_secret", confSecret).wantError(400, "invalid_grant")
		},
		"forgotten": func() {
			account := h.send(http.MethodGet, "/account", "", "Cookie", alice)
			account.wantPage(200, "Let in without asking", "Web S", "Without asking until")
			form := consentForm.FindString(account.body)
			if r := h.page(form, alice, url.Values{"form": {"another"}}); r.status < 400 || h.asked(alice, asSecret()) {
				t.Errorf("by a form of no session: %d", r.status)
			}
			for range 2 { // a second click is no mistake
				if r := h.page(form, alice, url.Values{"form": {h.formToken(alice)}}); r.status != http.StatusSeeOther {
					t.Errorf("%q: %d %s", form, r.status, r.body)
				}
			}
		},
		"long ago": func() {
			h.advance(consentLasts)
			alice = h.signIn("alice")
		},
	} {
		tokens = h.allow(alice, again)
		h.advance(2 * time.Minute)
		if h.asked(alice, asSecret()) {
			t.Errorf("before it was %s it is asked for", name)
		}
		take()
		if !h.asked(alice, asSecret()) {
			t.Errorf("what was %s nobody is asked for", name)
		}
	}
	h.allow(alice, again)
	h.advance(consentLasts - time.Minute)
	if alice = h.signIn("alice"); h.asked(alice, asSecret()) {
		t.Error("it is forgotten too early")
	}
}

var consentForm = regexp.MustCompile(`/account/consents/[^"]+/forget`)

func TestS09_AReviewShowsWhatIsNewAndFoldsWhatWasAllowedBefore(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	more := asSecret("scope", "openid profile email offline_access")
	review, transaction := h.reviewFor(alice, more)
	fresh, before, folded := strings.Cut(review.body, `<details data-part="before"><summary>What you allowed it before`)
	if !folded || !strings.Contains(fresh, "What is new") || strings.Contains(fresh, "See your identity") || !strings.Contains(fresh, "Stay signed in") ||
		!strings.Contains(before, "See your identity") || strings.Contains(before, `value="email"`) {
		t.Errorf("the review: %s", review.body)
	}
	// What was folded counts only while it is so.
	h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", alice).wantOK()
	r := h.page("/device/decide", alice, url.Values{"transaction": {transaction}, "decision": {"approve"}, "scope": {"openid"}})
	if h.number(`SELECT count(*) FROM grants WHERE revoked_at = 0`) != 0 {
		t.Errorf("it was approved: %d", r.status)
	}
	h.allow(alice, asSecret())
	if tokens := h.allow(alice, more); tokens.text("scope") != "openid profile email offline_access" {
		t.Errorf("approving it gives %s", tokens.text("scope"))
	}
	for name, q := range map[string]url.Values{
		"nothing is new":    asSecret("prompt", "consent"),
		"the API is new":    asSecret("scope", "openid profile email", "resource", apiOfConsents),
		"it proves nothing": authorization("scope", "openid profile email offline_access"),
	} {
		review, _ := h.reviewFor(alice, q)
		if strings.Contains(review.body, `data-part="before"`) || !strings.Contains(review.body, "What it may do") {
			t.Errorf("where %s something is folded: %s", name, review.body)
		}
		if strings.Contains(review.body, "For 90 days the application is let in again") != (name != "it proves nothing") {
			t.Errorf("where %s it is said wrongly whether it will be let in: %s", name, review.body)
		}
	}
}

func TestB10_APageThatLeadsThereForEverFillsNothing(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	grants, events := h.number(`SELECT count(*) FROM grants`), len(h.events(alice))
	let := 0
	for range 30 {
		for !h.asked(alice, asSecret()) {
			if let++; let > 1000 {
				t.Fatal("it is let in as often as anybody likes")
			}
		}
		h.advance(time.Minute)
	}
	if let < 30 {
		t.Errorf("let in %d times in half an hour", let)
	}
	if more := h.number(`SELECT count(*) FROM grants`) - grants; more > 20 {
		t.Errorf("%d grants of %d are there", more, let)
	}
	if more := len(h.events(alice)) - events; more > 20 {
		t.Errorf("%d events of %d are there", more, let)
	}
}

func TestL04_N09_AConsentIsForTheWayInThatGaveIt(t *testing.T) {
	h := newHouse(t, consentClients)
	a := h.registered("alice")
	byKey, byPasskey := h.signIn("alice"), cookieOf(h.passkeySignIn(a).wantOK())
	h.allow(byPasskey, asSecret())
	if !h.asked(byKey, asSecret()) {
		t.Error("who came by the key is let in by what a passkey gave")
	}
	_, claims := claimsOf(t, h.redeemSecret(h.letIn(byPasskey, asSecret())).text("id_token"))
	if amr, _ := json.Marshal(claims["amr"]); claims["acr"] != acrBefore || string(amr) != `["pop","user"]` {
		t.Errorf("%v %s", claims["acr"], amr)
	}
	h.allow(byKey, asSecret())
	if !h.asked(byPasskey, asSecret()) {
		t.Error("who came by a passkey is let in by what the key gave")
	}
}

func TestK12_WhoWasReportedIsLetInByNobody(t *testing.T) {
	h := newHouse(t, consentClients)
	h.from("203.0.113.9")
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	for i, name := range []string{"bob", "carol", "dave"} {
		if h.from("203.0.113.9"); h.asked(alice, asSecret()) {
			t.Errorf("before %s reports it the owner is asked", name)
		}
		h.from(fmt.Sprintf("198.51.%d.7", i))
		cookie := h.signIn(name)
		_, transaction := h.reviewFor(cookie, asSecret())
		h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"report"}})
	}
	h.from("203.0.113.9")
	if !h.asked(alice, asSecret()) {
		t.Error("what three people reported nobody is asked for")
	}
	h.advance(25 * time.Hour)
	if h.asked(alice, asSecret()) {
		t.Error("a day later it is asked for")
	}
}

func TestZ18_NothingIsRememberedOfADevice(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.approve(alice, h.askProved("openid").userCode)
	h.wantRows("consents", 0)
}

func TestZ26_AFullAccountIsAskedAndSaidSo(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	h.advance(later)
	for range authz.LivingGrants {
		h.approve(alice, h.ask("pub-a", "openid offline_access").userCode)
	}
	if !h.asked(alice, asSecret()) {
		t.Error("a full account lets somebody in")
	}
	if answer := h.authorize(alice, asSecret("prompt", "none")).back(webBack); answer.Get("error") != "consent_required" {
		t.Errorf("in silence: %v", answer)
	}
}

func TestB10_APageThatLeadsThroughTheSignInOfAnApplicationForEverFillsNothing(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	grants, events := h.number(`SELECT count(*) FROM grants`), h.number(`SELECT count(*) FROM events`)
	const let = authz.LetInPerClient + 3
	for range let {
		h.redeemSecret(h.letIn(alice, asSecret()))
		h.advance(time.Minute)
	}
	if more := h.number(`SELECT count(*) FROM grants`) - grants; more != authz.LetInPerClient {
		t.Errorf("%d grants of %d are there", more, let)
	}
	if more := h.number(`SELECT count(*) FROM events`) - events; more != authz.LetInPerClient {
		t.Errorf("%d events of %d are there", more, let)
	}
}

func TestK11_WhatWasTakenBackIsToldOfWhoeverIsLetInLater(t *testing.T) {
	h := newHouse(t, consentClients)
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	h.letIn(alice, asSecret()) // and nobody redeems it
	id := h.events(alice)[0].GrantID
	h.page("/device/done/"+id+"/report", alice, url.Values{"form": {h.formToken(alice)}})
	told := func() (n int) {
		for _, e := range h.events(alice) {
			if e.GrantID == id {
				n++
			}
		}
		return n
	}
	if n := told(); n != 2 {
		t.Fatalf("%d events tell of it", n)
	}
	h.allow(alice, asSecret())
	h.advance(3 * time.Minute)
	h.letIn(alice, asSecret())
	if n := told(); n != 2 {
		t.Errorf("%d events tell of what was reported", n)
	}
}

func TestZ18_WhatAPasskeyThatNobodyNotedAllowedIsNotRemembered(t *testing.T) {
	h := newHouse(t, consentClients)
	a := h.registered("alice")
	alice := cookieOf(h.passkeySignIn(a).wantOK())
	h.allow(alice, asSecret())
	if h.asked(alice, asSecret()) {
		t.Error("who came by the same passkey is asked")
	}
	name, token, _ := strings.Cut(alice, "=")
	session, err := h.store.Session(t.Context(), authz.Secret(token).Hash(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	token += "2"
	session.ID, session.Token, session.Passkey = "of-before", authz.Secret(token).Hash(), "" // as it was kept at first
	if err := h.store.CreateSession(t.Context(), contract.NewSession{Session: session, Keep: contract.KeepAtMost(9), Event: contract.NewEvent{Keep: contract.KeepAtMost(9)}}); err != nil {
		t.Fatal(err)
	}
	alice = name + "=" + token
	h.advance(time.Minute)
	if !h.asked(alice, asSecret("prompt", "consent")) {
		t.Error("nobody is asked")
	}
	h.allow(alice, asSecret("prompt", "consent"))
	for _, cookie := range []string{alice, h.signIn("alice")} {
		if !h.asked(cookie, asSecret()) {
			t.Error("somebody is let in by it")
		}
	}
}

func TestZ26_WhoIsAllowedNothingLearnsNotWhoIsSignedIn(t *testing.T) {
	h := newHouse(t, consentClients)
	alice, bob := h.signIn("alice"), h.signIn("bob")
	silent := asSecret("prompt", "none", "id_token_hint", h.allow(bob, asSecret()).text("id_token"))
	if h.asked(bob, silent) {
		t.Error("whom the hint names is not let in")
	}
	h.postJSON("/api/grants/revoke", map[string]any{}, "Cookie", bob).wantOK()
	for name, cookie := range map[string]string{"alice": alice, "bob": bob} {
		if answer := h.authorize(cookie, silent).back(webBack); answer.Get("error") != "consent_required" {
			t.Errorf("of %s it is told %s", name, answer.Get("error"))
		}
	}
	h.allow(alice, asSecret())
	if answer := h.authorize(alice, silent).back(webBack); answer.Get("error") != "login_required" {
		t.Errorf("who may know it is told %s", answer.Get("error"))
	}
}

func TestZ18_WhereAnotherProgramCouldHearTheAnswerTheOwnerIsAsked(t *testing.T) {
	const own, local = "com.example.app:/back", "http://127.0.0.1/back"
	h := newHouse(t, consentClients, func(s *authz.Settings) {
		i := slices.IndexFunc(s.Clients, func(c authz.Client) bool { return c.ID == "web-secret" })
		s.Clients[i].RedirectURIs = []string{webBack, own, local, "http://localhost:4711/back"}
	})
	alice := h.signIn("alice")
	h.allow(alice, asSecret())
	for uri, want := range map[string]bool{webBack: false, "http://localhost:4711/back": false, local: false, own: true, "http://127.0.0.1:4711/back": true, "http://localhost:4712/back": true} {
		back := h.authorize(alice, asSecret("redirect_uri", uri)).header.Get("Location")
		if asked := strings.HasPrefix(back, "/device/request/"); asked != want || !asked && !strings.HasPrefix(back, uri+"?code=") {
			t.Errorf("at %s somebody is asked is %v: %s", uri, asked, back)
		}
	}
	bob := h.signIn("bob")
	_, transaction := h.reviewFor(bob, asSecret("redirect_uri", own))
	h.decide(bob, transaction, "approve", "openid", "profile")
	if !h.asked(bob, asSecret()) {
		t.Error("what was allowed there is remembered")
	}
}

func TestZ18_WhatIsAllowedWhileAClientIsTakenOutIsNotForTheNextOfItsID(t *testing.T) {
	h := newHouse(t)
	register := func(secret authz.Secret) {
		t.Helper()
		if err := h.store.AddClient(t.Context(), authz.Client{ID: "web-secret", Name: "Web S", RedirectURIs: []string{webBack}, Secret: secret.Hash(), AuthMethod: authz.AuthPost}); err != nil {
			t.Fatal(err)
		}
	}
	register(confSecret)
	alice := h.signIn("alice")
	_, transaction := h.reviewFor(alice, asSecret())
	if err := h.store.RemoveClient(t.Context(), "web-secret", time.Time{}); err != nil {
		t.Fatal(err)
	}
	h.decide(alice, transaction, "approve", "openid", "profile") // within the half second for which a client is known
	h.advance(time.Minute)
	register("another secret, of another registration")
	if !h.asked(alice, asSecret()) {
		t.Error("nobody is asked")
	}
}
