package server_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
	"countersign.dev/protect"
)

const notesAPI = "https://notes.example"

// notes is somebody's API behind package protect, which asks the house itself for keys and
// about tokens.
type notes struct {
	*house
	mux   *http.ServeMux
	away  atomic.Bool
	asked atomic.Int64
}

// RoundTrip takes what the API asks to the server.
func (n *notes) RoundTrip(r *http.Request) (*http.Response, error) {
	n.asked.Add(1)
	if n.away.Load() {
		return nil, errors.New("the issuer is away")
	}
	r.RemoteAddr, r.RequestURI = n.peer, r.URL.RequestURI()
	w := httptest.NewRecorder()
	n.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// serveNotes registers the API and starts it.
func (h *house) serveNotes(options ...protect.Option) *notes {
	h.t.Helper()
	h.register("database", "notes", made("notes", func(c *authz.Client) { c.Resources = []string{notesAPI} }))
	n := &notes{house: h, mux: http.NewServeMux()}
	options = append(options, protect.Clock(h.now), protect.Client(&http.Client{Transport: n}), protect.Log(slog.New(slog.NewJSONHandler(h.log, nil))))
	api, err := protect.New(h.t.Context(), testIssuer, notesAPI, options...)
	if err != nil {
		h.t.Fatal(err)
	}
	n.mux.Handle("/notes", api.Require("profile", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(protect.FromContext(r.Context())); err != nil {
			h.t.Error(err)
		}
	})))
	n.mux.Handle("/admin", api.Require("admin:all profile", http.NotFoundHandler()))
	n.mux.Handle(api.Metadata())
	return n
}

// call sends the API a request.
func (n *notes) call(method, target string, header ...string) reply {
	n.t.Helper()
	r := httptest.NewRequest(method, "http://10.0.0.7:8080"+target, nil) // whatever a proxy calls it
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	n.mux.ServeHTTP(w, r)
	return reply{n.t, w.Code, w.Header(), w.Body.String()}
}

func (n *notes) bearing(token string) reply {
	n.t.Helper()
	return n.call(http.MethodGet, "/notes", "Authorization", "Bearer "+token)
}

// allows are the tokens of a device whose owner lets it use the API.
func (n *notes) allows() reply {
	n.t.Helper()
	d := n.askFor("openid profile offline_access", notesAPI)
	n.approveSigned("alice", d.userCode)
	return n.poll(d).wantOK()
}

func TestM10_U04_U06_S02_S03_AnAPIBehindProtectServesWhomTheServerGaveATokenForIt(t *testing.T) {
	h := newHouse(t)
	n := h.serveNotes()
	tokens := n.allows()
	access := tokens.text("access_token")
	var token protect.Token
	if r := n.bearing(access).wantOK(); json.Unmarshal([]byte(r.body), &token) != nil {
		t.Fatal(r.body)
	}
	_, payload := claimsOf(t, access)
	if token.Subject != payload["sub"] || token.ClientID != "pub-a" || !token.May("profile") || token.May("admin:all") || token.BAPID != bapIDOf(t, "alice") ||
		token.PublicKey != bap.FormatPublicKey(person("alice").PubKey()) || token.Thumbprint != "" || token.ID != payload["jti"] || token.ACR != authz.ACRSignature ||
		token.Expires.Sub(h.now()).Round(time.Minute) != time.Hour {
		t.Errorf("%+v", token)
	}
	asked := n.asked.Load()
	for range 3 {
		n.bearing(access).wantOK()
	}
	if n.asked.Load() != asked {
		t.Error("a request cost the issuer one")
	}

	// Who comes without a token hears what to bring, and no error code.
	r := n.call(http.MethodGet, "/notes")
	r.wantError(http.StatusUnauthorized, "unauthorized")
	const described = `resource_metadata="https://notes.example/.well-known/oauth-protected-resource"`
	challenges := r.header.Values("WWW-Authenticate")
	if len(challenges) != 2 || challenges[0] != `Bearer scope="profile", `+described || challenges[1] != `DPoP algs="`+strings.Join(dpop.Algorithms(), " ")+`"` {
		t.Errorf("%q", challenges)
	}
	r = n.call(http.MethodGet, "/admin", "Authorization", "bearer "+access)
	r.wantError(http.StatusForbidden, "insufficient_scope")
	if c := r.header.Get("WWW-Authenticate"); !strings.Contains(c, `error="insufficient_scope"`) || !strings.Contains(c, `scope="admin:all profile"`) || !strings.Contains(c, described) {
		t.Error(c)
	}
	var m struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Algs     []string `json:"dpop_signing_alg_values_supported"`
	}
	r = n.call(http.MethodGet, "/.well-known/oauth-protected-resource").wantOK()
	if err := json.Unmarshal([]byte(r.body), &m); err != nil || m.Resource != notesAPI || len(m.Servers) != 1 || m.Servers[0] != testIssuer ||
		strings.Join(m.Scopes, " ") != "admin:all profile" || len(m.Algs) == 0 {
		t.Errorf("%s %v", r.body, err)
	}

	// An ID token, a token for somebody else and one that is over are refused.
	for name, other := range map[string]string{"an ID token": tokens.text("id_token"), "one for the server": h.tokens("pub-a", "openid profile", "alice").text("access_token"), "a refresh token": tokens.text("refresh_token")} {
		if other == "" {
			t.Fatal(name)
		}
		r := n.bearing(other)
		r.wantError(http.StatusUnauthorized, "invalid_token")
		if !strings.Contains(r.header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) || strings.Contains(r.body+r.header.Get("WWW-Authenticate"), other) {
			t.Errorf("%s: %v %s", name, r.header, r.body)
		}
	}
	h.advance(time.Hour)
	n.bearing(access).wantError(http.StatusUnauthorized, "invalid_token")
}

func TestS07_HoweverAClientSpellsAResourceItsAPITakesTheToken(t *testing.T) {
	h := newHouse(t)
	n := h.serveNotes()
	for _, spelling := range []string{notesAPI, notesAPI + "/", "HTTPS://Notes.Example", "https://NOTES.example:443/"} {
		d := h.askFor("profile offline_access", spelling)
		h.approveSigned("alice", d.userCode)
		tokens := n.poll(d).wantOK()
		n.bearing(tokens.text("access_token")).wantOK()
		// A client may name it anew at each refresh, in whatever spelling it has.
		fresh := h.postForm(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}, "client_id": {"pub-a"}, "resource": {"HTTPS://NOTES.EXAMPLE/"}}).wantOK()
		n.bearing(fresh.text("access_token")).wantOK()
		if _, claims := claimsOf(t, fresh.text("access_token")); claims["aud"] != notesAPI {
			t.Errorf("%s: aud is %v", spelling, claims["aud"])
		}
	}
}

func TestM09_B20_AnAPIBehindProtectFollowsTheKeysAndOutlivesAnOutage(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.AccessTokenLifetime = 24 * time.Hour })
	n := h.serveNotes()
	first := n.allows().text("access_token")
	h.rotate("ES256")
	h.advance(20 * time.Minute)
	second := n.allows().text("access_token")
	head, _ := claimsOf(t, first)
	headOfSecond, _ := claimsOf(t, second)
	if head["kid"] == headOfSecond["kid"] {
		t.Fatal("the keys did not change")
	}
	n.bearing(second).wantOK()
	n.bearing(first).wantOK()

	// The issuer goes away for hours: what it signed counts on.
	n.away.Store(true)
	for range 5 {
		h.advance(time.Hour)
		n.bearing(first).wantOK()
		n.bearing(second).wantOK()
	}
	asked := n.asked.Load()
	for range 10 { // nobody is asked all the time
		n.bearing(second).wantOK()
	}
	if got := n.asked.Load(); got != asked {
		t.Errorf("while it was away it was asked %d times more", got-asked)
	}
	if !strings.Contains(h.log.String(), "the issuer's keys could not be read") || strings.Contains(h.log.String(), second) {
		t.Error("the log does not say it, or says too much")
	}

	// It is back, and somebody else may have had a key.
	n.away.Store(false)
	h.advance(time.Minute)
	n.bearing(first).wantOK()
	h.withdraw(headOfSecond["kid"].(string)) //nolint:forcetypeassert // or the test fails
	third := n.allows().text("access_token")
	h.advance(time.Minute)
	n.bearing(third).wantOK() // by a key that nobody has seen before
	n.bearing(second).wantError(http.StatusUnauthorized, "invalid_token")

	// A day is too long.
	n.away.Store(true)
	h.advance(23 * time.Hour)
	n.bearing(third).wantOK()
	h.advance(2 * time.Hour)
	r := n.bearing(third)
	r.wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come back")
	}
}

func TestR17_AnAPIBehindProtectThatAsksHearsOfARevocationWithinSeconds(t *testing.T) {
	h := newHouse(t)
	n := h.serveNotes(protect.Introspect("notes", serviceSecret))
	tokens := n.allows()
	access := tokens.text("access_token")
	n.bearing(access).wantOK()
	asked := n.asked.Load()
	n.bearing(access).wantOK()
	if n.asked.Load() != asked {
		t.Error("the same is asked twice within a second")
	}
	h.postForm(revokePath, url.Values{"token": {tokens.text("refresh_token")}, "client_id": {"pub-a"}}).wantOK()
	h.advance(6 * time.Second)
	n.bearing(access).wantError(http.StatusUnauthorized, "invalid_token")

	other := n.allows().text("access_token")
	n.away.Store(true)
	n.bearing(other).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	n.away.Store(false)
	n.bearing(other).wantOK()
	asked = n.asked.Load()
	n.bearing("no.token.atall").wantError(http.StatusUnauthorized, "invalid_token")
	if n.asked.Load() != asked {
		t.Error("the server was asked about what is no token")
	}

	// Who may not ask is told nothing, and lets nobody in.
	wrong := h.serveNotes(protect.Introspect("notes", "another secret"))
	wrong.bearing(other).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if log := h.log.String(); !strings.Contains(log, "could not be asked about a token") || strings.Contains(log, other) || strings.Contains(log, "another secret") {
		t.Error("the log does not say it, or says too much")
	}
}

// Where nothing is left of a token's scope the answer says so: an API that hears of no scope goes
// by the token's.
func TestR15_B13_AnAPIBehindProtectThatAsksHearsThatAllScopesWereTakenBack(t *testing.T) {
	h := newHouse(t)
	h.register("database", "app", made("app", nil))
	n := h.serveNotes(protect.Introspect("notes", serviceSecret))
	access := h.allowsApp("profile", notesAPI).text("access_token")
	n.bearing(access).wantOK()
	// Under the same id, and without what the removal of the old one ends.
	h.settings.Clients = append(h.settings.Clients, *made("app", func(c *authz.Client) { c.Scope = "openid" }))
	h.restart()
	h.advance(6 * time.Second)
	if r := h.introspect("notes", access).wantActive(); r.members()["scope"] != "" {
		t.Errorf("%s", r.body)
	}
	n.bearing(access).wantError(http.StatusForbidden, "insufficient_scope")
}

func TestP10_AnAPIBehindProtectTakesABoundTokenWithAProofAlone(t *testing.T) {
	h := newHouse(t)
	n, k := h.serveNotes(), h.holder()
	d := h.deviceOf(k.with(codePath, url.Values{"client_id": {"pub-a"}, "scope": {boundScope}, "resource": {notesAPI}}))
	h.approveSigned("alice", d.userCode)
	access := k.polls(d).wantOK().text("access_token")
	bearer := n.allows().text("access_token")
	proof := func(token string, edit ...func(*dpop.Signing)) string {
		return k.proof(http.MethodGet, "", token, append([]func(*dpop.Signing){func(s *dpop.Signing) { s.URL = notesAPI + "/notes" }}, edit...)...)
	}
	good := proof(access)
	var token protect.Token
	r := n.call(http.MethodGet, "/notes?page=2", "Authorization", "DPoP "+access, "DPoP", good).wantOK()
	if err := json.Unmarshal([]byte(r.body), &token); err != nil || token.Thumbprint != k.key.Thumbprint() {
		t.Error(r.body)
	}
	other := h.holder()
	for name, c := range map[string]struct {
		code   string
		header []string
	}{
		"used before":            {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", good}},
		"without a proof":        {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access}},
		"with two":               {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", proof(access), "DPoP", proof(access)}},
		"of another token":       {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", proof(bearer)}},
		"of none":                {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", proof("")}},
		"by another key":         {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", other.proof(http.MethodGet, "", access, func(s *dpop.Signing) { s.URL = notesAPI + "/notes" })}},
		"for another method":     {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", proof(access, func(s *dpop.Signing) { s.Method = http.MethodPost })}},
		"for the address inside": {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", proof(access, func(s *dpop.Signing) { s.URL = "http://10.0.0.7:8080/notes" })}},
		"an old one":             {"invalid_dpop_proof", []string{"Authorization", "DPoP " + access, "DPoP", proof(access, func(s *dpop.Signing) { s.Time = s.Time.Add(-6 * time.Minute) })}},
		"as Bearer":              {"invalid_token", []string{"Authorization", "Bearer " + access, "DPoP", proof(access)}},
		"a bearer's as DPoP":     {"invalid_token", []string{"Authorization", "DPoP " + bearer, "DPoP", proof(bearer)}},
	} {
		r := n.call(http.MethodGet, "/notes", c.header...)
		if r.status != http.StatusUnauthorized || r.text("error") != c.code {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		challenges := strings.Join(r.header.Values("WWW-Authenticate"), ", ")
		if !strings.Contains(challenges, `DPoP `) || !strings.Contains(challenges, `algs="ES256`) || !strings.Contains(challenges, `error="`+c.code+`"`) {
			t.Errorf("%s: %s", name, challenges)
		}
	}
	n.bearing(bearer).wantOK()
}

func TestN01_AnAPIBehindProtectMayWantEachRequestSignedByItsOwner(t *testing.T) {
	h := newHouse(t)
	n := h.serveNotes(protect.Signed())
	access := n.allows().text("access_token")
	n.bearing(access).wantError(http.StatusUnauthorized, "invalid_token")
	signed := h.sign("alice", "/notes?page=2", "")
	call := func(signature string) reply {
		return n.call(http.MethodGet, "/notes?page=2", "Authorization", "Bearer "+access, bitcoinauth.Header, signature)
	}
	call(signed).wantOK()
	for name, other := range map[string]string{
		"used before": signed, "by somebody else": h.sign("bob", "/notes?page=2", ""), "of another path": h.sign("alice", "/notes", ""), "of a body": h.sign("alice", "/notes?page=2", "{}"),
	} {
		if r := call(other); r.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}
