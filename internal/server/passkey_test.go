package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// cookieOf is the Cookie header that an answer's Set-Cookie leads to.
func cookieOf(r reply) string {
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return cookie
}

func TestL04_L05_N09_APasskeyActsAsTheIdentityThatLinkedIt(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	signedIn := h.passkeySignIn(a).wantOK()
	user, _ := signedIn.members()["user"].(map[string]any)
	if user["bapId"] != bapIDOf(t, "alice") || user["id"] != string(a.handle) || signedIn.text("token") == "" {
		t.Errorf("%s", signedIn.body)
	}
	cookie := cookieOf(signedIn)
	d := h.ask("pub-a", "openid profile")
	h.approve(cookie, d.userCode)
	tokens := h.poll(d).wantOK()
	for _, token := range []string{tokens.text("access_token"), tokens.text("id_token")} {
		_, claims := claimsOf(t, token)
		amr, _ := claims["amr"].([]any)
		if claims["acr"] != authz.ACRPasskey || !slices.Equal(amr, []any{"pop", "user"}) ||
			claims["bap_id"] != bapIDOf(t, "alice") || claims["pubkey"] != bap.FormatPublicKey(person("alice").PubKey()) || claims["sub"] != string(a.handle) {
			t.Errorf("%v", claims)
		}
	}
	info := h.userInfo(tokens.text("access_token")).wantOK()
	if info.text("bap_id") != bapIDOf(t, "alice") {
		t.Errorf("%s", info.body)
	}
	list := h.send(http.MethodGet, passkeysPath, "", "Cookie", cookie).wantOK()
	var passkeys struct {
		Passkeys []struct {
			ID, Name, BAPID       string
			CreatedAt, LastUsedAt time.Time
		}
	}
	if err := json.Unmarshal([]byte(list.body), &passkeys); err != nil || len(passkeys.Passkeys) != 1 {
		t.Fatalf("%s %v", list.body, err)
	}
	if p := passkeys.Passkeys[0]; p.ID != b64(a.id) || p.Name != "My phone" || p.BAPID != bapIDOf(t, "alice") || p.CreatedAt.IsZero() || p.LastUsedAt.IsZero() {
		t.Errorf("%+v", p)
	}
	if !slices.Contains(h.send(http.MethodGet, "/.well-known/openid-configuration", "").members()["acr_values_supported"].([]any), any(authz.ACRPasskey)) {
		t.Error("the metadata does not say so")
	}
}

func TestARequestThatNeedsASignatureRefusesAPasskey(t *testing.T) {
	h := newHouse(t)
	cookie := cookieOf(h.passkeySignIn(h.registered("alice")).wantOK())
	r := h.postJSON(codePath, map[string]any{"client_id": "pub-a", "scope": "openid", "approval": "signature"}).wantOK()
	h.open(cookie, r.text("user_code")).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": r.text("user_code")}, "Cookie", cookie).wantError(http.StatusForbidden, "access_denied")
}

func TestPasskeyOptionsAskForWhatIsNeeded(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	cookie := h.signIn("alice")
	o := h.passkeyOptions(cookie).Options.PublicKey
	if o.Selection.ResidentKey != "required" || o.Selection.UserVerification != "preferred" || o.Attestation != "none" || len(o.Exclude) != 1 || o.Exclude[0].ID != b64(a.id) {
		t.Errorf("%+v", o)
	}
	if o := h.passkeySignInOptions().Options.PublicKey; o.UserVerification != "preferred" || len(o.Challenge) != 43 {
		t.Errorf("%+v", o)
	}
	h.postJSON(passkeyOptionsPath, map[string]any{}).wantError(http.StatusUnauthorized, "unauthorized")
}

func TestN07_N09_AddingAPasskeyNeedsASessionAndTheIdentitysSignature(t *testing.T) {
	h := newHouse(t)
	cookie, a := h.signIn("alice"), newAuthenticator(t)
	h.signIn("mallory")
	c := h.passkeyOptions(cookie)
	credential := a.create(c.Options)
	members := map[string]any{"aud": testIssuer, "ceremony": c.Ceremony, "name": "x", "credential": credential}
	h.postJSON(passkeysPath, members, "Cookie", cookie).wantError(http.StatusUnauthorized, "unauthorized")
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	h.signed("alice", http.MethodPost, passkeysPath, string(body)).wantError(http.StatusUnauthorized, "unauthorized") // no session
	h.addPasskey(cookie, "mallory", c, credential).wantError(http.StatusForbidden, "access_denied")
	h.addPasskey(cookie, "nobody", c, credential).wantError(http.StatusForbidden, "access_denied")
	h.addPasskey(h.signIn("mallory"), "mallory", c, credential).wantError(http.StatusBadRequest, "invalid_request") // alice's ceremony
	elsewhere := strings.Replace(string(body), testIssuer, "https://other.example", 1)
	h.send(http.MethodPost, passkeysPath, elsewhere, append(slices.Clone(jsonBody), "Cookie", cookie, "X-Auth-Token", h.sign("alice", passkeysPath, elsewhere))...).
		wantError(http.StatusBadRequest, "invalid_request")
	h.addPasskey(cookie, "alice", c, credential).wantOK() // nothing of that used the ceremony up
	h.addPasskey(cookie, "alice", c, credential).wantError(http.StatusBadRequest, "invalid_request")
	h.postJSON(passkeysPath+"/"+b64(a.id)+"/remove", map[string]any{}, "Cookie", cookie).wantOK()
	h.addPasskey(cookie, "alice", c, credential).wantError(http.StatusBadRequest, "invalid_request") // the ceremony is used up
}

func TestAPasskeyOfASecondIdentityActsAsThatOne(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	h.link(cookie, "alice-work", "alice").wantOK()
	a, c := newAuthenticator(t), h.passkeyOptions(cookie)
	h.addPasskey(cookie, "alice-work", c, a.create(c.Options)).wantOK()
	user, _ := h.passkeySignIn(a).wantOK().members()["user"].(map[string]any)
	if user["bapId"] != bapIDOf(t, "alice-work") || user["id"] != string(a.handle) {
		t.Errorf("%v", user)
	}
}

func TestACredentialThatDoesNotFitItsCeremonyIsNotAdded(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	for name, change := range map[string]func(*authenticator, *ceremony){
		"origin":        func(a *authenticator, _ *ceremony) { a.origin = "https://evil.example" },
		"origin's port": func(a *authenticator, _ *ceremony) { a.origin = "http://localhost:1" },
		"relying party": func(a *authenticator, _ *ceremony) { a.rpID = "evil.example" },
		"no touch":      func(a *authenticator, _ *ceremony) { a.flags = 0 },
		"challenge": func(_ *authenticator, c *ceremony) {
			c.Options.PublicKey.Challenge = h.passkeyOptions(cookie).Options.PublicKey.Challenge
		},
		"kind": func(a *authenticator, _ *ceremony) {
			a.changes = func(m map[string]any) { m["type"] = "webauthn.get" }
		},
		"long id":  func(a *authenticator, _ *ceremony) { a.id = make([]byte, 1024) },
		"tampered": func(_ *authenticator, c *ceremony) { c.Ceremony = flipped(c.Ceremony) },
		"cut":      func(_ *authenticator, c *ceremony) { c.Ceremony = c.Ceremony[:20] },
		"sign-in":  func(_ *authenticator, c *ceremony) { c.Ceremony = h.passkeySignInOptions().Ceremony },
		"expired":  func(*authenticator, *ceremony) { h.advance(5 * time.Minute) },
	} {
		a, c := newAuthenticator(t), h.passkeyOptions(cookie)
		change(a, &c)
		r := h.addPasskey(cookie, "alice", c, a.create(c.Options))
		ended := strings.Contains(r.body, "ask for new options and try again") && !strings.Contains(r.body, "does not fit")
		if r.status != http.StatusBadRequest || r.text("error") != "invalid_request" || ended != slices.Contains([]string{"tampered", "cut", "sign-in", "expired"}, name) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	c := h.passkeyOptions(cookie)
	for _, text := range []string{"", "{}", "null", "[]", `{"id":"AA"}`, "\xff"} {
		if r := h.addPasskey(cookie, "alice", c, text); r.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", text, r.status, r.body)
		}
	}
	if r := h.send(http.MethodGet, passkeysPath, "", "Cookie", cookie).wantOK(); r.body != `{"passkeys":[]}` {
		t.Errorf("%s", r.body)
	}
}

// flipped changes one bit in the middle of a base64 text.
func flipped(s string) string {
	b := []byte(s)
	if i := len(b) / 2; b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// TestB17_EveryPasskeyThatIsNotAcceptedHearsTheSame: whether a credential is
// unknown, removed, of a disabled account or does not sign what it should, the
// answer is byte for byte the same.
func TestB17_EveryPasskeyThatIsNotAcceptedHearsTheSame(t *testing.T) {
	h := newHouse(t)
	unknown := newAuthenticator(t)
	unknown.handle = []byte("somebody")
	want := h.passkeySignIn(unknown)
	want.wantError(http.StatusUnauthorized, "unauthorized")
	for name, change := range map[string]func(*authenticator, *ceremony){
		"another key":    func(a *authenticator, _ *ceremony) { a.key = newAuthenticator(t).key },
		"another handle": func(a *authenticator, _ *ceremony) { a.handle = []byte("somebody") },
		"no handle":      func(a *authenticator, _ *ceremony) { a.handle = nil },
		"origin":         func(a *authenticator, _ *ceremony) { a.origin = "https://evil.example" },
		"relying party":  func(a *authenticator, _ *ceremony) { a.rpID = "evil.example" },
		"no touch":       func(a *authenticator, _ *ceremony) { a.flags = userVerified },
		"framed": func(a *authenticator, _ *ceremony) {
			a.changes = func(m map[string]any) { m["crossOrigin"], m["topOrigin"] = true, "https://evil.example" }
		},
		"challenge": func(_ *authenticator, c *ceremony) {
			c.Options.PublicKey.Challenge = h.passkeySignInOptions().Options.PublicKey.Challenge
		},
		"kind": func(a *authenticator, _ *ceremony) {
			a.changes = func(m map[string]any) { m["type"] = "webauthn.create" }
		},
		"counter": func(a *authenticator, _ *ceremony) { a.count = 0; h.passkeySignIn(a); a.count = 0 },
	} {
		a, c := h.registered("alice"), h.passkeySignInOptions()
		change(a, &c)
		if r := h.assert(c, a.get(c.Options)); r.status != want.status || r.body != want.body || r.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}

	removed := h.registered("bob")
	cookie := cookieOf(h.passkeySignIn(removed).wantOK())
	c := h.passkeySignInOptions()
	path := passkeysPath + "/" + b64(removed.id) + "/remove"
	h.postJSON(path, map[string]any{}, "Cookie", h.signIn("mallory")).wantError(http.StatusNotFound, "not_found")
	h.signed("bob", http.MethodPost, path, `{"aud":"https://other.example"}`).wantError(http.StatusBadRequest, "invalid_request") // N-07
	h.postJSON(path, map[string]any{}, "Cookie", cookie).wantOK()
	h.postJSON(path, map[string]any{}, "Cookie", cookie).wantError(http.StatusUnauthorized, "unauthorized") // the passkey's own session
	h.postJSON(path, map[string]any{}, "Cookie", h.signIn("bob")).wantError(http.StatusNotFound, "not_found")
	if r := h.assert(c, removed.get(c.Options)); r.body != want.body {
		t.Errorf("removed: %d %s", r.status, r.body)
	}

	onlySQLite(t)
	disabled := h.registered("carol")
	conn, err := driver.OpenConn(h.path, driver.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	err = sqlitex.Execute(conn, "UPDATE accounts SET disabled = 1 WHERE id = ?", &sqlitex.ExecOptions{Args: []any{string(disabled.handle)}})
	if err != nil || conn.Close() != nil {
		t.Fatal(err)
	}
	if r := h.passkeySignIn(disabled); r.body != want.body {
		t.Errorf("disabled: %d %s", r.status, r.body)
	}
	h.signed("carol", http.MethodPost, signInPath, "").wantError(http.StatusForbidden, "access_denied")
	for _, text := range []string{"", "{}", "null", `{"id":"AA","rawId":"AA","type":"public-key"}`} {
		if r := h.assert(h.passkeySignInOptions(), text); r.body != want.body {
			t.Errorf("%q: %d %s", text, r.status, r.body)
		}
	}
}

func TestASignInCeremonyCountsOnceAndForFiveMinutes(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	c := h.passkeySignInOptions()
	first := a.get(c.Options)
	h.advance(5*time.Minute - time.Second)
	h.assert(c, first).wantOK()
	h.assert(c, first).wantError(http.StatusUnauthorized, "unauthorized")             // the counter
	h.assert(c, a.get(c.Options)).wantError(http.StatusBadRequest, "invalid_request") // the challenge
	late := h.passkeySignInOptions()
	h.advance(5 * time.Minute)
	h.assert(late, a.get(late.Options)).wantError(http.StatusBadRequest, "invalid_request")
	for _, sealed := range []string{"", "x", flipped(h.passkeySignInOptions().Ceremony), h.passkeyOptions(h.signIn("alice")).Ceremony} {
		c := h.passkeySignInOptions()
		c.Ceremony = sealed
		h.assert(c, a.get(c.Options)).wantError(http.StatusBadRequest, "invalid_request")
	}
}

func TestACeremonyOfAnAuthenticatorWithoutACounterCountsOnce(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	c := h.passkeySignInOptions()
	a.count = 1<<32 - 1 // the next is 0
	credential := a.get(c.Options)
	if r := h.assert(c, credential).wantOK(); cookieOf(r) == "" {
		t.Error("no cookie")
	}
	h.assert(c, credential).wantError(http.StatusBadRequest, "invalid_request")
}

func TestACopiedPasskeyIsRefusedAndLogged(t *testing.T) {
	h := newHouse(t)
	original := h.registered("alice")
	original.count = 10
	h.passkeySignIn(original).wantOK()
	clone := *original
	h.passkeySignIn(original).wantOK()
	h.passkeySignIn(&clone).wantError(http.StatusUnauthorized, "unauthorized")
	if log := h.log.String(); !strings.Contains(log, "signature counter did not grow") || !strings.Contains(log, b64(original.id)) {
		t.Error("nothing in the log")
	}
	h.passkeySignIn(original).wantOK()
}

func TestOfManySignInsWithOneAssertionOneSucceeds(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	c := h.passkeySignInOptions()
	credential := a.get(c.Options)
	replies := make([]reply, 16)
	var together sync.WaitGroup
	for i := range replies {
		together.Go(func() { replies[i] = h.assert(c, credential) })
	}
	together.Wait()
	won := 0
	for _, r := range replies {
		switch r.status {
		case http.StatusOK:
			won++
		case http.StatusBadRequest, http.StatusUnauthorized:
		default:
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d succeeded", won, len(replies))
	}
}

func TestAnAccountHasTwentyPasskeysAtMost(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	early := h.passkeyOptions(cookie)
	for range 20 {
		c := h.passkeyOptions(cookie)
		h.addPasskey(cookie, "alice", c, newAuthenticator(t).create(c.Options)).wantOK()
	}
	h.postJSON(passkeyOptionsPath, map[string]any{}, "Cookie", cookie).wantError(http.StatusBadRequest, "invalid_request")
	h.addPasskey(cookie, "alice", early, newAuthenticator(t).create(early.Options)).wantError(http.StatusBadRequest, "invalid_request")
}

func TestACredentialIsOneAccounts(t *testing.T) {
	h := newHouse(t)
	a := h.registered("alice")
	for _, who := range []string{"alice", "mallory"} {
		cookie := h.signIn(who)
		c, thief := h.passkeyOptions(cookie), newAuthenticator(t)
		thief.id = a.id
		h.addPasskey(cookie, who, c, thief.create(c.Options)).wantError(http.StatusBadRequest, "invalid_request")
	}
	h.passkeySignIn(a).wantOK()
}

func TestAnIssuerThatIsAnAddressHasNoPasskeys(t *testing.T) {
	for _, issuer := range []string{"http://127.0.0.1:8628", "http://[::1]:8628"} {
		h := newHouse(t, func(s *authz.Settings) { s.Issuer = issuer })
		h.postJSON(passkeySignInPath+"/options", map[string]any{}).wantError(http.StatusBadRequest, "invalid_request")
		h.postJSON(passkeyOptionsPath, map[string]any{}, "Cookie", h.signIn("alice")).wantError(http.StatusBadRequest, "invalid_request")
		cookie := h.signIn("alice")
		add := func() reply {
			body := `{"aud":"` + issuer + `","ceremony":"x","name":"","credential":"{}"}`
			return h.send(http.MethodPost, passkeysPath, body, append(slices.Clone(jsonBody), "Cookie", cookie, bitcoinauth.Header, h.sign("alice", passkeysPath, body))...)
		}
		for _, r := range []reply{
			h.postJSON(passkeySignInPath, map[string]any{"ceremony": "x", "credential": "{}"}), add(),
		} {
			if r.wantError(http.StatusBadRequest, "invalid_request"); !strings.Contains(r.body, "its issuer names an address") {
				t.Errorf("%s", r.body)
			}
		}
		if h.service.Passkeys.Possible() {
			t.Errorf("%s", issuer)
		}
	}
	if h := newHouse(t); !h.service.Passkeys.Possible() {
		t.Error("localhost has none")
	}
}

func FuzzPasskeys(f *testing.F) {
	h := newHouse(f)
	a := h.registered("alice")
	cookie := h.signIn("alice")
	f.Add(a.create(h.passkeyOptions(cookie).Options), "")
	f.Add(a.get(h.passkeySignInOptions().Options), h.passkeySignInOptions().Ceremony)
	f.Add(fmt.Sprintf(`{"id":%q,"rawId":%[1]q,"type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA","userHandle":"AA"}}`, b64(a.id)), "x")
	f.Fuzz(func(t *testing.T, credential, sealed string) {
		h.t = t
		add, signIn := h.passkeyOptions(cookie), h.passkeySignInOptions()
		answersInJSON(t, h.addPasskey(cookie, "alice", add, credential))
		r := h.assert(signIn, credential)
		answersInJSON(t, r)
		if r.status == http.StatusOK {
			t.Errorf("a made-up assertion signed in: %s", credential)
		}
		signIn.Ceremony = sealed
		answersInJSON(t, h.assert(signIn, credential))
	})
}

// FuzzAuthenticators gets past the client's data to what an authenticator made:
// the attestation object, the authenticator data and the signature.
func FuzzAuthenticators(f *testing.F) {
	h := newHouse(f)
	a := h.registered("alice")
	cookie := h.signIn("alice")
	for _, format := range []string{"none", "packed", "fido-u2f", "tpm", "android-key", "android-safetynet", "apple", "compound"} {
		object, err := webauthncbor.Marshal(map[string]any{
			"fmt": format, "authData": a.attested(), "attStmt": map[string]any{"alg": -7, "sig": []byte{0x30}, "x5c": []any{[]byte{0x30}}, "ver": "2.0"},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(object, a.data(a.flags), []byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01})
	}
	f.Fuzz(func(t *testing.T, object, data, signature []byte) {
		h.t, a.t = t, t
		add, signIn := h.passkeyOptions(cookie), h.passkeySignInOptions()
		answersInJSON(t, h.addPasskey(cookie, "alice", add, a.attestation(add.Options, object)))
		r := h.assert(signIn, a.assertion(a.clientData("webauthn.get", signIn.Options.PublicKey.Challenge), data, signature))
		answersInJSON(t, r)
		if r.status == http.StatusOK {
			t.Errorf("a made-up signature signed in: %x %x", data, signature)
		}
	})
}

// What is kept of a passkey and cannot be read is a failure of ours, and says nothing of
// who signs in.
func TestAPasskeyThatCannotBeReadIsNoRefusal(t *testing.T) {
	h := newHouse(t)
	a := newAuthenticator(t)
	cookie := h.signIn("alice")
	owner := h.ownerOf(cookie)
	a.handle = []byte(owner.AccountID)
	spoilt := authz.Passkey{
		ID: b64(a.id), AccountID: owner.AccountID, BAPID: owner.BAPID, MemberKey: owner.MemberKey, CreatedAt: h.now(), Credential: []byte(`{"id":`),
	}
	added := contract.NewEvent{Keep: contract.KeepAtMost(authz.EventsPerAccount), Event: authz.Event{ID: "added", AccountID: owner.AccountID, At: h.now(), Kind: authz.EventPasskeyAdded}}
	if err := h.store.AddPasskey(t.Context(), spoilt, 20, added); err != nil {
		t.Fatal(err)
	}
	h.passkeySignIn(a).wantError(http.StatusInternalServerError, "server_error")
	h.postJSON(passkeyOptionsPath, map[string]any{}, "Cookie", cookie).wantError(http.StatusInternalServerError, "server_error")
	if lines := h.lines("panic"); len(lines) > 0 {
		t.Errorf("%v", lines)
	}
	h.postJSON(passkeysPath+"/"+b64(a.id)+"/remove", map[string]any{}, "Cookie", cookie).wantOK() // and can be taken out
}
