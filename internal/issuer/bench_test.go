package issuer_test

import (
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/token"
)

// BenchmarkIssue is what the winner of a poll and every refresh pay for their tokens.
func BenchmarkIssue(b *testing.B) {
	w := newWorld(b, b.TempDir())
	c, g := client("my-app"), authz.Grant{ID: "grant", ClientID: "my-app", AccountID: "account", ExpiresAt: w.clock.Now().Add(w.settings.RefreshLifetime)}
	for b.Loop() {
		if _, err := w.service.Tokens.Issue(token.Request{Client: c, Grant: g, Scope: "openid profile"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is what every use of an access token pays before the database is asked:
// of one that was seen before, and of one that was not.
func BenchmarkVerify(b *testing.B) {
	for name, tokens := range map[string]int{"known": 1, "unknown": 5000} { // more than are remembered
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, b.TempDir())
			c, g := client("my-app"), authz.Grant{ID: "grant", ClientID: "my-app", AccountID: "account", ExpiresAt: w.clock.Now().Add(w.settings.RefreshLifetime)}
			made := make([]authz.Secret, tokens)
			for i := range made {
				issued, err := w.service.Tokens.Issue(token.Request{Client: c, Grant: g, Scope: "profile"})
				if err != nil {
					b.Fatal(err)
				}
				made[i] = issued.AccessToken
			}
			i := 0
			for b.Loop() {
				if _, err := w.service.Tokens.Verify(b.Context(), made[i%tokens]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
