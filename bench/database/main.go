// Command database starts a PostgreSQL cluster of its own with PostgreSQL's own
// settings, fsync among them, and prints the URL of an empty database on it, one
// line. It is reached by a socket in the file system, as one on the same machine
// is. It stops and removes the cluster when it is told to end.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"countersign.dev/internal/storage/postgres/pgtest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "countersign-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o777); err != nil { // PostgreSQL, another user, makes its socket in it
		return err
	}
	c, err := pgtest.Start(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "256MB", "unix_socket_directories": dir,
	}})
	if err != nil {
		return err
	}
	defer func() {
		if closed := c.Close(); err == nil {
			err = closed
		}
	}()
	address, err := c.NewDatabase(ctx)
	if err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	query := u.Query()
	query.Set("host", dir)
	query.Set("port", u.Port())
	u.Host, u.RawQuery = "", query.Encode()
	fmt.Println(u)
	<-ctx.Done()
	return nil
}
