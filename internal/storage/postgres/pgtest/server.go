package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is a way to stop PostgreSQL.
type Mode int

const (
	// Fast rolls back what is open, disconnects everybody and writes a checkpoint.
	Fast Mode = iota
	// Immediate ends like a crash, and the next start recovers from the log.
	Immediate
)

var (
	errPortTaken  = errors.New("another program took the port")
	errStillThere = errors.New("what the killed server left is still in use")
)

// server is one run of the program postgres.
type server struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// settingLines are the cluster's additions to PostgreSQL's defaults.
func settingLines(o Options) []string {
	lines := []string{"listen_addresses='127.0.0.1'", "unix_socket_directories=''", "max_connections='500'"}
	if !o.Durable {
		// Commits keep their order and outlive a killed server, though not a power cut.
		lines = append(lines, "fsync='off'", "full_page_writes='off'")
	}
	for name, value := range o.Settings {
		lines = append(lines, name+"='"+strings.ReplaceAll(value, "'", "''")+"'")
	}
	return lines
}

// initialise makes the data directory.
func (c *Cluster) initialise(ctx context.Context) error {
	passwordFile := filepath.Join(c.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("making the cluster: %w", err)
	}
	if err := c.as.own(passwordFile); err != nil {
		return err
	}
	// A password that is sent as it is, because hashing it would cost each
	// connection of each test 10 ms, and loopback has no listeners.
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), //nolint:gosec // the path was looked up
		"--pgdata", c.data(), "--no-sync", "--username", superuser, "--encoding", "UTF8", "--locale", "C",
		"--auth", "password", "--pwfile", passwordFile)
	cmd.Dir = c.dir
	cmd.Env = environment()
	c.as.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the cluster: %w: %s", err, out)
	}
	conf, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("making the cluster: %w", err)
	}
	_, err = conf.WriteString(strings.Join(c.settings, "\n") + "\n")
	if err = errors.Join(err, conf.Close()); err != nil {
		return fmt.Errorf("making the cluster: %w", err)
	}
	return nil
}

// environment is without the PG… variables, which would change what programs of
// PostgreSQL do, and without a language, in which their errors would be.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
	return append(env, "LC_ALL=C")
}

// Restart starts the stopped or killed cluster again, on the same port and data,
// and returns when it accepts connections.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != nil {
		return errors.New("restarting PostgreSQL: it is running")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// The children of a killed server need a moment to notice.
		err := c.startLocked(ctx)
		if !errors.Is(err, errStillThere) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// startLocked starts the server and waits until it accepts connections.
func (c *Cluster) startLocked(ctx context.Context) error {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer log.Close()
	begin, err := log.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	s := &server{done: make(chan struct{})}
	// Not of the context, which ends before the server does.
	s.cmd = exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data(), "-p", strconv.Itoa(c.port)) //nolint:gosec,noctx // the path was looked up
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = c.dir, environment(), log, log
	c.as.run(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.ready(ctx, c.portURL()); err != nil {
		_ = s.cmd.Process.Kill() // it has mostly ended already
		<-s.done
		return startError(err, c.Log()[begin:])
	}
	c.run = s
	return nil
}

// portURL is AdminURL for somebody who holds the lock.
func (c *Cluster) portURL() string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", superuser, c.password, c.port)
}

// startError says why PostgreSQL did not start, by what it logged.
func startError(err error, log string) error {
	switch {
	case strings.Contains(log, "could not bind"):
		return errPortTaken
	case strings.Contains(log, "is still in use"):
		return errStillThere
	}
	return fmt.Errorf("starting PostgreSQL: %w\n%s", err, log)
}

// ready waits until the server accepts connections, or has ended.
func (s *server) ready(ctx context.Context, url string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.done:
			return fmt.Errorf("it ended: %w", s.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Stop stops PostgreSQL; Restart starts it again. The context bounds the wait,
// and PostgreSQL is killed when it is over.
func (c *Cluster) Stop(ctx context.Context, mode Mode) error {
	how := syscall.SIGINT
	if mode == Immediate {
		how = syscall.SIGQUIT
	}
	return c.end(ctx, how)
}

// Kill kills PostgreSQL's first process, as the system does when memory runs out;
// the others notice and end by themselves.
func (c *Cluster) Kill(ctx context.Context) error { return c.end(ctx, syscall.SIGKILL) }

func (c *Cluster) end(ctx context.Context, how syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.run
	if s == nil {
		return nil
	}
	c.run = nil
	if err := s.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		_ = s.cmd.Process.Kill() // it may have ended meanwhile
		<-s.done
		return fmt.Errorf("stopping PostgreSQL: %w", ctx.Err())
	}
}

// Close stops the cluster at once and removes it.
func (c *Cluster) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := c.Stop(ctx, Immediate)
	// Nobody is to be stopped by what this file says, for the number may be
	// another program's by now.
	if gone := os.Remove(c.pidFile()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return errors.Join(err, c.watcher.release(), os.RemoveAll(c.dir))
}
