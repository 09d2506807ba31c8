package server_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// waking is a store that tells of each look at a request, and of which one look or
// one approval fails.
type waking struct {
	contract.Store
	looked chan struct{}

	mu                     sync.Mutex
	looks                  int  // guarded by mu
	failsLook, failsDecide bool // guarded by mu: the next one
}

func (s *waking) DeviceRequest(ctx context.Context, code authz.Hash) (authz.DeviceRequest, error) {
	s.mu.Lock()
	s.looks++
	fails := s.failsLook && s.looks > 1
	s.mu.Unlock()
	r, err := s.Store.DeviceRequest(ctx, code)
	s.looked <- struct{}{}
	if fails {
		return authz.DeviceRequest{}, errDead
	}
	return r, err
}

func (s *waking) ApproveDeviceRequest(ctx context.Context, a contract.Approval) error {
	s.mu.Lock()
	fails := s.failsDecide
	s.failsDecide = false
	s.mu.Unlock()
	if fails {
		return errDead
	}
	return s.Store.ApproveDeviceRequest(ctx, a)
}

// watch has a poll wait for a request that somebody has open.
func (s *waking) watch(h *house, cookie string) (device, <-chan reply) {
	h.t.Helper()
	d := h.ask("pub-a", "openid")
	h.open(cookie, d.userCode).wantOK()
	h.advance(h.settings.PollInterval)
	s.looked = make(chan struct{}, 100)
	answered := waitingPoll(h.t.Context(), h, d)
	<-s.looked
	return d, answered
}

func newWaking(t *testing.T) (*house, *waking, string) {
	t.Helper()
	h := newHouse(t)
	kept := h.store
	s := &waking{Store: kept, looked: make(chan struct{}, 100)}
	h.store = s
	h.restart()
	t.Cleanup(func() { h.store = kept })
	return h, s, h.signIn("alice")
}

// A decision that was not kept wakes a poll too: its answer may have been lost. The
// poll looks once, and waits on.
func TestAPollThatIsWokenForNothingWaitsOn(t *testing.T) {
	h, s, cookie := newWaking(t)
	d, answered := s.watch(h, cookie)
	s.mu.Lock()
	s.failsDecide = true
	s.mu.Unlock()
	body := map[string]any{"userCode": d.userCode}
	if r := h.postJSON(approvePath, body, "Cookie", cookie); r.status != http.StatusInternalServerError {
		t.Fatalf("%d %s", r.status, r.body)
	}
	<-s.looked
	h.postJSON(approvePath, body, "Cookie", cookie).wantOK()
	(<-answered).wantOK()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looks != 3 {
		t.Errorf("it looked %d times", s.looks)
	}
}

func TestC4_APollThatCannotLookAgainIsAFailureAndNotPending(t *testing.T) {
	h, s, cookie := newWaking(t)
	s.failsLook = true
	d, answered := s.watch(h, cookie)
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantOK()
	if r := <-answered; r.status != http.StatusInternalServerError {
		t.Errorf("%d %s", r.status, r.body)
	}
}
