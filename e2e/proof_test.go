//go:build e2e

package e2e

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestP08_OpenIDClientProvesItsKeyInEachAlgorithm runs openid-client with DPoP, each
// algorithm beside the others, where nonces are wanted and where they are not.
func TestP08_OpenIDClientProvesItsKeyInEachAlgorithm(t *testing.T) {
	t.Parallel()
	for _, nonce := range []string{"optional", "required"} {
		p := startProcess(t, t.TempDir(), "--device-poll-interval", "1s", "--dpop-nonce", nonce)
		var all sync.WaitGroup
		for _, alg := range []string{"ES256", "Ed25519", "PS256", "RS256"} {
			all.Go(func() { t.Run(nonce+" "+alg, func(t *testing.T) { proveKey(t, p, alg) }) })
		}
		all.Wait()
	}
}

func proveKey(t *testing.T, p *process, alg string) {
	o := newOwner(t)
	o.signIn(t, p.url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "openid-client-dpop.mjs")
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+strings.Replace(p.url, "127.0.0.1", "localhost", 1), "PROOF_ALG="+alg)
	type proving struct {
		event
		Types   []string          `json:"types"`
		Refused map[string]string `json:"refused"`
	}
	var end proving
	err := readEvents(cmd, func(told proving) {
		if told.Event == "code" {
			if err := o.decide(ctx, p.url, told.UserCode, "approve"); err != nil {
				t.Error(err)
			}
		}
		end = told
	})
	if err != nil || end.Event != "userinfo" {
		t.Fatalf("ended with %+v, %v", end, err)
	}
	if err := o.checkClaims(end.Claims); err != nil {
		t.Error(err)
	}
	want := map[string]string{"bearer": "invalid_token", "refresh": "invalid_grant", "another key": "invalid_grant"}
	if !maps.Equal(end.Refused, want) || !slices.Equal(end.Types, []string{"dpop", "dpop"}) {
		t.Errorf("token types %q; refused with %v, want %v", end.Types, end.Refused, want)
	}
}
