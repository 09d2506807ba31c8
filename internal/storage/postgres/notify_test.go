package postgres_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
)

var began = time.Date(2026, time.March, 29, 0, 59, 59, 7_000_000, time.UTC)

// soon is how long a test waits for what takes milliseconds.
const soon = 20 * time.Second

func numbered(n int) authz.DeviceRequest {
	key := func(kind string) authz.Hash { return sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n)) }
	return authz.DeviceRequest{
		ID: fmt.Sprint("request-", n), DeviceCode: key("device"), UserCode: key("user"), ClientID: "client", State: authz.Pending,
		CreatedAt: began, ExpiresAt: began.Add(time.Hour),
	}
}

// listener is one server that watches.
type listener struct {
	t    *testing.T
	deaf chan bool

	mu    sync.Mutex
	heard map[contract.Decided]bool // guarded by mu
	more  chan struct{}
}

func watch(t *testing.T, others contract.Others) *listener {
	t.Helper()
	l := &listener{t: t, deaf: make(chan bool, 100), heard: map[contract.Decided]bool{}, more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { others.Watch(ctx, l.hear, func(deaf bool) { l.deaf <- deaf }) })
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	return l
}

func (l *listener) hear(d contract.Decided) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[d] = true
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *listener) hasHeard(d contract.Decided) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[d]
}

// becomes waits until the listener is told that it is deaf, or hears again.
func (l *listener) becomes(deaf bool) {
	l.t.Helper()
	for {
		select {
		case now := <-l.deaf:
			if now == deaf {
				return
			}
		case <-time.After(soon):
			l.t.Fatalf("never told that it is deaf: %v", deaf)
		}
	}
}

// mustHear waits until a decision is heard.
func (l *listener) mustHear(r authz.DeviceRequest) {
	l.t.Helper()
	d := contract.Decided{DeviceCode: r.DeviceCode}
	for end := time.After(soon); !l.hasHeard(d); {
		select {
		case <-l.more:
		case <-end:
			l.t.Fatalf("%s was never heard of", r.ID)
		}
	}
}

// decide stores a request and ends it.
func decide(t *testing.T, s *postgres.Store, n int) authz.DeviceRequest {
	t.Helper()
	r := numbered(n)
	if err := s.CreateDeviceRequest(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := s.CancelDeviceRequest(t.Context(), r.ID, began); err != nil {
		t.Fatal(err)
	}
	return r
}

func opened(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s := open(t, url)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestADecisionIsHeardByEveryServer(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, other := opened(t, url), opened(t, url)
	here, there := watch(t, one), watch(t, other)
	here.becomes(false)
	there.becomes(false)
	const many = 300 // more than one notification holds
	requests := make([]authz.DeviceRequest, many)
	var deciding sync.WaitGroup
	for i := range requests {
		deciding.Go(func() { requests[i] = decide(t, one, i) })
	}
	deciding.Wait()
	for _, r := range requests {
		here.mustHear(r)
		there.mustHear(r)
	}
}

func TestAListenerThatIsCutOffIsDeafUntilItHearsAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, other := opened(t, url), opened(t, url)
	l := watch(t, other)
	l.becomes(false)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	for round := range 3 {
		tag, err := c.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'`)
		if err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("round %d: %d listeners: %v", round, tag.RowsAffected(), err)
		}
		l.becomes(true)
		l.becomes(false)
		l.mustHear(decide(t, one, round))
	}
}

// A pooler may go over to what has become a standby, where nothing is ever told.
func TestAListenerAsksInTheSilenceWhetherItWouldHear(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	twice := make(chan struct{}, 100)
	way, honest := newNetwork(t, url)
	way.change(func(to io.Writer) io.Writer {
		asked := 0 // on this connection
		return newMessages(to, func(statement string) bool {
			if statement == `SELECT pg_is_in_recovery()` {
				if asked++; asked == 2 {
					twice <- struct{}{}
				}
			}
			return false
		})
	})
	here := watch(t, opened(t, honest))
	here.becomes(false)
	way, over := newNetwork(t, url)
	way.change(func(to io.Writer) io.Writer { return standby{to} })
	there := watch(t, opened(t, over))
	there.becomes(false)
	there.becomes(true)
	select {
	case <-twice:
	case <-time.After(soon):
		t.Error("where it would hear it begins again and again")
	}
}

// standby is the way to a database that has become one.
type standby struct{ to io.Writer }

// Write implements io.Writer.
func (s standby) Write(p []byte) (int, error) {
	truth := []byte("pg_is_in_recovery()")
	return s.to.Write(bytes.ReplaceAll(p, truth, append([]byte("true"), bytes.Repeat([]byte(" "), len(truth)-len("true"))...)))
}

func TestAServerThatClosesHasToldWhatItDecided(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	l := watch(t, opened(t, url))
	l.becomes(false)
	one := open(t, url)
	var requests []authz.DeviceRequest
	for i := range 20 {
		requests = append(requests, decide(t, one, i))
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		l.mustHear(r)
	}
}

func TestADatabaseThatRestartsIsWaitedForAndHeardAgain(t *testing.T) {
	t.Parallel()
	c, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := c.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one, other := opened(t, url), opened(t, url)
	l := watch(t, other)
	l.becomes(false)
	for n, stop := range []func() error{
		func() error { return c.Stop(t.Context(), pgtest.Fast) },
		func() error { return c.Stop(t.Context(), pgtest.Immediate) },
		func() error { return c.Kill(t.Context()) },
	} {
		before := decide(t, one, 2*n)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		l.becomes(true)
		var reading sync.WaitGroup
		var got authz.DeviceRequest
		reading.Go(func() { got, err = one.DeviceRequest(t.Context(), before.DeviceCode) })
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		reading.Wait()
		if err != nil || got.State != authz.Denied {
			t.Errorf("a read during the restart: %+v, %v", got, err)
		}
		l.becomes(false)
		l.mustHear(decide(t, one, 2*n+1))
	}
}

func TestADatabaseThatIsAwayIsUnreachable(t *testing.T) {
	t.Parallel()
	c, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	url, err := c.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := opened(t, url)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("a ping: %v", err)
	}
	if _, err := s.Client(t.Context(), "any"); !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("a read: %v", err)
	}
	if err := s.CreateDeviceRequest(t.Context(), numbered(1)); !errors.Is(err, contract.ErrUnreachable) {
		t.Errorf("a write: %v", err)
	}
}

// recorded is a log that is read while it is written.
type recorded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *recorded) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.b.String(), text)
}

func TestADatabaseThatIsAwayIsNotWarnedOfAtEveryTry(t *testing.T) {
	t.Parallel()
	cluster, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := cluster.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := &recorded{}
	s, err := postgres.Open(t.Context(), url, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l := watch(t, s)
	l.becomes(false)
	if err := cluster.Stop(t.Context(), pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	for range 8 { // tries
		l.becomes(true)
	}
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.becomes(false)
	if n := log.count("level=WARN"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if n := log.count("level=INFO"); n != 1 {
		t.Errorf("it was said %d times that it is back", n)
	}
}
