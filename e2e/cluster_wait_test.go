//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// wakeLimit is far beyond the 200 ms that a server on a quiet machine keeps to:
// the test says what it measured, and fails only where a decision was missed.
const wakeLimit = 2 * time.Second

// waiter is a poll that waits at a server.
type waiter struct {
	userCode string
	answered chan waited // one
}

type waited struct {
	answer
	at  time.Time
	err error
}

// wait sends a poll that waits, and returns when all of it has been written.
func (c *trio) wait(t *testing.T, at int) *waiter {
	t.Helper()
	deviceCode, userCode := requestCode(t, c.node(at+1))
	w := &waiter{userCode: userCode, answered: make(chan waited, 1)}
	sent := make(chan struct{})
	once := sync.OnceFunc(func() { close(sent) })
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once() }})
	address := c.node(at) + "/api/auth/device/token"
	go func() {
		defer once()
		w.answered <- waitingPoll(ctx, address, deviceCode)
	}()
	<-sent
	return w
}

func waitingPoll(ctx context.Context, address, deviceCode string) (w waited) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(pollForm(deviceCode).Encode()))
	if err != nil {
		return waited{err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Prefer", "wait=20")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return waited{err: err}
	}
	defer resp.Body.Close()
	w.err = json.NewDecoder(resp.Body).Decode(&w.answer)
	w.at = time.Now()
	return w
}

func TestAWaitingPollWakesWhereverTheOwnerApproves(t *testing.T) {
	const rounds = 8
	c := startTrio(t, pgtest.Database(t))
	o := newOwner(t)
	o.signIn(t, c.URL)
	for _, lost := range []bool{false, true} {
		var took []time.Duration
		for range rounds {
			for approve := range c.nodes {
				took = append(took, c.wake(t, o, approve, lost)...)
			}
		}
		slices.Sort(took)
		t.Logf("from approval to token (listeners dropped: %t): median %v, p99 %v, longest %v of %d",
			lost, took[len(took)/2], took[len(took)*99/100], took[len(took)-1], len(took))
		if longest := took[len(took)-1]; longest > wakeLimit {
			t.Errorf("a waiting poll was answered %v after the approval", longest)
		}
	}
}

// wake lets a poll wait at each server, approves all of them at one, and returns
// how long each approval took to arrive; lost drops the listeners right before.
func (c *trio) wake(t *testing.T, o *owner, approve int, lost bool) (took []time.Duration) {
	t.Helper()
	var waiters []*waiter
	for i := range c.nodes {
		waiters = append(waiters, c.wait(t, i))
	}
	for i, w := range waiters {
		if err := o.open(t.Context(), c.node(approve), w.userCode); err != nil {
			t.Fatal(err)
		}
		select {
		case early := <-w.answered:
			t.Fatalf("server %d answered %+v before the decision", i, early)
		default:
		}
		if lost {
			c.dropListeners(t)
		}
		asked := time.Now()
		if err := o.conclude(t.Context(), c.node(approve), w.userCode, "approve"); err != nil {
			t.Fatal(err)
		}
		got := <-w.answered
		if got.err != nil || got.AccessToken == "" {
			t.Fatalf("server %d, approved at %d: answered %q, %v", i, approve, got.Error, got.err)
		}
		took = append(took, got.at.Sub(asked))
	}
	return took
}

// dropListeners ends the connections on which servers hear of each other.
func (c *trio) dropListeners(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const listeners = `datname = current_database() AND (query LIKE 'LISTEN %' OR query LIKE '%pg_is_in_recovery()')`
	within(t, 10*time.Second, "not every server listens", func() bool {
		var listening int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND `+listeners).Scan(&listening); err != nil {
			t.Fatal(err)
		}
		return listening == len(c.nodes)
	})
	tag, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND `+listeners)
	if err != nil || tag.RowsAffected() != int64(len(c.nodes)) {
		t.Fatal(fmt.Errorf("%d listeners were ended: %w", tag.RowsAffected(), err))
	}
}
