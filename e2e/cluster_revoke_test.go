//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// everywhere is how soon every server must know what one was told.
const everywhere = time.Second

func TestASignOutHoldsOnEveryServer(t *testing.T) {
	t.Parallel()
	c := startTrio(t, pgtest.Database(t))
	for end := range c.nodes {
		o := newOwner(t)
		o.signIn(t, c.node(end+1))
		signedIn := func(i int) bool {
			status, body := get(t, c.node(i)+"/api/auth/get-session", "Cookie", o.cookie)
			return status == http.StatusOK && body != "null" && body != "null\n"
		}
		for i := range c.nodes {
			if !signedIn(i) {
				t.Errorf("server %d does not know a session of server %d", i, end+1)
			}
		}
		if _, _, err := o.send(t.Context(), http.MethodPost, c.node(end), "/api/auth/sign-out", []byte("{}"), false); err != nil {
			t.Fatal(err)
		}
		for i := range c.nodes {
			within(t, everywhere, "a session that was ended is good", func() bool { return !signedIn(i) })
		}
	}
}

func TestARevokedGrantIsRefusedOnEveryServer(t *testing.T) {
	t.Parallel()
	c := startTrio(t, pgtest.Database(t))
	o := newOwner(t)
	o.signIn(t, c.URL)
	for end := range c.nodes {
		token := c.token(t, o, 0, 1, 2)
		for i := range c.nodes {
			if status := userinfoStatus(t, c.node(i), token); status != http.StatusOK {
				t.Errorf("server %d answers a fresh token with %d", i, status)
			}
		}
		_, body, err := o.send(t.Context(), http.MethodGet, c.node(end), "/api/grants", nil, false)
		if err != nil {
			t.Fatal(err)
		}
		var listed struct {
			Grants []struct {
				ID        string `json:"id"`
				RevokedAt int64  `json:"revoked_at"`
			} `json:"grants"`
		}
		if err := json.Unmarshal(body, &listed); err != nil {
			t.Fatal(err)
		}
		for _, g := range listed.Grants {
			if g.RevokedAt == 0 {
				if _, _, err := o.send(t.Context(), http.MethodPost, c.node(end), "/api/grants/"+g.ID+"/revoke", []byte("{}"), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range c.nodes {
			within(t, everywhere, "a token of a revoked grant is good", func() bool {
				return userinfoStatus(t, c.node(i), token) == http.StatusUnauthorized
			})
		}
	}
}

func TestAClientThatIsAddedOrRemovedIsSoOnEveryServer(t *testing.T) {
	t.Parallel()
	c := startTrio(t, pgtest.Database(t))
	for i := range c.nodes {
		if c.knows(t, i, "my-tv") {
			t.Fatalf("server %d knows a client that nobody added", i)
		}
	}
	// The limits are for the command to have ended, too.
	runClients(t, c.database, "add", "my-tv", "--scope", "openid profile")
	for i := range c.nodes {
		within(t, everywhere, "a client that was added is unknown", func() bool { return c.knows(t, i, "my-tv") })
	}
	runClients(t, c.database, "remove", "my-tv")
	for i := range c.nodes {
		within(t, everywhere, "a client that was removed is known", func() bool { return !c.knows(t, i, "my-tv") })
	}
}
