package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// What a request asks of the database is a part of what it promises: what is asked for
// often is not looked up again, and what must look alike costs the same.

// asked are the calls of a kind that a request makes.
func (f *frail) asked(c call, method string) (n int) {
	f.t.Helper()
	for _, made := range f.store.during(nil, func(ctx context.Context) { f.do(ctx, c) }) {
		if made == method {
			n++
		}
	}
	return n
}

func TestD6_WhatIsKnownToBePendingIsNotLookedUp(t *testing.T) {
	if onPostgres {
		t.Skip("where others decide too, nothing is known before they are heard")
	}
	f := newFrail(t)
	d := f.ask(stored, "openid")
	for i, want := range []int{1, 0, 0} {
		if n := f.asked(f.pollOf(d), "DeviceRequest"); n != want {
			t.Errorf("poll %d looked %d times", i, n)
		}
		f.advance(5 * time.Second)
	}
	f.approve(f.cookie, d.userCode)
	if n := f.asked(f.pollOf(d), "DeviceRequest"); n != 1 {
		t.Errorf("the poll after the decision looked %d times", n)
	}
	// Nor is there anything to wait for once it is decided.
	if n := f.asked(f.pollOf(f.allowed(), "Prefer", "wait=30"), "DeviceRequest"); n != 1 {
		t.Errorf("a poll that might wait looked %d times", n)
	}
}

func TestT16_AWrongSecretCostsTheSameWhoeverIsMeant(t *testing.T) {
	f := newFrail(t)
	wrong := func(client string) call {
		return f.form(codePath, url.Values{"client_id": {client}, "client_secret": {"wrong"}})
	}
	known := f.confidential()
	f.do(t.Context(), wrong(known)) // remembers the client
	for name, client := range map[string]string{"in the database": known, "configured": "conf-a", "of nobody": "x\u00e9"} {
		want := 1
		if client == "x\u00e9" {
			want = 0 // no client has such an id
		}
		if n := f.asked(wrong(client), "Client"); n != want {
			t.Errorf("a client %s: looked up %d times", name, n)
		}
	}
	f.settings.OpenClients = false
	f.restart()
	if n := f.asked(wrong("nobody"), "Client"); n != 1 {
		t.Errorf("a client that is not there: looked up %d times", n)
	}
}

func TestWhoHasNoNewsHasNothingLookedUpForThem(t *testing.T) {
	f := newFrail(t)
	page := func() int { return f.asked(f.get("/device?code="+f.ask(stored, "openid").userCode), "Backups") }
	if n := page(); n != 0 {
		t.Errorf("without news: looked %d times", n)
	}
	f.advance(2 * time.Minute)
	f.saveBackup("alice", aBackup(t)).wantOK()
	f.advance(2 * time.Minute)
	f.cookie = f.signIn("alice")
	if n := page(); n != 1 {
		t.Errorf("with news: looked %d times", n)
	}
}

func TestReadyzAsksTheDatabaseOnceASecond(t *testing.T) {
	f := newFrail(t)
	for i, step := range []struct {
		later time.Duration
		asks  int
	}{{0, 1}, {0, 0}, {time.Second - 1, 0}, {1, 1}, {time.Second, 1}, {-time.Hour, 1}, {time.Second - 1, 0}} {
		f.advance(step.later)
		if n := f.asked(f.get("/readyz"), "Ping"); n != step.asks {
			t.Errorf("step %d: asked %d times", i, n)
		}
	}
	calls := f.store.during(&fault{"Ping", 1, false, errDead}, func(ctx context.Context) {
		f.advance(time.Second)
		f.do(ctx, f.get("/readyz"))
	})
	if n := f.asked(f.get("/readyz"), "Ping"); n != 1 || !slices.Contains(calls, "Ping") {
		t.Errorf("after a failure: asked %d times", n)
	}
}

func TestB10_OnlyADecisionThatIsStoredMakesRoom(t *testing.T) {
	f := newFrail(t)
	f.settings.PendingLimit = 2 // one of each client
	f.restart()
	d := f.opened()
	deny := func() call { return f.own(denyPath, map[string]any{"userCode": d.userCode}) }
	another := f.form(codePath, url.Values{"client_id": {stored}})
	f.store.during(&fault{"DenyDeviceRequest", 1, false, errDead}, func(ctx context.Context) { f.do(ctx, deny()) })
	f.do(t.Context(), another).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	f.do(t.Context(), deny()).wantOK()
	f.do(t.Context(), another).wantOK()
	// Nor does one that could not be started take a place.
	f.store.during(&fault{"CreateDeviceRequest", 1, false, errDead}, func(ctx context.Context) {
		f.do(ctx, f.form(codePath, url.Values{"client_id": {"pub-a"}}))
	})
	f.do(t.Context(), f.form(codePath, url.Values{"client_id": {"pub-a"}})).wantOK()
}

// An API asks about each request that it gets.
func TestIntrospectionLooksUpTheGrantAndNothingElse(t *testing.T) {
	f := newFrail(t)
	c := f.introspected(f.ofService().text("access_token"))
	for _, want := range [][]string{{"Client", "GrantAlive"}, {"GrantAlive"}} { // the client is remembered
		f.advance(time.Duration(len(want)-1) * time.Second)
		if made := f.store.during(nil, func(ctx context.Context) { f.do(ctx, c).wantActive() }); !slices.Equal(made, want) {
			t.Errorf("looked up %q, want %q", made, want)
		}
	}
}
