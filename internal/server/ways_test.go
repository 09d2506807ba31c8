package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
)

const (
	identitiesPath = "/api/user/bap-ids"
	vouchHeader    = "X-Vouch-Token"
)

// linkBody is a request to link a person's identity.
func linkBody(t testing.TB, added string) string {
	t.Helper()
	return `{"aud":"` + testIssuer + `","bapId":"` + bapIDOf(t, added) + `","name":"` + added + `"}`
}

// link adds a person's identity to the account of a session; another vouches.
func (h *house) link(cookie, added, voucher string) reply {
	h.t.Helper()
	body := strings.Replace(linkBody(h.t, added), "{", `{"vouchedBy":"`+bapIDOf(h.t, voucher)+`",`, 1)
	return h.send(http.MethodPost, identitiesPath, body, append(slices.Clone(jsonBody), "Cookie", cookie,
		bitcoinauth.Header, h.sign(added, identitiesPath, body), vouchHeader, h.sign(voucher, identitiesPath, body))...)
}

// removeIdentity takes a person's identity out of the account of who signs.
func (h *house) removeIdentity(gone, signer string) reply {
	h.t.Helper()
	return h.signed(signer, http.MethodPost, identitiesPath+"/"+bapIDOf(h.t, gone)+"/remove", `{"aud":"`+testIssuer+`"}`)
}

// identities are the BAP ids of the account of a session.
func (h *house) identities(cookie string) (ids []string) {
	h.t.Helper()
	var answer struct {
		BAPIDs []struct {
			ID string `json:"bap_id"`
		} `json:"bapIds"`
	}
	r := h.send(http.MethodGet, identitiesPath, "", "Cookie", cookie).wantOK()
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		h.t.Fatal(err)
	}
	for _, i := range answer.BAPIDs {
		ids = append(ids, i.ID)
	}
	return ids
}

// wantVouch is the refusal of a request that a key of the account did not sign.
func (r reply) wantVouch() {
	r.t.Helper()
	r.wantError(http.StatusForbidden, "access_denied")
	if r.text("code") != "VOUCH_REQUIRED" {
		r.t.Errorf("%s", r.body)
	}
}

func TestN07_LinkingAnIdentityTakesASessionTheNewKeyAndOneThatTheAccountHas(t *testing.T) {
	h := newHouse(t)
	cookie, mallory := h.signIn("alice"), h.signIn("mallory")
	body := linkBody(t, "alice-work")
	send := func(body, token, vouch string, header ...string) reply {
		t.Helper()
		header = append(slices.Clone(jsonBody), header...)
		if token != "" {
			header = append(header, bitcoinauth.Header, token)
		}
		if vouch != "" {
			header = append(header, vouchHeader, vouch)
		}
		return h.send(http.MethodPost, identitiesPath, body, header...)
	}
	by := func(name string) string { t.Helper(); return h.sign(name, identitiesPath, body) }
	mine := []string{"Cookie", cookie}

	send(body, by("alice-work"), by("alice")).wantError(http.StatusUnauthorized, "unauthorized") // no session
	send(body, "", by("alice"), mine...).wantError(http.StatusUnauthorized, "unauthorized")
	send(body, by("mallory"), by("alice"), mine...).wantError(http.StatusForbidden, "access_denied")
	send(body, by("alice-work"), "", mine...).wantVouch()
	send(body, by("alice-work"), "nonsense", mine...).wantVouch()
	send(body, by("alice-work"), by("mallory"), mine...).wantVouch()         // another account's
	send(body, by("alice-work"), by("nobody"), mine...).wantVouch()          // no account's
	send(body, by("alice-work"), by("alice-work"), mine...).wantVouch()      // the new key's own
	send(body, by("alice-work"), by("alice"), "Cookie", mallory).wantVouch() // another session's
	one := by("alice-work")
	send(body, one, one, mine...).wantVouch()
	send(body, by("alice-work"), h.sign("alice", identitiesPath, linkBody(t, "other")), mine...).wantVouch()
	send(body, by("alice-work"), h.sign("alice", identitiesPath+"?x=1", body), mine...).wantVouch()
	send(body, by("alice-work"), h.sign("alice", identitiesPath, ""), mine...).wantVouch()
	stale := by("alice")
	h.advance(6 * time.Minute)
	send(body, by("alice-work"), stale, mine...).wantVouch()
	early := h.sign("alice", identitiesPath, body)
	h.advance(-6 * time.Minute)
	send(body, by("alice-work"), early, mine...).wantVouch()
	elsewhere := strings.Replace(body, testIssuer, "https://other.example", 1)
	send(elsewhere, h.sign("alice-work", identitiesPath, elsewhere), h.sign("alice", identitiesPath, elsewhere), mine...).
		wantError(http.StatusBadRequest, "invalid_request")
	if got := h.identities(cookie); !slices.Equal(got, []string{bapIDOf(t, "alice")}) {
		t.Fatalf("linked %v", got)
	}

	// A good request used up both signatures.
	token, vouch := by("alice-work"), by("alice")
	send(body, by("mallory"), vouch, mine...).wantError(http.StatusForbidden, "access_denied")
	send(body, token, vouch, mine...).wantOK()
	h.removeIdentity("alice-work", "alice").wantOK()
	send(body, token, by("alice"), mine...).wantError(http.StatusUnauthorized, "unauthorized")
	send(body, by("alice-work"), vouch, mine...).wantVouch()

	// Any identity of the account vouches, not only the session's.
	send(body, by("alice-work"), by("alice"), mine...).wantOK()
	h.link(cookie, "alice-home", "alice-work").wantOK()
	h.signIn("bob")
	h.link(cookie, "bob", "alice").wantError(http.StatusForbidden, "access_denied") // has an account
}

// What a key signs to be linked is sent by somebody else, for an account of theirs.
func TestN07_WhatANewKeySignedToBeLinkedLinksItToNoOtherAccount(t *testing.T) {
	h := newHouse(t)
	alice, touch := h.signIn("alice"), cookieOf(h.passkeySignIn(h.registered("alice")).wantOK())
	bob, mallory := h.signIn("bob"), h.signIn("mallory")
	const added = "alice-work"
	send := func(cookie, body, token, voucher string) reply {
		t.Helper()
		header := append(slices.Clone(jsonBody), "Cookie", cookie, bitcoinauth.Header, token)
		if voucher != "" {
			header = append(header, vouchHeader, h.sign(voucher, identitiesPath, body))
		}
		return h.send(http.MethodPost, identitiesPath, body, header...)
	}

	// Whatever refused it after it was verified, it is used up.
	body := linkBody(t, added)
	wrongID := linkBody(t, "other")
	for what, refused := range map[string]struct {
		cookie, body, voucher string
	}{
		"no vouch":          {alice, body, ""},
		"a stranger's":      {alice, body, "bob"},
		"a passkey's":       {touch, body, "alice"},
		"another identity":  {alice, wrongID, "alice"},
		"another session's": {bob, body, "alice"},
	} {
		h.advance(time.Second)
		token := h.sign(added, identitiesPath, refused.body)
		if r := send(refused.cookie, refused.body, token, refused.voucher); r.status != http.StatusForbidden {
			t.Fatalf("%s: %s", what, r.body)
		}
		send(mallory, refused.body, token, "mallory").wantError(http.StatusUnauthorized, "unauthorized")
	}

	// One that never arrived names who vouches, and is good for no other.
	named := strings.Replace(body, "{", `{"vouchedBy":"`+bapIDOf(t, "alice")+`",`, 1)
	send(mallory, named, h.sign(added, identitiesPath, named), "mallory").wantVouch()
	h.advance(time.Second)
	send(alice, named, h.sign(added, identitiesPath, named), "alice").wantOK()
	if got := h.identities(mallory); !slices.Equal(got, []string{bapIDOf(t, "mallory")}) {
		t.Errorf("linked %v", got)
	}
	// Of an account's identities the one that is named vouches.
	other := strings.Replace(linkBody(t, "alice-home"), "{", `{"vouchedBy":"`+bapIDOf(t, added)+`",`, 1)
	send(alice, other, h.sign("alice-home", identitiesPath, other), "alice").wantVouch()
	h.advance(time.Second)
	send(alice, other, h.sign("alice-home", identitiesPath, other), added).wantOK()
	// Who names nobody is linked as ever.
	plain := linkBody(t, "alice-car")
	send(alice, plain, h.sign("alice-car", identitiesPath, plain), "alice").wantOK()
}

// Sigma's command line asks it with a session alone, at each sign-up.
func TestLinkingWhatIsLinkedIsAnsweredAsEverAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	r := h.postJSON(identitiesPath, map[string]any{"bapId": bapIDOf(t, "alice"), "name": "x", "isPrimary": true, "counter": 0}, "Cookie", cookie).wantOK()
	if linked, _ := r.members()["bapId"].(map[string]any); linked["bap_id"] != bapIDOf(t, "alice") || linked["name"] == "x" {
		t.Errorf("%s", r.body)
	}
	h.link(cookie, "alice", "alice").wantOK()
	h.signIn("bob")
	h.postJSON(identitiesPath, map[string]any{"bapId": bapIDOf(t, "bob")}, "Cookie", cookie).wantError(http.StatusUnauthorized, "unauthorized")
	if got := kinds(h.events(cookie)); !slices.Equal(got, []string{"signed-in"}) {
		t.Errorf("told %v", got)
	}
}

func TestASessionThatAPasskeyBeganAddsNoWay(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	key := h.signIn("alice")
	c := h.passkeyOptions(key)
	touch := cookieOf(h.passkeySignIn(a).wantOK())
	h.link(touch, "alice-work", "alice").wantError(http.StatusForbidden, "access_denied")
	h.postJSON(passkeyOptionsPath, map[string]any{}, "Cookie", touch).wantError(http.StatusForbidden, "access_denied")
	second := newAuthenticator(t)
	h.addPasskey(touch, "alice", c, second.create(c.Options)).wantError(http.StatusForbidden, "access_denied")
	h.link(touch, "alice", "alice").wantOK() // it is linked
	h.addPasskey(key, "alice", c, second.create(c.Options)).wantOK()
	h.link(key, "alice-work", "alice").wantOK()
}

func TestAnIdentityIsTakenOutByAnotherWithAllThatItAloneCarried(t *testing.T) {
	h := newHouse(t)
	alice := h.signIn("alice")
	h.link(alice, "alice-work", "alice").wantOK()
	work := h.signIn("alice-work")
	a := h.registered("alice-work")
	touch := cookieOf(h.passkeySignIn(a).wantOK())
	h.saveBackup("alice-work", bep(t, "alice-work")).wantOK()
	h.saveBackup("alice", bep(t, "alice")).wantOK()
	allowed := map[string][]string{} // by whom → access and refresh token
	for who, cookie := range map[string]string{"alice": alice, "work": work, "touch": touch} {
		d := h.ask("pub-a", "openid offline_access")
		h.approve(cookie, d.userCode)
		tokens := h.poll(d).wantOK()
		allowed[who] = []string{tokens.text("access_token"), tokens.text("refresh_token")}
	}
	unfetched := h.ask("pub-a", "openid")
	signed := h.approveSigned("alice-work", unfetched.userCode)

	h.removeIdentity("alice-work", "alice-work").wantError(http.StatusForbidden, "access_denied")
	h.removeIdentity("alice", "alice").wantError(http.StatusForbidden, "access_denied")
	h.removeIdentity("alice-work", "mallory").wantError(http.StatusNotFound, "not_found")
	h.removeIdentity("nobody", "alice").wantError(http.StatusNotFound, "not_found")
	path := identitiesPath + "/" + bapIDOf(t, "alice-work") + "/remove"
	for _, cookie := range []string{alice, work, touch} {
		h.postJSON(path, map[string]any{"aud": testIssuer}, "Cookie", cookie).wantVouch()
	}
	h.signed("alice", http.MethodPost, path, `{"aud":"https://other.example"}`).wantError(http.StatusBadRequest, "invalid_request")
	if got := h.identities(alice); len(got) != 2 {
		t.Fatalf("%v", got)
	}

	h.removeIdentity("alice-work", "alice").wantOK()
	h.removeIdentity("alice-work", "alice").wantError(http.StatusNotFound, "not_found")
	if got := h.identities(alice); !slices.Equal(got, []string{bapIDOf(t, "alice")}) {
		t.Errorf("%v", got)
	}
	if !h.signedOut(work) || !h.signedOut(touch) || h.signedOut(alice) {
		t.Error("not its sessions ended")
	}
	h.passkeySignIn(a).wantError(http.StatusUnauthorized, "unauthorized")
	for _, who := range []string{"work", "touch"} {
		h.userInfo(allowed[who][0]).wantError(http.StatusUnauthorized, "invalid_token")
		h.postForm(tokenPath, refreshForm("pub-a", allowed[who][1])).wantError(http.StatusBadRequest, "invalid_grant")
	}
	h.userInfo(allowed["alice"][0]).wantOK()
	h.poll(unfetched).wantError(http.StatusBadRequest, "access_denied")
	h.send(http.MethodGet, backupPath+"?bapId="+bapIDOf(t, "alice"), "", "Cookie", alice).wantOK()
	h.send(http.MethodGet, backupPath+"?bapId="+bapIDOf(t, "alice-work"), "", "Cookie", alice).wantError(http.StatusNotFound, "not_found")

	// What it did is remembered; its key begins anew, with nothing of the account.
	h.send(http.MethodGet, "/device/done/"+signed, "", "Cookie", alice).wantPage(200, "Public A")
	h.send(http.MethodGet, "/account", "", "Cookie", alice).wantPage(200, "alice-work")
	h.send(http.MethodGet, "/api/grants/"+signed+"/receipt", "", "Cookie", alice).wantOK()
	anew := h.signIn("alice-work")
	if got := h.identities(anew); !slices.Equal(got, []string{bapIDOf(t, "alice-work")}) {
		t.Errorf("%v", got)
	}
	h.userInfo(allowed["work"][0]).wantError(http.StatusUnauthorized, "invalid_token")
	if !strings.Contains(h.log.String(), "identity removed") {
		t.Error("nothing in the log")
	}
}

func TestWithAPasskeyGoItsSessionsAndWhatTheyAllowed(t *testing.T) {
	h := newHouse(t)
	key, lost, kept := h.signIn("alice"), h.registered("alice"), h.registered("alice")
	byLost, byKept := cookieOf(h.passkeySignIn(lost).wantOK()), cookieOf(h.passkeySignIn(kept).wantOK())
	allowed := map[string]string{}
	for _, cookie := range []string{key, byLost, byKept} {
		d := h.ask("pub-a", "openid")
		h.approve(cookie, d.userCode)
		allowed[cookie] = h.poll(d).wantOK().text("access_token")
	}
	half := h.ask("pub-a", "openid")
	h.approve(byLost, half.userCode)
	h.postJSON(passkeysPath+"/"+b64(lost.id)+"/remove", map[string]any{}, "Cookie", key).wantOK()
	if !h.signedOut(byLost) || h.signedOut(byKept) || h.signedOut(key) {
		t.Error("not its sessions ended")
	}
	h.userInfo(allowed[byLost]).wantError(http.StatusUnauthorized, "invalid_token")
	h.poll(half).wantError(http.StatusBadRequest, "access_denied")
	h.userInfo(allowed[byKept]).wantOK()
	h.userInfo(allowed[key]).wantOK()
}
