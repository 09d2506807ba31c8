package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server"
	"countersign.dev/internal/server/page/assets"
	"countersign.dev/internal/server/wire"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
	"countersign.dev/internal/storage/sqlite"
)

const (
	testIssuer     = "http://localhost:8628"
	deviceGrant    = "urn:ietf:params:oauth:grant-type:device_code"
	confSecret     = "a:b%c d and more of it"
	codePath       = "/api/auth/device/code"
	pollPath       = "/api/auth/device/token"
	tokenPath      = "/api/auth/oauth2/token"
	revokePath     = "/api/auth/oauth2/revoke"
	introspectPath = "/api/auth/oauth2/introspect"
	userinfoPath   = "/api/auth/oauth2/userinfo"
	signInPath     = "/api/auth/sign-in/sigma"
	approvePath    = "/api/auth/device/approve"
	denyPath       = "/api/auth/device/deny"
)

// house is the whole server on a real database, with the clients and people that
// the requirements name, and a clock of the test's own.
type house struct {
	t       testing.TB
	handler http.Handler
	options server.Options
	service *issuer.Issuer
	store   contract.Store
	others  contract.Others // nil on SQLite
	path    string          // of the database
	url     string          // of it, on PostgreSQL
	log     *logBuffer
	ns      atomic.Int64
	peer    string // where requests come from, address and port
	proxies []netip.Prefix
	random  *randomness

	settings authz.Settings
}

// randomness fails once after some reads, where a test says so.
type randomness struct{ left atomic.Int64 } // reads before it fails; negative: any number

func (r *randomness) Read(b []byte) (int, error) {
	if r.left.Load() >= 0 && r.left.Add(-1) < 0 {
		return 0, errors.New("no randomness")
	}
	return rand.Read(b)
}

// logBuffer collects the log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *house) now() time.Time          { return time.Unix(0, h.ns.Load()) }
func (h *house) advance(d time.Duration) { h.ns.Add(int64(d)) }

// onPostgres runs the tests on PostgreSQL instead of SQLite.
var onPostgres = os.Getenv("COUNTERSIGN_TEST_STORE") == "postgres"

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// onlySQLite skips a test that looks into the SQLite file.
func onlySQLite(t testing.TB) {
	t.Helper()
	if onPostgres {
		t.Skip("this looks into the SQLite file")
	}
}

// inFull skips a test that takes long, where only the fast ones are asked for.
func inFull(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("this takes long")
	}
}

// openStore opens a database in which there are only signing keys: drawing an RSA
// key takes longer than most tests. One in SQLite is a copy.
func (h *house) openStore() error {
	first, err := firstDatabase()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if !onPostgres {
		if err := os.WriteFile(h.path, first.file, 0o600); err != nil {
			return err
		}
		h.store, err = sqlite.Open(ctx, h.path)
		return err
	}
	h.url = pgtest.Database(h.t)
	pg, err := postgres.Open(ctx, h.url, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	h.store, h.others = pg, pg
	return h.store.ChangeSigningKeys(ctx, contract.KeyChange{Keys: first.keys})
}

// database is one in SQLite, closed.
type database struct {
	file []byte
	keys []authz.SigningKey
}

var firstDatabase = sync.OnceValues(func() (first database, err error) {
	dir, err := os.MkdirTemp("", "countersign-test-*")
	if err != nil {
		return first, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "countersign.db")
	store, err := sqlite.Open(context.Background(), file)
	if err != nil {
		return first, err
	}
	service, err := issuer.New(context.Background(), issuer.Options{
		Store: store, Settings: authz.Settings{Issuer: testIssuer}, Secret: make([]byte, authz.SecretLength), Clock: func() time.Time { return opened }, Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return first, errors.Join(err, store.Close())
	}
	service.Close()
	first.keys, err = store.SigningKeys(context.Background(), time.Time{})
	if err := errors.Join(err, store.Close()); err != nil {
		return first, err
	}
	first.file, err = os.ReadFile(file)
	return first, err
})

// opened is when the houses' clocks begin.
var opened = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// newHouse opens a server; change alters the settings first.
func newHouse(t testing.TB, change ...func(*authz.Settings)) *house {
	t.Helper()
	return newHouseAt(t, t.TempDir(), change...)
}

// newHouseAt is newHouse with its file in a directory.
func newHouseAt(t testing.TB, dir string, change ...func(*authz.Settings)) *house {
	t.Helper()
	h := &house{t: t, log: &logBuffer{}, peer: "127.0.0.1:50000", path: filepath.Join(dir, "countersign.db"), random: &randomness{}}
	h.random.left.Store(-1)
	h.ns.Store(opened.UnixNano())
	if err := h.openStore(); err != nil {
		t.Fatal(err)
	}
	settings := authz.Settings{
		Issuer: testIssuer, DeviceCodeLifetime: 15 * time.Minute, PollInterval: 5 * time.Second, AccessTokenLifetime: time.Hour,
		RefreshIdleLifetime: 30 * 24 * time.Hour, RefreshLifetime: 180 * 24 * time.Hour, RefreshGrace: 30 * time.Second,
		SessionLifetime: 7 * 24 * time.Hour, OpenClients: true, SignUp: true, PendingLimit: 100_000,
		Agents: authz.AgentSettings{MaxLifetime: 30 * 24 * time.Hour, AccessTokenLifetime: 15 * time.Minute, MaxDepth: 3, MaxPerOwner: 100},
		Clients: []authz.Client{
			{ID: "pub-a", Name: "Public A", GrantTypes: []string{deviceGrant, "refresh_token"}, Scope: "openid profile email offline_access"},
			{ID: "pub-b", Name: "Public B", GrantTypes: []string{deviceGrant, "refresh_token"}, Scope: "openid profile email offline_access"},
			{ID: "pub-nodev", GrantTypes: []string{"refresh_token"}},
			{ID: "conf-a", Secret: sha256.Sum256([]byte(confSecret)), AuthMethod: authz.AuthBasic},
			{ID: "member-a", MemberKey: bap.FormatPublicKey(person("client").PubKey())},
			{ID: "rsa-a", IDTokenAlg: "RS256"},
		},
	}
	for _, c := range change {
		c(&settings)
	}
	h.start(settings)
	t.Cleanup(func() {
		h.service.Close()
		if err := h.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// start serves what is in the database.
func (h *house) start(settings authz.Settings) {
	h.t.Helper()
	h.settings = settings
	log := slog.New(wire.NewLogHandler(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	var err error
	h.service, err = issuer.New(context.Background(), issuer.Options{
		Store: h.store, Others: h.others, Settings: settings, Secret: make([]byte, authz.SecretLength), Clock: h.now, Rand: h.random, Log: log,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.options = server.Options{Issuer: h.service, Version: "test", Log: log, TrustedProxies: h.proxies, Brand: h.options.Brand}
	if h.options.URL, err = url.Parse(settings.Issuer); err != nil {
		h.t.Fatal(err)
	}
	h.brand(h.options.Brand)
}

// brand makes the front anew, with another look.
func (h *house) brand(b assets.Brand) {
	h.t.Helper()
	h.options.Brand = b
	front, err := server.New(h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	h.handler = front.Handler()
}

// restart stops the server and starts it on the same database.
func (h *house) restart() {
	h.t.Helper()
	h.service.Close()
	h.start(h.settings)
}

// person is the member key of somebody the requirements name.
func person(name string) *ec.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	key, _ := ec.PrivateKeyFromBytes(seed[:])
	return key
}

// bapIDOf is a person's BAP id.
func bapIDOf(t testing.TB, name string) string {
	t.Helper()
	id, err := bap.ID(person(name).PubKey())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// reply is an answer, read.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// send sends one request; headers come in pairs.
func (h *house) send(method, target, body string, header ...string) reply {
	h.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = h.peer
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return reply{h.t, w.Code, w.Header(), w.Body.String()}
}

// postJSON and postForm send the same members in either body.
func (h *house) postJSON(target string, members map[string]any, header ...string) reply {
	h.t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send(http.MethodPost, target, string(b), append([]string{"Content-Type", "application/json"}, header...)...)
}

func (h *house) postForm(target string, form url.Values, header ...string) reply {
	h.t.Helper()
	return h.send(http.MethodPost, target, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// text is a member of a JSON answer.
func (r reply) text(name string) string {
	r.t.Helper()
	s, _ := r.members()[name].(string)
	return s
}

func (r reply) members() map[string]any {
	r.t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		r.t.Fatalf("not a JSON object: %d %q", r.status, r.body)
	}
	return m
}

// wantOK fails unless the answer is a success.
func (r reply) wantOK() reply {
	r.t.Helper()
	if r.status != http.StatusOK {
		r.t.Fatalf("answered %d %s", r.status, r.body)
	}
	return r
}

// wantError is E(status, code) of the requirements.
func (r reply) wantError(status int, code string) {
	r.t.Helper()
	if r.status != status || r.text("error") != code {
		r.t.Errorf("answered %d %s, want %d %s", r.status, r.body, status, code)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		r.t.Errorf("Content-Type: %q", ct)
	}
	if cc := r.header.Get("Cache-Control"); cc != "no-store" {
		r.t.Errorf("Cache-Control: %q", cc)
	}
}

// device is a device request as its device knows it.
type device struct{ deviceCode, userCode, client string }

// ask starts a device request.
func (h *house) ask(client, scope string) device {
	h.t.Helper()
	r := h.postForm(codePath, url.Values{"client_id": {client}, "scope": {scope}}).wantOK()
	return device{r.text("device_code"), r.text("user_code"), client}
}

// askProved starts a device request of a client that authenticates.
func (h *house) askProved(scope string) device {
	h.t.Helper()
	r := h.postForm(codePath, url.Values{"client_id": {"conf-a"}, "client_secret": {confSecret}, "scope": {scope}}).wantOK()
	return device{r.text("device_code"), r.text("user_code"), "conf-a"}
}

// poll polls as the device.
func (h *house) poll(d device, header ...string) reply {
	h.t.Helper()
	form := url.Values{"grant_type": {deviceGrant}, "device_code": {d.deviceCode}, "client_id": {d.client}}
	if d.client == "conf-a" {
		form.Set("client_secret", confSecret)
	}
	return h.postForm(pollPath, form, header...)
}

// sign makes an X-Auth-Token of a person. The clock moves on a little, so that no
// two are alike.
func (h *house) sign(name, target, body string) string {
	h.t.Helper()
	h.advance(time.Millisecond)
	token, err := bitcoinauth.Sign(person(name), bitcoinauth.Signing{Path: target, Body: []byte(body), Time: h.now()})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// signIn signs a person in and returns the Cookie header.
func (h *house) signIn(name string) string {
	h.t.Helper()
	r := h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, h.sign(name, signInPath, "")).wantOK()
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return cookie
}

// open opens a request as the browser of a signed-in person.
func (h *house) open(cookie, userCode string) reply {
	h.t.Helper()
	return h.send(http.MethodGet, "/api/auth/device?user_code="+url.QueryEscape(userCode), "", "Cookie", cookie)
}

// approve opens and approves a request by session.
func (h *house) approve(cookie, userCode string) {
	h.t.Helper()
	h.open(cookie, userCode).wantOK()
	h.postJSON(approvePath, map[string]any{"userCode": userCode}, "Cookie", cookie).wantOK()
}

// approveSigned approves with a signature, as the command line does, and returns
// the grant's id.
func (h *house) approveSigned(name, userCode string) string {
	h.t.Helper()
	target := "/api/auth/device/approval?user_code=" + url.QueryEscape(userCode)
	facts := h.signed(name, http.MethodGet, target, "").wantOK()
	body, err := json.Marshal(map[string]string{
		"userCode": userCode, "statement": facts.text("statement"), "match": userCode[len(userCode)-4:],
	})
	if err != nil {
		h.t.Fatal(err)
	}
	r := h.send(http.MethodPost, approvePath, string(body), "Content-Type", "application/json", bitcoinauth.Header, h.sign(name, approvePath, string(body)))
	return r.wantOK().text("grant_id")
}

// tokens runs a whole flow for a client and returns the token response.
func (h *house) tokens(client, scope, owner string) reply {
	h.t.Helper()
	d := h.ask(client, scope)
	h.approve(h.signIn(owner), d.userCode)
	return h.poll(d).wantOK()
}

// userInfo asks with an access token.
func (h *house) userInfo(accessToken string) reply {
	h.t.Helper()
	return h.send(http.MethodGet, userinfoPath, "", "Authorization", "Bearer "+accessToken)
}
