package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// What each thing that compares times does when somebody sets the server's clock
// (decision 0031). What is counted in memory is counted anew; what ends at a time ends at
// that time by whatever the clock says.

func TestA11_SettingTheClockBackCostsNobodyAnything(t *testing.T) {
	for name, back := range map[string]time.Duration{"a second": time.Second, "two minutes": 2 * time.Minute, "an hour": time.Hour} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(s *authz.Settings) { s.OpenClients, s.DeviceRequestsPerNetwork = false, 1 })
			d := h.ask("pub-a", "openid")
			h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
			alice := h.signIn("alice")
			h.approve(alice, d.userCode)
			undecided := h.ask("pub-a", "openid")
			h.poll(undecided).wantError(http.StatusBadRequest, "authorization_pending")
			if err := h.store.AddClient(t.Context(), authz.Client{ID: "leaves", AuthMethod: authz.AuthNone}); err != nil {
				t.Fatal(err)
			}
			h.ask("leaves", "openid")
			h.spendAllowance("203.0.113.9")

			h.advance(10 * time.Second)
			h.advance(-back)
			if back > time.Minute { // those that are the least bit late may be told so once
				h.poll(d).wantOK()
				h.poll(undecided).wantError(http.StatusBadRequest, "authorization_pending")
				if err := h.store.RemoveClient(t.Context(), "leaves", h.now()); err != nil {
					t.Fatal(err)
				}
				h.postForm(codePath, url.Values{"client_id": {"leaves"}}).wantError(http.StatusBadRequest, "invalid_client")
			}
			h.advance(10 * time.Second)
			if back <= time.Minute {
				h.poll(d).wantOK()
			}
			h.poll(undecided).wantError(http.StatusBadRequest, "authorization_pending")
			if h.signedOut(alice) {
				t.Error("the session is over")
			}
			if back < 5*time.Minute {
				h.advance(2 * time.Minute) // what an allowance holds, which is the longest that it is missed
				h.advance(back)
			}
			h.from("203.0.113.9").postForm(codePath, url.Values{"client_id": {"pub-a"}}).wantOK()
		})
	}
}

// spendAllowance starts device requests until the network may start no more.
func (h *house) spendAllowance(network string) {
	h.t.Helper()
	defer func(peer string) { h.peer = peer }(h.peer)
	for range 10 {
		if h.from(network).postForm(codePath, url.Values{"client_id": {"pub-a"}}).status == http.StatusTooManyRequests {
			return
		}
	}
	h.t.Fatal("the network may start any number")
}

func TestA11_AClockThatWasAheadForAWhileLeavesNothingBehind(t *testing.T) {
	h := newHouse(t, func(s *authz.Settings) { s.DeviceRequestsPerNetwork = 1 })
	d := h.ask("pub-a", "openid")
	access := h.tokens("pub-b", "openid", "alice").text("access_token")
	cookie := h.signIn("alice")
	h.advance(2 * time.Hour)
	h.poll(d).wantError(http.StatusBadRequest, "expired_token")
	h.userInfo(access).wantError(http.StatusUnauthorized, "invalid_token")
	h.spendAllowance("203.0.113.9")

	h.advance(-2 * time.Hour)
	h.advance(5 * time.Second)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.approve(cookie, d.userCode)
	h.advance(5 * time.Second)
	h.poll(d).wantOK()
	h.userInfo(access).wantOK()
	h.from("203.0.113.9").postForm(codePath, url.Values{"client_id": {"pub-a"}}).wantOK()
}

func TestA11_WhatEndsAtATimeEndsThenHoweverTheClockWasSet(t *testing.T) {
	h := newHouse(t)
	d := h.ask("pub-a", "openid")
	cookie := h.signIn("alice")
	h.advance(-2 * time.Minute)
	h.advance(16 * time.Minute)
	h.poll(d).wantError(http.StatusBadRequest, "authorization_pending")
	h.advance(time.Minute)
	h.poll(d).wantError(http.StatusBadRequest, "expired_token")
	h.advance(7*24*time.Hour - 16*time.Minute)
	if h.signedOut(cookie) {
		t.Error("the session ended early")
	}
	h.advance(2 * time.Minute)
	if !h.signedOut(cookie) {
		t.Error("the session did not end")
	}
}

func TestA11_AStatementFromAServerWhoseClockIsAheadCanBeSigned(t *testing.T) {
	for ahead, ok := range map[time.Duration]bool{time.Second: true, 5 * time.Minute: true, 5*time.Minute + time.Second: false} {
		h := newHouse(t)
		code := h.ask("pub-a", "openid").userCode
		target := "/api/auth/device/approval?user_code=" + code
		h.advance(ahead) // the other server's
		statement := h.signed("alice", http.MethodGet, target, "").wantOK().text("statement")
		h.advance(-ahead)
		h.advance(-time.Millisecond) // signing moves the clock by as much
		body, err := json.Marshal(map[string]string{"userCode": code, "statement": statement, "match": code[len(code)-4:]})
		if err != nil {
			t.Fatal(err)
		}
		r := h.send(http.MethodPost, approvePath, string(body), "Content-Type", "application/json", bitcoinauth.Header, h.sign("alice", approvePath, string(body)))
		if (r.status == http.StatusOK) != ok {
			t.Errorf("ahead by %v: %d %s", ahead, r.status, r.body)
		}
	}
}

func TestA11_ReplacedRefreshTokensAcrossASetClock(t *testing.T) {
	h := newHouse(t)
	refresh := func(token string) reply { return h.postForm(tokenPath, refreshForm("pub-a", token)) }
	first := h.tokens("pub-a", "openid offline_access", "alice").text("refresh_token")
	second := refresh(first).wantOK().text("refresh_token")
	h.advance(-3 * time.Minute) // before it was replaced
	if again := refresh(first).wantOK().text("refresh_token"); again != second {
		t.Error("there are two successors")
	}
	h.advance(3*time.Minute + 29*time.Second)
	refresh(first).wantOK()
	h.advance(2 * time.Second)
	refresh(first).wantError(http.StatusBadRequest, "invalid_grant")
	refresh(second).wantError(http.StatusBadRequest, "invalid_grant")
}
