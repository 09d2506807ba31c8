package server_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
)

const boundScope = "openid profile offline_access"

// keyHolder is somebody who has a key.
type keyHolder struct {
	*house
	key *dpop.Key
	// nonce is the server's latest.
	nonce string
	// asksFor is the scope that it asks for; empty: boundScope.
	asksFor string
}

func (h *house) holder() *keyHolder {
	h.t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		h.t.Fatal(err)
	}
	return &keyHolder{house: h, key: key}
}

// proof is one for a request to this server; a token is what it is to be used with.
func (k *keyHolder) proof(method, path, token string, edit ...func(*dpop.Signing)) string {
	k.t.Helper()
	s := dpop.Signing{Method: method, URL: k.settings.Origin() + path, AccessToken: token, Nonce: k.nonce, Time: k.now()}
	for _, e := range edit {
		e(&s)
	}
	proof, err := k.key.Sign(s)
	if err != nil {
		k.t.Fatal(err)
	}
	return proof
}

// with sends a form with a proof by the key.
func (k *keyHolder) with(path string, form url.Values) reply {
	k.t.Helper()
	return k.postForm(path, form, dpop.Header, k.proof(http.MethodPost, path, ""))
}

func (k *keyHolder) asks(client string) device {
	k.t.Helper()
	r := k.with(codePath, url.Values{"client_id": {client}, "scope": {cmp.Or(k.asksFor, boundScope)}}).wantOK()
	return device{r.text("device_code"), r.text("user_code"), client}
}

func (k *keyHolder) polls(d device) reply {
	k.t.Helper()
	return k.poll(d, dpop.Header, k.proof(http.MethodPost, pollPath, ""))
}

func (k *keyHolder) refreshes(client, token string) reply {
	k.t.Helper()
	return k.with(tokenPath, refreshForm(client, token))
}

// uses sends a request with a bound access token.
func (k *keyHolder) uses(method, path, token string) reply {
	k.t.Helper()
	return k.send(method, path, "", "Authorization", "DPoP "+token, dpop.Header, k.proof(method, path, token))
}

// allowed are the tokens of a device whose code was bound to the key.
func (k *keyHolder) allowed(client string) reply {
	k.t.Helper()
	d := k.asks(client)
	k.approve(k.signIn("alice"), d.userCode)
	return k.polls(d).wantOK()
}

// edited is a proof with a member of its header changed.
func edited(t *testing.T, proof, member string, value any) string {
	t.Helper()
	part := strings.Split(proof, ".")
	head, _ := claimsOf(t, proof)
	if inKey, ok := strings.CutPrefix(member, "jwk."); ok {
		head["jwk"].(map[string]any)[inKey] = value
	} else {
		head[member] = value
	}
	b, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	part[0] = base64.RawURLEncoding.EncodeToString(b)
	return strings.Join(part, ".")
}

func TestP01_P02_P03_P04_P05_B14_AProofThatIsNotOneForThisRequestIsRefusedWhereverItComes(t *testing.T) {
	h := newHouse(t)
	k := h.holder()
	tokens := k.allowed("pub-a")
	access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
	unbound := h.ask("pub-a", "openid")
	for _, at := range []struct {
		method, path, token string
		form                url.Values
		status              int
	}{
		{http.MethodPost, codePath, "", url.Values{"client_id": {"pub-a"}}, 400},
		{http.MethodPost, pollPath, "", url.Values{"client_id": {"pub-a"}, "grant_type": {deviceGrant}, "device_code": {unbound.deviceCode}}, 400},
		{http.MethodPost, tokenPath, "", refreshForm("pub-a", refresh), 400},
		{http.MethodGet, userinfoPath, access, nil, 401},
	} {
		good := func(edit ...func(*dpop.Signing)) string { return k.proof(at.method, at.path, at.token, edit...) }
		for name, proofs := range map[string][]string{
			"two headers":      {good(), good()},
			"two in one":       {good() + ", " + good()},
			"no JWT":           {"proof"},
			"alg none":         {edited(t, good(), "alg", "none")},
			"alg HS256":        {edited(t, good(), "alg", "HS256")},
			"another typ":      {edited(t, good(), "typ", "JWT")},
			"a private key":    {edited(t, good(), "jwk.d", "AAAA")},
			"another's key":    {edited(t, good(), "kid", "x")}, // whose signature does not cover this
			"another method":   {good(func(s *dpop.Signing) { s.Method = http.MethodPut })},
			"another path":     {good(func(s *dpop.Signing) { s.URL = testIssuer + "/elsewhere" })},
			"another host":     {good(func(s *dpop.Signing) { s.URL = "http://evil.example" + at.path })},
			"ten minutes old":  {good(func(s *dpop.Signing) { s.Time = s.Time.Add(-10 * time.Minute) })},
			"ten minutes soon": {good(func(s *dpop.Signing) { s.Time = s.Time.Add(10 * time.Minute) })},
		} {
			header := []string{"Content-Type", "application/x-www-form-urlencoded", "Host", "evil.example"}
			for _, p := range proofs {
				header = append(header, dpop.Header, p)
			}
			if at.token != "" {
				header = append(header, "Authorization", "DPoP "+at.token)
			}
			r := h.send(at.method, at.path, at.form.Encode(), header...)
			if r.status != at.status || r.text("error") != "invalid_dpop_proof" || strings.Contains(r.body, "evil") {
				t.Errorf("%s, %s: answered %d %s", at.path, name, r.status, r.body)
			}
			if challenge := r.header.Get("WWW-Authenticate"); (challenge != "") != (at.token != "") {
				t.Errorf("%s, %s: challenged with %q", at.path, name, challenge)
			}
		}
	}
	// None of it used anything up.
	k.uses(http.MethodGet, userinfoPath, access).wantOK()
	k.refreshes("pub-a", refresh).wantOK()
	k.polls(unbound).wantError(http.StatusBadRequest, "authorization_pending")
}

func TestP04_BehindAProxyTheAddressIsTheIssuers(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.Issuer = "https://id.example.org" })
	k := h.holder()
	ask := url.Values{"client_id": {"pub-a"}}
	proxied := []string{"Host", "10.0.0.7:8628", "X-Forwarded-Host", "other.example", "X-Forwarded-Proto", "http"}
	for _, same := range []string{"https://id.example.org", "https://ID.EXAMPLE.ORG:443"} {
		proof := k.proof(http.MethodPost, codePath, "", func(s *dpop.Signing) { s.URL = same + codePath + "?x=1" })
		h.postForm(codePath, ask, append(proxied, dpop.Header, proof)...).wantOK()
	}
	for _, other := range []string{"http://id.example.org", "http://10.0.0.7:8628", "https://other.example"} {
		proof := k.proof(http.MethodPost, codePath, "", func(s *dpop.Signing) { s.URL = other + codePath })
		h.postForm(codePath, ask, append(proxied, dpop.Header, proof)...).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	}
}

func TestP06_AProofCountsOnceHoweverManyComeAtOnce(t *testing.T) {
	h := newHouse(t)
	k := h.holder()
	d := k.asks("pub-a")
	h.approve(h.signIn("alice"), d.userCode)
	polled := k.proof(http.MethodPost, pollPath, "")
	tokens := h.poll(d, dpop.Header, polled).wantOK()
	access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
	asked, refreshed, looked := k.proof(http.MethodPost, codePath, ""), k.proof(http.MethodPost, tokenPath, ""), k.proof(http.MethodGet, userinfoPath, access)
	for name, send := range map[string]func() reply{
		"asking":     func() reply { return h.postForm(codePath, url.Values{"client_id": {"pub-a"}}, dpop.Header, asked) },
		"refreshing": func() reply { return h.postForm(tokenPath, refreshForm("pub-a", refresh), dpop.Header, refreshed) },
		"looking": func() reply {
			return h.send(http.MethodGet, userinfoPath, "", "Authorization", "DPoP "+access, dpop.Header, looked)
		},
	} {
		replies := make([]reply, 17)
		var sending sync.WaitGroup
		for i := range replies[1:] {
			sending.Go(func() { replies[i] = send() })
		}
		sending.Wait()
		replies[16] = send()
		good := 0
		for _, r := range replies {
			if r.status == http.StatusOK {
				good++
			} else if r.text("error") != "invalid_dpop_proof" {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		if good != 1 {
			t.Errorf("%s: one proof counted %d times", name, good)
		}
	}
	// Nor does it count at another server, or after a restart.
	h.restart()
	h.postForm(codePath, url.Values{"client_id": {"pub-a"}}, dpop.Header, asked).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	// A poll that finds nothing decided uses none up: it gives nothing, and writes nothing.
	d = k.asks("pub-a")
	again := k.proof(http.MethodPost, pollPath, "")
	h.poll(d, dpop.Header, again).wantError(http.StatusBadRequest, "authorization_pending")
	h.approve(h.signIn("alice"), d.userCode)
	h.advance(5 * time.Second)
	h.poll(d, dpop.Header, again).wantOK()
}

func TestP07_ANonceIsAskedForWhereTheOperatorWantsOne(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.DPoPNonce = true })
	k := h.holder()
	// insisted sends until it is served, as clients do: once more.
	insisted := func(status int, send func() reply) reply {
		t.Helper()
		k.nonce = ""
		for _, nonce := range []string{"", "nonsense", strings.Repeat("A", 80)} {
			k.nonce = nonce
			r := send()
			r.wantError(status, "use_dpop_nonce")
			if fresh := r.header.Get(dpop.NonceHeader); fresh == "" || len(r.header.Values(dpop.NonceHeader)) != 1 {
				t.Fatalf("no nonce came with %s", r.body)
			} else {
				k.nonce = fresh
			}
		}
		r := send()
		if r.header.Get(dpop.NonceHeader) == "" {
			t.Errorf("no next nonce came with %s", r.body)
		}
		return r
	}
	ask := insisted(http.StatusBadRequest, func() reply { return k.with(codePath, url.Values{"client_id": {"pub-a"}, "scope": {boundScope}}) }).wantOK()
	d := device{ask.text("device_code"), ask.text("user_code"), "pub-a"}
	insisted(http.StatusBadRequest, func() reply { return k.polls(d) }).wantError(http.StatusBadRequest, "authorization_pending")
	h.approve(h.signIn("alice"), d.userCode)
	h.advance(5 * time.Second)
	tokens := insisted(http.StatusBadRequest, func() reply { return k.polls(d) }).wantOK()
	access := tokens.text("access_token")
	r := insisted(http.StatusUnauthorized, func() reply { return k.uses(http.MethodGet, userinfoPath, access) })
	r.wantOK()
	insisted(http.StatusBadRequest, func() reply { return k.refreshes("pub-a", tokens.text("refresh_token")) }).wantOK()

	// Another server reads it, for it has the secret; after five minutes nobody takes it.
	h.restart()
	k.uses(http.MethodGet, userinfoPath, access).wantOK()
	h.advance(5 * time.Minute)
	k.uses(http.MethodGet, userinfoPath, access).wantOK()
	h.advance(time.Millisecond)
	r = k.uses(http.MethodGet, userinfoPath, access)
	r.wantError(http.StatusUnauthorized, "use_dpop_nonce")
	if got := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `DPoP error="use_dpop_nonce", error_description="`) || !strings.HasSuffix(got, `, algs="ES256 EdDSA Ed25519 ES256K PS256 RS256"`) {
		t.Error(got)
	}
	h.advance(-10*time.Minute - 2*time.Millisecond) // a server's clock that is far behind
	k.uses(http.MethodGet, userinfoPath, access).wantError(http.StatusUnauthorized, "use_dpop_nonce")
	// Who sends no proof hears of none.
	if r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}}).wantOK(); r.header.Get(dpop.NonceHeader) != "" {
		t.Error("a nonce came unasked")
	}
}

func TestP05_P07_ADeviceWhoseClockIsWrongIsServedByANonce(t *testing.T) {
	h := newHouse(t)
	k := h.holder()
	wrong := func() reply {
		proof := k.proof(http.MethodPost, codePath, "", func(s *dpop.Signing) { s.Time = time.Unix(0, 0) })
		return h.postForm(codePath, url.Values{"client_id": {"pub-a"}}, dpop.Header, proof)
	}
	r := wrong()
	r.wantError(http.StatusBadRequest, "invalid_dpop_proof")
	k.nonce = r.header.Get(dpop.NonceHeader)
	if r = wrong().wantOK(); k.nonce == "" || r.header.Get(dpop.NonceHeader) != "" {
		t.Errorf("with %q came %q", k.nonce, r.header.Get(dpop.NonceHeader))
	}
	h.advance(5*time.Minute + time.Millisecond)
	r = wrong()
	r.wantError(http.StatusBadRequest, "use_dpop_nonce")
	k.nonce = r.header.Get(dpop.NonceHeader)
	wrong().wantOK()
	// Where nobody asked for a nonce, none is needed.
	k.nonce = ""
	if r := k.with(codePath, url.Values{"client_id": {"pub-a"}}).wantOK(); r.header.Get(dpop.NonceHeader) != "" {
		t.Error("a nonce came that nobody needs")
	}
}

func TestP08_P10_U13_K09_ABoundTokenIsOfUseToItsKeyAlone(t *testing.T) {
	h := newHouse(t)
	k, thief := h.holder(), h.holder()
	tokens := k.allowed("pub-a")
	access := tokens.text("access_token")
	_, claims := claimsOf(t, access)
	if confirmed, _ := claims["cnf"].(map[string]any); tokens.text("token_type") != "DPoP" || confirmed["jkt"] != k.key.Thumbprint() {
		t.Errorf("%s: %v", tokens.text("token_type"), claims)
	}
	if r := k.uses(http.MethodGet, userinfoPath, access).wantOK(); r.text("sub") == "" {
		t.Error(r.body)
	}
	k.uses(http.MethodPost, userinfoPath, access).wantOK()
	h.restart() // when its signature must be verified again
	k.uses(http.MethodGet, userinfoPath, access).wantOK()

	// As a bearer token it is none, in the header or in a form.
	r := h.userInfo(access)
	r.wantError(http.StatusUnauthorized, "invalid_token")
	if got := r.header.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[0], `Bearer error="invalid_token"`) || !strings.HasPrefix(got[1], `DPoP algs="ES256 `) {
		t.Error(got)
	}
	h.send(http.MethodGet, userinfoPath, "", "Authorization", "Bearer "+access, dpop.Header, k.proof(http.MethodGet, userinfoPath, access)).wantError(http.StatusUnauthorized, "invalid_token")
	h.postForm(userinfoPath, url.Values{"access_token": {access}}, dpop.Header, k.proof(http.MethodPost, userinfoPath, access)).wantError(http.StatusUnauthorized, "invalid_token")
	// Nor is it without a proof, with one by another key, or with one for another token.
	other := h.tokens("pub-a", "openid", "alice").text("access_token")
	for name, row := range map[string]struct {
		want   string
		header []string
	}{
		"no proof":           {"invalid_token", nil},
		"another key":        {"invalid_token", []string{dpop.Header, thief.proof(http.MethodGet, userinfoPath, access)}},
		"no ath":             {"invalid_dpop_proof", []string{dpop.Header, k.proof(http.MethodGet, userinfoPath, "")}},
		"ath of another":     {"invalid_dpop_proof", []string{dpop.Header, k.proof(http.MethodGet, userinfoPath, other)}},
		"not authentic here": {"invalid_token", []string{dpop.Header, k.proof(http.MethodGet, userinfoPath, access), "X", "x"}},
	} {
		presented := access
		if name == "not authentic here" {
			presented += "x"
		}
		r := h.send(http.MethodGet, userinfoPath, "", append(row.header, "Authorization", "dpop "+presented)...)
		r.wantError(http.StatusUnauthorized, row.want)
		got := r.header.Values("WWW-Authenticate")
		if !strings.HasPrefix(got[0], `DPoP error="`+row.want+`", error_description="`) || !strings.Contains(got[0], `algs="ES256 `) {
			t.Errorf("%s: %q", name, got)
		}
		if bearer := slices.Equal(got[1:], []string{`Bearer realm="countersign"`}); bearer != (row.want == "invalid_token") || !bearer && len(got) > 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
	// A bearer token does not become a bound one by a proof.
	k.uses(http.MethodGet, userinfoPath, other).wantError(http.StatusUnauthorized, "invalid_token")
	// Of a scope that is missing the challenge tells in the same scheme.
	small := k.with(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}, "client_id": {"pub-a"}, "scope": {"profile"}}).wantOK()
	r = k.uses(http.MethodGet, userinfoPath, small.text("access_token"))
	r.wantError(http.StatusForbidden, "insufficient_scope")
	if got := r.header.Values("WWW-Authenticate"); len(got) != 1 || !strings.HasPrefix(got[0], `DPoP error="insufficient_scope", scope="openid", resource_metadata="`+userInfoMetadata+`", algs="`) {
		t.Error(got)
	}
	if got := h.send(http.MethodGet, userinfoPath, "").header.Values("WWW-Authenticate"); !slices.Equal(got, []string{`Bearer realm="countersign", scope="openid", resource_metadata="` + userInfoMetadata + `"`, `DPoP algs="ES256 EdDSA Ed25519 ES256K PS256 RS256"`}) {
		t.Error(got)
	}
	// It is taken back like any other.
	h.postForm(revokePath, url.Values{"client_id": {"pub-a"}, "token": {access}}).wantOK()
	k.uses(http.MethodGet, userinfoPath, access).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestP10_ABoundTokenSeesAndTakesBackItsOwnersGrants(t *testing.T) {
	h := newHouse(t)
	k := h.holder()
	r := k.with(codePath, url.Values{"client_id": {"countersign-cli"}, "scope": {grantsScope}}).wantOK()
	d := device{r.text("device_code"), r.text("user_code"), "countersign-cli"}
	grant := h.approveSigned("alice", d.userCode)
	access := k.polls(d).wantOK().text("access_token")
	if r := k.uses(http.MethodGet, "/api/grants", access).wantOK(); !strings.Contains(r.body, grant) {
		t.Error(r.body)
	}
	k.uses(http.MethodGet, "/api/grants/"+grant+"/receipt", access).wantOK()
	h.byToken(access, http.MethodGet, "/api/grants", "").wantError(http.StatusUnauthorized, "invalid_token")
	used := k.proof(http.MethodPost, "/api/grants/"+grant+"/revoke", access)
	header := []string{"Authorization", "DPoP " + access, "Content-Type", "application/json", dpop.Header, used}
	h.send(http.MethodPost, "/api/grants/"+grant+"/revoke", "{}", header...).wantOK()
	k.uses(http.MethodGet, "/api/grants", access).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestP09_APublicClientsRefreshTokenIsBoundToItsKey(t *testing.T) {
	h := newHouse(t)
	k, thief := h.holder(), h.holder()
	first := k.allowed("pub-a").text("refresh_token")
	wantRefused := func(token string) {
		t.Helper()
		thief.refreshes("pub-a", token).wantError(http.StatusBadRequest, "invalid_grant")
		h.postForm(tokenPath, refreshForm("pub-a", token)).wantError(http.StatusBadRequest, "invalid_grant")
	}
	wantRefused(first)
	second := k.refreshes("pub-a", first).wantOK()
	// Who has not the key ends nothing, not even with a token that was used long ago.
	h.advance(time.Minute)
	wantRefused(first)
	wantRefused(second.text("refresh_token"))
	third := k.refreshes("pub-a", second.text("refresh_token")).wantOK()
	if third.text("token_type") != "DPoP" {
		t.Error(third.body)
	}
	k.uses(http.MethodGet, userinfoPath, third.text("access_token")).wantOK()
	// Who has it, and uses a token again, is taken for a thief of both.
	h.advance(time.Minute)
	k.refreshes("pub-a", second.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
	k.uses(http.MethodGet, userinfoPath, third.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestP09_ATokenFromBeforeIsBoundWhenItIsRefreshedWithAKey(t *testing.T) {
	h := newHouse(t)
	k, other := h.holder(), h.holder()
	bearer := h.tokens("pub-a", boundScope, "alice")
	bound := k.refreshes("pub-a", bearer.text("refresh_token")).wantOK()
	if bearer.text("token_type") != "Bearer" || bound.text("token_type") != "DPoP" {
		t.Errorf("%s\n%s", bearer.body, bound.body)
	}
	h.userInfo(bearer.text("access_token")).wantOK()
	other.refreshes("pub-a", bound.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
	k.refreshes("pub-a", bound.text("refresh_token")).wantOK()
	plain := h.tokens("pub-b", boundScope, "alice")
	if r := h.postForm(tokenPath, refreshForm("pub-b", plain.text("refresh_token"))).wantOK(); r.text("token_type") != "Bearer" {
		t.Error(r.body)
	}
}

func TestP09_AConfidentialClientProvesItselfAndMayChangeItsKey(t *testing.T) {
	h := newHouse(t)
	k, next := h.holder(), h.holder()
	ask := k.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {confSecret}, "scope": {boundScope}}, dpop.Header, k.proof(http.MethodPost, codePath, "")).wantOK()
	d := device{ask.text("device_code"), ask.text("user_code"), "conf-a"}
	h.approve(h.signIn("alice"), d.userCode)
	next.polls(d).wantError(http.StatusBadRequest, "invalid_grant") // its code is bound to a key as anybody's is
	tokens := k.polls(d).wantOK()
	form := refreshForm("conf-a", tokens.text("refresh_token"))
	form.Set("client_secret", confSecret)
	changed := next.with(tokenPath, form).wantOK()
	next.uses(http.MethodGet, userinfoPath, changed.text("access_token")).wantOK()
	k.uses(http.MethodGet, userinfoPath, changed.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	form.Set("refresh_token", changed.text("refresh_token"))
	if r := h.postForm(tokenPath, form).wantOK(); r.text("token_type") != "Bearer" {
		t.Error(r.body)
	}
}

func TestP12_AClientThatIsBoundToKeysGetsNoBearerTokenAnywhere(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) {
		s.Clients = append(s.Clients, authz.Client{ID: "bound", DPoPBound: true, Scope: boundScope}, authz.Client{
			ID: "bound-conf", DPoPBound: true, Scope: boundScope, Secret: authz.Secret(confSecret).Hash(),
		})
	})
	k := h.holder()
	d := h.ask("bound", boundScope)
	h.poll(d).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	h.approve(h.signIn("alice"), d.userCode)
	h.poll(d).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	tokens := k.polls(d).wantOK()
	if tokens.text("token_type") != "DPoP" {
		t.Error(tokens.body)
	}
	h.postForm(tokenPath, refreshForm("bound", tokens.text("refresh_token"))).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	k.refreshes("bound", tokens.text("refresh_token")).wantOK()

	secret := url.Values{"client_id": {"bound-conf"}, "client_secret": {confSecret}, "scope": {boundScope}}
	ask := h.postForm(codePath, secret).wantOK()
	h.approve(h.signIn("alice"), ask.text("user_code"))
	secret.Set("grant_type", deviceGrant)
	secret.Set("device_code", ask.text("device_code"))
	h.postForm(tokenPath, secret).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	tokens = k.with(tokenPath, secret).wantOK()
	secret.Set("grant_type", "refresh_token")
	secret.Set("refresh_token", tokens.text("refresh_token"))
	h.postForm(tokenPath, secret).wantError(http.StatusBadRequest, "invalid_dpop_proof")
}

func TestP13_B14_B26_AStolenDeviceCodeIsWorthlessWithoutItsKey(t *testing.T) {
	for name, ask := range map[string]func(k *keyHolder) reply{
		"by a proof": func(k *keyHolder) reply {
			return k.with(codePath, url.Values{"client_id": {"pub-a"}, "scope": {boundScope}})
		},
		"by a parameter": func(k *keyHolder) reply {
			return k.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {boundScope}, "dpop_jkt": {k.key.Thumbprint()}})
		},
		"by both": func(k *keyHolder) reply {
			return k.with(codePath, url.Values{"client_id": {"pub-a"}, "scope": {boundScope}, "dpop_jkt": {k.key.Thumbprint()}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			k, thief := h.holder(), h.holder()
			r := ask(k).wantOK()
			d := device{r.text("device_code"), r.text("user_code"), "pub-a"}
			stolen := func() {
				t.Helper()
				thief.polls(d).wantError(http.StatusBadRequest, "invalid_grant")
				h.poll(d).wantError(http.StatusBadRequest, "invalid_grant")
				h.poll(d, dpop.Header, k.proof(http.MethodPost, tokenPath, "")).wantError(http.StatusBadRequest, "invalid_dpop_proof")
			}
			stolen()
			k.polls(d).wantError(http.StatusBadRequest, "authorization_pending")
			stolen() // and slows nobody down
			h.advance(5 * time.Second)
			k.polls(d).wantError(http.StatusBadRequest, "authorization_pending")
			stolen()
			h.restart() // when nothing is known of the code
			stolen()
			h.approve(h.signIn("alice"), d.userCode)
			stolen()
			h.advance(5 * time.Second)
			tokens := k.polls(d).wantOK()
			k.uses(http.MethodGet, userinfoPath, tokens.text("access_token")).wantOK()
			k.refreshes("pub-a", tokens.text("refresh_token")).wantOK()
			k.polls(d).wantError(http.StatusBadRequest, "invalid_grant") // once
		})
	}
}

func TestP13_B14_WhatABindingSaysIsNeverPassedOver(t *testing.T) {
	h := newHouse(t)
	k, other := h.holder(), h.holder()
	for _, jkt := range []string{"x", strings.Repeat("A", 42), strings.Repeat("A", 44), k.key.Thumbprint() + "=", " " + k.key.Thumbprint()} {
		h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "dpop_jkt": {jkt}}).wantError(http.StatusBadRequest, "invalid_request")
	}
	k.with(codePath, url.Values{"client_id": {"pub-a"}, "dpop_jkt": {other.key.Thumbprint()}}).wantError(http.StatusBadRequest, "invalid_dpop_proof")
	// A code that is bound to none may be polled for with a key: the tokens are bound to it.
	d := h.ask("pub-a", boundScope)
	k.polls(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.approve(h.signIn("alice"), d.userCode)
	h.advance(5 * time.Second)
	if r := k.polls(d).wantOK(); r.text("token_type") != "DPoP" {
		t.Error(r.body)
	}
}

func TestP13_AStolenDeviceCodeWaitsForNothing(t *testing.T) {
	h := newHouse(t)
	k, thief := h.holder(), h.holder()
	d := k.asks("pub-a")
	h.poll(d, "Prefer", "wait=30", dpop.Header, thief.proof(http.MethodPost, pollPath, "")).wantError(http.StatusBadRequest, "invalid_grant")
	h.poll(d, "Prefer", "wait=30").wantError(http.StatusBadRequest, "invalid_grant")
	answered := make(chan reply)
	go func() {
		answered <- h.poll(d, "Prefer", "wait=30", dpop.Header, k.proof(http.MethodPost, pollPath, ""))
	}()
	h.approve(h.signIn("alice"), d.userCode)
	if r := (<-answered).wantOK(); r.text("token_type") != "DPoP" {
		t.Error(r.body)
	}
}

func TestP14_TheMetadataNamesTheAlgorithmsOfProofs(t *testing.T) {
	h := newHouse(t)
	list, _ := h.send(http.MethodGet, "/.well-known/openid-configuration", "").members()["dpop_signing_alg_values_supported"].([]any)
	if len(list) != len(dpop.Algorithms()) || !slices.Contains(list, any("ES256")) || slices.Contains(list, any("HS256")) || slices.Contains(list, any("none")) {
		t.Error(list)
	}
}

func TestU11_AWebPageMaySendAProofAndReadTheNonce(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{codePath, pollPath, tokenPath, userinfoPath} {
		preflight := h.send(http.MethodOptions, path, "", "Origin", "https://x.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,dpop")
		if allowed := preflight.header.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, "dpop") || !strings.Contains(allowed, "authorization") {
			t.Errorf("%s allows %q", path, allowed)
		}
		r := h.send(http.MethodPost, path, "", "Origin", "https://x.example", dpop.Header, "nonsense")
		if exposed := r.header.Get("Access-Control-Expose-Headers"); !strings.Contains(strings.ToLower(exposed), "dpop-nonce") {
			t.Errorf("%s exposes %q", path, exposed)
		}
	}
}

func TestForgedProofsAreNotVerifiedWhereTooManyWere(t *testing.T) {
	h := newHouse(t)
	forger, known := h.holder(), h.holder()
	access, other := forger.allowed("pub-a").text("access_token"), known.allowed("pub-b").text("access_token")
	sent := func(path, proof string, header ...string) reply {
		return h.sentFrom(here, func() reply { return h.send(http.MethodGet, path, "", append(header, dpop.Header, proof)...) })
	}
	forged := func() reply {
		return sent(userinfoPath, edited(t, forger.proof(http.MethodGet, userinfoPath, access), "kid", "x"), "Authorization", "DPoP "+access)
	}
	for range 120 {
		forged().wantError(http.StatusUnauthorized, "invalid_dpop_proof")
	}
	forged().wantBusy()
	good := forger.proof(http.MethodGet, userinfoPath, access)
	sent(userinfoPath, good, "Authorization", "DPoP "+access).wantBusy() // and is not used up
	h.sentFrom(here, func() reply { return h.holder().with(codePath, url.Values{"client_id": {"pub-a"}}) }).wantBusy()
	// A key that a token names is shut out by what was forged in its own name.
	h.sentFrom(here, func() reply { return known.uses(http.MethodGet, userinfoPath, other) }).wantOK()
	h.advance(time.Second)
	sent(userinfoPath, good, "Authorization", "DPoP "+access).wantOK()
}

func TestP06_AGrantWhoseProofsFillTheDatabaseIsBusy(t *testing.T) {
	inFull(t)
	h := newHouse(t)
	k := h.holder()
	access, other := k.allowed("pub-a").text("access_token"), k.allowed("pub-b").text("access_token")
	var using sync.WaitGroup
	var served atomic.Int64
	for range 100 {
		using.Go(func() {
			for range 12 {
				if k.uses(http.MethodGet, userinfoPath, access).status == http.StatusOK {
					served.Add(1)
				}
			}
		})
	}
	using.Wait()
	if served.Load() != 1200 {
		t.Errorf("%d were served", served.Load())
	}
	k.uses(http.MethodGet, userinfoPath, access).wantBusy()
	k.uses(http.MethodGet, userinfoPath, other).wantOK()
	h.advance(time.Second)
	k.uses(http.MethodGet, userinfoPath, access).wantOK()
}
