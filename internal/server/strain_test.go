package server_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/issuer"
)

// wantLater fails unless a client is told to come back in a moment.
func (r reply) wantLater() {
	r.t.Helper()
	r.wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if after := r.header.Get("Retry-After"); after != "2" {
		r.t.Errorf("Retry-After: %q", after)
	}
}

func TestWhereTheDatabaseKeepsThemWaitingClientsComeBackLater(t *testing.T) {
	h := newHouse(t)
	if !onPostgres {
		t.Skip("a table is locked in PostgreSQL")
	}
	c, err := pgx.Connect(t.Context(), h.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	cookie := h.signIn("alice")
	d := h.ask("pub-a", "openid")
	h.approve(cookie, d.userCode)
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE device_requests, grants, clients`); err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() reply{
		"a write": func() reply { return h.postForm(codePath, url.Values{"client_id": {"pub-a"}}) },
		"a read":  func() reply { return h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie) },
		"a poll":  func() reply { return h.poll(d) },
	} {
		t.Run(what, func(t *testing.T) { ask().wantLater() })
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.poll(d).wantOK()
	h.ask("pub-a", "openid")
}

// A server whose clock runs ahead must not forget what counts once while it still
// counts at another.
func TestAServerWithAFastClockLetsNothingCountTwice(t *testing.T) {
	const ahead = 5 * time.Minute // what docs/operations.md allows
	h := newHouse(t)
	fast, err := issuer.New(t.Context(), issuer.Options{
		Store: h.store, Settings: h.settings, Secret: make([]byte, authz.SecretLength), Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return h.now().Add(ahead) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()
	a := h.registered("alice")
	c := h.passkeySignInOptions()
	a.count = 1<<32 - 1 // the next is 0: no counter refuses it
	credential := a.get(c.Options)
	token := h.sign("alice", signInPath, "")
	signIn := func() reply { return h.send(http.MethodPost, signInPath, "", bitcoinauth.Header, token) }
	h.assert(c, credential).wantOK()
	signIn().wantOK()
	h.advance(5*time.Minute - time.Second) // both are good for a second more
	if err := fast.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.assert(c, credential).wantError(http.StatusBadRequest, "invalid_request")
	signIn().wantError(http.StatusUnauthorized, "unauthorized")
}

// Where removing fails or falls behind, nobody is refused for requests that are
// over.
func TestThePendingCountIsSetRightWhetherOrNotWhatIsOverIsRemoved(t *testing.T) {
	onlySQLite(t) // connections to PostgreSQL cannot be waited for in a bubble
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(s *authz.Settings) { s.PendingLimit = 2 })
		h.breaker().broken("reviews") // which is removed from too
		h.ask("rsa-a", "openid")
		h.ask("pub-a", "openid")
		h.postForm(codePath, url.Values{"client_id": {"pub-a"}}).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		h.advance(15 * time.Minute)
		time.Sleep(time.Minute) // of the bubble's
		synctest.Wait()
		h.ask("pub-a", "openid")
		if !strings.Contains(h.log.String(), "removing what is over failed") {
			t.Error("nothing was said of what is not removed")
		}
	})
}
