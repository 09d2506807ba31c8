package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz/contract"
)

// Who signs each guess waits for no stranger's, and for their own all the same.
func TestD34_ManySignedGuessesAtOnceCountLikeOneAfterTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		who   func(i int) string
		limit int32
	}{
		"one account from everywhere": {func(int) string { return "mallory" }, 5},
		"ever new keys at one place":  {func(i int) string { return fmt.Sprintf("key %d", i) }, 10},
	} {
		h := newHouse(t)
		if c.limit == 10 {
			h.from("203.0.113.9")
		}
		requests := make([]call, 20)
		for i := range requests {
			target := "/api/auth/device/approval?aud=" + url.QueryEscape(testIssuer) + "&user_code=" + wrong(i)
			requests[i] = call{http.MethodGet, target, "", []string{bitcoinauth.Header, h.sign(c.who(i), target, "")}}
		}
		var lookedUp atomic.Int32
		var together sync.WaitGroup
		for _, request := range requests {
			together.Go(func() {
				if r := h.do(t.Context(), request); r.status == http.StatusBadRequest {
					lookedUp.Add(1)
				} else if r.status != http.StatusTooManyRequests {
					t.Errorf("answered %d %s", r.status, r.body)
				}
			})
		}
		together.Wait()
		if n := lookedUp.Load(); n != c.limit {
			t.Errorf("%s: %d of %d wrong codes at once were looked up", name, n, len(requests))
		}
	}
}

// uncounting is a store in which nothing can be counted while it is full, and whose
// askers hang up when their code was looked up, where a test says so.
type uncounting struct {
	contract.Store
	full   atomic.Bool
	toMeet atomic.Int32 // so many count before any of them hears that nothing can be counted
	met    chan struct{}
	hangUp func() // nil: nobody does
}

func (s *uncounting) CountGuesses(ctx context.Context, subjects []string, window time.Time) error {
	if s.full.Load() {
		switch left := s.toMeet.Add(-1); {
		case left == 0:
			close(s.met)
		case left > 0:
			<-s.met
		}
		return contract.ErrUnreachable
	}
	if s.hangUp != nil {
		s.hangUp()
	}
	return s.Store.CountGuesses(ctx, subjects, window)
}

// uncounted puts such a store in place of the house's.
func (h *house) uncounted() *uncounting {
	h.t.Helper()
	store := &uncounting{Store: h.store, met: make(chan struct{})}
	h.store = store
	h.restart()
	return store
}

// A full disk, or a database that is read-only for now, must not make guesses free:
// right and wrong codes hear the same until what was not counted is.
func TestB02_WhatCannotBeCountedIsNotLookedUp(t *testing.T) {
	h := newHouse(t)
	store := h.uncounted()
	alice := h.signIn("alice")
	d, foreign := h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	h.open(h.signIn("bob"), foreign.userCode).wantOK()
	store.full.Store(true)
	for _, first := range []string{wrong(0), foreign.userCode} {
		h.from(here)
		h.page("/device", alice, url.Values{"code": {first}}).wantPage(http.StatusServiceUnavailable)
		for i := range 20 {
			for _, code := range []string{wrong(i), d.userCode, foreign.userCode} {
				h.send(http.MethodGet, statusPath+code, "").wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
				h.sentFrom(elsewhere, func() reply { return h.open(alice, code) }).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
				h.sentFrom(elsewhere, func() reply {
					return h.signed("alice", http.MethodGet, "/api/auth/device/approval?user_code="+code, "")
				}).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
			}
		}
		store.full.Store(false)
		h.sentFrom(elsewhere, func() reply { return h.send(http.MethodGet, statusPath+d.userCode, "") }).wantOK()
		store.full.Store(true)
		h.sentFrom(elsewhere, func() reply { return h.send(http.MethodGet, statusPath+d.userCode, "") }).wantOK() // nothing is owed
	}
	store.full.Store(false)
	if n := h.from(here).guess(12); n != 9 { // the one before is counted, once
		t.Errorf("%d more wrong codes were looked up", n)
	}
}

// Of several that could not be counted each is, once, whoever comes first afterwards.
func TestB02_WhatCouldNotBeCountedAtOnceIsCountedOnce(t *testing.T) {
	const several = 8
	h := newHouse(t)
	h.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	store := h.uncounted()
	d := h.ask("pub-a", "openid")
	together := func(request func(i int) call) {
		var all sync.WaitGroup
		for i := range several {
			all.Go(func() { h.do(t.Context(), request(i)) })
		}
		all.Wait()
	}
	store.full.Store(true)
	store.toMeet.Store(several)
	together(func(i int) call { // signed, and each from a network of its own, so that none waits for another
		target := "/api/auth/device/approval?aud=" + url.QueryEscape(testIssuer) + "&user_code=" + wrong(i)
		return call{http.MethodGet, target, "", []string{bitcoinauth.Header, h.sign(fmt.Sprintf("key %d", i), target, ""), "X-Forwarded-For", fmt.Sprintf("198.51.%d.1", i)}}
	})
	store.full.Store(false)
	together(func(int) call { return call{http.MethodGet, statusPath + d.userCode, "", nil} })
	if n := h.number("SELECT failures FROM guesses WHERE subject = 'site'"); n != several {
		t.Errorf("of %d that could not be counted %d are", several, n)
	}
}

// Who hangs up when a right code would have been answered is counted all the same.
func TestB02_WhoHangsUpIsCounted(t *testing.T) {
	h := newHouse(t).from(here)
	store := h.uncounted()
	d := h.ask("pub-a", "openid")
	for i := range 10 {
		ctx, hangUp := context.WithCancel(t.Context())
		store.hangUp = hangUp
		h.do(ctx, call{http.MethodGet, statusPath + wrong(i), "", nil})
	}
	store.hangUp = nil
	h.send(http.MethodGet, statusPath+d.userCode, "").wantError(http.StatusTooManyRequests, "temporarily_unavailable")
}

// A tab that is left open is reloaded long after its code ended, and again.
func TestB02_WhoComesBackToTheirOwnReviewIsNoGuesser(t *testing.T) {
	h := newHouse(t).from(here)
	alice, bob := h.signIn("alice"), h.signIn("bob")
	d := h.ask("pub-a", "openid")
	h.advance(14 * time.Minute)
	visit := h.page("/device", alice, url.Values{"code": {d.userCode}}).header.Get("Location")
	_, sealed, _ := strings.Cut(visit, "/device/request/")
	h.advance(17 * time.Minute)
	if err := h.service.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	counted := func() int {
		return h.number("SELECT coalesce(sum(failures), 0) FROM guesses WHERE subject NOT LIKE 'no failure:%'")
	}
	for range 6 {
		h.send(http.MethodGet, visit, "", "Cookie", alice).wantPage(http.StatusBadRequest)
		h.page("/device", alice, url.Values{"visit": {sealed}}).wantPage(http.StatusBadRequest)
	}
	if n := counted(); n != 0 {
		t.Errorf("%d failures are counted", n)
	}
	if n := h.number("SELECT max(failures) FROM guesses"); n != 12 {
		t.Errorf("the work of %d was done", n)
	}
	h.open(alice, h.ask("pub-a", "openid").userCode).wantOK()

	// Anybody else's visit, or that of somebody who opened nothing, is a guess as ever.
	h.page("/device", bob, url.Values{"visit": {sealed}}).wantPage(http.StatusBadRequest)
	own, _, err := h.service.Approvals.StartVisit(wrong(1))
	if err != nil {
		t.Fatal(err)
	}
	h.page("/device", bob, url.Values{"visit": {own}}).wantPage(http.StatusBadRequest)
	h.page("/device", alice, url.Values{"code": {wrong(2)}}).wantPage(http.StatusBadRequest)
	if n := h.number("SELECT failures FROM guesses WHERE subject = 'site'"); n != 3 {
		t.Errorf("of three guesses %d are counted", n)
	}
}

// What a stolen session spends keeps the owner's key from nothing, nor the other way round.
func TestD34_WrongCodesOfASessionStopNoSignature(t *testing.T) {
	h := newHouse(t).from(here)
	stolen := h.signIn("alice")
	d, e := h.ask("pub-a", "openid"), h.ask("pub-a", "openid")
	for i := range 5 {
		h.sentFrom(elsewhere, func() reply { return h.open(stolen, wrong(i)) }).wantError(http.StatusBadRequest, "invalid_request")
	}
	h.open(stolen, d.userCode).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	h.signed("alice", http.MethodPost, denyPath, `{"userCode":"`+d.userCode+`","aud":"`+testIssuer+`"}`).wantOK()
	page := h.page("/device", stolen, url.Values{"code": {e.userCode}, "proof": {h.proof("alice", e.userCode)}})
	if page.status != http.StatusSeeOther {
		t.Errorf("with a proof: %d %s", page.status, page.body)
	}
	bob := h.signIn("bob")
	for i := range 5 {
		h.sentFrom(elsewhere, func() reply {
			return h.signed("bob", http.MethodGet, "/api/auth/device/approval?user_code="+wrong(i), "")
		}).wantError(http.StatusBadRequest, "invalid_request")
	}
	h.open(bob, h.ask("pub-a", "openid").userCode).wantOK()
}
