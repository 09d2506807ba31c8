package device

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/contract"
)

func TestEveryPollThatWaitsForADecisionIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, code := newWaiting(), authz.Hash{1}
		gone, first, second := w.subscribe(code), w.subscribe(code), w.subscribe(code)
		other := w.subscribe(authz.Hash{2})
		gone.leave()
		var woken atomic.Int32
		for _, mine := range []*waiter{first, second} {
			go func() {
				if ok, err := mine.wait(t.Context(), time.After(time.Hour)); ok && err == nil {
					woken.Add(1)
				}
			}()
		}
		synctest.Wait()
		w.decided(code)
		synctest.Wait()
		if woken.Load() != 2 {
			t.Errorf("%d of 2 were woken", woken.Load())
		}
		first.again()
		w.all()
		for name, mine := range map[string]*waiter{"woken once more": first, "of another code": other} {
			if ok, _ := mine.wait(t.Context(), time.After(time.Hour)); !ok {
				t.Errorf("%s: not woken by all", name)
			}
		}
		for _, mine := range []*waiter{first, second, other} {
			mine.leave()
		}
		if len(w.waiters) != 0 {
			t.Errorf("%d codes are waited for by nobody", len(w.waiters))
		}
		w.subscribe(code).leave()
		if len(w.waiters) != 0 {
			t.Error("something is left of who was there alone")
		}
	})
}

// told are other servers as far as they are heard of: what the test says of them.
type told func(ctx context.Context, heard func(contract.Decided), deaf func(bool))

func (o told) Watch(ctx context.Context, heard func(contract.Decided), deaf func(bool)) {
	o(ctx, heard, deaf)
}

func TestWhoCouldNotHearTheOthersLooksAtWhatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(nil, authz.Settings{}, audit.Trail{}, nil, nil, nil, nil, nil, true)
		ctx, stop := context.WithCancel(t.Context())
		say := make(chan bool)
		var hearing sync.WaitGroup
		hearing.Go(func() {
			s.Follow(ctx, told(func(ctx context.Context, heard func(contract.Decided), deaf func(bool)) {
				for {
					select {
					case now := <-say:
						deaf(now)
					case <-ctx.Done():
						return
					}
				}
			}))
		})
		if !s.pace.disconnected {
			t.Error("the others are heard before they are")
		}
		mine := s.waiting.subscribe(authz.Hash{1})
		for _, deaf := range []bool{true, false} {
			say <- deaf
			synctest.Wait()
			select {
			case <-mine.woken:
				if deaf {
					t.Error("woken when the others went away")
				}
			default:
				if !deaf {
					t.Error("not woken when they were heard again")
				}
			}
		}
		stop()
		hearing.Wait()
	})
}
