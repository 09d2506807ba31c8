package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// observed knows how many rows were read at most for one list, and how many lists of
// one account at once.
type observed struct {
	contract.Store
	mu     sync.Mutex
	rows   int            // guarded by mu
	atOnce int            // guarded by mu
	read   map[string]int // how many are being read, by account; guarded by mu
}

func (s *observed) Events(ctx context.Context, accountID string, after contract.Position, limit int) ([]authz.Event, error) {
	return observe(s, accountID, func() ([]authz.Event, error) { return s.Store.Events(ctx, accountID, after, limit) })
}

func (s *observed) Grants(ctx context.Context, accountID string, l contract.GrantList) ([]authz.Grant, error) {
	return observe(s, accountID, func() ([]authz.Grant, error) { return s.Store.Grants(ctx, accountID, l) })
}

func (s *observed) Sessions(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.Session, error) {
	return observe(s, accountID, func() ([]authz.Session, error) { return s.Store.Sessions(ctx, accountID, now, limit) })
}

func (s *observed) Identities(ctx context.Context, accountID string, limit int) ([]authz.Identity, error) {
	return observe(s, accountID, func() ([]authz.Identity, error) { return s.Store.Identities(ctx, accountID, limit) })
}

func (s *observed) Passkeys(ctx context.Context, accountID string, limit int) ([]authz.Passkey, error) {
	return observe(s, accountID, func() ([]authz.Passkey, error) { return s.Store.Passkeys(ctx, accountID, limit) })
}

func (s *observed) Backups(ctx context.Context, accountID string, limit int) ([]authz.Backup, error) {
	return observe(s, accountID, func() ([]authz.Backup, error) { return s.Store.Backups(ctx, accountID, limit) })
}

func observe[T any](s *observed, accountID string, read func() ([]T, error)) ([]T, error) {
	s.mu.Lock()
	s.read[accountID]++
	s.atOnce = max(s.atOnce, s.read[accountID])
	s.mu.Unlock()
	for range 100 {
		runtime.Gosched() // whoever else may read comes here meanwhile
	}
	list, err := read()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[accountID]--
	s.rows = max(s.rows, len(list))
	return list, err
}

// observing has a house's server read from its store under observation.
func (h *house) observing() *observed {
	s := &observed{Store: h.store, read: map[string]int{}}
	h.store = s
	h.restart()
	return s
}

func TestAnAccountReadsOneListAtATimeAndKeepsNobodyElseWaiting(t *testing.T) {
	h := newHouse(t)
	cookie, other, neighbour := h.signIn("alice"), h.signIn("alice"), h.signIn("mallory")
	_, transaction := h.review(cookie, h.ask("pub-a", "openid").userCode)
	denied := h.page("/device/decide", cookie, url.Values{"transaction": {transaction}, "decision": {"deny"}}).header.Get("Location")
	store := h.observing()
	lists := []string{"/api/events", "/api/grants", "/api/sessions", "/api/passkeys", "/api/backups", "/api/user/bap-ids", "/account"}
	var reading sync.WaitGroup
	for range 4 {
		for _, list := range append(lists, denied) {
			for _, c := range []string{cookie, other} {
				reading.Go(func() { h.send(http.MethodGet, list, "", "Cookie", c).wantOK() })
			}
		}
	}
	reading.Wait()
	if store.atOnce != 1 {
		t.Errorf("%d lists of one account were read at once", store.atOnce)
	}
	done, err := h.service.Guard.TurnToRead(t.Context(), h.ownerOf(cookie))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for _, list := range lists {
		h.send(http.MethodGet, list, "", "Cookie", neighbour).wantOK()
	}
	h.send(http.MethodGet, "/api/auth/get-session", "", "Cookie", cookie).wantOK()
	h.approve(cookie, h.ask("pub-a", "openid").userCode)
}

func TestEachPageOfAListReadsItsOwnRowsAndBeginsWhereTheOneBeforeEnded(t *testing.T) {
	h := newHouse(t)
	cookie := h.signIn("alice")
	who := h.ownerOf(cookie)
	happen := func(n int) {
		t.Helper()
		e := contract.NewEvent{Keep: contract.KeepAtMost(authz.EventsPerAccount), Event: authz.Event{
			ID: fmt.Sprint("e", n), AccountID: who.AccountID, At: h.now().Add(time.Duration(n/4) * time.Second), Kind: authz.EventProfileSet,
		}}
		if err := h.store.SetProfile(t.Context(), who.BAPID, authz.Profile{}, e); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 320 {
		happen(n)
	}
	store := h.observing()
	want, pages := 319, 0
	for target := "/api/events"; target != ""; pages++ {
		page := h.send(http.MethodGet, target, "", "Cookie", cookie).wantOK()
		for _, e := range page.members()["events"].([]any) {
			if id := e.(map[string]any)["id"]; want >= 0 && id != fmt.Sprint("e", want) {
				t.Fatalf("page %d: %v in place of e%d", pages, id, want)
			}
			want--
		}
		happen(1000 + pages) // what comes meanwhile moves nothing
		if target = ""; page.text("next") != "" {
			target = "/api/events?cursor=" + page.text("next")
		}
	}
	if want != -2 || pages != 4 { // the sign-in is the oldest
		t.Errorf("%d pages, %d left", pages, want)
	}
	if store.rows > 101 {
		t.Errorf("%d rows were read for a page", store.rows)
	}
}
