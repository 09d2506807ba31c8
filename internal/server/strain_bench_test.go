package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
)

// databases are the storages that a server may have, each as durable as in
// production.
var databases = []struct {
	name string
	open func(b *testing.B) contract.Store
}{
	{"SQLite", openSQLite},
	{"PostgreSQL", openDurable},
}

func openDurable(b *testing.B) contract.Store {
	b.Helper()
	ctx := context.Background()
	cluster, err := pgtest.Start(ctx, pgtest.Options{Durable: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			b.Error(err)
		}
	})
	url, err := cluster.NewDatabase(ctx)
	if err != nil {
		b.Fatal(err)
	}
	store, err := postgres.Open(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	return store
}

// crowd is how many ask at once while something is measured.
const crowd = 256

// during lets a crowd do the same again and again until the work is over, and
// returns how often they did it in a second.
func during(work func(), ask func()) float64 {
	var over atomic.Bool
	var asked atomic.Int64
	var asking sync.WaitGroup
	for range crowd {
		asking.Go(func() {
			for !over.Load() {
				ask()
				asked.Add(1)
			}
		})
	}
	began := time.Now()
	work()
	over.Store(true)
	took := time.Since(began)
	asking.Wait()
	return float64(asked.Load()) / took.Seconds()
}

// benchKey is the member key of who is signed in.
func benchKey() *ec.PrivateKey {
	key, _ := ec.PrivateKeyFromBytes([]byte{31: 9})
	return key
}

// signed is a request with a signature over its path and body.
func signed(b *testing.B, method, path, body string, at time.Time) *http.Request {
	b.Helper()
	token, err := bitcoinauth.Sign(benchKey(), bitcoinauth.Signing{Path: path, Body: []byte(body), Time: at})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000" // which no limit by network holds anything against
	r.Header.Set(bitcoinauth.Header, token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (s *benchServer) status(r *http.Request) int {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

// BenchmarkNeighbours is what others get done while one person sends, ten times a
// second, what a database may refuse: the ratio of their rates with and without.
func BenchmarkNeighbours(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s := newBenchServerOn(b, d.open(b))
			token := s.accessToken(b)
			attack := func(end time.Duration, send ...func() int) {
				every := time.NewTicker(100 * time.Millisecond)
				defer every.Stop()
				over := time.After(end)
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					case <-every.C:
						if code := send[n%len(send)](); code >= http.StatusInternalServerError {
							b.Errorf("the attack was answered %d", code)
						}
					}
				}
			}
			noText := []func() int{
				func() int { return s.status(s.withCookie("GET", "/api/backup?bapId=%00")) },
				func() int { return s.status(s.withCookie("GET", "/api/bap/profile?bapId=%ff")) },
				func() int {
					r := httptest.NewRequest(http.MethodPost, "/api/auth/oauth2/revoke", strings.NewReader("token=x"))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.SetBasicAuth("%00", "secret")
					return s.status(r)
				},
			}
			for _, c := range []struct {
				what   string
				ask    func()
				attack []func() int
			}{
				{"codes", func() { s.code(b) }, []func() int{func() int { return s.status(s.linkAgain(b)) }}},
				{"userinfo", func() {
					s.do(b, "GET", "/api/auth/oauth2/userinfo", "", http.StatusOK, "Authorization", "Bearer "+token)
				}, noText},
			} {
				b.Run(c.what, func(b *testing.B) {
					var alone, beside float64
					const window = 3 * time.Second
					for b.Loop() {
						alone += during(func() { time.Sleep(window) }, c.ask)
						beside += during(func() { attack(window, c.attack...) }, c.ask)
					}
					b.ReportMetric(alone/float64(b.N), "alone/s")
					b.ReportMetric(beside/float64(b.N), "beside/s")
					b.ReportMetric(beside/alone, "ratio")
				})
			}
		})
	}
}

// BenchmarkSignInRush is how often userinfo is answered while one person signs in
// 512 times at once, again and again.
func BenchmarkSignInRush(b *testing.B) {
	const atOnce, rounds = 512, 8
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s := newBenchServerOn(b, d.open(b))
			token := s.accessToken(b)
			ask := func() {
				s.do(b, "GET", "/api/auth/oauth2/userinfo", "", http.StatusOK, "Authorization", "Bearer "+token)
			}
			var alone, beside float64
			for at := time.Now(); b.Loop(); {
				signIns := make(chan *http.Request, atOnce*rounds)
				for range atOnce * rounds {
					at = at.Add(-time.Millisecond) // a token counts once
					signIns <- signed(b, "POST", "/api/auth/sign-in/sigma", "", at)
				}
				close(signIns)
				alone += during(func() { time.Sleep(2 * time.Second) }, ask)
				beside += during(func() {
					var signing sync.WaitGroup
					for range atOnce {
						signing.Go(func() {
							for r := range signIns {
								// One may be told that it is signed out again: an account has a hundred sessions.
								if code := s.status(r); code != http.StatusOK && code != http.StatusUnauthorized {
									b.Errorf("a sign-in was answered %d", code)
								}
							}
						})
					}
					signing.Wait()
				}, ask)
			}
			b.ReportMetric(alone/float64(b.N), "alone/s")
			b.ReportMetric(beside/float64(b.N), "beside/s")
			b.ReportMetric(beside/alone, "ratio")
		})
	}
}

func (s *benchServer) withCookie(method, path string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Cookie", s.cookie)
	return r
}

// linkAgain links the identity that the person has already.
func (s *benchServer) linkAgain(b *testing.B) *http.Request {
	b.Helper()
	bapID, err := bap.ID(benchKey().PubKey())
	if err != nil {
		b.Fatal(err)
	}
	r := signed(b, "POST", "/api/user/bap-ids", `{"bapId":"`+bapID+`","aud":"http://localhost:8628"}`, time.Now())
	r.Header.Set("Cookie", s.cookie)
	return r
}

// accessToken is one of a device that the person approved.
func (s *benchServer) accessToken(b *testing.B) string {
	b.Helper()
	c := s.code(b)
	s.do(b, "GET", "/api/auth/device?user_code="+c.UserCode, "", http.StatusOK, "Cookie", s.cookie)
	s.do(b, "POST", "/api/auth/device/approve", `{"userCode":"`+c.UserCode+`"}`, http.StatusOK, "Cookie", s.cookie)
	var t struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(s.do(b, "POST", "/api/auth/device/token", c.poll(), http.StatusOK), &t); err != nil {
		b.Fatal(err)
	}
	return t.AccessToken
}

// BenchmarkSweep is how fast requests that are over are removed while a crowd makes
// more of them as fast as it can, and how many are left after as many seconds.
func BenchmarkSweep(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			store := d.open(b)
			s := newBenchServerOn(b, store)
			var made atomic.Int64
			longAgo := time.Now().Add(-24 * time.Hour)
			again := func() {
				n := made.Add(1)
				key := func(kind string) authz.Hash { return sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n)) }
				err := store.CreateDeviceRequest(b.Context(), authz.DeviceRequest{
					ID: fmt.Sprint(n), DeviceCode: key("device"), UserCode: key("user"), ClientID: "my-app", Scope: "openid profile",
					State: authz.Pending, CreatedAt: longAgo, ExpiresAt: longAgo,
				})
				if err != nil {
					b.Error(err)
				}
			}
			left := func() (n int) {
				for {
					gone, err := store.Sweep(b.Context(), contract.SweepTimes{DeviceRequests: time.Now()}, 10_000)
					if err != nil {
						b.Fatal(err)
					}
					if n += gone; gone < 10_000 {
						return n
					}
				}
			}
			const window = 5 * time.Second
			for b.Loop() {
				alone := during(func() { time.Sleep(window) }, again)
				left()
				before := made.Load()
				ctx, cancel := context.WithTimeout(b.Context(), window)
				beside := during(func() {
					for ctx.Err() == nil {
						if err := s.service.Sweep(ctx); err != nil && ctx.Err() == nil {
							b.Error(err)
						}
					}
				}, again)
				cancel()
				rest := left()
				b.ReportMetric(alone, "alone/s")
				b.ReportMetric(beside, "made/s")
				b.ReportMetric(float64(int(made.Load()-before)-rest)/window.Seconds(), "removed/s")
				b.ReportMetric(float64(rest), "left")
			}
		})
	}
}
