package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/postgres"
	"countersign.dev/internal/storage/postgres/pgtest"
)

// network is the way to a database, which can lose everything that is sent without
// a word, as a firewall or a machine without power does.
type network struct {
	to string

	mu      sync.Mutex
	lossy   bool                               // guarded by mu
	made    []net.Conn                         // guarded by mu
	through func(database io.Writer) io.Writer // nil: as it is; guarded by mu
}

// newNetwork returns a network, and the URL of the database behind it.
func newNetwork(t testing.TB, database string) (*network, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{to: u.Host}
	u.Host = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.forward(c) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		for _, c := range n.made {
			_ = c.Close() // most are closed
		}
		n.mu.Unlock()
		serving.Wait()
	})
	return n, u.String()
}

// lose has everything lost from now on, or from new connections nothing any more;
// what was lost stays so.
func (n *network) lose(all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lossy = all
}

// change has what is said to the database go through something, on new connections.
func (n *network) change(through func(database io.Writer) io.Writer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.through = through
}

// forward carries what two sides say. A connection over which something was lost
// is good for nothing afterwards.
func (n *network) forward(from net.Conn) {
	to, err := net.Dial("tcp", n.to)
	if err != nil {
		_ = from.Close() // which says it all
		return
	}
	n.mu.Lock()
	n.made = append(n.made, from, to)
	through := n.through
	n.mu.Unlock()
	var gone sync.Once
	var broken bool
	var mu sync.Mutex
	carry := func(to io.Writer, from io.Reader) {
		buffer := make([]byte, 32<<10)
		for {
			read, err := from.Read(buffer)
			if err != nil {
				return
			}
			n.mu.Lock()
			lossy := n.lossy
			n.mu.Unlock()
			mu.Lock()
			broken = broken || lossy
			carries := !broken
			mu.Unlock()
			if !carries {
				continue
			}
			if _, err := to.Write(buffer[:read]); err != nil {
				return
			}
		}
	}
	end := func() {
		_ = from.Close() // it may be closed
		_ = to.Close()
	}
	var both sync.WaitGroup
	both.Go(func() {
		if through != nil {
			carry(through(to), from)
		} else {
			carry(to, from)
		}
		gone.Do(end)
	})
	both.Go(func() {
		carry(from, to)
		gone.Do(end)
	})
	both.Wait()
}

// operations are one of each way to the database.
func operations(s *postgres.Store) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"a read": func(ctx context.Context) error {
			_, err := s.SigningKeys(ctx, time.Time{})
			return err
		},
		"a write": s.Ping,
		"a transaction": func(ctx context.Context) error {
			_, err := s.Sweep(ctx, contract.SweepTimes{}, 1)
			return err
		},
	}
}

// warm leaves several idle connections in the pool.
func warm(t *testing.T, s *postgres.Store) {
	t.Helper()
	var using sync.WaitGroup
	for range 16 {
		for what, use := range operations(s) {
			using.Go(func() {
				if err := use(t.Context()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
	}
	using.Wait()
}

func TestADatabaseThatAnswersNothingIsSoonGivenUpAndFoundAgain(t *testing.T) {
	t.Parallel()
	way, url := newNetwork(t, pgtest.Database(t))
	s := opened(t, url)
	warm(t, s)
	// Two groups one after the other, each with the time for a connection.
	const atMost = 15 * time.Second
	way.lose(true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*atMost)
	defer cancel()
	var using sync.WaitGroup
	for range 3 {
		for what, use := range operations(s) {
			using.Go(func() {
				began := time.Now()
				if err := use(ctx); !errors.Is(err, contract.ErrUnreachable) || time.Since(began) > atMost {
					t.Errorf("%s: %v after %v", what, err, time.Since(began))
				}
			})
		}
	}
	using.Wait()
	way.lose(false)
	for what, use := range operations(s) {
		began := time.Now()
		if err := use(t.Context()); err != nil {
			t.Errorf("%s afterwards: %v after %v", what, err, time.Since(began))
		}
	}
}

// A standby takes connections, which would be used for an hour after it was found
// out, or after another one has become the primary.
func TestNoConnectionsAreMadeToWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	s := opened(t, database)
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	set := func(statement string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I `+statement+`', current_database()); END $$`); err != nil {
			t.Fatal(err)
		}
	}
	set(`SET default_transaction_read_only = on`)
	if _, err := c.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	var using sync.WaitGroup
	for what, use := range operations(s) {
		using.Go(func() {
			if err := use(t.Context()); !errors.Is(err, contract.ErrUnreachable) {
				t.Errorf("%s meanwhile: %v", what, err)
			}
		})
	}
	using.Wait()
	set(`RESET default_transaction_read_only`)
	for what, use := range operations(s) {
		if err := use(t.Context()); err != nil {
			t.Errorf("%s afterwards: %v", what, err)
		}
	}
}

// cutting is a store, and the network to its database, which cuts all connections
// whenever a statement that begins as said is sent, so many times.
type cutting struct {
	*postgres.Store
	begins atomic.Value // a string
	sent   atomic.Int32
	times  atomic.Int32
}

func newCutting(t *testing.T) *cutting {
	t.Helper()
	way, url := newNetwork(t, pgtest.Database(t))
	c := &cutting{}
	c.begins.Store("none")
	way.change(func(to io.Writer) io.Writer {
		return newMessages(to, func(statement string) bool {
			if strings.HasPrefix(statement, c.begins.Load().(string)) && c.sent.Add(1) <= c.times.Load() {
				way.mu.Lock()
				defer way.mu.Unlock()
				for _, c := range way.made {
					_ = c.Close() // some are closed
				}
			}
			return false
		})
	})
	c.Store = opened(t, url)
	return c
}

// during uses the store while its connections are cut, and returns how often the
// statement was sent.
func (c *cutting) during(t *testing.T, use func(ctx context.Context) error, begins string, times int) (sent int, err error) {
	t.Helper()
	if err := use(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.sent.Store(0)
	c.times.Store(int32(times))
	c.begins.Store(begins)
	err = use(t.Context())
	c.begins.Store("none")
	return int(c.sent.Load()), err
}

// What nobody knows the outcome of is not tried again: it would find what it did itself,
// and call it somebody else's.
func TestAWriteWhoseAnswerIsLostIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := newCutting(t)
	for what, statement := range map[string]string{"a write": "INSERT INTO pings", "a transaction": "commit"} {
		if sent, err := s.during(t, operations(s.Store)[what], statement, 1000); sent != 1 || !errors.Is(err, contract.ErrUnreachable) {
			t.Errorf("%s was sent %d times: %v", what, sent, err)
		}
	}
}

func TestATransactionThatIsCutOffBeforeItsCommitIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newCutting(t)
	for statement, want := range map[string]int{"begin": 2, "SELECT FROM sweeps": 2} {
		if sent, err := s.during(t, operations(s.Store)["a transaction"], statement, 1); sent != want || err != nil {
			t.Errorf("%s was sent %d times: %v", statement, sent, err)
		}
	}
}
