//go:build e2e

package e2e

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// TestNothingAcknowledgedIsLostOrRedeemedTwiceWhenServersOrTheDatabaseEnd kills
// servers and ends the database under load, and looks at what is left.
func TestNothingAcknowledgedIsLostOrRedeemedTwiceWhenServersOrTheDatabaseEnd(t *testing.T) {
	const (
		workers = 6
		// back is how soon every server works once the database accepts connections.
		back = 2 * time.Second
		// between is how many requests are begun from one end to the next.
		between = 40
	)
	pg, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	database, err := pg.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := startTrio(t, database, "--device-poll-interval", "1s")
	var owners crowd
	var book ledger
	enough := make(chan struct{})
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { c.load(t.Context(), enough, &owners, &book, &failed) })
	}
	restart := func(name string, end func(context.Context) error) {
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := pg.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := within(t, back, "a server does not work", func() bool { return c.works(t.Context()) })
		t.Logf("database ended %s: all servers work %v after it accepts connections", name, took)
	}
	for _, end := range []func(){
		func() { c.replace(t, 0) },
		func() { restart("fast", func(ctx context.Context) error { return pg.Stop(ctx, pgtest.Fast) }) },
		func() { c.replace(t, 1) },
		func() { restart("at once", func(ctx context.Context) error { return pg.Stop(ctx, pgtest.Immediate) }) },
		func() { c.replace(t, 2) },
		func() { restart("by a kill", pg.Kill) },
	} {
		begun := book.len()
		within(t, time.Minute, "the load stands still", func() bool { return book.len() >= begun+between })
		end()
	}
	close(enough)
	wg.Wait()
	// New servers remember nothing of how often each code was polled.
	for i := range c.nodes {
		c.replace(t, i)
	}
	var approved, redeemed int
	for n, r := range book.requests {
		if r.approved {
			approved++
		}
		r.check(t, c.node(n), 0)
		redeemed += r.redeemed
	}
	t.Logf("%d requests, %d approvals acknowledged, %d redeemed; %d flows met a failure", len(book.requests), approved, redeemed, failed.Load())
	if approved == 0 || redeemed == 0 || failed.Load() == 0 {
		t.Error("this shows nothing")
	}
}

// load runs flows through the proxy, a bounded number of them, until there have
// been enough, and counts those that fail.
func (c *trio) load(ctx context.Context, enough <-chan struct{}, owners *crowd, book *ledger, failed *atomic.Int64) {
	const most = 400
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := range most {
		select {
		case <-enough:
			return
		default:
		}
		if !flow(ctx, c.URL, owners, book, n) {
			failed.Add(1)
			<-tick.C
		}
	}
}

// works reports whether every server gives out a code.
func (c *trio) works(ctx context.Context) bool {
	for i := range c.nodes {
		var code struct {
			DeviceCode string `json:"device_code"`
		}
		if !ask(ctx, c.node(i)+"/api/auth/device/code", url.Values{"client_id": {"my-app"}, "scope": {"openid profile"}}, &code) || code.DeviceCode == "" {
			return false
		}
	}
	return true
}
