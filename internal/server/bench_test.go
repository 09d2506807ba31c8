package server_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ec "github.com/bsv-blockchain/go-sdk/primitives/ec"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server"
	"countersign.dev/internal/storage/sqlite"
)

// benchServer is the whole server without a network, with somebody signed in.
type benchServer struct {
	service *issuer.Issuer
	handler http.Handler
	cookie  string
}

func newBenchServer(b *testing.B) *benchServer {
	b.Helper()
	return newBenchServerOn(b, openSQLite(b))
}

func openSQLite(b *testing.B) contract.Store {
	b.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "countersign.db"))
	if err != nil {
		b.Fatal(err)
	}
	return store
}

// newBenchServerOn serves what is in a store, and closes it in the end.
func newBenchServerOn(b *testing.B, store contract.Store) *benchServer {
	b.Helper()
	const issuerURL = "http://localhost:8628"
	service, err := issuer.New(context.Background(), issuer.Options{
		Store: store, Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Secret: make([]byte, authz.SecretLength),
		Settings: authz.Settings{
			Issuer: issuerURL, DeviceCodeLifetime: time.Hour, PollInterval: time.Nanosecond, AccessTokenLifetime: time.Hour,
			RefreshIdleLifetime: time.Hour, RefreshLifetime: time.Hour, SessionLifetime: time.Hour, OpenClients: true, SignUp: true,
			PendingLimit: 1 << 40, DeviceRequestsPerNetwork: 1 << 30,
			Clients: []authz.Client{*made("service", nil)},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		service.Close()
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	u, err := url.Parse(issuerURL)
	if err != nil {
		b.Fatal(err)
	}
	front, err := server.New(server.Options{Issuer: service, URL: u, Version: "bench", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s := &benchServer{service: service, handler: front.Handler()}
	s.signIn(b)
	return s
}

func (s *benchServer) signIn(b *testing.B) {
	b.Helper()
	const path = "/api/auth/sign-in/sigma"
	key, _ := ec.PrivateKeyFromBytes([]byte{31: 9})
	token, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: path, Time: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, nil)
	r.Header.Set(bitcoinauth.Header, token)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	s.cookie, _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if w.Code != http.StatusOK || s.cookie == "" {
		b.Fatalf("sign-in answered %d", w.Code)
	}
}

// do sends a request and wants a status.
func (s *benchServer) do(b *testing.B, method, path, body string, want int, header ...string) []byte {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1" // of whom nothing is counted
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	answer, _ := io.ReadAll(w.Body)
	if w.Code != want {
		b.Fatalf("%s %s answered %d: %s", method, path, w.Code, answer)
	}
	return answer
}

type benchCode struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
}

func (s *benchServer) code(b *testing.B) (c benchCode) {
	answer := s.do(b, "POST", "/api/auth/device/code", `{"client_id":"my-app","scope":"openid profile"}`, http.StatusOK)
	if err := json.Unmarshal(answer, &c); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c benchCode) poll() string {
	return `{"grant_type":"urn:ietf:params:oauth:grant-type:device_code","client_id":"my-app","device_code":"` + c.DeviceCode + `"}`
}

func BenchmarkDeviceCode(b *testing.B) {
	s := newBenchServer(b)
	b.SetParallelism(32) // group commit is for callers that come together
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.code(b)
		}
	})
}

func BenchmarkPendingPoll(b *testing.B) {
	s := newBenchServer(b)
	body := s.code(b).poll()
	for b.Loop() {
		s.do(b, "POST", "/api/auth/device/token", body, http.StatusBadRequest)
	}
}

// BenchmarkFlow is one device from code to its end: code, open, approve, token,
// userinfo, and the token given back, for an account has so many devices at once only.
func BenchmarkFlow(b *testing.B) {
	s := newBenchServer(b)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := s.code(b)
			s.do(b, "GET", "/api/auth/device?user_code="+c.UserCode, "", http.StatusOK, "Cookie", s.cookie)
			s.do(b, "POST", "/api/auth/device/approve", `{"userCode":"`+c.UserCode+`"}`, http.StatusOK, "Cookie", s.cookie)
			var t struct {
				AccessToken string `json:"access_token"`
			}
			if err := json.Unmarshal(s.do(b, "POST", "/api/auth/device/token", c.poll(), http.StatusOK), &t); err != nil {
				b.Fatal(err)
			}
			s.do(b, "GET", "/api/auth/oauth2/userinfo", "", http.StatusOK, "Authorization", "Bearer "+t.AccessToken)
			s.do(b, "POST", "/api/auth/oauth2/revoke", `{"client_id":"my-app","token":"`+t.AccessToken+`"}`, http.StatusOK)
		}
	})
}

// BenchmarkTheAccountPageOfAFullAccount measures what the page costs whose account
// has as much as it may have.
func BenchmarkTheAccountPageOfAFullAccount(b *testing.B) {
	h := newHouse(b)
	for range authz.SessionsPerAccount {
		h.signIn("alice")
	}
	cookie := h.signIn("alice")
	for range authz.LivingGrants {
		h.approve(cookie, h.ask("pub-a", "openid offline_access").userCode)
	}
	for range authz.EventsPerAccount {
		h.keepBackup(bapIDOf(b, "alice")).wantOK()
	}
	b.ReportAllocs()
	for b.Loop() {
		h.send(http.MethodGet, "/account", "", "Cookie", cookie).wantOK()
	}
}

// BenchmarkUserInfo and BenchmarkIntrospection are what an API asks about each request
// that it gets.
func BenchmarkUserInfo(b *testing.B) {
	s := newBenchServer(b)
	token := s.serviceToken(b)
	b.ReportAllocs()
	for b.Loop() {
		s.do(b, "GET", "/api/auth/oauth2/userinfo", "", http.StatusOK, "Authorization", "Bearer "+token)
	}
}

func BenchmarkIntrospection(b *testing.B) {
	s := newBenchServer(b)
	body := `{"token":"` + s.serviceToken(b) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		s.do(b, "POST", "/api/auth/oauth2/introspect", body, http.StatusOK, "Authorization", basic("service", serviceSecret))
	}
}

func BenchmarkClientCredentials(b *testing.B) {
	s := newBenchServer(b)
	b.ReportAllocs()
	for b.Loop() {
		s.do(b, "POST", "/api/auth/oauth2/token", `{"grant_type":"client_credentials"}`, http.StatusOK, "Authorization", basic("service", serviceSecret))
	}
}

// serviceToken is an access token that a person approved, of a client that has a secret.
func (s *benchServer) serviceToken(b *testing.B) string {
	b.Helper()
	var c benchCode
	auth := []string{"Authorization", basic("service", serviceSecret)}
	if err := json.Unmarshal(s.do(b, "POST", "/api/auth/device/code", `{"scope":"openid profile"}`, http.StatusOK, auth...), &c); err != nil {
		b.Fatal(err)
	}
	s.do(b, "GET", "/api/auth/device?user_code="+c.UserCode, "", http.StatusOK, "Cookie", s.cookie)
	s.do(b, "POST", "/api/auth/device/approve", `{"userCode":"`+c.UserCode+`"}`, http.StatusOK, "Cookie", s.cookie)
	var t struct {
		AccessToken string `json:"access_token"`
	}
	poll := `{"grant_type":"urn:ietf:params:oauth:grant-type:device_code","device_code":"` + c.DeviceCode + `"}`
	if err := json.Unmarshal(s.do(b, "POST", "/api/auth/device/token", poll, http.StatusOK, auth...), &t); err != nil {
		b.Fatal(err)
	}
	return t.AccessToken
}
