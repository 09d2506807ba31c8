package protect_test

import (
	"net/http"
	"testing"
)

// BenchmarkRequire is what a bearer token costs an API.
func BenchmarkRequire(b *testing.B) {
	i := newIssuer(b)
	api := i.api(b)
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		token := i.sign(b, alg, nil, i.claims(nil))
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				if w := call(api, token); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
