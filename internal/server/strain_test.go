package server_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
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
	defer c.Close(context.Background()) //nolint:errcheck // nothing is lost with it
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
