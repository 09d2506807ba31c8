package transfer_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/sqlite"
	"countersign.dev/internal/storage/storagetest"
	"countersign.dev/internal/storage/transfer"
)

// crowd are lives on stores of their own, as on one server and beside it.
type crowd struct {
	steps   atomic.Int64
	refused atomic.Int64
	running sync.WaitGroup
	leave   context.CancelFunc
}

// gather starts some, who live until they are refused or sent away.
func (h *house) gather(n int) *crowd {
	h.Helper()
	ctx, leave := context.WithCancel(h.Context())
	c := &crowd{leave: leave}
	for i := range n {
		store := h.store
		if i == 1 { // another program
			var err error
			if store, err = sqlite.Open(h.Context(), h.path); err != nil {
				h.Fatal(err)
			}
			h.Cleanup(func() { _ = store.Close() })
		}
		life := storagetest.NewLife(h.T, store, 10+i)
		c.running.Go(func() {
			for ctx.Err() == nil {
				err := life.Step(ctx)
				switch {
				case err == nil:
					c.steps.Add(1)
				case errors.Is(err, contract.ErrUnreachable):
					c.refused.Add(1)
					return
				case ctx.Err() == nil:
					h.Errorf("a step fails: %v", err)
					return
				}
			}
		})
	}
	h.Cleanup(c.disperse)
	return c
}

func (c *crowd) disperse() {
	c.leave()
	c.running.Wait()
}

// await waits until so many more steps were done, unless the crowd was refused.
func (c *crowd) await(more int64) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for until := c.steps.Load() + more; c.steps.Load() < until && c.refused.Load() == 0; {
		<-again.C
	}
}

func TestWhatHappensDuringTheMoveArrives(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 500)
	c := h.gather(4)
	during := map[transfer.Stage]int64{}
	writable := true
	h.move(func(p transfer.Progress) {
		switch p.Stage {
		case transfer.ReadOnly:
			writable = false
		case transfer.Writable:
			writable = true
		}
		before := c.steps.Load()
		if writable {
			c.await(5)
		}
		during[p.Stage] += c.steps.Load() - before
	})
	c.running.Wait() // each is refused once
	if n := c.refused.Load(); n != 4 {
		t.Errorf("%d of 4 were refused", n)
	}
	for _, stage := range []transfer.Stage{transfer.Copying, transfer.Indexing, transfer.Comparing, transfer.CatchUp} {
		if during[stage] == 0 {
			t.Errorf("nothing happened while %s", stage)
		}
	}
	if n := during[transfer.Deciding] + during[transfer.Copied] + during[transfer.Moved]; n != 0 {
		t.Errorf("%d writes were acknowledged when nobody could write", n)
	}
	h.same()
}

func TestADryRunLeavesBothAsTheyWere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 500)
	h.prepare()
	there := dumpDatabase(t, h.url)
	c := h.gather(2)
	o := h.options(nil)
	o.DryRun = true
	out, err := transfer.Move(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Tables) == 0 || out.ReadOnly <= 0 {
		t.Errorf("it says nothing: %+v", out)
	}
	c.await(50)
	c.disperse()
	if n := c.refused.Load(); n != 0 {
		t.Error("a write was refused")
	}
	h.untouched(there)
	h.move(nil)
	h.same()
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50)
	other := newHouse(t, 50)
	other.url = h.url
	began := false
	h.move(func(p transfer.Progress) {
		if p.Stage != transfer.Copying || began {
			return
		}
		began = true
		if _, err := transfer.Move(t.Context(), h.options(nil)); !errors.Is(err, sqlite.ErrMoving) {
			t.Errorf("a second move of one file: %v", err)
		}
		if _, err := transfer.Move(t.Context(), other.options(nil)); err == nil {
			t.Error("a second move into one database succeeded")
		}
		// What opens the file meanwhile does not take it for an old move's remains.
		store, err := sqlite.Open(t.Context(), h.path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		if err := storagetest.NewLife(t, store, 7).Step(t.Context()); err != nil {
			t.Error(err)
		}
	})
	h.same()
}
