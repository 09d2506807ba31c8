package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign.dev/internal/authz/contract"
)

const (
	// leastConnections and connectionsPerCore size the pool where the URL does not
	// (pool_max_conns). A statement takes a fraction of a millisecond: more
	// connections would queue in the database instead of here.
	leastConnections   = 8
	connectionsPerCore = 4
	// readGoroutines and writeGoroutines take operations to the database. One
	// alone writes: two groups that change the same rows in another order would
	// wait for each other in a circle.
	readGoroutines  = 2
	writeGoroutines = 1
	// connectLimit bounds the making of a connection.
	connectLimit = 5 * time.Second
	// aliveLimit bounds the question whether a connection that was idle is alive.
	aliveLimit = time.Second
	// groupLimit is for a group of operations, which a client may have to wait for
	// twice: while another is under way, and then in its own.
	groupLimit = 5 * time.Second
	// statementLimit ends a statement that hangs. It is far above what any of ours
	// takes, and below what a client waits.
	statementLimit = 10 * time.Second
	// lockLimit ends a statement that waits for another's lock, which is tried anew:
	// locks are held for the milliseconds of a commit. It is below the second after
	// which PostgreSQL looks whether two wait for each other (deadlock_timeout), or
	// whoever has the groups of two servers meet would stop both for that long.
	lockLimit = 200 * time.Millisecond
)

// Store is an contract.Store in one PostgreSQL database.
type Store struct {
	pool   *pgxpool.Pool
	config *pgx.ConnConfig // of the pool's connections, for the one that listens
	log    *slog.Logger
	// transactions holds a token for each transaction outside of the batchers.
	transactions chan struct{}

	reads    *batcher
	writes   *batcher
	notifier *notifier
	// countedAtMost is the constant of that name, but for tests.
	countedAtMost float64
}

var (
	_ contract.Store  = (*Store)(nil)
	_ contract.Others = (*Store)(nil)
)

// Open connects to the database and brings its schema up to date as needed. The
// URL's query may have pool_max_conns and everything else that pgx and libpq know.
// Errors hold no password.
func Open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	s, err := open(ctx, url, log)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.refuseArrival(ctx), s.refuseForgetful(ctx)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// refuseForgetful fails where the database acknowledges what is not on disk yet:
// an approval could be lost, and a code redeemed twice.
func (s *Store) refuseForgetful(ctx context.Context) error {
	var commits string
	if err := s.one(ctx, "looking at the database's settings", `SHOW synchronous_commit`, nil, &commits); err != nil {
		return err
	}
	if commits == "off" {
		return errors.New("the database acknowledges before it has written: set synchronous_commit to on, there or in the URL")
	}
	return nil
}

// open is Open for somebody who also opens a database that the end of a move has
// not reached.
func open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, unreadable(err)
	}
	if !namesPoolSize(url) {
		config.MaxConns = int32(max(leastConnections, connectionsPerCore*runtime.GOMAXPROCS(0))) //nolint:gosec // cores
	}
	config.MaxConnLifetimeJitter = config.MaxConnLifetime / 10
	config.PingTimeout = cmp.Or(config.PingTimeout, aliveLimit)
	setUp(config.ConnConfig)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	s := &Store{
		pool: pool, config: config.ConnConfig.Copy(), log: log, countedAtMost: countedAtMost,
		transactions: make(chan struct{}, max(1, int(config.MaxConns)-readGoroutines-writeGoroutines)),
	}
	s.reads, s.writes = newBatcher(pool, readGoroutines), newBatcher(pool, writeGoroutines)
	s.notifier = newNotifier(s)
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("migrating the database: %w", err), s.Close())
	}
	return s, nil
}

// setUp gives a connection what the URL does not set: limits, and plans that are
// made once, since every statement looks up a few rows by a key whatever the key.
// They are set afterwards, because poolers refuse parameters that they do not know.
// A standby is of no use, whatever the URL says.
func setUp(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectLimit
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "countersign"
	}
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	var settings strings.Builder
	for name, value := range map[string]string{
		"plan_cache_mode":                     "force_generic_plan",
		"jit":                                 "off",
		"statement_timeout":                   milliseconds(statementLimit),
		"lock_timeout":                        milliseconds(lockLimit),
		"idle_in_transaction_session_timeout": milliseconds(statementLimit),
	} {
		if _, set := config.RuntimeParams[name]; !set {
			fmt.Fprintf(&settings, "SET %s TO '%s';", name, value)
		}
	}
	config.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		return c.Exec(ctx, settings.String()).Close()
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Close lets the operations under way finish, and closes the connections.
func (s *Store) Close() error {
	s.writes.close()
	s.notifier.close()
	s.reads.close()
	s.pool.Close()
	return nil
}

// Ping writes and reads a row.
func (s *Store) Ping(ctx context.Context) error {
	var at int64
	return s.changeOne(ctx, "pinging the database", "", `INSERT INTO pings (id, at) VALUES (1, 1)
		ON CONFLICT (id) DO UPDATE SET at = pings.at + 1 RETURNING at`, nil, &at)
}
