package server_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/dpop"
	"countersign.dev/internal/authz"
)

// BenchmarkProof measures what a DPoP proof costs the server: each kind of request without
// one and with one. The proofs are made before, but of refreshes.
func BenchmarkProof(b *testing.B) {
	const apart = 100 * time.Millisecond // as often as one grant may
	h := newHouse(b, func(s *authz.Settings) {
		s.AccessTokenLifetime, s.DeviceCodeLifetime, s.PollInterval = 1000*time.Hour, 1000*time.Hour, 0
	})
	k := h.holder()
	bound, bearer := k.allowed("pub-a").text("access_token"), h.tokens("pub-a", boundScope, "alice").text("access_token")
	boundCode, code := k.asks("pub-a"), h.ask("pub-a", boundScope)
	poll := func(d device, header ...string) int { return h.poll(d, header...).status }
	for _, with := range []struct {
		name, method, path, token string
		status                    int
		send                      func(proof string) int
	}{
		{"poll/without", "", "", "", http.StatusBadRequest, func(string) int { return poll(code) }},
		{"poll/with", http.MethodPost, pollPath, "", http.StatusBadRequest, func(p string) int { return poll(boundCode, dpop.Header, p) }},
		{"userinfo/without", "", "", "", http.StatusOK, func(string) int { return h.userInfo(bearer).status }},
		{"userinfo/with", http.MethodGet, userinfoPath, bound, http.StatusOK, func(p string) int {
			return h.send(http.MethodGet, userinfoPath, "", "Authorization", "DPoP "+bound, dpop.Header, p).status
		}},
	} {
		b.Run(with.name, func(b *testing.B) {
			proofs := make([]string, b.N)
			if with.path != "" {
				for i := range proofs {
					proofs[i] = k.proof(with.method, with.path, with.token, func(s *dpop.Signing) { s.Time = s.Time.Add(time.Duration(i) * apart) })
				}
			}
			var next atomic.Int64
			b.SetParallelism(32) // group commit is for callers that come together
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					h.advance(apart)
					if got := with.send(proofs[next.Add(1)-1]); got != with.status {
						b.Errorf("answered %d", got)
					}
				}
			})
		})
	}
	for name, begins := range map[string]func() (token string, header func() []string){
		"refresh/without": func() (string, func() []string) {
			return h.tokens("pub-a", boundScope, "alice").text("refresh_token"), func() []string { return nil }
		},
		"refresh/with": func() (string, func() []string) {
			return k.allowed("pub-a").text("refresh_token"), func() []string { return []string{dpop.Header, k.proof(http.MethodPost, tokenPath, "")} }
		},
	} {
		b.Run(name, func(b *testing.B) {
			token, header := begins()
			for b.Loop() {
				h.advance(time.Second) // as often as one grant may
				token = h.postForm(tokenPath, refreshForm("pub-a", token), header()...).wantOK().text("refresh_token")
			}
		})
	}
}
