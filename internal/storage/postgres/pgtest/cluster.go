package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Options say how a cluster is set up. The zero value is quick and safe against
// everything but a power cut.
type Options struct {
	// Durable keeps PostgreSQL's own defaults, fsync among them: for benchmarks.
	Durable bool
	// Settings are more lines of postgresql.conf, like max_connections.
	Settings map[string]string
}

// Role owns the databases that NewDatabase makes. It is no superuser, as the
// server's role should not be.
const Role = "countersign"

// superuser is who initdb makes.
const superuser = "postgres"

// Cluster is a PostgreSQL cluster of the caller's own.
type Cluster struct {
	bin      string // the directory of initdb and postgres
	dir      string // everything of the cluster is below
	as       *account
	password string // of both roles
	settings []string
	watcher  *watcher
	made     atomic.Int64 // databases

	mu   sync.Mutex
	port int      // guarded by mu; stays the same once Start has returned
	run  *server  // guarded by mu; nil when PostgreSQL is not running
	free []string // guarded by mu: the URLs of empty databases
}

// Start makes a cluster and starts it. The context bounds the start only; the
// caller ends the cluster with Close, and if the caller's process ends without,
// the cluster ends too.
//
//	ErrNotInstalled: there is no PostgreSQL here
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := findBinaries(os.Getenv("PGBIN"))
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "countersign-pg-")
	if err != nil {
		return nil, fmt.Errorf("making the cluster's directory: %w", err)
	}
	c := &Cluster{bin: bin, dir: dir, as: as, password: rand.Text(), settings: settingLines(o)}
	if err := as.own(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if c.watcher, err = watch(c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.set(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// set makes the data directory, starts the server and makes the role.
func (c *Cluster) set(ctx context.Context) error {
	if err := c.initialise(ctx); err != nil {
		return err
	}
	if err := c.startOnFreePort(ctx); err != nil {
		return err
	}
	return c.Exec(ctx, `CREATE ROLE `+Role+` LOGIN PASSWORD '`+c.password+`'`)
}

// startOnFreePort starts the server on a port that nobody uses. Another program
// may take the port between the question and the start, so it asks again.
func (c *Cluster) startOnFreePort(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for range 5 {
		if c.port, err = freePort(ctx); err != nil {
			return err
		}
		if err = c.startLocked(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close() //nolint:errcheck // it listened only to learn the port
	return l.Addr().(*net.TCPAddr).Port, nil
}

// NewDatabase makes an empty database and returns the URL of it, password
// included, for a role that owns it.
func (c *Cluster) NewDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprintf("countersign_%d", c.made.Add(1))
	if err := c.Exec(ctx, `CREATE DATABASE `+name+` OWNER `+Role+` TEMPLATE template0`); err != nil {
		return "", err
	}
	return c.url(Role, name), nil
}

// lend gives out an empty database that somebody gave back, or a new one.
// Emptying takes a tenth of the time that DROP and CREATE DATABASE do, which both
// write a checkpoint.
func (c *Cluster) lend(ctx context.Context) (string, error) {
	c.mu.Lock()
	var given string
	if last := len(c.free) - 1; last >= 0 {
		given, c.free = c.free[last], c.free[:last]
	}
	c.mu.Unlock()
	if given != "" {
		return given, nil
	}
	return c.NewDatabase(ctx)
}

// giveBack disconnects everybody from a database that was lent, and empties it.
func (c *Cluster) giveBack(ctx context.Context, lent string) error {
	u, err := url.Parse(lent)
	if err != nil {
		return errors.New("emptying a database: its URL is none")
	}
	name := u.Path[1:]
	conn, err := pgx.Connect(ctx, c.url(superuser, name))
	if err != nil {
		return fmt.Errorf("emptying %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	const disconnect = `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	for _, sql := range []string{disconnect, `DROP OWNED BY ` + Role + ` CASCADE`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("emptying %s: %w", name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, lent)
	return nil
}

// Exec runs one statement as the superuser, in the database postgres.
func (c *Cluster) Exec(ctx context.Context, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, c.AdminURL())
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("asking the cluster: %w", err)
	}
	return nil
}

// AdminURL is the superuser's URL of the database postgres.
func (c *Cluster) AdminURL() string { return c.url(superuser, "postgres") }

// Address is where the cluster listens.
func (c *Cluster) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port))
}

func (c *Cluster) url(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, c.password), Host: c.Address(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Log is what PostgreSQL has logged since Start.
func (c *Cluster) Log() string {
	text, err := os.ReadFile(c.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (c *Cluster) logFile() string { return filepath.Join(c.dir, "log") }
func (c *Cluster) data() string    { return filepath.Join(c.dir, "data") }
func (c *Cluster) pidFile() string { return filepath.Join(c.data(), "postmaster.pid") }
