// Command database starts a PostgreSQL cluster of its own with PostgreSQL's own
// settings, fsync among them, and prints the URL of an empty database on it, one
// line. It stops and removes the cluster when it is told to end.
package main

import (
	"context"
	"fmt"
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
	c, err := pgtest.Start(ctx, pgtest.Options{Durable: true, Settings: map[string]string{"shared_buffers": "256MB"}})
	if err != nil {
		return err
	}
	defer func() {
		if closed := c.Close(); err == nil {
			err = closed
		}
	}()
	url, err := c.NewDatabase(ctx)
	if err != nil {
		return err
	}
	fmt.Println(url)
	<-ctx.Done()
	return nil
}
